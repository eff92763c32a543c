"""`summary.json`: what one run did, with everything that is needed to tell what its numbers mean."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from guard.filter.tally import GroupsState
from guard.manifest import Alpha
from guard.routing import Mode

__all__ = ["SUMMARY", "Summary", "library_versions"]

SUMMARY = "summary.json"

_LIBRARIES = ("depois-guard", "onnxruntime", "onnxruntime-gpu", "numpy", "msgspec", "pydantic")

_Share = Annotated[float, Field(ge=0, le=1)]


class Summary(BaseModel):
    """`summary.json`.

    `complete`: false when the run was asked to stop before the end of its input. `bytes`: size of the records as lines.
    `verdicts` and `reasons` count records; `held_share` is quarantined / (clean + quarantined), null where nothing was
    well-formed. `sources` and `labels` hold the largest groups one by one and the sum of the rest; `labels` is empty
    for regression. In mode `observe` quarantined records were passed. `seconds` adds up over resumptions.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    complete: bool
    samples: str
    mode: Mode
    boundary: str
    alpha: Alpha
    model: str
    model_version: str
    model_sha256: str
    records: int
    bytes: int
    seconds: float
    records_per_second: float
    verdicts: dict[str, int]
    reasons: dict[str, int]
    held_share: _Share | None
    sources: GroupsState
    labels: GroupsState
    libraries: dict[str, str]


def library_versions() -> dict[str, str]:
    """Versions of the installed packages that the result may depend on."""
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
