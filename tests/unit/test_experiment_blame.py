from __future__ import annotations

import numpy as np

from guard.blame import Blame
from guard.calibration import Calibration, fuse
from guard.suspicion import suspicion_of
from guard.verdict import Status, Verdict
from training.experiments.blame import accusation_times

RNG = np.random.default_rng(0)
FUSION = fuse(
    Calibration(RNG.exponential(size=(1000, 1)), np.zeros(1000, np.int64), np.ones(1), np.zeros(3)), alpha=0.01
)
SUSPICION = suspicion_of(FUSION, "bundle")


def cells(p):
    return np.array([SUSPICION.cell_of(row) for row in p.T.tolist()])


def by_the_guard(p):
    """One source after the other sends one record a list; when each is accused."""
    blame, found = Blame(SUSPICION), np.zeros(len(p), np.int64)
    for sample, row in enumerate(p.T):
        for source, value in enumerate(row):
            offset = sample * len(p) + source
            verdict = Verdict(Status.CLEAN, p_value=float(value), source=f"s{source}")
            blame.add("in/0", [verdict], [offset], [offset])
            if not found[source] and blame.is_accused(f"s{source}"):
                found[source] = sample + 1
    return found


def test_all_sources_at_once_are_accused_when_the_guard_accuses_them():
    poison = RNG.random((20, 40)) < 0.6
    p = np.where(poison, 0.0005, RNG.random((20, 40)))
    times = accusation_times(SUSPICION, cells(p), np.arange(1, 21))
    assert np.array_equal(times, by_the_guard(p))
    assert (times > 0).all()


def test_honest_sources_are_not_accused_and_poisoners_later_the_less_they_send():
    p = RNG.random((100, 600))
    assert not accusation_times(SUSPICION, cells(p), np.arange(1, 101)).any()
    medians = []
    for share in (0.5, 0.2):
        poisoned = np.where(RNG.random(p.shape) < share, 0.0005, p)
        medians.append(np.median(accusation_times(SUSPICION, cells(poisoned), np.arange(1, 101))))
    assert 0 < medians[0] < medians[1] < 150
