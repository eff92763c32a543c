"""Which augmenter to keep: the one whose rows teach a small fixed model most about trusted rows it did not see."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from sklearn.linear_model import Ridge
from torch.nn import functional

from training.augmenters import AUGMENTERS, AugmenterName
from training.depois import augmenter_settings, synthetic_rows
from training.members.member import TrustedData
from training.networks import body, recipe_for, seeded, train
from training.rows import Rows
from training.seeding import draw_seed

__all__ = ["MOST_JUDGE_ROWS", "MOST_TEACH_ROWS", "SPLITS", "AugmenterChoice", "choose_augmenter"]

SPLITS = 3
"""Random splits of the trusted rows: enough for a spread, few enough to cost less than what is chosen."""

MOST_TEACH_ROWS = 2000
MOST_JUDGE_ROWS = 1000
"""An augmenter is worth most where rows are few; beyond these numbers its worth cannot be told from noise."""

_JUDGE_SHARE = 0.25


@dataclass(frozen=True)
class AugmenterChoice:
    """The winner, and each augmenter's loss on held-out trusted rows, one number per split.

    `measure`: "log-loss" (nats per row, classification) or "mean squared error" (of the standardised label).
    """

    name: AugmenterName
    measure: str
    losses: dict[AugmenterName, tuple[float, ...]]

    def gain(self, name: AugmenterName) -> tuple[float, float]:
        """By how much `name` beats no augmentation: mean and standard deviation over the splits of the difference."""
        gains = np.subtract(self.losses["none"], self.losses[name])
        return float(gains.mean()), float(gains.std(ddof=1))


def choose_augmenter(data: TrustedData) -> AugmenterChoice:
    """Compares all augmenters on the same splits, with the same model from the same start, and keeps the lowest mean.

    Classification: log-loss of a small network; regression: mean squared error of ridge regression. Rows that are held
    out for calibration take no part; where folds are crossed every row does, and the calibration owes them one choice
    among four. The splits share the augmenter's budget.
    """
    rows = _eligible(data)
    generator = torch.Generator().manual_seed(data.seed)
    losses: dict[AugmenterName, list[float]] = {name: [] for name in AUGMENTERS}
    for split in range(SPLITS):
        teach, judge = _split(rows, generator)
        seed = draw_seed(generator)
        for name, found in losses.items():
            found.append(_loss(data, name, teach, judge, seed, f"{name}, split {split + 1}/{SPLITS}"))
    winner = min(losses, key=lambda name: (np.mean(losses[name]), name != "none"))
    measure = "log-loss" if data.classes else "mean squared error"
    return AugmenterChoice(winner, measure, {name: tuple(found) for name, found in losses.items()})


def _eligible(data: TrustedData) -> Rows:
    rows = Rows(data.z, data.y, data.classes)
    return rows.select(torch.from_numpy(data.plan.folds[0].train)) if data.plan.held_out else rows


def _split(rows: Rows, generator: torch.Generator) -> tuple[Rows, Rows]:
    """Rows that teach, and rows that neither augmenter nor model sees."""
    order = torch.randperm(len(rows), generator=generator)
    judge = min(max(round(_JUDGE_SHARE * len(rows)), 1), MOST_JUDGE_ROWS)
    return rows.select(order[judge : judge + MOST_TEACH_ROWS]), rows.select(order[:judge])


def _loss(data: TrustedData, name: AugmenterName, teach: Rows, judge: Rows, seed: int, what: str) -> float:
    augmenter = AUGMENTERS[name](augmenter_settings(replace(data.preset, published=False), SPLITS), data.progress)
    synthetic = augmenter(teach, synthetic_rows(data.preset, teach), torch.Generator().manual_seed(seed))
    augmented = teach.join(synthetic.rows)
    return _log_loss(data, augmented, judge, seed, what) if data.classes else _squared_error(augmented, judge)


def _log_loss(data: TrustedData, augmented: Rows, judge: Rows, seed: int, what: str) -> float:
    network = seeded(lambda: body(augmented.z.shape[1:], data.classes), seed).to(data.device)
    recipe = recipe_for(augmented.z, max(data.preset.network // SPLITS, 1), data.preset.batch)
    train(
        network,
        lambda z, y, _: functional.cross_entropy(network(z), y),
        *(augmented.z, augmented.y, recipe, seed, data.progress, f"choosing an augmenter: {what}"),
    )
    with torch.no_grad():
        return float(functional.cross_entropy(network(judge.z), judge.y))


def _squared_error(augmented: Rows, judge: Rows) -> float:
    ridge = Ridge(alpha=1.0).fit(augmented.z.flatten(1).cpu().numpy(), augmented.y.cpu().numpy())
    return float(np.mean((ridge.predict(judge.z.flatten(1).cpu().numpy()) - judge.y.cpu().numpy()) ** 2))
