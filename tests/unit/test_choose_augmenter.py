from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from guard.spec import ClassLabel, InputSpec, NumberColumn, NumberLabel, TableInput
from training.augmenters import AUGMENTERS
from training.choose_augmenter import SPLITS, AugmenterChoice, choose_augmenter
from training.folds import Fold, FoldPlan
from training.members.member import TrustedData
from training.presets import Preset
from training.progress import Silent

PRESET = Preset("fast", augment=6, mimic=6, network=240, adversarial=1, folds=3)
COLUMNS = TableInput(columns=(NumberColumn(name="a", minimum=-9, maximum=9),))


def data(*, classes: int, held_out: bool = False, seed: int = 0, count: int = 90) -> TrustedData:
    """Rows on the line whose label is its sign, or for regression its double plus noise."""
    rng = np.random.default_rng(17)
    z = rng.normal(size=(count, 1)).astype(np.float32)
    labels = (
        (z[:, 0] > 0).astype(np.int64) if classes else (2 * z[:, 0] + 0.1 * rng.normal(size=count)).astype(np.float32)
    )
    part = np.arange(count) % 3
    folds = tuple(Fold(np.flatnonzero(part != k), np.flatnonzero(part == k)) for k in range(1 if held_out else 3))
    label = ClassLabel(values=("minus", "plus")) if classes else NumberLabel(minimum=-9, maximum=9)
    return TrustedData(
        *(torch.from_numpy(z), torch.from_numpy(labels), classes, InputSpec(input=COLUMNS, label=label)),
        *(FoldPlan(folds), PRESET, seed, torch.device("cpu"), Silent()),
    )


@pytest.mark.parametrize("classes", [2, 0])
def test_the_augmenter_with_the_lowest_mean_loss_wins_and_bad_rows_lose(classes: int) -> None:
    choice = choose_augmenter(data(classes=classes))
    assert set(choice.losses) == set(AUGMENTERS)
    assert all(len(losses) == SPLITS for losses in choice.losses.values())
    means = {name: np.mean(losses) for name, losses in choice.losses.items()}
    assert means[choice.name] == min(means.values())
    # A generator of two steps makes noise; whoever learns from it must be worse off by more than the spread.
    gain, spread = choice.gain("cgan")
    assert gain < -spread
    assert choice.measure == ("log-loss" if classes else "mean squared error")


def test_the_loss_of_no_augmentation_is_the_noise_that_ridge_cannot_explain() -> None:
    losses = choose_augmenter(data(classes=0, count=900)).losses
    assert np.mean(losses["none"]) == pytest.approx(0.1**2, rel=0.25)


def test_a_gain_is_the_mean_and_spread_of_the_differences() -> None:
    losses = {"none": (3.0, 4.0, 5.0), "mixup": (2.0, 4.0, 3.0), "smote": (3.0, 4.0, 5.0), "cgan": (9.0, 9.0, 9.0)}
    choice = AugmenterChoice("mixup", "log-loss", losses)  # type: ignore[arg-type]
    assert choice.gain("mixup") == (1.0, 1.0)
    assert choice.gain("none") == (0.0, 0.0)


def test_rows_held_out_for_calibration_take_no_part() -> None:
    trusted = data(classes=2, held_out=True)
    changed = trusted.y.clone()
    changed[trusted.plan.folds[0].calibrate] = 1 - changed[trusted.plan.folds[0].calibrate]
    assert choose_augmenter(replace(trusted, y=changed)) == choose_augmenter(trusted)


def test_another_seed_splits_otherwise() -> None:
    assert choose_augmenter(data(classes=0, seed=1)).losses != choose_augmenter(data(classes=0, seed=2)).losses
