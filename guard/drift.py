"""Drift: do the samples of all sources together still look like the trusted ones? An anytime-valid test per bundle.

Three things are watched, each by bets on events whose probability the trusted data bound (`guard.betting`):

* `p_values`: of the samples that pass. P(p ≤ t | p > α) lies between (F_l(t) − F_u(α))/(1 − F_u(α)) and
  (F_u(t) − F_l(α))/(1 − F_l(α)), with the bounds of `guard.rate_bounds`; bets are placed on more and on fewer;
* `labels`: the share of each class, within the Clopper–Pearson bounds of its share among the first `BASELINE` votes;
* `refusals`: samples that are malformed, of an unknown label or not scored, against the first `BASELINE` votes too.
  Nothing in a bundle says how often senders use which class, or err.

**Drift or attack.** Each source votes once in each window, with the first of its samples there: a few sources, however
much they send, shift a few votes. When all shift, the votes shift. So an alarm here means that the data have changed;
an attack of few sources shows in `guard.blame` instead. Invented names have votes like all others: an attacker who
sends most of the names can look like drift.

Each of the three is alarmed at log E ≥ log(6/level) − log δ_round. P(any false alarm, ever) ≤ level for one bundle,
half of it for what calibration and baseline cannot know. As with blame, a round is given up when its evidence has gone,
and the next one weighs less. After an alarm the evidence begins anew; the alarm is over when `REPEAT` times as many
votes have passed as it took, and it has not come again.

Differs from the literature on conformal test martingales: those test exchangeability of ranks that are computed along
the way, with randomised ties; here the calibration is fixed, and what it cannot know is part of the null hypothesis.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal, NamedTuple, get_args

import msgspec
import numpy as np
from numpy.typing import NDArray

from guard.betting import Bets, log_round_weight
from guard.blame import StateUnreadable
from guard.calibration import Fusion
from guard.clopper_pearson import upper_bound
from guard.rate_bounds import rate_bounds, resolution
from guard.space_saving import name_key
from guard.spec import ClassLabel, NumberLabel
from guard.verdict import Verdict

__all__ = [
    "BASELINE",
    "LEVEL",
    "REPEAT",
    "Drift",
    "DriftReading",
    "DriftState",
    "Expected",
    "Watched",
    "expected_of",
    "reading_of",
]

Watched = Literal["p_values", "labels", "refusals"]
"""What is watched."""

LEVEL = 0.01
"""Probability of any false alarm of one bundle, however long it serves."""

BASELINE = 1000
"""Votes that say which classes, and which share of refused samples, are usual."""

REPEAT = 3

_QUANTILES = (0.05, 0.1, 0.25, 0.5, 0.75)
_MOST_CLASSES = 100
_LEAST_USUAL = 0.01
"""One refused sample in a hundred, or one of a class that was never seen, is no change of the data."""

_FLOOR_LOG10 = -1.3
"""Evidence at which a round is given up: else a long time without drift would be a credit."""

_LOOK = 50
"""Votes between two looks at the evidence: each costs as much as many votes, and an alarm takes hundreds."""

_FORMAT = 1
_PER_VOTE = 4
"""Records of a window for each voter of the one before it: with fewer, a window is over before most sources have sent,
and who sends most votes most."""

_SMALLEST_WINDOW = 20
_LARGEST_WINDOW = 8192

_Tally = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
_Nth = Annotated[int, msgspec.Meta(ge=1, le=2**53)]
_Share = Annotated[float, msgspec.Meta(gt=0, le=1)]


class Expected(msgspec.Struct, frozen=True):
    """What one bundle lets expect. `bounds`: the largest probability of each event of p-values.

    Among p-values above `alpha`: at most each of `thresholds`, then above each. `labels`: the classes in order; none
    for regression. `level`: what is left of the level for the stream of one partition.
    """

    bundle: str
    alpha: float
    level: _Share
    thresholds: tuple[float, ...]
    bounds: tuple[_Share, ...]
    labels: tuple[str | int, ...]

    @property
    def cells(self) -> dict[Watched, int]:
        """How many cells the votes of each kind are counted in."""
        return {"p_values": len(self.thresholds) + 1, "labels": len(self.labels) + 1, "refusals": 2}

    @property
    def events(self) -> dict[Watched, int]:
        """How many events of each kind bets are placed on."""
        return {"p_values": 2 * len(self.thresholds), "labels": 2 * len(self.labels), "refusals": 1}


class DriftReading(NamedTuple):
    """Over some partitions: `alarmed` of them, and the largest log E as a share of what an alarm needs."""

    alarmed: int
    strength: float


class _Count(msgspec.Struct):
    """One test: votes of this round by cell, and when, in votes since the beginning, it last alarmed.

    Cells of p-values: up to each threshold and above the one before, then above all; of labels: one for each class, one
    for others; of refusals: taken, refused.
    """

    cells: list[_Tally]
    seen: _Tally = 0
    votes: _Tally = 0
    rounds: _Nth = 1
    alarms: _Tally = 0
    alarmed: _Tally = 0
    took: _Tally = 0

    def begin(self, rounds: int) -> None:
        """No evidence from now on, in that round."""
        self.cells, self.seen, self.rounds = [0] * len(self.cells), 0, rounds


class DriftState(msgspec.Struct, frozen=True):
    """Everything that is needed to go on."""

    format: int
    expected: Expected
    records: _Tally
    window: Annotated[int, msgspec.Meta(ge=1, le=_LARGEST_WINDOW)]
    left: Annotated[int, msgspec.Meta(ge=1, le=_LARGEST_WINDOW)]
    voters: Annotated[list[Annotated[str, msgspec.Meta(max_length=64)]], msgspec.Meta(max_length=_LARGEST_WINDOW)]
    bounds: dict[Watched, tuple[_Share, ...]]
    counts: dict[Watched, _Count]

    def to_bytes(self) -> bytes:
        """As JSON."""
        return msgspec.json.encode(self)

    @staticmethod
    def from_bytes(data: bytes) -> DriftState:
        """Raises StateUnreadable."""
        try:
            found = msgspec.json.decode(data, type=DriftState)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise StateUnreadable(f"evidence about drift is damaged: {error}") from error
        found.audit()
        return found

    def audit(self) -> None:
        """Raises StateUnreadable for what no guard of this version has written."""
        if self.format != _FORMAT:
            raise StateUnreadable(f"evidence about drift has format {self.format}, expected {_FORMAT}")
        cells = {name: len(count.cells) for name, count in self.counts.items()}
        if cells != self.expected.cells or self.bounds.keys() != {name for name in cells if not self._learns(name)}:
            raise StateUnreadable("evidence about drift does not fit itself")
        events = {**self.expected.events, "p_values": len(self.expected.bounds)}
        if any(len(bounds) != events[name] for name, bounds in self.bounds.items()):
            raise StateUnreadable("bounds of drift do not fit what is watched")

    def _learns(self, name: Watched) -> bool:
        """Whether it is not known yet what is usual."""
        return name != "p_values" and self.counts[name].votes < BASELINE


class Drift:
    """Watches one stream of verdicts of one bundle, in order."""

    def __init__(self, expected: Expected, state: DriftState | None = None) -> None:
        self.expected = expected
        self._class: dict[object, int] = {label: index for index, label in enumerate(expected.labels)}
        self._counts: dict[Watched, _Count] = (
            state.counts if state else {name: _Count([0] * cells) for name, cells in expected.cells.items()}
        )
        self._bounds: dict[Watched, tuple[float, ...]] = dict(state.bounds) if state else {"p_values": expected.bounds}
        self._bets = {name: Bets(bounds) for name, bounds in self._bounds.items()}
        self.records = state.records if state else 0
        self._window = state.window if state else _SMALLEST_WINDOW
        self._left = state.left if state else self._window
        self._voters = set(state.voters if state else ())

    def add(self, verdicts: Sequence[Verdict]) -> None:
        """Takes the verdicts of consecutive records."""
        self.records += len(verdicts)
        alpha, thresholds, class_of = self.expected.alpha, self.expected.thresholds, self._class
        votes = [(vote.p_value, vote.label) for vote in self._votes(verdicts)]
        scored = [(p, label) for p, label in votes if p is not None]
        self._take("refusals", [int(p is None) for p, _ in votes])
        if class_of:
            self._take("labels", [class_of.get(label, len(class_of)) for _, label in scored])
        self._take("p_values", [bisect_left(thresholds, p) for p, _ in scored if p > alpha])

    def log10_evidence(self, name: Watched) -> float:
        """log10 E of the round that runs; 0 while nothing can be said."""
        bets, count = self._bets.get(name), self._counts[name]
        if bets is None or not count.seen:
            return 0.0
        return float(bets.log_evidence([count.seen], [_hits(name, count)])[0]) / math.log(10)

    def log10_needed(self, name: Watched) -> float:
        """log10 E at which the round that runs is an alarm."""
        level = self.expected.level / len(get_args(Watched))
        return (-math.log(level) - log_round_weight(self._counts[name].rounds)) / math.log(10)

    def is_alarmed(self, name: Watched) -> bool:
        """Whether there was an alarm, and not yet for long none."""
        count = self._counts[name]
        return count.alarms > 0 and count.votes - count.alarmed <= REPEAT * count.took

    def alarms(self, name: Watched) -> int:
        """How often it was alarmed."""
        return self._counts[name].alarms

    def votes(self, name: Watched) -> int:
        """How many votes there were."""
        return self._counts[name].votes

    def state(self) -> DriftState:
        """Everything to go on from."""
        return DriftState(
            _FORMAT,
            self.expected,
            self.records,
            self._window,
            self._left,
            sorted(self._voters),
            self._bounds,
            self._counts,
        )

    def _votes(self, verdicts: Sequence[Verdict]) -> list[Verdict]:
        """The first record of each source in each window. A window has four records for each of the last voters."""
        votes: list[Verdict] = []
        voters, start = self._voters, 0
        names = [verdict.source or "" for verdict in verdicts]
        while start < len(verdicts):
            window = names[start : start + self._left]
            first = dict(zip(reversed(window), range(start + len(window) - 1, start - 1, -1), strict=True))
            for name in dict.fromkeys(window):
                if name not in voters and (key := name_key(name)) not in voters:
                    voters.add(key)
                    votes.append(verdicts[first[name]])
            start += len(window)
            self._left -= len(window)
            if not self._left:
                self._window = self._left = min(_PER_VOTE * len(voters), _LARGEST_WINDOW)
                voters.clear()
        return votes

    def _take(self, name: Watched, votes: Sequence[int]) -> None:
        """Votes by cell, in order. Looks at the evidence after each `_LOOK` of them."""
        count, start = self._counts[name], 0
        while start < len(votes):
            part = votes[start : start + _LOOK - count.votes % _LOOK]
            for cell in part:
                count.cells[cell] += 1
            count.seen += len(part)
            count.votes += len(part)
            start += len(part)
            if count.votes % _LOOK == 0:
                if name in self._bets:
                    self._look(name, count)
                elif count.votes == BASELINE:
                    self._learn(name, count)

    def _look(self, name: Watched, count: _Count) -> None:
        evidence = self.log10_evidence(name)
        if _FLOOR_LOG10 <= evidence < self.log10_needed(name):
            return
        if evidence > 0:
            count.alarms, count.alarmed, count.took = count.alarms + 1, count.votes, count.seen
        count.begin(count.rounds + 1)

    def _learn(self, name: Watched, count: _Count) -> None:
        """The first votes say what is usual."""
        found = _hits(name, count).tolist()
        each = self.expected.level / len(get_args(Watched)) / len(found)
        self._bounds[name] = tuple(max(_LEAST_USUAL, upper_bound(hits, BASELINE, each)) for hits in found)
        self._bets[name] = Bets(self._bounds[name])
        count.begin(count.rounds)


def _hits(name: Watched, count: _Count) -> NDArray[np.int64]:
    """(J,) How many votes fell into each event."""
    cells = np.array(count.cells, np.int64)
    if name == "refusals":
        return cells[1:]
    own = cells[:-1].cumsum() if name == "p_values" else cells[:-1]
    return np.concatenate([own, count.seen - own])


def reading_of(drifts: Iterable[Drift], name: Watched) -> DriftReading:
    """How far one of the things that are watched is from an alarm."""
    found = [(drift.is_alarmed(name), drift.log10_evidence(name) / drift.log10_needed(name)) for drift in drifts]
    return DriftReading(sum(alarmed for alarmed, _ in found), max((strength for _, strength in found), default=0.0))


def expected_of(
    fusion: Fusion, label: ClassLabel | NumberLabel, bundle: str, *, level: float = LEVEL, places: int = 1
) -> Expected:
    """What the bundle of that digest lets expect of clean data at this level of false alarms, in so many partitions."""
    least = max(resolution(fusion), fusion.alpha)
    thresholds = tuple(t for t in _QUANTILES if t > least)
    miss = level / 2 / len(get_args(Watched))
    lower, upper = rate_bounds(fusion, (least, *thresholds), miss)
    held = lower[0] if fusion.alpha >= least else 0.0  # an extrapolated share may be anything
    more = (upper[1:] - held) / (1 - held)
    fewer = 1 - (lower[1:] - upper[0]) / (1 - upper[0])
    classes: tuple[Any, ...] = label.values if isinstance(label, ClassLabel) else ()
    return Expected(
        bundle,
        fusion.alpha,
        level / 2 / places,
        thresholds,
        tuple(np.clip([*more, *fewer], 0, 1).tolist()),
        classes if len(classes) <= _MOST_CLASSES else (),
    )
