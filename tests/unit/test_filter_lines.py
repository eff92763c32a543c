from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.errors import InputUnreadable
from guard.filter.lines import FileLines, PipeLines, cut_lines
from guard.filter.reader import Piece, Window

CONTENT = st.lists(st.sampled_from([b"a", b"bc", b"\n", b"\n\n", b"\r\n", b"\r", b"\xff\x00", b"x" * 13])).map(b"".join)


def reference(data):
    """Every LF ends a line; what follows the last one is a line if it is not empty."""
    lines = data.split(b"\n")
    return lines[:-1] if lines[-1] == b"" else lines


def gathered(items):
    """The lines of windows and pieces, whole again."""
    lines, pieces = [], []
    for item in items:
        if isinstance(item, Window):
            assert not pieces
            assert item.records
            lines += item.records
        else:
            pieces.append(item.data)
            if item.last:
                lines.append(b"".join(pieces))
                pieces = []
    assert not pieces
    return lines


@given(CONTENT, st.integers(1, 20), st.integers(1, 20))
def test_lines_are_those_of_the_bytes_whatever_the_windows(data, window, limit):
    items = list(cut_lines(io.BytesIO(data).read, 0, limit, window))
    assert gathered(items) == reference(data)
    assert all(item.position <= len(data) for item in items)


@given(CONTENT, st.lists(st.integers(1, 7), min_size=1), st.integers(1, 20), st.integers(1, 20))
def test_a_pipe_may_deliver_its_bytes_in_any_portions(data, portions, window, limit):
    stream, sizes = io.BytesIO(data), iter(portions * (len(data) + 1))
    lines = PipeLines(lambda size: stream.read(min(size, next(sizes))), limit, window).windows(0)
    assert gathered(lines) == reference(data)


@given(CONTENT, st.integers(1, 20), st.integers(0, 20))
def test_going_on_from_any_position_gives_the_same_windows_as_never_stopping(data, window, more):
    limit = window + more
    items = list(cut_lines(io.BytesIO(data).read, 0, limit, window))
    for index, item in enumerate(items):
        if isinstance(item, Piece) and not item.last:
            continue
        stream = io.BytesIO(data)
        stream.seek(item.position)
        assert list(cut_lines(stream.read, item.position, limit, window)) == items[index + 1 :]


@given(CONTENT, st.integers(1, 20), st.integers(1, 20))
def test_no_more_is_held_than_a_record_and_two_windows(data, window, limit):
    for item in cut_lines(io.BytesIO(data).read, 0, limit, window):
        size = len(item.data) if isinstance(item, Piece) else sum(map(len, item.records))
        assert size <= limit + 2 * window


def test_a_line_at_the_limit_is_whole_and_one_byte_more_comes_in_pieces():
    def kinds(length):
        return [type(item) for item in cut_lines(io.BytesIO(b"x" * length).read, 0, 8, 4)]

    assert kinds(8) == [Window]
    assert set(kinds(9)) == {Piece}


def test_a_file_that_is_gone_is_named(tmp_path):
    path = tmp_path / "samples.jsonl"
    path.write_bytes(b"1\n2\n")
    lines = FileLines(path, 100)
    assert lines.total == 4
    path.unlink()
    with pytest.raises(InputUnreadable, match=r"samples\.jsonl cannot be read"):
        list(lines.windows(0))
