from __future__ import annotations

import pytest

from guard.errors import OutputFailed
from guard.filter.sinks import CLEAN, OUTPUTS, REJECTED, Sink, Sinks


def test_lines_and_pieces_stand_in_the_order_they_were_added(tmp_path):
    with Sinks(tmp_path, {}) as sinks:
        sinks[REJECTED].add_lines([b"one", b"two"])
        sinks[REJECTED].add_piece(b"th", last=False)
        sinks[REJECTED].add_piece(b"ree", last=True)
        sinks[REJECTED].add_lines([b""])
        lengths = sinks.to_disk()
    assert (tmp_path / REJECTED).read_bytes() == b"one\ntwo\nthree\n\n"
    assert lengths == {name: (15 if name == REJECTED else 0) for name in OUTPUTS}


def test_what_was_not_flushed_is_not_written(tmp_path):
    with Sinks(tmp_path, {}) as sinks:
        sinks[CLEAN].add_lines([b"one"])
    assert (tmp_path / CLEAN).read_bytes() == b""


def test_a_resumed_output_is_cut_back_to_its_length(tmp_path):
    (tmp_path / CLEAN).write_bytes(b"one\ntwo\nhal")
    with Sinks(tmp_path, {CLEAN: 4}) as sinks:
        sinks[CLEAN].add_lines([b"2"])
        sinks.flush()
    assert (tmp_path / CLEAN).read_bytes() == b"one\n2\n"


def test_an_output_that_lost_bytes_is_not_resumed(tmp_path):
    (tmp_path / CLEAN).write_bytes(b"one\n")
    with pytest.raises(OutputFailed, match="shorter than the checkpoint"):
        Sinks(tmp_path, {CLEAN: 5})


def test_bytes_can_be_taken_back(tmp_path):
    sink = Sink(tmp_path / "out", 0)
    sink.add_lines([b"one"])
    sink.add_piece(b"broken", last=False)
    sink.drop(6)
    sink.add_lines([b"two"])
    sink.to_disk()
    sink.close()
    assert (tmp_path / "out").read_bytes() == b"one\ntwo\n"
