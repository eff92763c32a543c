"""De-Pois taken apart: other augmenters before the mimic, and a plain conditional GAN in the mimic's place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import nn

from training.augmenter import train_augmenter
from training.augmenters import AUGMENTERS, Augmenter
from training.boundary import fit_boundary
from training.depois import DePois, augmenter_settings, mimic_settings
from training.experiments.scene import Encoder, Scene
from training.mimic import train_mimic
from training.networks import score_rows
from training.presets import Preset
from training.progress import Progress
from training.rows import Rows

__all__ = ["AUGMENTED_BY", "MIMICKED_BY", "fit_variants", "variant_name"]

AUGMENTED_BY = ("cgan+authenticator", "cgan", "smote", "mixup", "none", "real")
"""`real`: clean rows of Sc instead of synthetic ones, what augmentation can reach at best."""

MIMICKED_BY = ("cwgan-gp", "gan")
"""`gan`: the discriminator of a conditional GAN on the same augmented rows."""


def variant_name(augmenter: str, mimic: str) -> str:
    """The method's name in the tables."""
    return f"depois:{augmenter}/{mimic}"


def fit_variants(
    names: Sequence[str], scene: Scene, encoder: Encoder, preset: Preset, progress: Progress
) -> dict[str, DePois]:
    """Each variant by name; variants with the same augmenter learn from the same augmented rows, |S_aug| = |Sc|."""
    fitted: dict[str, DePois] = {}
    for augmenter in AUGMENTED_BY:
        wanted = [mimic for mimic in MIMICKED_BY if variant_name(augmenter, mimic) in names]
        if wanted:
            augmented = _augmented(augmenter, scene, encoder, preset, progress)
            fitted |= {variant_name(augmenter, one): _mimic(one, augmented, scene, preset, progress) for one in wanted}
    return fitted


def _augmented(name: str, scene: Scene, encoder: Encoder, preset: Preset, progress: Progress) -> Rows:
    trusted, outside = encoder.rows(*scene.trusted), encoder.rows(scene.outside.x, scene.outside.y)
    if name == "real":
        return trusted.join(outside)
    made = _augmenter(name, preset, progress)(trusted, len(outside), torch.Generator().manual_seed(scene.seed))
    return trusted.join(made.rows)


def _augmenter(name: str, preset: Preset, progress: Progress) -> Augmenter:
    settings = augmenter_settings(preset)
    if name == "cgan+authenticator":
        return AUGMENTERS["cgan"](settings, progress)
    if name == "cgan":
        return AUGMENTERS["cgan"](replace(settings, authenticator=0.0), progress)
    return AUGMENTERS["smote" if name == "smote" else "mixup" if name == "mixup" else "none"](settings, progress)


def _mimic(name: str, augmented: Rows, scene: Scene, preset: Preset, progress: Progress) -> DePois:
    generator = torch.Generator().manual_seed(scene.seed + 1)
    if name == "gan":
        settings = replace(augmenter_settings(preset), authenticator=0.0)
        critic: nn.Module = train_augmenter(augmented, settings, generator, progress).discriminator
    else:
        critic = train_mimic(augmented, mimic_settings(preset, augmented.classes), generator, progress=progress).critic
    return DePois(critic, augmented, fit_boundary(score_rows(critic, augmented.z, augmented.y)))
