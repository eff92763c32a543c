"""What is wrong with trusted rows is found where it is, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine

from guard.errors import SnapshotRefused
from training.findings import of_rows
from training.infer import encode
from training.ingest.raw import RawImages, RawTable, boolean_column, number_column, text_column
from training.inspection import (
    find_class_counts,
    find_empty_columns,
    find_identifiers,
    find_infinities,
    find_label_copies,
    find_odd_columns,
    find_twins,
    lonely_classes,
)

N = 60
RNG = np.random.default_rng(5)
NOISE = number_column("noise", RNG.normal(size=N))


def numbers(name, values):
    return number_column(name, np.asarray(values, np.float64))


def table(*columns, y=None):
    label = numbers("y", np.arange(N) % 3) if y is None else y
    return RawTable(columns, label, np.arange(1, len(label.codes) + 1))


def names(findings):
    return [finding.column for finding in findings]


def test_infinite_numbers_are_refused_by_row_and_column():
    values = np.zeros(N)
    values[[4, 9]] = np.inf, -np.inf
    (finding,) = find_infinities(table(numbers("a", values), NOISE))
    assert (finding.severity, finding.column, finding.rows, finding.count) == ("refusal", "a", (5, 10), 2)
    assert names(find_infinities(table(NOISE, y=numbers("y", values)))) == ["y"]


def test_a_column_without_values_is_found():
    assert names(find_empty_columns(table(numbers("a", [np.nan] * N), NOISE))) == ["a"]


@pytest.mark.parametrize(
    "column",
    [
        text_column("key", [f"row {k}" for k in range(N)]),
        text_column("free", [f"text {min(k, 55)}" for k in range(N)]),
        numbers("n", RNG.permutation(N) + 1000),
        numbers("n", np.arange(N) * 7 + 3),
        numbers("n", -np.cumsum(RNG.integers(1, 9, N))),
        numbers("customerId", RNG.permutation(N) * 13),
        numbers("customer_id", RNG.permutation(N) * 13),
        numbers("ID", RNG.permutation(N) * 13),
    ],
)
def test_identifiers_are_found_unless_kept(column):
    assert names(find_identifiers(table(column, NOISE), ())) == [column.name]
    assert names(find_identifiers(table(column, NOISE), (column.name,))) == []


@pytest.mark.parametrize(
    "column",
    [
        text_column("colour", [f"c{k % 50}" for k in range(N)]),
        numbers("area", RNG.permutation(N) * 13),
        numbers("valid", RNG.permutation(N) * 13),
        numbers("humid", RNG.permutation(N) * 13),
        numbers("fraction", np.arange(N) / 7),
        numbers("twice", [0, *range(N - 1)]),
        text_column("rare", ["a", "b", *[None] * (N - 2)]),
        boolean_column("b", [k % 2 == 0 for k in range(N)]),
    ],
)
def test_descriptions_are_no_identifiers(column):
    assert names(find_identifiers(table(column), ())) == []


def test_copies_of_a_class_label_are_found_unless_kept():
    text = text_column("copy", [f"class {k % 3}" for k in range(N)])
    coded = numbers("coded", 9 - np.arange(N) % 3)
    coarse = numbers("coarse", np.arange(N) % 3 == 0)
    fine = numbers("fine", np.arange(N) % 6)
    almost = numbers("almost", [1, *(np.arange(1, N) % 3)])
    found = find_label_copies(table(text, coded, coarse, fine, almost, NOISE), ())
    assert names(found) == ["copy", "coded"]
    assert names(find_label_copies(table(text, coded), ("copy",))) == ["coded"]


def test_copies_of_a_number_label_are_found_and_continuous_features_are_not():
    y = numbers("y", RNG.normal(size=N))
    euro = numbers("euro", y.codes * 1.1 + 3)
    falling = numbers("falling", -np.exp(y.codes))
    assert names(find_label_copies(table(euro, falling, NOISE, y=y), ())) == ["euro", "falling"]


@pytest.mark.parametrize("load", [load_iris, load_wine, load_breast_cancer, load_diabetes])
def test_real_tables_hold_no_identifier_and_no_copy(load):
    x, y = load(return_X_y=True)
    rows = table(*(numbers(f"x{k}", column) for k, column in enumerate(x.T)), y=numbers("y", y))
    assert names([*find_identifiers(rows, ()), *find_label_copies(rows, ()), *find_infinities(rows)]) == []


def test_lonely_classes_have_one_distinct_input():
    y = numbers("y", [0, 0, 1, 1, 2, 3, 3])
    x = numbers("x", [1, 2, 5, 5, 7, np.nan, -0.0])
    np.testing.assert_array_equal(lonely_classes(table(x, y=y)), [False, False, True, True, True, False, False])
    images = RawImages(np.array([0, 0, 1, 2], np.uint8).reshape(-1, 1, 1, 1), numbers("y", [0, 0, 1, 1]), np.arange(4))
    np.testing.assert_array_equal(lonely_classes(images), [True, True, False, False])


def test_twins_are_told_from_contradictions():
    x = numbers("x", [1, 2, 1, 3, 2, 1])
    y = numbers("y", [0, 0, 0, 1, 1, 0])
    rows = RawTable((x,), y, np.array([10, 20, 30, 40, 50, 60]))
    duplicate, conflict = find_twins(encode(rows, "classification"), rows.origin)
    assert (duplicate.severity, duplicate.rows) == ("note", (30, 60))
    assert (conflict.severity, conflict.rows) == ("warning", (20, 50))


def test_iris_holds_its_one_known_duplicate():
    x, y = load_iris(return_X_y=True)
    rows = table(*(numbers(f"x{k}", column) for k, column in enumerate(x.T)), y=numbers("y", y))
    (finding,) = find_twins(encode(rows, "classification"), rows.origin)
    assert (finding.code, finding.rows) == ("duplicate_rows", (143,))


def test_odd_columns_are_kept_and_named():
    gappy = numbers("gappy", [1.0] * 25 + [np.nan] * 35)
    half = numbers("half", [1.0] * 29 + [0.0] + [np.nan] * 30)
    many = text_column("many", [f"c{k}" for k in range(101)])
    rows = RawTable((numbers("same", [3.0] * N), gappy, half, NOISE), numbers("y", np.zeros(N)), np.arange(N))
    found = {finding.column: finding for finding in find_odd_columns(rows)}
    assert {name: finding.code for name, finding in found.items()} == {
        "same": "constant_column",
        "gappy": "mostly_gaps",
    }
    assert "58.3 % gaps" in found["gappy"].message
    (finding,) = find_odd_columns(RawTable((many,), numbers("y", np.zeros(101)), np.arange(101)))
    assert finding.code == "many_categories"


def test_small_and_skewed_classes_are_named():
    counts = [950, 10, 9]
    y = numbers("y", np.repeat([0, 1, 2], counts))
    encoded = encode(table(numbers("x", np.arange(969) / 7), y=y), "classification")
    small, skewed = find_class_counts(encoded)
    assert small.message.startswith("class 2 has only 9 rows")
    assert "class 0 has 950 rows, class 2 only 9" in skewed.message
    assert list(find_class_counts(encode(table(NOISE, y=NOISE), "regression"))) == []


def test_row_lists_are_cut_and_counted():
    assert (
        of_rows("note", "duplicate_rows", "x", np.arange(1, 14)).message
        == "x (rows 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 3 more)"
    )
    assert of_rows("note", "duplicate_rows", "x", [7]).message == "x (row 7)"


def test_column_names_are_escaped_in_messages():
    (finding,) = find_empty_columns(table(numbers("\x1b[31m", [np.nan] * N)))
    assert "\x1b" not in finding.message
    assert SnapshotRefused(finding.message).args[0] == finding.message
