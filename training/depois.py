"""De-Pois as one pipeline (§IV): augment the trusted rows, train the mimic on them, set the boundary."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from training.augmenter import AugmenterSettings
from training.augmenters import AUGMENTERS, Augmenter
from training.boundary import Boundary, fit_boundary
from training.critic import LabelInput
from training.mimic import MimicSettings, train_mimic
from training.networks import score_rows
from training.presets import PRESETS, Preset
from training.progress import Progress, Silent
from training.rows import Rows

__all__ = [
    "DePois",
    "augmenter_settings",
    "fit_depois",
    "fit_published",
    "mimic_settings",
    "synthetic_rows",
]

_MOST_SYNTHETIC = 50_000


@dataclass(frozen=True)
class DePois:
    """A fitted pipeline.

    `critic`: D_w, (z, y) → (n,); `augmented`: the rows S_aug that it was trained on; `boundary`: on them; and curves.
    """

    critic: nn.Module
    augmented: Rows
    boundary: Boundary
    curves: dict[str, list[float]] = field(default_factory=dict)

    def poisoned(self, rows: Rows) -> NDArray[np.bool_]:
        """The published verdict (Eq. 10) for each row, (n,)."""
        return self.boundary.poisoned(score_rows(self.critic, rows.z, rows.y))


def fit_depois(
    rows: Rows,
    augmenter: Augmenter,
    synthetic: int,
    settings: MimicSettings,
    generator: torch.Generator,
    *,
    held_out: Rows | None = None,
    progress: Progress | None = None,
    name: str = "",
) -> DePois:
    """Fits the pipeline on trusted rows with |S_aug| = len(rows) + `synthetic`.

    `held_out`: trusted rows, none of them in `rows`, that decide when the mimic stops; without them its budget is
    spent. `name` is shown with the progress.
    """
    made = augmenter(rows, synthetic, generator)
    augmented = rows.join(made.rows)
    mimic = train_mimic(augmented, settings, generator, held_out=held_out, progress=progress, name=name)
    boundary = fit_boundary(score_rows(mimic.critic, augmented.z, augmented.y))
    return DePois(mimic.critic, augmented, boundary, _named(made.curves, "augmenter") | _named(mimic.curves, "mimic"))


def fit_published(
    rows: Rows,
    generator: torch.Generator,
    *,
    synthetic: int | None = None,
    preset: Preset = PRESETS["paper"],
    label_input: LabelInput | None = None,
    progress: Progress | None = None,
) -> DePois:
    """De-Pois as printed: cGAN + authenticator, fixed budgets, z_s = −1.96.

    `synthetic`: |Ss'| = |So| − |St| where |So| is known; None: |S_aug| = 5·|St|, as where |St| = 20 % of |So|.
    `label_input` None takes what the task takes by default. The same code as the member's, without its stop rule;
    2000 steps are the public code's.
    """
    augmenter = AUGMENTERS["cgan"](augmenter_settings(preset), progress or Silent())
    settings = mimic_settings(preset, rows.classes)
    settings = replace(settings, label_input=label_input or settings.label_input)
    count = synthetic_rows(preset, rows) if synthetic is None else synthetic
    return fit_depois(rows, augmenter, count, settings, generator, progress=progress)


def augmenter_settings(preset: Preset, folds: int = 1) -> AugmenterSettings:
    """The augmenter's settings for one of `folds` fits; the published budget is spent whole, by full-size networks."""
    steps = preset.share(preset.augment, folds)
    if preset.published:
        return AugmenterSettings(steps, width=256, rate=2e-4, tolerance=0.0)
    return AugmenterSettings(steps)


def mimic_settings(preset: Preset, classes: int, folds: int = 1) -> MimicSettings:
    """The mimic's settings for one of `folds` fits.

    Classes are multiplied in, as in the public code: it learns several times faster than concatenation. A regression
    label is concatenated: multiplied in, the critic becomes monotone in it, and the AUROC near 0 or 1 by luck.
    """
    label_input: LabelInput = "multiply" if classes else "concat"
    return MimicSettings(preset.share(preset.mimic, folds), label_input, width=256 if preset.published else 64)


def synthetic_rows(preset: Preset, rows: Rows) -> int:
    """|Ss'| for these trusted rows, at most 50,000: more than training ever draws would only cost memory."""
    return min(round(preset.synthetic * len(rows)), _MOST_SYNTHETIC)


def _named(curves: dict[str, list[float]], prefix: str) -> dict[str, list[float]]:
    return {f"{prefix} {name}": values for name, values in curves.items()}
