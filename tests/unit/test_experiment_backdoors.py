from __future__ import annotations

import importlib

import numpy as np
import pytest
import torch

from training.attacks import BACKDOORS, AttackerRows
from training.datasets import load_digits_images
from training.defences.baselines import BACKDOOR_DEFENCES
from training.experiments.backdoor_scene import COVERS, BackdoorGround, set_backdoor_scene
from training.experiments.backdoors import BACKDOOR_TABLES
from training.experiments.experiment import Case
from training.experiments.sources import modules_behind
from training.progress import Silent


def ground(attack: str | None, epochs: int = 1) -> BackdoorGround:
    return BackdoorGround(
        data="digits", rows=300, epochs=epochs, attack=attack, ratio=0.05, architecture="resnet8", device="cpu"
    )


def test_every_attack_meets_every_method_on_one_ground_each() -> None:
    cases = BACKDOOR_TABLES.cases("small")
    first = [case for case in cases if "5 %, resnet8, cifar10" in case.name]
    assert len(first) == (len(BACKDOORS) + 1) * (len(BACKDOOR_DEFENCES) + 2)
    assert len({case.group for case in first}) == len(BACKDOORS) + 1
    groups = [case.group for case in cases]
    assert groups == sorted(groups, key=groups.index)


def test_a_row_depends_on_the_module_that_draws_its_trigger() -> None:
    sources = {name for case in BACKDOOR_TABLES.cases("small") for name in case.sources}
    for attack in BACKDOORS:
        (module,) = (name for name in sources if name == f"training.attacks.{attack.name.replace('-', '_')}")
        assert attack in vars(importlib.import_module(module)).values()
        assert "training.attacks.backdoor" in modules_behind(module)


def test_full_size_takes_the_published_networks() -> None:
    words = {case.name.split(", ")[2] for case in BACKDOOR_TABLES.cases("paper")}
    assert words == {"resnet18", "resnet34", "mobilenetv2"}


@pytest.mark.parametrize("attack", [attack.name for attack in BACKDOORS])
def test_covers_come_on_top_of_five_per_cent(attack: str) -> None:
    """300 rows: 15 are planted, whatever covers an attack takes; training has no more rows than before."""
    (found,) = (one for one in BACKDOORS if one.name == attack)

    digits = load_digits_images()
    rows = AttackerRows(digits.x, digits.y, digits.spec)
    poison = found.run(rows, round(15 * (1 + COVERS.get(attack, 0))), np.random.default_rng(0))
    covers = (poison.y == poison.y_true) & (poison.y != 1)
    assert (~covers).sum() == 15


def test_one_group_gives_one_row_for_each_case_with_its_figures() -> None:
    settings = {"ground": ground("badnet").model_dump(mode="json")}
    cases = [Case(name, settings | {"method": name}, (__name__,)) for name in ("none", "clean part", "clp")]
    rows = list(BACKDOOR_TABLES.run(cases, 0, Silent()))
    assert [row["trained"] for row in rows] == [300, 300, 300]
    assert all(0 <= float(str(row[name])) <= 1 for row in rows for name in ("accuracy", "success"))
    assert rows[0]["overhead"] == 1
    seconds = [float(str(row["training_seconds"])) for row in rows]
    assert rows[1]["overhead"] == pytest.approx(seconds[1] / seconds[0], rel=0.1)


def test_without_an_attack_nothing_is_poisoned_and_there_is_no_success() -> None:
    clean, poisoned = (set_backdoor_scene(ground(attack), 0) for attack in (None, "badnet"))
    assert clean.trigger is None
    assert set(clean.figures(clean.doubtful.network)) == {"accuracy"}
    assert len(clean.doubtful.rows) == len(poisoned.doubtful.rows) == 300
    assert int((poisoned.doubtful.rows.y == 1).sum() - (clean.doubtful.rows.y == 1).sum()) == 15
    assert len(clean.doubtful.reserved) == 15
    assert not clean.poisoned.any()
    planted = poisoned.doubtful.rows.select(torch.nonzero(poisoned.poisoned).squeeze(1))
    assert planted.y.tolist() == [1] * 15
    there = {row.numpy().tobytes() for row in clean.doubtful.rows.z}
    assert [row.numpy().tobytes() in there for row in poisoned.doubtful.rows.z] == (~poisoned.poisoned).tolist()
