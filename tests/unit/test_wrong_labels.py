"""Wrong labels are wrong, legal and spread evenly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from guard.spec import ClassLabel, InputSpec, NumberColumn, NumberLabel, TableInput
from training.wrong_labels import wrong_labels

_INPUT = TableInput(columns=(NumberColumn(name="v", minimum=0, maximum=1),))


@given(classes=st.integers(2, 12), seed=st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_a_wrong_class_exists_and_is_not_the_own_one(classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, 50)
    wrong = wrong_labels(y, InputSpec(input=_INPUT, label=ClassLabel(values=tuple(range(classes)))), rng)
    assert wrong.dtype == np.int64
    assert ((wrong >= 0) & (wrong < classes) & (wrong != y)).all()


def test_every_other_class_is_equally_likely() -> None:
    spec = InputSpec(input=_INPUT, label=ClassLabel(values=tuple("abcde")))
    wrong = wrong_labels(np.full(4000, 2), spec, np.random.default_rng(0))
    counts = np.bincount(wrong, minlength=5)
    assert counts[2] == 0
    assert chisquare(counts[[0, 1, 3, 4]]).pvalue > 1e-3


@given(values=st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=40), seed=st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_a_wrong_number_is_legal_and_at_least_a_deviation_away_where_the_range_allows(
    values: list[float], seed: int
) -> None:
    y = np.array(values)
    low, high = y.min(), y.max()
    spec = InputSpec(input=_INPUT, label=NumberLabel(minimum=low, maximum=high))
    wrong = wrong_labels(y, spec, np.random.default_rng(seed))
    assert ((wrong >= low) & (wrong <= high)).all()
    reach = np.minimum(np.maximum(y - low, high - y), y.std())
    assert (np.abs(wrong - y) >= reach * (1 - 1e-6)).all()


def test_numbers_are_moved_both_ways() -> None:
    spec = InputSpec(input=_INPUT, label=NumberLabel(minimum=-1e9, maximum=1e9))
    y = np.random.default_rng(1).normal(0, 10, 400)
    shift = (wrong_labels(y, spec, np.random.default_rng(2)) - y) / y.std()
    assert np.abs(shift).min() >= 1
    assert np.abs(shift).max() <= 3
    assert np.mean(shift > 0) == pytest.approx(0.5, abs=0.1)
