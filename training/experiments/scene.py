"""The rows of one setting at one seed: trusted ones, the attacker's, and clean ones to count false alarms on."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from guard.spec import ClassLabel, InputSpec
from training.attacks.attack import AttackerRows, Inputs, Labels, Poison
from training.attacks.codec import as_sent
from training.datasets import Codec, Dataset, load_dataset, select_classes, split_dataset
from training.device import resolve_device
from training.experiments.roster import find_attack
from training.experiments.setting import Ground
from training.preprocess import LabelScale, Preprocess
from training.rows import Rows

__all__ = ["Crowd", "Encoder", "Samples", "Scene", "gather", "set_scene"]

_MOST_CLEAN = 4_000

Samples = tuple[Inputs, Labels]
"""Encoded x and y."""


@dataclass(frozen=True)
class Scene:
    """`trusted`: St. `outside`: Sc without St, the attacker's. `clean`: rows that nobody learns from or attacks with.

    `clean_rows`: |Sc|. `known`: how many classes the trusted rows may have; 0 for regression. `codec`: what poison goes
    through on its way.
    """

    seed: int
    spec: InputSpec
    trusted: Samples
    outside: AttackerRows
    clean: Samples
    clean_rows: int
    known: int
    device: torch.device
    codec: Codec | None = None


@dataclass(frozen=True)
class Crowd:
    """What arrives: So without St. `poisoned`: bool (n,), the truth about each row."""

    x: Inputs
    y: Labels
    poisoned: NDArray[np.bool_]
    poison: Poison


def set_scene(ground: Ground, seed: int) -> Scene:
    """Draws the rows. The same data, share and seed give the same split whatever else the ground says."""
    dataset = load_dataset(ground.data)
    if ground.clean_rows:
        dataset = replace(dataset, clean_rows=ground.clean_rows)
    if ground.classes:
        dataset = select_classes(dataset, ground.classes)
    split = split_dataset(dataset, ground.trusted, np.random.default_rng(seed))
    outside = AttackerRows(dataset.x[split.outside], dataset.y[split.outside], dataset.spec)
    clean = np.random.default_rng([seed, 2]).permutation(split.clean_test)[:_MOST_CLEAN]
    classes = len(dataset.spec.label.values) if isinstance(dataset.spec.label, ClassLabel) else 0
    scene = Scene(
        seed=seed,
        spec=dataset.spec,
        trusted=_known_rows(dataset, split.trusted, ground.known or classes),
        outside=outside,
        clean=(dataset.x[clean], dataset.y[clean]),
        clean_rows=len(split.trusted) + len(split.outside),
        known=ground.known or classes,
        device=resolve_device(ground.device),
        codec=dataset.codec,
    )
    return _soil(scene, ground) if ground.dirty else scene


def _known_rows(dataset: Dataset, trusted: NDArray[np.int64], known: int) -> Samples:
    kept = trusted[dataset.y[trusted] < known] if known else trusted
    return dataset.x[kept], dataset.y[kept]


def _soil(scene: Scene, ground: Ground) -> Scene:
    """Poison in the place of some trusted rows; the rows that it was made from are no longer the attacker's."""
    (x, y), rng = scene.trusted, np.random.default_rng([scene.seed, 3])
    count = round(ground.dirty * len(y))
    usual = round(0.2 * scene.clean_rows)
    poison = _poison(scene, str(ground.dirty_by), min(usual + count, len(scene.outside.y)), rng)
    dirt, where = rng.permutation(len(poison.y))[:count], rng.permutation(len(y))[:count]
    x, y = x.copy(), y.copy()
    x[where], y[where] = poison.x[dirt], poison.y[dirt]
    left = np.setdiff1d(np.arange(len(scene.outside.y)), poison.base_index[dirt])
    outside = AttackerRows(scene.outside.x[left], scene.outside.y[left], scene.spec)
    return replace(scene, trusted=(x, y), outside=outside)


def gather(scene: Scene, attack: str, rate: float) -> Crowd:
    """So without St: the attacker's clean rows and his poison, round(rate · |Sc|) rows or as many as he can make.

    Poison stands in the place of the row that it was made from, and nobody sends the rows that a targeted attack is
    after.

    Differs from the paper, where |So| = |Sc| + |Sp| also for flipped labels: a flipped row beside its own original is
    outvoted by it and harms no model, so that there would be nothing to defend against.
    """
    rows = scene.outside
    count = min(round(rate * scene.clean_rows), len(rows.y))
    poison = _poison(scene, attack, count, np.random.default_rng([scene.seed, 1]))
    kept = np.setdiff1d(np.arange(len(rows.y)), poison.base_index)
    if poison.targets is not None:
        kept = np.setdiff1d(kept, poison.targets.index)
    truth = np.arange(len(kept) + len(poison.y)) >= len(kept)
    return Crowd(np.concatenate([rows.x[kept], poison.x]), np.concatenate([rows.y[kept], poison.y]), truth, poison)


def _poison(scene: Scene, attack: str, count: int, rng: np.random.Generator) -> Poison:
    """What an attacker who holds the rows outside sends, as it arrives."""
    return as_sent(find_attack(attack).run(scene.outside, count, rng), scene.outside, scene.codec)


class Encoder:
    """Encoded samples as De-Pois's networks see them: scaled by the trusted rows, on the scene's device."""

    def __init__(self, scene: Scene) -> None:
        x, y = scene.trusted
        self._preprocess = Preprocess.fit(scene.spec, x, np.arange(len(y)))
        classes = isinstance(scene.spec.label, ClassLabel)
        self._classes = len(scene.spec.label.values) if isinstance(scene.spec.label, ClassLabel) else 0
        self._labels = None if classes else LabelScale(y.astype(np.float64))
        self._device = scene.device

    def rows(self, x: Inputs, y: Labels) -> Rows:
        """The rows x, y."""
        labels = torch.from_numpy(y)
        with torch.no_grad():
            z = self._preprocess(torch.from_numpy(x))
            target = labels if self._labels is None else self._labels(labels)
        return Rows(z.to(self._device), target.to(self._device), self._classes)
