"""`depois snapshot`: what a person reads, what a program reads, and how it ends."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.datasets import load_wine

from guard.cli.main import main
from training.snapshot import read_snapshot


@pytest.fixture
def wine(tmp_path):
    x, y = load_wine(return_X_y=True)
    rows = [f"{k},{','.join(map(str, row))},class {label}" for k, (row, label) in enumerate(zip(x, y, strict=True))]
    header = ["Id", *(f"[red]x{k}" for k in range(13)), "kind"]
    (tmp_path / "wine.csv").write_text("\n".join([",".join(header), *rows[:90], rows[0], *rows[90:]]))
    return tmp_path / "wine.csv"


def create(wine, *more):
    return main(["snapshot", "create", str(wine), "--label", "kind", "--out", str(wine.parent / "s"), *more])


def test_create_prints_columns_classes_findings_and_arithmetic(wine, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert create(wine) == 0
    out = capsys.readouterr().out
    for part in (
        "179 rows of 14 columns; the label is one of 3 classes (classification)",
        "[red]x0",
        "class 2",
        "rows repeat an earlier row",
        "label 'kind' is text: classification",
        "α = 1 % is guaranteed from 99 calibration samples on; this snapshot has 179",
    ):
        assert part in out
    assert read_snapshot(wine.parent / "s").digest in out


def test_json_of_create_and_show_agree(wine, capsys):
    assert create(wine, "--json", "--drop", "Id", "--seed", "3") == 0
    created = json.loads(capsys.readouterr().out)
    assert main(["snapshot", "show", str(wine.parent / "s"), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert {finding["code"] for finding in created.pop("findings")} == {"duplicate_rows", "task_chosen"}
    assert shown.pop("findings") == []
    assert created == shown
    assert created["classes"] == [{"label": f"class {k}", "rows": n} for k, n in enumerate([60, 71, 48])]
    assert created["alpha"]["needed"] == 99
    assert len(created["columns"]) == 13
    assert created["provenance"]["drop"] == "Id"


def test_extrapolation_is_said_as_arithmetic(tmp_path, capsys):
    np.savez(tmp_path / "t.npz", x=np.random.default_rng(0).normal(size=(61, 2)), y=np.arange(61) % 2)
    assert main(["snapshot", "create", str(tmp_path / "t.npz"), "--out", str(tmp_path / "s")]) == 0
    out = capsys.readouterr().out
    assert "from 99 calibration samples on; this snapshot has 61: α is extrapolated" in out
    assert "or add 38" in out


@pytest.mark.parametrize(
    ("arguments", "code", "match"),
    [
        (["create", "absent.csv", "--label", "y", "--out", "s"], 1, "absent.csv cannot be read"),
        (["create", "absent.csv", "--out"], 2, "requires an argument"),
        (["show", "absent"], 1, "is no snapshot"),
        (["create", "wine.csv", "--out", "s"], 2, "--label COLUMN"),
        (["create", "wine.csv", "--label", "kind", "--task", "guess", "--out", "s"], 2, "guess"),
        (["create", "wine.csv", "--label", "kind", "--out", "wine.csv"], 1, "exists already"),
    ],
)
def test_bad_use_ends_with_its_code_and_a_message(wine, capsys, monkeypatch, arguments, code, match):
    monkeypatch.chdir(wine.parent)
    assert main(["snapshot", *arguments]) == code
    assert match in capsys.readouterr().err
    assert not (wine.parent / "s").exists()


def test_control_characters_do_not_reach_the_terminal(tmp_path, capsys):
    rows = "".join(f"{k % 7},c\x1b[2J{k % 3},{k % 2}\n" for k in range(60))
    (tmp_path / "t.csv").write_text("x\x9b31m,z,y\n" + rows)
    assert main(["snapshot", "create", str(tmp_path / "t.csv"), "--label", "y", "--out", str(tmp_path / "s")]) == 0
    out = capsys.readouterr().out
    assert "x\\x9b31m" in out
    assert "c\\x1b[2J0" in out
    assert "\x9b" not in out
    assert "\x1b" not in out
