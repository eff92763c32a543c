"""What the trusted rows show becomes the specification."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.errors import SnapshotRefused
from guard.spec import BooleanColumn, CategoryColumn, ClassLabel, NumberColumn, NumberLabel
from training.infer import bounds, choose_task, encode
from training.ingest.raw import RawImages, RawTable, boolean_column, number_column, text_column

finite = st.floats(allow_nan=False, allow_infinity=False)


def table(label, *columns):
    return RawTable(columns, label, np.arange(1, len(label.codes) + 1))


def numbers(*values, name="n"):
    return number_column(name, np.array(values, np.float64))


@given(st.lists(finite, min_size=1))
def test_bounds_are_finite_and_hold_every_value(values):
    low, high = bounds(np.array(values))
    assert math.isfinite(low)
    assert math.isfinite(high)
    assert low <= min(values) <= max(values) <= high


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 3, np.nan], (-19, 23)),
        ([5, 5], (-45, 55)),
        ([0.5], (-9.5, 10.5)),
        ([-40], (-440, 360)),
        ([0, 0], (-10, 10)),
    ],
)
def test_bounds_reach_ten_spans(values, expected):
    assert bounds(np.array(values, np.float64)) == expected


@pytest.mark.parametrize(
    ("label", "task"),
    [
        (text_column("y", ["a", "b"]), "classification"),
        (numbers(*range(20)), "classification"),
        (numbers(*range(21)), "regression"),
        (numbers(*(k % 30 for k in range(900))), "classification"),
        (numbers(*(k % 31 for k in range(900))), "regression"),
        (numbers(0, 0.5), "regression"),
        (numbers(-1, 1, 1), "classification"),
    ],
)
def test_the_task_follows_from_the_label(label, task):
    chosen, why = choose_task(label)
    assert chosen == task
    assert task in why


def test_every_kind_of_column_is_encoded():
    label = text_column("y", ["q", "p", "q"])
    rows = table(
        label,
        numbers(1, np.nan, 3),
        numbers(1, 0, 1, name="few"),
        text_column("c", ["z", None, "b"]),
        text_column("full", ["z", "z", "b"]),
        boolean_column("b", [True, None, False]),
    )
    encoded = encode(rows, "classification")
    assert encoded.spec.input.columns == (
        NumberColumn(name="n", minimum=-19, maximum=23, gaps=True),
        NumberColumn(name="few", minimum=-10, maximum=11),
        CategoryColumn(name="c", values=("b", "z"), gaps=True),
        CategoryColumn(name="full", values=("b", "z")),
        BooleanColumn(name="b", gaps=True),
    )
    nan = np.nan
    np.testing.assert_array_equal(encoded.x, [[1, 1, 1, 1, 1], [nan, 0, nan, 1, nan], [3, 1, 0, 0, 0]])
    assert encoded.x.dtype == np.float64
    assert encoded.spec.label == ClassLabel(values=("p", "q"))
    np.testing.assert_array_equal(encoded.y, [1, 0, 1])
    assert encoded.y.dtype == np.int64


def test_only_values_of_rows_that_stay_are_legal():
    rows = table(text_column("y", ["a", "b", "c", "a"]), text_column("c", ["u", "v", "w", None]))
    encoded = encode(rows.take(np.array([True, False, True, False])), "classification")
    assert encoded.spec.label.values == ("a", "c")
    assert encoded.spec.input.columns[0] == CategoryColumn(name="c", values=("u", "w"))
    np.testing.assert_array_equal(encoded.x, [[0], [1]])


def test_whole_numbers_become_integer_classes():
    encoded = encode(table(numbers(1, -1, 1, name="y"), numbers(1, 2, 3)), "classification")
    assert encoded.spec.label.values == (-1, 1)
    assert all(type(value) is int for value in encoded.spec.label.values)
    np.testing.assert_array_equal(encoded.y, [1, 0, 1])


def test_a_number_label_has_bounds():
    encoded = encode(table(numbers(1, 3, name="y"), numbers(1, 2)), "regression")
    assert encoded.spec.label == NumberLabel(minimum=-19, maximum=23)
    assert encoded.y.dtype == np.float64


def test_images_keep_their_bytes():
    x = np.zeros((2, 5, 4, 3), np.uint8)
    encoded = encode(RawImages(x, text_column("y", ["a", "b"]), np.array([1, 2])), "classification")
    assert (encoded.spec.input.height, encoded.spec.input.width, encoded.spec.input.channels) == (5, 4, 3)
    assert encoded.x is x


@pytest.mark.parametrize("name", ['5"', "a\\b", "\x1b[31m"])
def test_a_name_that_no_sample_can_carry_is_refused(name):
    with pytest.raises(SnapshotRefused, match=re.escape(f"column {name!r} cannot be part of a sample") + ".*rename"):
        encode(table(text_column("y", ["a", "b"]), numbers(1, 2, name=name)), "classification")


@pytest.mark.parametrize(
    ("label", "task", "match"),
    [
        (numbers(1, 0.5, name="y"), "classification", "'y' holds 0.5: a class is text or a whole number"),
        (numbers(1, 1e17, name="y"), "classification", "holds 1e"),
        (text_column("y", ["a", "b"]), "regression", "'y' is text such as 'a'"),
        (numbers(2, 2, name="y"), "regression", "same in every row"),
        (text_column("y", ["a", "a"]), "classification", "holds 1 usable classes"),
    ],
)
def test_a_label_against_the_task_is_refused(label, task, match):
    with pytest.raises(SnapshotRefused, match=match):
        encode(table(label, numbers(1, 2)), task)
