"""The augmenters, listed once: the paper's and what it is measured against."""

from __future__ import annotations

from collections.abc import Callable

from training.augmenter import AugmenterSettings
from training.augmenters.augmenter import Augmenter, AugmenterName, Synthetic
from training.augmenters.cgan import cgan
from training.augmenters.mixup import mixup
from training.augmenters.none import none
from training.augmenters.smote import smote
from training.progress import Progress

__all__ = ["AUGMENTERS", "Augmenter", "AugmenterName", "Synthetic"]

AUGMENTERS: dict[AugmenterName, Callable[[AugmenterSettings, Progress], Augmenter]] = {
    "cgan": cgan,
    "mixup": lambda _settings, _progress: mixup,
    "smote": lambda _settings, _progress: smote,
    "none": lambda _settings, _progress: none,
}
"""Name → what makes the augmenter; only `cgan` has something to train and so needs settings and progress."""
