"""What is measured of champion and challenger: held-out rows, attacks, known bad samples, recent traffic, speed.

Attacks are those of `training.redteam`, from the same rows with the same seed.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from statistics import median

import numpy as np

from guard.agreement import Agreement, agreement_of
from guard.bundle import Bundle
from guard.calibration import Fusion
from guard.conformal import draw_rates
from guard.decode import record_limit
from guard.filter.lines import FileLines
from guard.filter.reader import numbered
from guard.rejection import shown
from guard.verdict import Status, Verdict
from training.progress import Progress
from training.rate import Rate
from training.redteam.battery import Battery, Forge, run_battery
from training.retrain.held_out import HeldOut

__all__ = ["Canaries", "Lost", "Measured", "Pair", "measure", "most_held"]

_BATCH = 2048
_ROUNDS = 7
_CERTAIN = 0.99
"""Of sound bundles; one in a hundred holds more than that by chance."""
_LISTED = 50

Pair = tuple[Bundle, Bundle]
"""Champion and challenger."""


@dataclass(frozen=True)
class Lost:
    """A known bad sample that the champion holds and the challenger passes, with the challenger's `p_value`.

    `line` counts the lines of the file from 1.
    """

    line: int
    id: str
    source: str
    label: str
    p_value: float | None


@dataclass(frozen=True)
class Canaries:
    """Known bad samples.

    `held`: what did not pass, for each bundle; `lost`: how many pass with the challenger alone, the first 50 `listed`.
    """

    held: tuple[Rate, Rate]
    lost: int
    listed: tuple[Lost, ...]


@dataclass(frozen=True)
class Measured:
    """Everything that was measured, champion first. None: no file was given.

    `most_held`: of the held-out rows, what 99 of 100 sound bundles would hold at most, for each. `seconds`: of the
    processor, per record. `slowdown`: median over rounds of the challenger's time over the champion's.
    """

    held_out: HeldOut
    alarms: tuple[Rate, Rate]
    most_held: tuple[int, int]
    batteries: tuple[Battery, Battery]
    canaries: Canaries | None
    recent: Agreement | None
    seconds: tuple[float, float]
    slowdown: float


def measure(
    pair: Pair,
    held_out: HeldOut,
    attacks: Sequence[str],
    canaries: Path | None,
    recent: Path | None,
    seed: int,
    progress: Progress,
) -> Measured:
    """Judges everything with both bundles. Raises InputUnreadable, SnapshotRefused, WrongUse."""
    alarms = [_held(bundle.judge(held_out.lines)) for bundle in pair]
    forge = Forge()
    batteries = [run_battery(bundle, held_out.data, attacks, seed, progress, forge) for bundle in pair]
    seconds, slowdown = _race(pair, held_out.lines)
    return Measured(
        held_out=held_out,
        alarms=(alarms[0], alarms[1]),
        most_held=(_most(pair[0], held_out), _most(pair[1], held_out)),
        batteries=(batteries[0], batteries[1]),
        canaries=None if canaries is None else _watch(pair, canaries),
        recent=None if recent is None else _agree(pair, recent),
        seconds=seconds,
        slowdown=slowdown,
    )


def most_held(fusion: Fusion, rows: int) -> int:
    """How many of `rows` clean samples a sound bundle of this α and calibration holds at most, in 99 of 100 cases."""
    rates = np.clip(draw_rates(fusion.alpha, fusion.group_sizes), 0, 1)
    counts = np.random.default_rng(0).binomial(rows, rates)
    return int(np.quantile(counts, _CERTAIN, method="inverted_cdf"))


def _most(bundle: Bundle, held_out: HeldOut) -> int:
    return most_held(bundle.judgement.fusion, len(held_out.lines))


def _held(verdicts: Sequence[Verdict]) -> Rate:
    return Rate(sum(verdict.status is not Status.CLEAN for verdict in verdicts), len(verdicts))


@dataclass
class _Tally:
    counts: tuple[Counter[bool], Counter[bool]] = field(default_factory=lambda: (Counter(), Counter()))
    lost: list[Lost] = field(default_factory=list)


def _watch(pair: Pair, path: Path) -> Canaries:
    tally = _Tally()
    for numbers, records in _batches(path, pair[0]):
        judged = [bundle.judge(records) for bundle in pair]
        for number, mine, theirs in zip(numbers, *judged, strict=True):
            held = [verdict.status is not Status.CLEAN for verdict in (mine, theirs)]
            for count, one in zip(tally.counts, held, strict=True):
                count[one] += 1
            if held == [True, False]:
                names = (shown(theirs.id or ""), shown(theirs.source or ""), shown(theirs.label))
                tally.lost.append(Lost(number, *names, theirs.p_value))
    rates = [Rate(count[True], count.total()) for count in tally.counts]
    return Canaries((rates[0], rates[1]), len(tally.lost), tuple(tally.lost[:_LISTED]))


def _agree(pair: Pair, path: Path) -> Agreement:
    counts: Counter[str] = Counter()
    for _, records in _batches(path, pair[0]):
        counts += agreement_of(pair[0].judge(records), pair[1].judge(records))
    return Agreement.counted(champion_digest=pair[0].digest, challenger_digest=pair[1].digest, **counts)


def _batches(path: Path, bundle: Bundle) -> Iterator[tuple[tuple[int, ...], list[bytes]]]:
    """Records of a file of JSON Lines, with the numbers of their lines."""
    limit = record_limit(bundle.manifest.spec)
    lines = numbered(FileLines(path, limit), limit)
    while batch := list(islice(lines, _BATCH)):
        numbers, records = zip(*batch, strict=True)
        yield numbers, list(records)


def _race(pair: Pair, lines: Sequence[bytes]) -> tuple[tuple[float, float], float]:
    """Processor seconds per record of each, and the ratio: both judge the same lines, in turn."""
    lines = (list(lines) * math.ceil(_BATCH / len(lines)))[:_BATCH]
    rounds = []
    for number in range(_ROUNDS):
        order = pair if number % 2 else pair[::-1]
        spent = [_seconds(bundle, lines) for bundle in order]
        rounds.append(spent if number % 2 else spent[::-1])
    mine, theirs = (median(times) for times in zip(*rounds, strict=True))
    return (mine, theirs), median(b / a for a, b in rounds)


def _seconds(bundle: Bundle, lines: Sequence[bytes]) -> float:
    began = time.process_time()
    bundle.judge(lines)
    return (time.process_time() - began) / len(lines)
