"""`depois quarantine` on a folder; on Kafka it is the same code over another quarantine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from guard.cli.main import main
from tests.support.crowd import messages
from tests.support.folders import judged_folder

WHO = ["--reviewer", "ana", "--why", "looked at it"]


@pytest.fixture
def folder(fruit: Path, tmp_path: Path) -> str:
    return str(judged_folder(tmp_path, fruit, [message.value or b"" for message in messages(150, 3)]))


def listed(folder: str, capsys: pytest.CaptureFixture[str], *options: str) -> list[dict[str, object]]:
    assert main(["quarantine", "list", "--folder", folder, "--limit", "0", "--json", *options]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_filters_choose_and_the_order_is_by_suspicion(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    everything = listed(folder, capsys)
    scored = [row["p_value"] for row in everything if row["p_value"] is not None]
    assert scored == sorted(scored)
    assert [row for row in everything if row["source"] == "sender 3"] == listed(folder, capsys, "--source", "sender 3")
    unknown = listed(folder, capsys, "--reason", "unknown_label")
    assert {row["reason"] for row in unknown} == {"unknown_label"}
    below = listed(folder, capsys, "--max-p", str(scored[0]))
    assert len(below) == sum(p == scored[0] for p in scored) > 0


def test_a_dry_run_decides_nothing_and_yes_does(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = listed(folder, capsys)
    command = ["quarantine", "reject", "--folder", folder, "--reason", "unknown_label", *WHO]
    assert main(command) == 0
    told = capsys.readouterr().out
    assert "ana would reject" in told
    assert "Repeat the command with --yes" in told
    assert listed(folder, capsys) == before
    assert main([*command, "--yes"]) == 0
    capsys.readouterr()
    rejected = listed(folder, capsys, "--state", "rejected")
    assert {row["reason"] for row in rejected} == {"unknown_label"}
    assert all(row["decision"]["reviewer"] == "ana" for row in rejected)
    assert len(rejected) + len(listed(folder, capsys)) == len(before)


def test_the_table_shows_the_end_of_an_origin_which_names_the_record(
    folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    origin = str(listed(folder, capsys)[0]["origin"])
    end = origin.partition("/")[2]
    assert main(["quarantine", "list", "--folder", folder]) == 0
    told = capsys.readouterr().out
    assert f" {end} " in told
    assert origin not in told
    assert main(["quarantine", "show", end, "--folder", folder, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["origin"] == origin
    assert main(["quarantine", "show", end.partition("/")[2], "--folder", folder]) == 2
    assert "does not hold" in capsys.readouterr().err


def test_release_reopen_show_and_stats(folder: str, capsys: pytest.CaptureFixture[str], fruit: Path) -> None:
    origin = str(listed(folder, capsys)[-1]["origin"])
    here = ["--folder", folder]
    assert main(["quarantine", "reject", origin, *here, *WHO, "--yes"]) == 0
    assert main(["quarantine", "release", origin, *here, *WHO, "--yes"]) == 3
    assert "reopen it first" in capsys.readouterr().err
    assert main(["quarantine", "reopen", origin, *here, *WHO, "--yes"]) == 0
    assert main(["quarantine", "release", origin, *here, *WHO, "--yes"]) == 0
    capsys.readouterr()
    assert main(["quarantine", "show", origin, *here, "--bundle", str(fruit)]) == 0
    told = capsys.readouterr().out
    assert told.count("by ana: looked at it") == 3
    assert "trusted neighbour" in told
    assert main(["quarantine", "stats", *here, "--state", "released"]) == 2
    assert "leave --state out" in capsys.readouterr().err
    assert main(["quarantine", "stats", *here, "--json"]) == 0
    counts = json.loads(capsys.readouterr().out)
    assert (counts["released"], counts["lost"], counts["disbelieved"]) == (1, 0, {})
    assert main(["quarantine", "stats", *here]) == 0
    assert "undecided" in capsys.readouterr().out


def test_export_writes_the_samples_themselves(folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "held.jsonl"
    assert main(["quarantine", "export", "--folder", folder, "--out", str(out)]) == 0
    assert out.read_bytes() == (Path(folder) / "quarantine.jsonl").read_bytes()
    assert main(["quarantine", "export", "--folder", folder, "--out", str(out)]) == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["release", *WHO], "--all takes everything"),
        (["release", "--all", *WHO, "--max", "2"], "allow them with --max"),
        (["release", "nowhere/t/0/1", *WHO], "does not hold nowhere/t/0/1"),
        (["release", "--all", "--reviewer", "", "--why", "x"], "the reviewer is missing"),
        (["release", "--all", "--reviewer", "ana", "--why", " "], "the reason is missing"),
        (["list", "--max-p", "2"], "between 0 and 1"),
        (["list", "--since", "soon"], "is no time"),
        (["list", "--config", "guard.toml"], "either --folder or --config"),
    ],
)
def test_what_cannot_be_meant_is_told(
    folder: str, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    assert main(["quarantine", *arguments, "--folder", folder]) == 2
    assert told in capsys.readouterr().err


def test_what_a_sender_wrote_cannot_move_the_cursor(
    fruit: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile = "\\u001b[2J\\u001b]0;owned\\u0007<script>"
    line = f'{{"source":"{hostile}","label":"un{hostile}","features":{{"height":1,"colour":"red","ripe":true}}}}'
    folder = judged_folder(tmp_path, fruit, [line.encode()])
    for arguments in (["list"], ["stats"], ["show", "file/input/0/1"], ["release", "--all", *WHO, "--yes"]):
        assert main(["quarantine", *arguments, "--folder", str(folder)]) == 0
        told = capsys.readouterr()
        assert "\x1b" not in told.out + told.err
        assert "\x07" not in told.out + told.err
