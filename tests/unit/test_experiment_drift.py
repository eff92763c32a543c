from __future__ import annotations

import numpy as np
import pytest

from guard.calibration import Calibration, fuse
from guard.drift import expected_of
from guard.spec import ClassLabel
from training.experiments.drift import Judged, Stream, told

FUSION = fuse(
    Calibration(
        np.random.default_rng(0).exponential(size=(2000, 1)), np.zeros(2000, np.int64), np.ones(1), np.zeros(3)
    ),
    alpha=0.01,
)
EXPECTED = expected_of(FUSION, ClassLabel(values=(0, 1)), "bundle")
BEFORE, AFTER = 5000, 4000


def stream(p_after, labels_after=(0, 1), seed=0):
    rng = np.random.default_rng(seed)
    p = np.concatenate([rng.random(BEFORE), p_after(rng)])
    labels = np.concatenate([rng.integers(0, 2, BEFORE), rng.choice(labels_after, AFTER)])
    return Stream(Judged(p, labels), rng.integers(0, 50, BEFORE + AFTER), BEFORE)


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_told_where_nothing_changes(seed):
    assert told(EXPECTED, stream(lambda rng: rng.random(AFTER), seed=seed)) == {}


def test_what_changes_is_told_by_its_name_and_after_it_has_changed():
    assert list(told(EXPECTED, stream(lambda rng: rng.random(AFTER) ** 2))) == ["p_values"]
    assert list(told(EXPECTED, stream(lambda rng: rng.random(AFTER), labels_after=(0, 0, 0, 1)))) == ["labels"]
    new = told(EXPECTED, stream(lambda rng: np.where(rng.random(AFTER) < 0.2, np.nan, rng.random(AFTER))))
    assert list(new) == ["refusals"]
    assert BEFORE < new["refusals"] < BEFORE + AFTER


def test_a_sample_without_a_p_value_has_an_unknown_label():
    made = Stream(Judged(np.array([np.nan, 0.005, 0.5]), np.array([9, 0, 1])), np.arange(3), 0).verdicts(0.01)
    assert [(one.status.value, one.reason, one.p_value) for one in made] == [
        ("quarantined", "unknown_label", None),
        ("quarantined", None, 0.005),
        ("clean", None, 0.5),
    ]
