"""How much poison is held, at which rate of false alarms: the guard, and De-Pois as printed on the same rows."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from training.attacks import Attack, AttackerRows, Poison
from training.attacks.attack import Inputs, Labels
from training.datasets import Dataset, split_dataset
from training.depois import DePois, fit_published
from training.experiments.experiment import Row
from training.experiments.trial import Trial, train_trial
from training.networks import score_rows
from training.presets import PRESETS, Preset, PresetName
from training.progress import Progress

__all__ = ["Samples", "detect", "recall_at"]

_MOST_POISON = 4_000
_MOST_CLEAN = 10_000
_RATE = 0.01

Samples = tuple[Inputs, Labels]


def detect(
    dataset: Dataset,
    attack: Attack,
    trusted: float,
    preset: PresetName,
    seed: int,
    progress: Progress,
    published: Preset = PRESETS["paper"],
) -> Row:
    """One split, one attack, one guard, one De-Pois. Figures are named as in the result files.

    `trusted`: share of |So| = 1.2 · |Sc|. Poison comes from rows outside the trusted set, false alarms are counted on
    rows that neither trained, calibrated nor served the attacker. `fqr` and `recall`: the verdict at α = 1 %;
    `recall_at_1`: with the threshold that holds exactly 1 % of the clean test rows; `auroc`: of the same score.
    `depois_*`: the published verdict (z = −1.96) and its score, trained with the budgets of `published`.
    """
    split = split_dataset(dataset, trusted, np.random.default_rng(seed))
    rng = np.random.default_rng([seed, 1])
    holding = AttackerRows(dataset.x[split.outside], dataset.y[split.outside], dataset.spec)
    poison = _cut(attack.run(holding, min(split.poison, len(split.outside)), rng))
    clean_rows = rng.permutation(split.clean_test)[:_MOST_CLEAN]
    clean, poisoned = (dataset.x[clean_rows], dataset.y[clean_rows]), (poison.x, poison.y)
    trial = train_trial(dataset, split.trusted, preset, seed, progress)
    model = fit_published(
        trial.trusted,
        torch.Generator().manual_seed(seed),
        synthetic=len(split.outside) + split.poison,
        preset=published,
        progress=progress,
    )
    counts: Row = {"trusted": len(split.trusted), "poison": len(poison.y), "clean": len(clean_rows)}
    return {**counts, **_guard(trial, clean, poisoned), **_published(model, trial, clean, poisoned)}


def recall_at(rate: float, clean: NDArray[np.float64], poison: NDArray[np.float64]) -> float:
    """Share of `poison` scores above the threshold that ⌊rate · n⌋ of the n `clean` scores exceed."""
    allowed = int(rate * len(clean))
    threshold = np.sort(clean)[len(clean) - allowed - 1]
    return float(np.mean(poison > threshold))


def _cut(poison: Poison) -> Poison:
    kept = slice(0, _MOST_POISON)
    return Poison(poison.x[kept], poison.y[kept], poison.base_index[kept], poison.y_true[kept])


def _guard(trial: Trial, clean: Samples, poisoned: Samples) -> Row:
    held = {"fqr": trial.judge(*clean).held.mean(), "recall": trial.judge(*poisoned).held.mean()}
    card = trial.fusion.card
    return {
        **{name: float(share) for name, share in held.items()},
        **_ranking("", trial.surprise(*clean), trial.surprise(*poisoned)),
        "band_low": card.band[0],
        "band_high": card.band[1],
        "extrapolated": card.extrapolated,
    }


def _published(model: DePois, trial: Trial, clean: Samples, poisoned: Samples) -> Row:
    tested = [trial.rows(*samples) for samples in (clean, poisoned)]
    scores = [-score_rows(model.critic, rows.z, rows.y) for rows in tested]
    held = [model.poisoned(rows).mean() for rows in tested]
    return {"depois_fqr": float(held[0]), "depois_recall": float(held[1]), **_ranking("depois_", *scores)}


def _ranking(prefix: str, clean: NDArray[np.float64], poison: NDArray[np.float64]) -> Row:
    truth = np.repeat([0, 1], [len(clean), len(poison)])
    return {
        f"{prefix}auroc": float(roc_auc_score(truth, np.concatenate([clean, poison]))),
        f"{prefix}recall_at_1": recall_at(_RATE, clean, poison),
    }
