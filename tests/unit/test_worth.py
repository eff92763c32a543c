"""What a member is worth, on data where the answer is known in closed form."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import norm
from torch import Tensor, nn

from guard.calibration import Calibration, fuse
from guard.spec import ClassLabel, ImageInput, InputSpec, NumberColumn, NumberLabel, TableInput
from training.folds import Fold, FoldPlan
from training.members.member import FittedMember, TrustedData
from training.presets import PRESETS
from training.progress import Silent
from training.worth import FUSED, Challenge, challenges, measure_worth


class _Deviation(nn.Module):
    """y − z: standard normal for trusted rows, shifted by as much as a label is."""

    def __init__(self, wrong: float = 0.0) -> None:
        super().__init__()
        self.wrong = wrong

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        return y - z[:, 0] + self.wrong


def _data(rows: int, folds: int, spec: InputSpec | None = None) -> TrustedData:
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(rows, 1, generator=generator)
    index = np.arange(rows)
    plan = FoldPlan(tuple(Fold(index[index % folds != k], index[index % folds == k]) for k in range(folds)))
    table = TableInput(columns=(NumberColumn(name="v", minimum=-9, maximum=9),))
    return TrustedData(
        z=z,
        y=z[:, 0] + torch.randn(rows, generator=generator),
        classes=0,
        spec=spec or InputSpec(input=table, label=NumberLabel(minimum=-99, maximum=99)),
        plan=plan,
        preset=PRESETS["fast"],
        seed=0,
        device=torch.device("cpu"),
        progress=Silent(),
    )


def _fitted(data: TrustedData, scorer: nn.Module, fold_scorers: tuple[nn.Module, ...] = ()) -> FittedMember:
    calibration = (data.y - data.z[:, 0]).double().numpy()[data.plan.calibration]
    return FittedMember(scorer, calibration, fold_scorers=fold_scorers)


def _fusion(data: TrustedData, fitted: FittedMember, alpha: float):
    scores = fitted.calibration[:, None]
    return fuse(Calibration(scores, np.zeros(len(scores), np.int64), np.ones(1), np.zeros(3)), alpha)


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_worth_agrees_with_the_normal_distribution(shift: float) -> None:
    data = _data(20_000, 4)
    fitted = _fitted(data, _Deviation())
    shifted = Challenge("shifted", data.z, data.y + shift)
    alone, fused = measure_worth(data, shifted, [("deviation", fitted)], _fusion(data, fitted, 0.05))
    assert (alone.member, fused.member, alone.challenge) == ("deviation", FUSED, "shifted")
    for found in (alone, fused):
        assert found.auroc == pytest.approx(norm.cdf(shift / math.sqrt(2)), abs=0.01)
        assert found.recall == pytest.approx(norm.sf(norm.isf(0.05) - shift), abs=0.02)


def test_every_row_is_scored_by_the_model_that_never_saw_it() -> None:
    data = _data(300, 3)
    marked = tuple(_Deviation(100.0 * k) for k in range(3))
    fitted = _fitted(data, _Deviation(1e9), marked)
    same = Challenge("same", data.z, data.y)
    alone, _ = measure_worth(data, same, [("deviation", fitted)], _fusion(data, fitted, 0.05))
    # Folds 1 and 2 lie far above all calibration scores, fold 0 among them; the serving model is never asked.
    assert alone.recall == pytest.approx(2 / 3 + 0.05 / 3, abs=0.02)


def test_a_plan_that_does_not_start_at_the_first_row_keeps_rows_and_scores_together() -> None:
    data = _data(300, 3)
    held_out = FoldPlan((Fold(np.arange(100), np.arange(100, 300)),))
    data = replace(data, plan=held_out)
    fitted = _fitted(data, _Deviation())
    posed = challenges(data, data.y[100:] + 5, seed=0)
    alone, _ = measure_worth(data, posed[0], [("deviation", fitted)], _fusion(data, fitted, 0.05))
    assert [challenge.name for challenge in posed] == ["wrong label"]
    assert alone.auroc > 0.99


def test_images_are_also_corrupted_with_their_labels_kept() -> None:
    spec = InputSpec(input=ImageInput(height=8, width=8, channels=1), label=ClassLabel(values=("a", "b")))
    data = _data(60, 3, spec)
    images = torch.rand(60, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    data = replace(data, z=images, y=torch.arange(60) % 2, classes=2)
    relabelled, corrupted = challenges(data, 1 - data.y, seed=4)
    assert torch.equal(relabelled.z, images)
    assert torch.equal(relabelled.y, 1 - data.y)
    assert torch.equal(corrupted.y, data.y)
    changed = (corrupted.z != images).flatten(1).any(1)
    assert changed.float().mean() > 0.9
    assert torch.equal(corrupted.z, challenges(data, 1 - data.y, seed=4)[1].z)
    assert not torch.equal(corrupted.z, challenges(data, 1 - data.y, seed=5)[1].z)
