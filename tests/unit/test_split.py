"""Folds are decided by content and seed alone, keep twins together and share out every class evenly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.split import FOLDS, assign_folds, row_keys

labels = st.lists(st.integers(0, 4), min_size=1, max_size=150)


def distinct_rows(n: int) -> np.ndarray:
    return np.arange(n, dtype=np.float64).reshape(n, 1) * [[1.0, -2.5]]


@given(labels, st.integers(0, 2**32), st.randoms())
def test_fold_follows_the_row_when_rows_are_shuffled(classes, seed, random):
    y = np.array(classes, np.int64)
    x = distinct_rows(len(y))[np.arange(len(y)) // 3]  # triples of twins
    order = np.array(random.sample(range(len(y)), len(y)))
    assert np.array_equal(assign_folds(x, y, seed=seed)[order], assign_folds(x[order], y[order], seed=seed))


@given(labels, st.integers(0, 2**32), st.sampled_from([np.int64, np.float64]))
def test_twins_share_a_fold_even_when_their_labels_differ(classes, seed, dtype):
    y = np.array(classes, dtype)
    x = distinct_rows(len(y))[np.arange(len(y)) // 4]
    fold = assign_folds(x, y, seed=seed)
    for twin in np.unique(x[:, 0]):
        assert len(set(fold[x[:, 0] == twin])) == 1


@given(labels, st.integers(0, 2**32))
def test_each_class_differs_by_at_most_one_input_between_folds(classes, seed):
    y = np.array(classes, np.int64)
    fold = assign_folds(distinct_rows(len(y)), y, seed=seed)
    for label in np.unique(y):
        counts = np.bincount(fold[y == label], minlength=FOLDS)
        assert counts.max() - counts.min() <= 1


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=150), st.integers(0, 2**32))
def test_each_ten_neighbouring_numbers_fill_ten_folds(numbers, seed):
    y = np.array(numbers)
    fold = assign_folds(distinct_rows(len(y)), y, seed=seed)
    counts = np.bincount(fold, minlength=FOLDS)
    assert counts.max() - counts.min() <= 1
    distinct = np.unique(y, return_index=True)[1]
    if len(distinct) == len(y):
        for start in range(0, len(y) - FOLDS + 1, FOLDS):
            assert len(set(fold[distinct[start : start + FOLDS]])) == FOLDS


@pytest.mark.parametrize("rare", [2, 3])
@pytest.mark.parametrize("common", range(20, 31))
def test_a_rare_class_is_always_trained_and_never_in_one_fold_alone(rare, common):
    y = np.repeat(np.array([0, 1], np.int64), [common, rare])
    fold = assign_folds(distinct_rows(len(y)), y, seed=common)[y == 1]
    assert fold.min() >= 2
    for folds in range(2, FOLDS + 1):
        assert len(set(fold % folds)) > 1


def test_another_seed_deals_otherwise():
    x, y = distinct_rows(500), np.zeros(500, np.int64)
    assert np.mean(assign_folds(x, y, seed=1) == assign_folds(x, y, seed=2)) < 0.2


def test_gaps_and_negative_zero_are_equal_to_themselves():
    odd_nan = np.array([0x7FF8000000000001], np.uint64).view(np.float64)[0]
    keys = row_keys(np.array([[0.0, np.nan], [-0.0, odd_nan], [1.0, np.nan]]))
    assert keys[0] == keys[1]
    assert keys[0] != keys[2]
