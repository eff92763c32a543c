"""What the guard did against the truth: recall per attack, false alarms, shares per contributor. Counts first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from guard.filter.verdicts import VerdictLine
from guard.spec import ClassLabel
from guard.verdict import Status
from training.demo.scenario import HONEST, JUNK, Contributor, Entry, Scenario
from training.rate import Rate

__all__ = ["ContributorRow", "Figures", "JunkRow", "Told", "join_truth", "measure"]


@dataclass(frozen=True)
class Told:
    """One line of the stream with what was said of it; `verdict` is None where it was passed as clean."""

    line: int
    entry: Entry
    verdict: VerdictLine | None

    @property
    def held(self) -> bool:
        """True where the line went to quarantine."""
        return self.verdict is not None and self.verdict.verdict == Status.QUARANTINED


@dataclass(frozen=True)
class ContributorRow:
    """What one contributor sent and what became of it."""

    name: str
    kind: str
    sent: int
    poisoned: int
    passed: int
    held: int

    @property
    def malformed(self) -> int:
        """What was neither passed nor held."""
        return self.sent - self.passed - self.held


@dataclass(frozen=True)
class JunkRow:
    """Junk of one expected reason: how many lines, and how many of them were refused or held for that reason."""

    reason: str
    sent: int
    named: int


@dataclass(frozen=True)
class Figures:
    """All that the demo prints.

    `recall` by attack. `corrected` by attack: of the held samples with a wrong class, those whose suggestion is right.
    """

    false_alarms: Rate
    recall: dict[str, Rate]
    corrected: dict[str, Rate]
    contributors: tuple[ContributorRow, ...]
    junk: tuple[JunkRow, ...]


def join_truth(stream: Sequence[Entry], verdicts: Iterable[VerdictLine]) -> list[Told]:
    """Every line of the stream with its line of `verdicts.jsonl`, which leaves out what was passed."""
    by_line = {verdict.line: verdict for verdict in verdicts}
    return [Told(line, entry, by_line.get(line)) for line, entry in enumerate(stream, 1)]


def measure(scenario: Scenario, told: Sequence[Told]) -> Figures:
    """Count. False alarms are counted on every honest sample, an attacker's cover included."""
    poisoned = {attack.name: [t for t in told if t.entry.kind == attack.name] for attack in scenario.attacks}
    return Figures(
        false_alarms=_share_held([t for t in told if t.entry.kind == HONEST]),
        recall={name: _share_held(rows) for name, rows in poisoned.items()},
        corrected=_corrected(scenario, poisoned),
        contributors=tuple(_contributor(contributor, told) for contributor in scenario.contributors),
        junk=_junk([t for t in told if t.entry.kind == JUNK]),
    )


def _share_held(told: Sequence[Told]) -> Rate:
    return Rate(sum(t.held for t in told), len(told))


def _corrected(scenario: Scenario, poisoned: dict[str, list[Told]]) -> dict[str, Rate]:
    """Of held samples with a wrong class: where the suggestion is the right one. Empty for regression."""
    label = scenario.dataset.spec.label
    if not isinstance(label, ClassLabel):
        return {}
    flipped = {name: [t for t in told if t.held and t.entry.y != t.entry.y_true] for name, told in poisoned.items()}
    return {
        name: Rate(sum(_suggested(t) == label.values[int(t.entry.y_true or 0)] for t in told), len(told))
        for name, told in flipped.items()
        if told
    }


def _suggested(told: Told) -> str | float | None:
    return None if told.verdict is None else told.verdict.suggested_label


def _contributor(contributor: Contributor, told: Sequence[Told]) -> ContributorRow:
    own = [t for t in told if t.entry.source == contributor.name]
    return ContributorRow(
        name=contributor.name,
        kind=contributor.kind,
        sent=len(own),
        poisoned=sum(t.entry.kind not in (HONEST, JUNK) for t in own),
        passed=sum(t.verdict is None for t in own),
        held=sum(t.held for t in own),
    )


def _junk(told: Sequence[Told]) -> tuple[JunkRow, ...]:
    sent = Counter(str(t.entry.expected) for t in told)
    named = Counter(
        str(t.entry.expected) for t in told if t.verdict is not None and t.verdict.reason == t.entry.expected
    )
    return tuple(JunkRow(reason, count, named[reason]) for reason, count in sent.items())
