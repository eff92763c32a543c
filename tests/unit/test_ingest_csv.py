"""CSV: cells are read to the letter, gaps as the stream reads them; a broken row is named and left out."""

from __future__ import annotations

import csv
import io
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.cells import GAP_CELLS
from guard.errors import GuardError, InputUnreadable, SnapshotRefused, WrongUse
from training.ingest.csv import read_csv

cells = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)


def read(text, label="y", drop=()):
    return read_csv(text.encode() if isinstance(text, str) else text, "t.csv", label, drop)


def decoded(column):
    return [None if np.isnan(code) else column.values[int(code)] for code in column.codes]


@given(st.lists(st.tuples(cells, st.sampled_from("abc")), min_size=1, max_size=20))
def test_text_survives_quotes_commas_and_line_ends(rows):
    file = io.StringIO(newline="")
    csv.writer(file).writerows([("text", "y"), *rows, ("certainly text", "a")])
    column = read(file.getvalue()).columns[0]
    expected = [None if text in GAP_CELLS else text for text, _ in rows] + ["certainly text"]
    assert decoded(column) == expected
    assert list(column.values) == sorted(column.values)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(raw):
    for prefix in (b"", b"x,y\r\n"):
        with suppress(GuardError):
            table = read(prefix + raw)
            assert len(table.origin) == len(table.label.codes)


def test_kinds_follow_from_all_cells_of_a_column():
    table = read("n,b,c,few,mixed,y\n1.5,true,red,1,true,p\nNA,FALSE,,2,1,q\n-3e2,,007x,1,,p\n")
    kinds = {column.name: column.kind for column in table.columns}
    assert kinds == {"n": "number", "b": "boolean", "c": "category", "few": "number", "mixed": "category"}
    codes = {column.name: column.codes for column in table.columns}
    np.testing.assert_array_equal(codes["n"], [1.5, np.nan, -300])
    np.testing.assert_array_equal(codes["b"], [1, 0, np.nan])


@pytest.mark.parametrize("gap", sorted(GAP_CELLS))
def test_gap_cells_are_gaps_in_every_kind_of_column(gap):
    table = read(f"n,b,c,y\n1,true,red,1\n{gap},{gap},{gap},{gap}\n")
    for column in (*table.columns, table.label):
        np.testing.assert_array_equal(np.isnan(column.codes), [False, True])


def test_the_word_none_is_a_category():
    assert decoded(read("c,y\nNone,1\nBrick,2\n").columns[0]) == ["None", "Brick"]


def test_true_and_false_as_label_are_text():
    assert decoded(read("x,y\n1,true\n2,false\n").label) == ["true", "false"]


def test_numbers_that_json_does_not_know_are_text():
    assert read("x,y\n1_000,1\n2_000,2\n").columns[0].kind == "category"


def test_mark_and_line_ends_are_tolerated():
    table = read(b"\xef\xbb\xbfx,y\r\n\r\n1,a\r\n2,b\r\n\r\n")
    assert [column.name for column in table.columns] == ["x"]
    np.testing.assert_array_equal(table.origin, [1, 2])


def test_rows_of_wrong_length_are_named_and_left_out():
    table = read("x,y\n1,a\n2\n3,b\n4,b,c\n")
    np.testing.assert_array_equal(table.origin, [1, 3])
    (finding,) = table.findings
    assert (finding.code, finding.rows, finding.count) == ("malformed_row", (2, 4), 2)
    assert "the header has 2 columns, row 2 has 1 cells" in finding.message


def test_dropped_columns_are_not_there():
    assert [column.name for column in read("a,b,c,y\n1,2,3,4\n", drop=["b"]).columns] == ["a", "c"]


@pytest.mark.parametrize(
    ("text", "error", "match"),
    [
        ("", InputUnreadable, "empty"),
        ("x,x,z,z,y\n", SnapshotRefused, r"twice in the header: \['x', 'z'\]"),
        ("x,z\n1,2\n", SnapshotRefused, "no column 'y'; it has 'x', 'z'"),
        ("x;y\n1;2\n", SnapshotRefused, "separate the columns by commas"),
        ('x,y\n1,"2\n3,4\n', InputUnreadable, "line 3"),
        ('x,y\n1,"2"3\n', InputUnreadable, "line 2"),
        (b"x,y\n1,2\n\xff,3\n", InputUnreadable, "line 3: not UTF-8"),
        ("x,y\n" + "1" * 200_000 + ",2\n", InputUnreadable, "line 2: field larger"),
    ],
)
def test_what_is_no_table_is_refused(text, error, match):
    with pytest.raises(error, match=match):
        read(text)


def test_wrong_names_from_the_command_line_are_refused():
    with pytest.raises(WrongUse, match="--label COLUMN; it has 'x', 'y'"):
        read("x,y\n", label=None)
    with pytest.raises(SnapshotRefused, match="no column 'w'"):
        read("x,y\n", drop=["w"])
    with pytest.raises(WrongUse, match="cannot be dropped"):
        read("x,y\n", drop=["y"])
