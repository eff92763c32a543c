from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from training.experiments import EXPERIMENTS
from training.experiments.report.claims import CLAIMS, Claim, contradictions, verdict
from training.experiments.report.cleansing_section import backdoor_table, cleansing_table
from training.experiments.report.evidence import read_evidence
from training.experiments.report.page import write_report
from training.experiments.report.printed import ATTACKS, SHARES, TABLE_III, implied_mix
from training.experiments.report.tables import number, table_iii, worst_table
from training.experiments.setting import Ground, Setting, as_cases


def claim(**changes: Any) -> Claim:
    return Claim(**{"item": "i", "words": "w", "printed": 0.1, "measure": lambda _e: None, "needs": "x"} | changes)


@pytest.mark.parametrize(
    ("given", "measured", "words"),
    [
        ({}, 0.14, "reproduced"),
        ({}, 0.3, "shape only"),
        ({}, -0.2, "not reproduced"),
        ({"printed": 0.02}, -0.02, "reproduced"),
        ({"printed": 0.06}, 0.0, "not reproduced"),
        ({"printed": 0.0}, 0.2, "not reproduced"),
        ({"comparable": False}, 0.1, "shape only"),
        ({"printed": None, "sign": -1}, -0.4, "shape only"),
        ({"printed": None, "sign": -1}, 0.0, "not reproduced"),
        ({"obstacle": "it rains"}, None, "cannot be, because it rains"),
        ({}, None, "missing: `depois experiment run x`"),
    ],
)
def test_verdicts_by_their_rule(given: dict[str, Any], measured: float | None, words: str) -> None:
    assert verdict(claim(**given), measured) == words


def test_the_mix_that_three_figures_imply_by_hand() -> None:
    """100 clean rows, 10 of them held, and 20 poisoned ones, 15 held: accuracy 105/120, recall .9, F1 180/195."""
    assert implied_mix(105 / 120, 0.9, 180 / 195) == pytest.approx(0.2)
    assert implied_mix(0.5, 1, 2 / 3) == pytest.approx(1)
    assert contradictions("pGAN", "De-Pois") == 6
    assert contradictions("TCL", "De-Pois") < 6


def test_printed_tables_are_whole() -> None:
    for cells in TABLE_III.values():
        for figures in (cells.accuracy, cells.recall, cells.f1):
            assert len(figures) == len(SHARES)
            assert all(0.6 < value < 1 for value in figures)
    assert {attack for attack, _ in TABLE_III} >= set(ATTACKS)


@pytest.mark.parametrize(
    ("value", "text"), [(0.5, ".500"), (-0.25, "−.250"), (1.0, "1.000"), (None, "–"), (12.3, "12.300")]
)
def test_numbers_are_spelt(value: float | None, text: str) -> None:
    assert number(value) == text


def test_what_claims_need_can_be_run() -> None:
    names = {experiment.name for experiment in EXPERIMENTS}
    assert {one.needs for one in CLAIMS if not one.obstacle} <= names
    assert {stand.experiment for stand in ATTACKS.values()} <= names


def test_without_results_the_page_says_how_to_make_them(tmp_path: Path) -> None:
    write_report(tmp_path / "nowhere", tmp_path / "docs" / "page.md")
    text = (tmp_path / "docs" / "page.md").read_text()
    for experiment in EXPERIMENTS:
        assert f"`depois experiment run {experiment.name}`" in text
    assert text.count("missing: `depois") == len([one for one in CLAIMS if not one.obstacle])
    assert "cannot be, because CIFAR-100 is not among the data" in text
    assert not list((tmp_path / "docs").rglob("*.svg"))


def document(name: str, summary: dict[str, Any], cases: dict[str, Any]) -> dict[str, Any]:
    where = {"cpu": "a processor", "gpu": None, "libraries": {"torch": "2"}}
    head = {"experiment": name, "scale": "small", "command": f"depois experiment run {name}", "circumstances": where}
    return {**head, "cases": cases, "summary": summary, "rows": [{"case": case, "seed": 0} for case in cases]}


def figures(**values: float) -> dict[str, Any]:
    return {name: {"mean": value, "std": 0.01} for name, value in values.items()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Fourclass at two shares: the guard .9 and .7, CD .4 and .6 at FQR 1 %, De-Pois with its own verdict."""
    settings = [
        Setting(
            ground=Ground(data="fourclass", trusted=share), attack="adversarial-flip", methods=("guard", "centroid")
        )
        for share in (0.05, 0.20)
    ]
    cases = {case.name: case.settings for case in as_cases(settings)}
    summary = {
        name: {
            "methods": {
                "guard": figures(recall_at_1=guard, recall_at_5=1.0, auroc=0.99, recall=0.8, fqr=0.01),
                "centroid": figures(recall_at_1=centroid, paper_accuracy=0.75),
                "depois": figures(recall_at_1=0.1, paper_accuracy=0.9, paper_recall=0.95, paper_f1=0.93),
            },
            "error": figures(clean=0.01, unguarded=0.2, guard=0.02),
        }
        for name, guard, centroid in zip(cases, (0.9, 0.7), (0.4, 0.6), strict=True)
    }
    (tmp_path / "fourclass.json").write_text(json.dumps(document("fourclass", summary, cases)))
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "other.json").write_text("[]")
    return tmp_path


def test_the_worst_rows_are_the_smallest_ones(folder: Path) -> None:
    text = worst_table(read_evidence(folder))
    assert "| guard | 2 | .700 | fourclass, adversarial-flip, 20% | .700 | .800 |" in text
    assert "| centroid | 2 | .400 | fourclass, adversarial-flip, 5% | .700 | .500 |" in text


def test_table_iii_puts_printed_and_measured_side_by_side(folder: Path) -> None:
    text = table_iii(read_evidence(folder))
    assert "| LF | De-Pois | 5% | .889 · .930 · .930 | .900 · .950 · .930 |" in text
    assert "| LF | **guard** | 20% | – |" in text
    assert "TRIM" not in text


def test_the_page_holds_every_figure_that_is_there_and_every_picture_that_it_names(
    folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "docs" / "evaluation.md"
    write_report(folder, out)
    text = out.read_text()
    assert "| fourclass | adversarial-flip | 5% | .900 ± .01 | 1.000 | .990 | .800 | .010 | – | .100 |" in text
    assert ".010 / .200 / .020" in text
    assert re.search(
        r"accuracy of De-Pois less that of CD, LF, 20 % trusted \| \+\.160 \| \+\.150 \| reproduced \|", text
    )
    pictures = re.findall(r"\]\((images/evaluation/[^)]+)\)", text)
    assert pictures
    assert all((out.parent / picture).stat().st_size > 500 for picture in pictures)
    assert not re.search(r"(?<![\w`.])/(work|tmp|home)/", text)


def test_the_same_results_give_the_same_page_and_pictures(folder: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_report(folder, tmp_path / name / "evaluation.md")
    files = [
        sorted(path.relative_to(tmp_path / name) for path in (tmp_path / name).rglob("*.*")) for name in ("one", "two")
    ]
    assert files[0] == files[1]
    for file in files[0]:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def doubtful(method: str, **found: float) -> tuple[dict[str, Any], dict[str, Any]]:
    ground = {"data": "cifar10", "attack": "gradient-matching", "rate": 0.04, "transfer": False}
    return {"ground": ground, "method": method}, figures(**found)


def planted(attack: str | None, method: str, **found: float) -> tuple[dict[str, Any], dict[str, Any]]:
    ground = {"data": "cifar10", "attack": attack, "ratio": 0.05, "architecture": "resnet8"}
    return {"ground": ground, "method": method}, figures(**{"overhead": 1.0} | found)


def written(folder: Path, name: str, found: list[tuple[dict[str, Any], dict[str, Any]]]) -> None:
    cases = {str(at): settings for at, (settings, _) in enumerate(found)}
    summary = {str(at): one for at, (_, one) in enumerate(found)}
    (folder / f"{name}.json").write_text(json.dumps(document(name, summary, cases)))


def test_what_a_method_makes_of_poisoned_rows_stands_in_table_and_claims(tmp_path: Path) -> None:
    plain = doubtful("plain", accuracy=0.9, success=0.75, overhead=1.0)
    epic = doubtful("epic", accuracy=0.88, success=0.25, poison_left_out=0.6, clean_left_out=0.1, overhead=1.2)
    written(tmp_path, "cleansing", [plain, epic])
    evidence = read_evidence(tmp_path)
    assert "| cifar10 | gradient-matching, 4% | epic | .880 ± .01 | .250 ± .01 | .600 ± .01 |" in cleansing_table(
        evidence
    )
    found = {claim.words: claim.measure(evidence) for claim in CLAIMS if claim.item == "EPIC"}
    assert found["cifar10, gradient-matching: success without less that with epic"] == pytest.approx(0.5)
    assert found[
        "cifar10, gradient-matching: share of poison that is dropped less that of clean rows"
    ] == pytest.approx(0.5)


def test_backdoors_stand_by_attack_and_defence_with_their_mean(tmp_path: Path) -> None:
    rows = [
        planted("badnet", "none", accuracy=0.6, success=1.0),
        planted("badnet", "clp", accuracy=0.5, success=0.2),
        planted("sig", "none", accuracy=0.8, success=0.5),
        planted("sig", "clp", accuracy=0.5, success=0.2, overhead=0.02),
        planted(None, "none", accuracy=0.7),
    ]
    written(tmp_path, "backdoors", rows)
    table = backdoor_table(read_evidence(tmp_path))
    assert "| badnet | 5% | cifar10, resnet8 | .600 / 1.000 | .500 / .200 |" in table
    assert "| no attack | 5% | cifar10, resnet8 | .700 / – | – |" in table
    assert "| **mean** | 5% | cifar10, resnet8 | .700 / .750 | .500 / .200 |" in table
    assert "| **overhead** | all | all | 1.00 | .51 |" in table


def test_what_meca_claims_is_a_mean_over_all_attacks_or_missing(tmp_path: Path) -> None:
    rows = [
        planted("badnet", "none", accuracy=0.6, success=1.0),
        planted("badnet", "meca", accuracy=0.5, success=0.2),
        planted("sig", "none", accuracy=0.8, success=0.5),
        planted("sig", "meca", accuracy=0.7, success=0.1),
        planted(None, "none", accuracy=0.75),
    ]
    other = planted("badnet", "meca", accuracy=0.1, success=0.9)
    other[0]["ground"]["ratio"] = 0.2
    written(tmp_path, "backdoors", [*rows, other])
    found = {claim.words: claim.measure(read_evidence(tmp_path)) for claim in CLAIMS if claim.item.startswith("MeCa")}
    assert found["mean success, 8 attacks: with meca less that without a defence"] == pytest.approx(0.15 - 0.75)
    accuracy = "with meca less that without poison or a defence"
    assert found[f"mean accuracy, 8 attacks: {accuracy}"] == pytest.approx(0.6 - 0.75)
    assert found[f"mean accuracy, no poison: {accuracy}"] is None
    written(tmp_path, "backdoors", rows)
    document = json.loads((tmp_path / "backdoors.json").read_text())
    del document["summary"]["3"]
    (tmp_path / "backdoors.json").write_text(json.dumps(document))
    assert read_evidence(tmp_path).after("meca", "success") is None
