"""What the mimic keeps beyond what every member must (test_members.py)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from guard.spec import ClassLabel, InputSpec, NumberColumn, NumberLabel, TableInput
from training.folds import Fold, FoldPlan
from training.members.member import TrustedData
from training.members.mimic import MIMIC
from training.networks import score_rows
from training.presets import PRESETS
from training.progress import Silent

PRESET = replace(PRESETS["fast"], augment=6, mimic=9)
TABLE = TableInput(columns=(NumberColumn(name="a", minimum=-9, maximum=9),))
SPECS = {
    0: InputSpec(input=TABLE, label=NumberLabel(minimum=-9, maximum=9)),
    2: InputSpec(input=TABLE, label=ClassLabel(values=("no", "yes"))),
}


def data(*, classes: int = 2, images: bool = False, held_out: bool = False, seed: int = 0) -> TrustedData:
    generator, count = torch.Generator().manual_seed(31), 45
    z = torch.rand(count, *((1, 6, 6) if images else (3,)), generator=generator)
    y = torch.arange(count) % 2 if classes else torch.randn(count, generator=generator)
    part = np.arange(count) % 3
    folds = tuple(Fold(np.flatnonzero(part != k), np.flatnonzero(part == k)) for k in range(1 if held_out else 3))
    return TrustedData(*(z, y, classes, SPECS[classes], FoldPlan(folds), PRESET, seed, torch.device("cpu"), Silent()))


def test_the_member_is_listed_with_a_small_share() -> None:
    assert MIMIC.name == "mimic"
    for spec in SPECS.values():
        for rows in (30, 60_000):
            assert MIMIC.applies(spec, rows)
            assert 0 < MIMIC.weight(spec, rows) <= 0.2


@pytest.mark.parametrize("classes", [2, 0])
@pytest.mark.parametrize("held_out", [True, False])
def test_calibration_scores_come_from_the_critic_that_never_saw_the_row(classes: int, held_out: bool) -> None:
    trusted = data(classes=classes, held_out=held_out)
    fitted = MIMIC.fit(trusted)
    assert len(fitted.calibration) == len(trusted.plan.calibration)
    scorers = fitted.fold_scorers or (fitted.scorer,)
    place = {int(row): at for at, row in enumerate(trusted.plan.calibration)}
    for fold, scorer in zip(trusted.plan.folds, scorers, strict=True):
        expected = score_rows(scorer, trusted.z[fold.calibrate], trusted.y[fold.calibrate])
        np.testing.assert_allclose(fitted.calibration[[place[row] for row in fold.calibrate]], expected)


@pytest.mark.parametrize("augmenter", ["cgan", "none"])
def test_what_is_held_out_changes_nothing_that_is_learned(augmenter: str) -> None:
    trusted = replace(data(held_out=True), augmenter=augmenter)
    held = trusted.plan.folds[0].calibrate
    z, y = trusted.z.clone(), trusted.y.clone()
    z[held], y[held] = 5.0, 1 - y[held]
    first, second = MIMIC.fit(trusted), MIMIC.fit(replace(trusted, z=z, y=y))
    assert torch.equal(first.scorer(trusted.z, trusted.y), second.scorer(trusted.z, trusted.y))
    assert first.boundary == second.boundary


def test_the_boundary_is_on_the_scale_of_the_score() -> None:
    fitted = MIMIC.fit(replace(data(held_out=True), augmenter="none"))
    assert fitted.boundary is not None
    mean, std, z = fitted.boundary
    # One critic, standardised by the rows on which the boundary is set.
    assert (mean, std, z) == (pytest.approx(0.0, abs=1e-4), pytest.approx(1.0, abs=1e-3), -1.96)


def test_every_fold_leaves_its_curves() -> None:
    curves = MIMIC.fit(data()).curves
    for fold in (1, 2, 3):
        for name in ("augmenter generator", "mimic wasserstein", "mimic separation"):
            assert curves[f"{name}, fold {fold}"]


def test_the_published_preset_spends_its_budget_and_has_no_stop_rule() -> None:
    curves = MIMIC.fit(replace(data(), preset=replace(PRESET, published=True, augment=2, mimic=2))).curves
    assert len(curves["mimic wasserstein, fold 3"]) == 2
    assert "mimic separation, fold 1" not in curves
