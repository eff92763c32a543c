from __future__ import annotations

import json
from pathlib import Path

import pytest

from guard.cli.main import main
from guard.store import read_files
from tests.support.bundles import SNAPSHOT, make_bundle
from tests.support.gates import make_audit, write_gate_for


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "240")


@pytest.fixture
def folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A registry in which version 2, forced, follows version 1, whose gate passed."""
    audited = make_bundle(tmp_path / "1", audit=make_audit(SNAPSHOT))
    second = make_bundle(tmp_path / "2", seed=2, version="2")
    registry = tmp_path / "registry"
    gate = str(write_gate_for(audited, tmp_path / "gate.json"))
    assert main(["promote", str(audited), "--registry", str(registry), "--gate", gate, "--by", "ada"]) == 0
    forced = ["--force", "--reason", "an attack \u2013 [bold]now", "--by", "bea"]
    assert main(["promote", str(second), "--registry", str(registry), *forced]) == 0
    out = capsys.readouterr().out
    assert "Version 1 serves from now on, sha256" in out
    assert "Version 2 serves from now on in place of 1" in out
    assert "forced in spite of this: no gate was shown" in out
    assert f"model.bundle = {registry}/current" in out
    return registry


def read_json(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    return json.loads(capsys.readouterr().out)


def test_list_says_what_serves_and_who_let_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["registry", "list", "--registry", str(folder)]) == 0
    first, second = [line for line in capsys.readouterr().out.splitlines() if " ada " in line or " bea " in line]
    assert "0.746%" in first
    assert "sound" in first
    assert "yes" in second
    assert "NOT AUDITED" in second
    assert "forced" in second
    assert main(["registry", "list", "--registry", str(folder), "--json"]) == 0
    told = read_json(capsys)
    assert told["current"] == "2"
    assert [each["version"] for each in told["versions"]] == ["1", "2"]
    assert told["versions"][0]["audit"]["upper_bound"] == pytest.approx(0.00746, abs=1e-5)
    assert told["versions"][1]["digest"] == read_files(folder / "current").digest


def test_history_says_who_when_and_why(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rollback", "--registry", str(folder), "--reason", "too many held", "--by", "eve"]) == 0
    assert "Version 1 serves from now on in place of 2" in capsys.readouterr().out
    assert main(["registry", "history", "--registry", str(folder)]) == 0
    out = capsys.readouterr().out
    for part in (
        "promoted, FORCED",
        "an attack – [bold]now; in spite of: no gate",
        "rolled back",
        "too many held",
        "eve",
    ):
        assert part in out
    assert main(["registry", "history", "--registry", str(folder), "--json"]) == 0
    told = read_json(capsys)
    assert [entry["forced"] for entry in told["entries"]] == [False, True, False]
    assert told["unreadable"] == 0


def test_history_remarks_on_clocks_and_lines_that_are_none(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "history.jsonl"
    first, second = path.read_text().splitlines()
    moved = json.loads(second) | {"time": "1999-01-01T00:00:00Z"}
    path.write_text(f"{first}\n{json.dumps(moved)}\nnonsense\n")
    assert main(["registry", "history", "--registry", str(folder)]) == 0
    out = capsys.readouterr().out
    assert "The clock of no. 2 is behind that of no. 1" in out
    assert "1 lines are no entries" in out


def test_what_serves_already_is_said_and_is_no_failure(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rollback", "--registry", str(folder), "--to", "2", "--json"]) == 0
    assert read_json(capsys) == {"current": "2", "entry": None}
    assert main(["rollback", "--registry", str(folder), "--to", "2"]) == 0
    assert "Version 2 serves already; nothing was changed." in capsys.readouterr().out


def test_refusals_end_with_1_and_wrong_use_with_2(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = str(tmp_path / "1")
    assert main(["promote", first, "--registry", str(folder)]) == 1
    assert "no gate was shown" in capsys.readouterr().err
    assert main(["promote", first, "--registry", str(folder), "--gate", str(tmp_path / "none.json")]) == 1
    assert "name the file of a Gate" in capsys.readouterr().err
    assert main(["promote", first, "--registry", str(folder), "--force"]) == 2
    assert "--reason" in capsys.readouterr().err
    assert main(["promote", first, "--registry", str(folder), "--force", "--reason", "\x1b[2J"]) == 2
    assert "\x1b" not in capsys.readouterr().err
    assert main(["rollback", "--registry", str(tmp_path / "none")]) == 1
    assert "there is no registry" in capsys.readouterr().err
    assert main(["registry", "list", "--registry", str(tmp_path)]) == 1


@pytest.mark.parametrize("command", [["promote"], ["rollback"], ["registry", "list"], ["registry", "history"]])
def test_help_has_an_example(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "--help"]) == 0
    assert f"depois {' '.join(command)}" in " ".join(capsys.readouterr().out.split()).partition("Example")[2]
