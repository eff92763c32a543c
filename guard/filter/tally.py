"""What a run counts: records by verdict and reason, and by source and label in bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from pydantic import BaseModel, ConfigDict

from guard.verdict import Status, Verdict

__all__ = ["KEPT_GROUPS", "GroupCounts", "Groups", "GroupsState", "Name", "Tally", "TallyState"]

KEPT_GROUPS = 1000
"""Sources (or labels) that are counted one by one. A sender who invents a source per record must not fill memory."""

_PRUNE_AT = 4 * KEPT_GROUPS

Name = str | int | float | None
"""What a group is called: a source, a label, or None where a malformed record does not tell."""


class _State(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class GroupCounts(_State):
    """The records of one source or label: all of them, and how many of them were held or rejected."""

    name: Name = None
    records: int = 0
    quarantined: int = 0
    rejected: int = 0


class GroupsState(_State):
    """Groups that are counted one by one, largest first, and the sum of all others."""

    kept: list[GroupCounts]
    rest: GroupCounts

    def cut(self) -> GroupsState:
        """The same counts with only the `KEPT_GROUPS` largest groups one by one."""
        return GroupsState(kept=self.kept[:KEPT_GROUPS], rest=_sum([self.rest, *self.kept[KEPT_GROUPS:]]))


class TallyState(_State):
    """`Tally` as a checkpoint keeps it."""

    records: int
    bytes: int
    verdicts: dict[str, int]
    reasons: dict[str, int]
    sources: GroupsState
    labels: GroupsState

    def held_share(self) -> float | None:
        """Share of the well-formed records that is quarantined; None where nothing was well-formed."""
        held, clean = self.verdicts.get("quarantined", 0), self.verdicts.get("clean", 0)
        return held / (held + clean) if held + clean else None


class Groups:
    """Counts per source or label. Beyond four times `KEPT_GROUPS` names, the smallest are summed into the rest.

    Every record stays counted, in its own group or in the rest; a small source that was summed and sends again starts
    anew at zero.
    """

    def __init__(self, state: GroupsState | None = None) -> None:
        self._rest = state.rest if state else GroupCounts()
        self._keep(state.kept if state else [])

    def _keep(self, groups: Sequence[GroupCounts]) -> None:
        self._records: Counter[Name] = Counter({group.name: group.records for group in groups})
        self._quarantined: Counter[Name] = Counter({group.name: group.quarantined for group in groups})
        self._rejected: Counter[Name] = Counter({group.name: group.rejected for group in groups})

    def add(self, names: Iterable[Name], quarantined: Iterable[Name], rejected: Iterable[Name]) -> None:
        """Count the records of one batch by name, and again those of them that were held or rejected."""
        self._records.update(names)
        self._quarantined.update(quarantined)
        self._rejected.update(rejected)
        if len(self._records) > _PRUNE_AT:
            largest = self.state().cut()
            self._rest = largest.rest
            self._keep(largest.kept)

    def state(self) -> GroupsState:
        """Everything that is needed to go on counting."""
        groups = [
            GroupCounts(name=name, records=records, quarantined=self._quarantined[name], rejected=self._rejected[name])
            for name, records in self._records.items()
        ]
        groups.sort(key=lambda group: (-group.records, repr(group.name)))
        return GroupsState(kept=groups, rest=self._rest)


def _sum(groups: Sequence[GroupCounts]) -> GroupCounts:
    return GroupCounts(
        records=sum(group.records for group in groups),
        quarantined=sum(group.quarantined for group in groups),
        rejected=sum(group.rejected for group in groups),
    )


class Tally:
    """All counts of a run, from its first record on, across resumptions.

    Labels are counted only where they are classes: each number of a regression is a label of its own.
    """

    def __init__(self, state: TallyState | None = None, *, classes: bool) -> None:
        self._classes = classes
        self.records = state.records if state else 0
        self._bytes = state.bytes if state else 0
        self._verdicts: Counter[str] = Counter(state.verdicts if state else {})
        self._reasons: Counter[str] = Counter(state.reasons if state else {})
        self._sources = Groups(state.sources if state else None)
        self._labels = Groups(state.labels if state else None)

    def add(self, verdicts: Sequence[Verdict], size: int) -> None:
        """Count one batch: its verdicts, and its bytes as lines of the wire format."""
        held = [verdict for verdict in verdicts if verdict.status is Status.QUARANTINED]
        rejected = [verdict for verdict in verdicts if verdict.status is Status.MALFORMED]
        self.records += len(verdicts)
        self._bytes += size
        self._verdicts.update(
            clean=len(verdicts) - len(held) - len(rejected), quarantined=len(held), malformed=len(rejected)
        )
        self._reasons.update([str(verdict.reason) for verdict in (*held, *rejected)])
        self._sources.add([v.source for v in verdicts], [v.source for v in held], [v.source for v in rejected])
        if self._classes:
            self._labels.add([v.label for v in verdicts], [v.label for v in held], [v.label for v in rejected])

    def state(self) -> TallyState:
        """Everything that is needed to go on counting."""
        return TallyState(
            records=self.records,
            bytes=self._bytes,
            verdicts=dict(self._verdicts),
            reasons=dict(self._reasons),
            sources=self._sources.state(),
            labels=self._labels.state(),
        )
