from __future__ import annotations

import pytest

from training.experiments.cleansing import CLEANSING, CleansingGround
from training.experiments.experiment import Case, Row
from training.progress import Silent


def run(attack: str | None, *, transfer: bool, methods: tuple[str, ...]) -> list[Row]:
    ground = CleansingGround(data="digits", rows=300, attack=attack, rate=0.1, transfer=transfer, device="cpu")
    settings: Row = {"ground": ground.model_dump(mode="json")}
    cases = [Case(name, settings | {"method": name}, (__name__,)) for name in methods]
    return list(CLEANSING.run(cases, 0, Silent()))


def test_all_methods_of_a_group_meet_the_same_rows() -> None:
    cases = CLEANSING.cases("small")
    groups = [case.group for case in cases]
    assert groups == sorted(groups, key=groups.index)
    assert len(cases) == 4 * len(set(groups)) + 2, "MeCa where nothing is poisoned"
    assert len({case.name for case in cases}) == len(cases)


def test_what_is_left_out_is_counted_apart_for_poison_and_for_the_rest() -> None:
    plain, epic = run("random-flip", transfer=False, methods=("plain", "epic"))
    assert plain["poison"] == epic["poison"] == 30
    assert plain["rows"] == 300
    assert "poison_left_out" not in plain
    assert float(str(epic["poison_left_out"])) > 3 * float(str(epic["clean_left_out"])) > 0
    assert plain["overhead"] == 1
    seconds = [float(str(row["training_seconds"])) for row in (plain, epic)]
    assert epic["overhead"] == pytest.approx(seconds[1] / seconds[0], rel=0.1)


@pytest.mark.parametrize("transfer", [False, True])
def test_targets_are_asked_for_and_teach_nothing(transfer: bool) -> None:
    (plain,) = run("feature-collision", transfer=transfer, methods=("plain",))
    targets = 300 - int(str(plain["rows"]))
    assert targets > 0
    assert float(str(plain["success"])) * targets == pytest.approx(round(float(str(plain["success"])) * targets))
    assert float(str(plain["accuracy"])) > 0.7


def test_without_an_attack_nothing_is_poison_and_nothing_is_aimed_at() -> None:
    (epic,) = run(None, transfer=False, methods=("epic",))
    assert (epic["rows"], epic["poison"]) == (300, 0)
    assert not {"success", "poison_left_out"} & epic.keys()
    assert 0 <= float(str(epic["clean_left_out"])) < 0.5
