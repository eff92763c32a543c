from __future__ import annotations

import json
from pathlib import Path

import pytest

from guard.cli.main import main
from guard.errors import InputUnreadable, OutputFailed, WrongUse
from training.datasets import data_folder
from training.demo.run import MARK, Settings, run_demo
from training.progress import Silent


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(WrongUse, match="holds files that no demo wrote"):
        run_demo(Settings("digits", tmp_path), Silent())
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WrongUse, match="is a file"):
        run_demo(Settings("digits", tmp_path / "file"), Silent())
    with pytest.raises(OutputFailed, match="cannot be written"):
        run_demo(Settings("digits", tmp_path / "file" / "below"), Silent())


def test_absent_data_is_said_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPOIS_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(InputUnreadable, match="set DEPOIS_DATA"):
        run_demo(Settings("house", tmp_path / "out"), Silent())
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize("data", ["digits", "fourclass", "house"])
def test_the_command_from_end_to_end(data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if data != "digits" and not data_folder().is_dir():
        pytest.skip(f"real data sets are not in {data_folder()}")
    out = tmp_path / "out"
    out.mkdir()
    (out / MARK).write_text("")
    (out / "left-over").write_text("of an earlier demo")
    assert main(["demo", "--data", data, "--out", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    lines = (out / "stream.jsonl").read_bytes().splitlines()
    assert told["lines"] == len(lines)
    counts = json.loads((out / "filtered" / "summary.json").read_text())["verdicts"]
    assert sum(counts.values()) == len(lines)
    assert counts["quarantined"] == sum(row["held"] for row in told["contributors"])
    assert counts["malformed"] == sum(row["malformed"] for row in told["contributors"])
    assert all(row["named"] == row["sent"] for row in told["junk"])
    assert told["false_alarms"]["share"] <= 0.04
    assert min(rate["share"] for rate in told["recall"].values()) > 10 * told["false_alarms"]["share"]
    assert (out / "report.html").stat().st_size > 10_000
    assert not (out / "left-over").exists()
