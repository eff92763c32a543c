from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from guard.errors import WrongUse
from training.attacks.attack import Targets
from training.datasets import POISON_RATIO, data_folder
from training.experiments.compare import compare, run_settings
from training.experiments.damage import damage_left, harm_of_rows
from training.experiments.experiment import Row
from training.experiments.fourclass import FOURCLASS
from training.experiments.roster import find_attack, find_defence
from training.experiments.scene import gather, set_scene
from training.experiments.setting import Ground, Setting, as_cases
from training.progress import Silent

FAST = {"data": "digits", "trusted": 0.2, "clean_rows": 500, "preset": "fast", "published": "fast"}
SHARES = {"recall", "fqr", "auroc", "recall_at_1", "fqr_at_1", "recall_at_5", "fqr_at_5"}


def settings(*attacks: str, **changes: Any) -> list[Setting]:
    ground = Ground.model_validate(FAST | changes.pop("ground", {}))
    given: dict[str, Any] = {"ground": ground, "methods": ("depois", "deep-knn")} | changes
    return [Setting(attack=attack, **given) for attack in attacks]


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return list(compare(settings("random-flip", "gradient-sign", histogram=True), 0, Silent()))


def test_one_row_for_each_setting_with_all_figures_of_all_methods(rows: list[Any]) -> None:
    assert len(rows) == 2
    for row in rows:
        json.dumps(row, allow_nan=False)
        assert row["poison"] == 100
        assert row["trusted"] == 120
        assert set(row["methods"]) == {"depois", "deep-knn"}
        for figures in row["methods"].values():
            assert all(0 <= figures[name] <= 1 for name in SHARES)
        assert set(row["error"]) == {"clean", "unguarded", "depois"}
        assert sum(row["histogram"]["clean"]) == pytest.approx(1)
        assert len(row["histogram"]["edges"]) == len(row["histogram"]["poison"]) + 1
    assert rows[0]["methods"]["deep-knn"]["auroc"] > 0.8


def test_what_passes_decides_the_damage() -> None:
    """Letting all pass is being unguarded; error is counted on clean rows alone."""
    scene = set_scene(Ground.model_validate(FAST), 0)
    crowd = gather(scene, "random-flip", 0.2)
    passed = {"all": np.ones(len(crowd.y), np.bool_), "half": ~crowd.poisoned & (np.arange(len(crowd.y)) % 8 == 0)}
    error = damage_left(find_attack("random-flip"), scene, crowd, passed)
    assert error["all"] == error["unguarded"]
    assert error["half"] > error["clean"]


def test_a_row_alone_is_the_row_among_others(rows: list[Row]) -> None:
    """What was trained is shared; what one attack draws does not reach the next."""
    assert list(compare(settings("gradient-sign", histogram=True), 0, Silent())) == rows[1:]


def test_settings_travel_as_cases() -> None:
    given = settings("random-flip", damage=False, methods=("deep-knn",))
    cases = as_cases(given)
    assert Setting.model_validate(json.loads(json.dumps(cases[0].settings))) == given[0]
    assert "training.attacks.random_flip" in cases[0].sources
    assert "training.defences.deep_knn" in cases[0].sources
    assert list(run_settings(cases, 0, Silent())) == list(compare(given, 0, Silent()))


def test_settings_of_one_ground_stand_together() -> None:
    mixed = [
        *settings("random-flip"),
        *settings("random-flip", ground={"trusted": 0.1}),
        *settings("gradient-sign"),
        *settings("random-flip", rate=0.3),
    ]
    assert [case.name for case in as_cases(mixed)] == [
        "random-flip, 20 %",
        "gradient-sign, 20 %",
        "random-flip, 20 %, Rp 30 %",
        "random-flip, 10 %",
    ]


@pytest.mark.parametrize(("shift", "low", "high"), [(0, 0.7, 1.0), (1, 0.0, 0.2)])
def test_damage_of_targeted_poison_is_the_share_of_targets_reached(shift: int, low: float, high: float) -> None:
    """Targets that shall be read as what they are mostly are; as the next class they hardly are."""
    scene = set_scene(Ground.model_validate(FAST), 0)
    crowd = gather(scene, "random-flip", 0.05)
    index = np.setdiff1d(np.arange(len(scene.outside.y)), crowd.poison.base_index)[:40]
    targets = Targets(index, (scene.outside.y[index] + shift) % 10, np.zeros(len(crowd.poison.y), np.int64))
    aimed = replace(crowd, poison=replace(crowd.poison, targets=targets))
    assert low <= damage_left(find_attack("random-flip"), scene, aimed, {})["clean"] <= high
    harm = harm_of_rows(scene, aimed)
    assert harm is not None
    assert harm.shape == crowd.poison.y.shape
    assert harm_of_rows(scene, crowd) is None


@pytest.mark.slow
def test_the_guard_on_images_knows_which_classes_it_does_not_know() -> None:
    """Six of ten classes are trusted: the other four are held, clean or not, and the rest is judged as always."""
    given = settings("random-flip", methods=("guard", "depois"), ground={"known": 6, "trusted": 0.4})
    row = next(compare(given, 0, Silent()))
    guard = row["methods"]["guard"]
    assert 0.3 < guard["fqr"] < 0.5
    assert guard["recall"] > 0.8
    assert {"alpha_low", "alpha_high", "extrapolated"} <= set(row)


@pytest.mark.slow
@pytest.mark.skipif(not (data_folder() / "fourclass.txt").is_file(), reason="fourclass.txt is not in DEPOIS_DATA")
def test_a_table_end_to_end() -> None:
    """Fourclass at 20 % trusted: the guard finds flips and hardly any clean row, and its victim recovers."""
    given = settings(
        "confident-flip",
        methods=("guard", "guard-taught", "depois", "duti", "sever"),
        ground={"data": "fourclass", "clean_rows": None},
    )
    row = next(compare(given, 0, Silent()))
    guard, error = row["methods"]["guard"], row["error"]
    assert (row["trusted"], row["poison"], row["clean"]) == (145, 121, 259)
    assert guard["recall"] > 0.9
    assert guard["fqr"] <= 0.05
    assert row["methods"]["guard-taught"]["recall_at_1"] > 0.9
    assert row["methods"]["guard-taught"] != guard
    assert guard["recall_at_5"] > 0.95
    assert error["guard"] <= error["clean"] + 0.03 < error["unguarded"]
    assert np.isfinite(guard["auroc"])


def test_at_rare_rates_no_guard_is_trained_anew_for_what_arrives() -> None:
    for case in FOURCLASS.cases("small"):
        setting = Setting.model_validate(case.settings)
        assert ("guard-taught" in setting.methods) == ("guard" in setting.methods and setting.rate == POISON_RATIO)


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    with pytest.raises(WrongUse, match="confident-flip"):
        find_attack("magic")
    with pytest.raises(WrongUse, match="deep-knn"):
        find_defence("magic")
