"""The lines of `verdicts.jsonl`: what was said of each record that was not passed."""

from __future__ import annotations

import msgspec

from guard.verdict import Status, Verdict

__all__ = ["VerdictLine", "VerdictWriter"]


class VerdictLine(msgspec.Struct, frozen=True, kw_only=True):
    """One record that was not passed. `line` counts the input's records from 1.

    `p_value` is null where the record was not scored, `observed` true where it was passed all the same because the
    mode is `observe`. `model` is `name:version`, `model_sha256` the digest of the bundle's manifest.
    """

    line: int
    id: str | None
    verdict: Status
    reason: str | None
    p_value: float | None
    threshold: float | None
    member: str | None
    suggested_label: str | int | float | None
    source: str | None
    label: str | int | float | None
    detail: str | None
    observed: bool
    model: str
    model_sha256: str


class VerdictWriter:
    """Turns verdicts into lines for one model and mode."""

    def __init__(self, model: str, digest: str, *, observe: bool) -> None:
        self._model = model
        self._digest = digest
        self._observe = observe
        self._encode = msgspec.json.Encoder().encode

    def line(self, number: int, verdict: Verdict) -> bytes:
        """The line of record `number`, without LF."""
        return self._encode(
            VerdictLine(
                line=number,
                id=verdict.id,
                verdict=verdict.status,
                reason=verdict.reason,
                p_value=verdict.p_value,
                threshold=verdict.threshold,
                member=verdict.member,
                suggested_label=verdict.suggested_label,
                source=verdict.source,
                label=verdict.label,
                detail=verdict.detail,
                observed=self._observe and verdict.status is Status.QUARANTINED,
                model=self._model,
                model_sha256=self._digest,
            )
        )
