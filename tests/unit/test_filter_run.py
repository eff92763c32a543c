from __future__ import annotations

import json
from collections import Counter

import pytest

from guard.bundle import load_bundle
from guard.decode import record_limit
from guard.errors import InputUnreadable, OutputFailed, WrongUse
from guard.filter.inputs import Samples, open_samples
from guard.filter.run import Task, run_filter
from guard.filter.sinks import CLEAN, OUTPUTS, QUARANTINE, REJECTED, VERDICTS
from guard.filter.stop import Stop, Stopped
from guard.spec import ClassLabel, ImageInput, InputSpec
from tests.support.bundles import TABLE, make_bundle
from tests.support.streams import HOSTILE, make_stream


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return load_bundle(make_bundle(tmp_path_factory.mktemp("made") / "bundle"), threads=1)


@pytest.fixture
def run(tmp_path, bundle):
    """Filters `lines` into a folder; returns the outputs' lines by name, and the summary."""

    def filtered(lines, out="out", *, end=b"\n", **settings):
        path = tmp_path / "samples.jsonl"
        path.write_bytes(b"\n".join(lines) + end)
        summary = run_filter(Task(Samples(str(path)), tmp_path / out, **settings), bundle, Stop())
        outputs = {name: (tmp_path / out / name).read_bytes().split(b"\n") for name in OUTPUTS}
        assert all(found.pop() == b"" for found in outputs.values())
        return outputs, summary

    return filtered


def test_every_record_is_in_the_one_file_of_its_verdict_byte_for_byte(run, bundle):
    lines = make_stream(TABLE, 3000, 1)
    outputs, summary = run(lines)
    verdicts = [verdict.status.value for verdict in bundle.judge([line or b" " for line in lines])]
    for name, status in ((CLEAN, "clean"), (QUARANTINE, "quarantined"), (REJECTED, "malformed")):
        assert outputs[name] == [line for line, found in zip(lines, verdicts, strict=True) if found == status]
        assert outputs[name]
    assert summary.verdicts == Counter(verdicts)
    assert summary.records == 3000
    assert summary.complete


def test_each_record_that_was_not_passed_has_its_verdict_line(run, bundle):
    lines = make_stream(TABLE, 2000, 2)
    outputs, _ = run(lines)
    told = [json.loads(line) for line in outputs[VERDICTS]]
    by_number = {line["line"]: line for line in told}
    assert len(by_number) == len(told) == len(outputs[QUARANTINE]) + len(outputs[REJECTED])
    for number, verdict in enumerate(bundle.judge([line or b" " for line in lines]), 1):
        if verdict.status == "clean":
            assert number not in by_number
            continue
        line = by_number[number]
        for field in ("id", "reason", "p_value", "threshold", "member", "suggested_label", "source", "label", "detail"):
            assert line[field] == getattr(verdict, field)
        assert line["verdict"] == verdict.status
        assert (line["model"], line["model_sha256"], line["observed"]) == ("test:1", bundle.digest, False)


def test_observe_passes_all_that_is_well_formed_and_still_tells(run):
    lines = make_stream(TABLE, 2000, 3)
    enforced, counted = run(lines)
    observed, summary = run(lines, "observed", mode="observe")
    assert observed[QUARANTINE] == []
    assert observed[REJECTED] == enforced[REJECTED]
    assert Counter(observed[CLEAN]) == Counter(enforced[CLEAN] + enforced[QUARANTINE])
    assert observed[CLEAN] == [line for line in lines if line in set(observed[CLEAN])]
    told = [json.loads(line) for line in observed[VERDICTS]]
    assert [line.pop("observed") for line in told] == [line["verdict"] == "quarantined" for line in told]
    assert told == [{k: v for k, v in json.loads(line).items() if k != "observed"} for line in enforced[VERDICTS]]
    assert summary.verdicts == counted.verdicts


@pytest.mark.parametrize(("record", "reason"), HOSTILE.items(), ids=[str(record[:40]) for record in HOSTILE])
def test_a_hostile_line_is_rejected_for_its_reason_and_harms_no_neighbour(run, record, reason):
    good = make_stream(TABLE, 3, 4)
    outputs, summary = run([good[0], record, good[1]])
    assert outputs[REJECTED] == [record]
    assert summary.reasons[reason] == 1
    assert json.loads(outputs[VERDICTS][-1])["line"] == 2
    assert summary.records == 3


def test_crlf_and_a_missing_last_line_end_change_no_line(run):
    lines = [line + b"\r" for line in make_stream(TABLE, 20, 5)]
    whole, _ = run(lines)
    cut, _ = run(lines, "cut", end=b"")
    assert whole == cut
    assert sorted(whole[CLEAN] + whole[QUARANTINE] + whole[REJECTED]) == sorted(lines)


def test_duplicates_are_each_judged(run):
    line = make_stream(TABLE, 1, 6)
    _, summary = run(line * 700)
    assert summary.records == 700


def test_an_empty_input_gives_empty_outputs(run):
    outputs, summary = run([], end=b"")
    assert all(found == [] for found in outputs.values())
    assert (summary.records, summary.held_share) == (0, None)


def test_a_line_that_no_memory_should_hold_is_rejected_whole(run):
    good = make_stream(TABLE, 2, 7)
    giant = b'{"source":"' + b"x" * 5_000_000
    outputs, summary = run([good[0], giant, good[1]])
    assert outputs[REJECTED] == [giant]
    assert summary.reasons["too_large"] == 1
    assert summary.records == 3
    [line] = [json.loads(line) for line in outputs[VERDICTS] if b"too_large" in line]
    assert line["line"] == 2
    assert line["detail"].startswith(f"{len(giant)} bytes")


def test_a_line_as_long_as_a_sample_of_the_specification_is_read_whole(tmp_path):
    spec = InputSpec(input=ImageInput(height=1000, width=1000, channels=3), label=ClassLabel(values=(0, 1)))
    samples = tmp_path / "samples.jsonl"
    lines = [b"a" * (4_000_000), b"b" * record_limit(spec), b"c"]
    samples.write_bytes(b"\n".join(lines))
    windows = list(open_samples(Samples(str(samples)), spec, Stop()).windows(0))
    assert [line for window in windows for line in window.records] == lines


def test_the_summary_counts_by_source_and_label(run):
    lines = make_stream(TABLE, 1000, 8)
    outputs, summary = run(lines)
    sources = {group.name: group for group in summary.sources.kept}
    assert sum(group.records for group in sources.values()) == 1000
    assert sum(group.quarantined for group in sources.values()) == len(outputs[QUARANTINE])
    named = [json.loads(line)["source"] for line in outputs[CLEAN] + outputs[QUARANTINE]]
    assert Counter({name: group.records - group.rejected for name, group in sources.items()}) == Counter(named)
    assert {group.name for group in summary.labels.kept} >= {"apple", "pear", "plum"}


def test_a_folder_that_is_not_empty_is_refused_and_left_alone(run, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "clean.jsonl").write_bytes(b"mine")
    for resume in (False, True):
        with pytest.raises(WrongUse, match="is not empty"):
            run(make_stream(TABLE, 3, 9), resume=resume)
    assert (tmp_path / "out" / "clean.jsonl").read_bytes() == b"mine"


def test_a_finished_folder_is_not_written_again_without_being_asked(run):
    lines = make_stream(TABLE, 3, 9)
    run(lines)
    with pytest.raises(WrongUse, match="--resume"):
        run(lines)


def test_an_output_folder_that_cannot_be_made_is_named(run, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputFailed, match="file/out cannot be made"):
        run(make_stream(TABLE, 3, 9), "file/out")


@pytest.mark.parametrize(
    ("name", "words"), [("absent.jsonl", "cannot be read"), ("folder.jsonl", "is a folder"), ("samples.zip", "'.zip'")]
)
def test_an_input_that_is_none_is_named_before_any_output(tmp_path, bundle, name, words):
    (tmp_path / "folder.jsonl").mkdir()
    (tmp_path / "samples.zip").write_bytes(b"PK")
    with pytest.raises(InputUnreadable, match=words):
        run_filter(Task(Samples(str(tmp_path / name)), tmp_path / "out"), bundle, Stop())
    assert not (tmp_path / "out").exists()


class StopAfter(Stop):
    """Asks to stop when progress was told `windows` times."""

    def __init__(self, windows):
        super().__init__()
        self._left = windows

    def told(self, *_):
        self._left -= 1
        if not self._left:
            self.asked = "SIGTERM"


def test_a_stopped_run_goes_on_to_the_same_outputs_and_counts(run, tmp_path, bundle):
    lines = make_stream(TABLE, 12_000, 10)
    whole, counted = run(lines, "whole")
    task = Task(Samples(str(tmp_path / "samples.jsonl")), tmp_path / "out", resume=True)
    stop = StopAfter(1)
    with stop, pytest.raises(Stopped, match=r"stopped by SIGTERM after \d+ records.* --resume"):
        run_filter(task, bundle, stop, stop.told)
    partial = json.loads((tmp_path / "out" / "summary.json").read_bytes())
    assert not partial["complete"]
    assert 0 < partial["records"] < 12_000
    outputs, summary = run(lines, resume=True)
    assert outputs == whole
    variable = {"seconds", "records_per_second"}
    assert summary.model_dump(exclude=variable) == counted.model_dump(exclude=variable)
    again, repeated = run(lines, resume=True)
    assert again == whole
    assert repeated.records == 12_000


def test_a_run_is_never_stopped_within_a_record(run, tmp_path, bundle):
    lines = [b"x" * 5_000_000, *make_stream(TABLE, 10, 14)]
    whole, _ = run(lines, "whole")
    stop = StopAfter(1)
    task = Task(Samples(str(tmp_path / "samples.jsonl")), tmp_path / "out", checkpoint_seconds=0)
    with stop, pytest.raises(Stopped, match="after 1 records"):
        run_filter(task, bundle, stop, stop.told)
    resumed, _ = run(lines, resume=True)
    assert resumed == whole


@pytest.mark.parametrize("change", ["size", "start", "end", "mode", "alpha", "columns"])
def test_a_run_is_not_resumed_when_something_else_is_meant(run, tmp_path, bundle, change):
    lines = [b"first", *make_stream(TABLE, 50, 11), b"last"]
    run(lines)
    kept = json.loads((tmp_path / "out" / "checkpoint.json").read_bytes())
    settings = {"resume": True}
    if change == "size":
        lines = [*lines, b""]
    elif change in ("start", "end"):
        at = 0 if change == "start" else -1
        lines[at] = lines[at].swapcase()
    elif change == "mode":
        settings["mode"] = "observe"
    else:
        kept["origin"][change] = 0.5 if change == "alpha" else "other"
        (tmp_path / "out" / "checkpoint.json").write_text(json.dumps(kept))
    with pytest.raises(WrongUse, match="cannot be resumed"):
        run(lines, **settings)


@pytest.mark.parametrize("damage", [b"", b"{}", b"null", b"\xff"])
def test_a_damaged_checkpoint_is_refused(run, tmp_path, damage):
    lines = make_stream(TABLE, 5, 12)
    run(lines)
    (tmp_path / "out" / "checkpoint.json").write_bytes(damage)
    with pytest.raises(OutputFailed, match="is damaged"):
        run(lines, resume=True)


def test_two_runs_do_not_share_a_folder(run, tmp_path, bundle):
    refused = []

    def second(*_):
        task = Task(Samples(str(tmp_path / "samples.jsonl")), tmp_path / "out", resume=True)
        with pytest.raises(OutputFailed, match="another run writes"):
            run_filter(task, bundle, Stop())
        refused.append(True)

    (tmp_path / "samples.jsonl").write_bytes(b"\n".join(make_stream(TABLE, 5, 13)))
    run_filter(Task(Samples(str(tmp_path / "samples.jsonl")), tmp_path / "out"), bundle, Stop(), second)
    assert refused
