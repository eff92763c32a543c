from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from training.cli.experiment import _show, _spell


def spread(mean: float, std: float | None = None) -> dict[str, Any]:
    return {"mean": mean, "std": std, "min": mean, "max": mean, "n": 1}


def test_figures_of_all_cases_are_shown_and_missing_ones_are_dashes(capsys: pytest.CaptureFixture[str]) -> None:
    summary = {
        "one": {"seed": spread(0), "fast": spread(0.25, 0.125), "inner": {"deep": spread(1)}},
        "two": {"seed": spread(0), "slow": spread(3)},
    }
    _show({"figure": "how fast?", "summary": summary}, Path("results/x.json"))
    text = capsys.readouterr().out
    assert "0.25 ± 0.12" in text
    assert text.count("–") == 2
    assert "seed" not in text
    assert "inner" not in text
    assert "results/x.json" in text


def test_methods_have_a_line_each(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    methods = {"guard": {"recall_at_1": spread(0.9), "auroc": spread(0.99)}, "trim": {"recall_at_1": spread(0.5)}}
    _show({"figure": "who?", "summary": {"statistical, 5 %": {"methods": methods}}}, Path("x.json"))
    lines = capsys.readouterr().out.splitlines()
    at = next(place for place, line in enumerate(lines) if "statistical, 5 %" in line)
    told = [line.replace("│", " ").split() for line in lines[at + 1 : at + 3]]
    assert told == [["guard", "0.900", "–", "0.990", "–", "–"], ["trim", "0.500", "–", "–", "–", "–"]]


def test_many_cases_stand_below_each_other_and_the_table_fits_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    summary = {f"case {number}": {"share": spread(number / 100)} for number in range(30)}
    _show({"figure": "how much?", "summary": summary}, Path("x.json"))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert any("case 29" in line and "0.29" in line for line in lines)


def test_a_mean_without_a_spread_is_spelt_alone() -> None:
    assert _spell({"mean": 84.0, "seeds": 2, "reached": 2}) == "84"
    assert _spell({"mean": 84.0, "std": 1.414}) == "84 ± 1.4"
