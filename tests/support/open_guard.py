"""A small guard of digits, trained as a bundle is, for attackers who know it."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch

from training.assemble import calibrate
from training.attacks.attack import AttackerRows
from training.datasets import load_digits_images
from training.device import deterministic
from training.experiments.trial import ALPHA, Trial
from training.folds import plan_folds
from training.learn import Stages, learn
from training.presets import Preset
from training.progress import Silent
from training.snapshot import snapshot_from_arrays

DIGITS = load_digits_images()
BRIEF = Preset("fast", augment=5, mimic=20, network=150, adversarial=80, folds=3, batch=64)
TRUSTED = 600


@cache
def digits_guard() -> Trial:
    """Trained on the first 600 of the shuffled digits, 120 of which calibrate."""
    order = _order()[:TRUSTED]
    snapshot = snapshot_from_arrays(DIGITS.x[order], DIGITS.y[order], DIGITS.spec)
    with deterministic():
        plan = plan_folds(snapshot, BRIEF.folds)
        learned = learn(snapshot, plan, BRIEF, 0, torch.device("cpu"), Silent(), Stages(), "none")
    return Trial(learned, calibrate(learned, snapshot, ALPHA)[1])


def outside_rows() -> AttackerRows:
    """The other digits, of which the guard saw none."""
    rest = _order()[TRUSTED:]
    return AttackerRows(DIGITS.x[rest], DIGITS.y[rest], DIGITS.spec)


def _order() -> np.ndarray:
    return np.random.default_rng(0).permutation(len(DIGITS.y))
