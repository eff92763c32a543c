"""The methods of the tables, side by side: our guard, De-Pois as published and its variants, and the baselines."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from guard.spec import ClassLabel
from training.attacks.attack import Inputs
from training.defences.defence import Evidence
from training.depois import DePois, fit_published
from training.experiments.experiment import Row
from training.experiments.metrics import Judgement
from training.experiments.roster import GUARD, PUBLISHED, TAUGHT, find_defence
from training.experiments.scene import Crowd, Encoder, Samples, Scene
from training.experiments.setting import Ground
from training.experiments.trial import Trial, train_trial
from training.experiments.variants import fit_variants
from training.networks import score_rows
from training.presets import PRESETS
from training.progress import Progress
from training.quality import measure_quality

__all__ = ["Trained", "histogram", "judge", "likeness", "train_methods"]

_BINS = 40


@dataclass(frozen=True)
class Trained:
    """What was trained on one scene: our guard where it is asked for, and De-Pois in its variants by name."""

    scene: Scene
    ground: Ground
    encoder: Encoder
    trial: Trial | None
    published: dict[str, DePois]


def train_methods(scene: Scene, ground: Ground, methods: Iterable[str], progress: Progress) -> Trained:
    """Trains what the `methods` need that learn from trusted rows alone, each once for all attacks."""
    wanted, encoder = set(methods), Encoder(scene)
    trial = _train_guard(scene, ground, progress) if GUARD in wanted else None
    published: dict[str, DePois] = {}
    if PUBLISHED in wanted:
        published[PUBLISHED] = fit_published(
            encoder.rows(*scene.trusted),
            torch.Generator().manual_seed(scene.seed),
            synthetic=round(1.2 * scene.clean_rows) - len(scene.trusted[1]),
            preset=PRESETS[ground.published],
            progress=progress,
        )
    variants = sorted(name for name in wanted if name.startswith(f"{PUBLISHED}:"))
    published |= fit_variants(variants, scene, encoder, PRESETS[ground.published], progress)
    return Trained(scene, ground, encoder, trial, published)


def _train_guard(scene: Scene, ground: Ground, progress: Progress, stream: Inputs | None = None) -> Trial:
    spec = scene.spec
    if isinstance(spec.label, ClassLabel) and scene.known < len(spec.label.values):
        label = ClassLabel.model_validate({"values": spec.label.values[: scene.known]})
        spec = spec.model_copy(update={"label": label})
    return train_trial(*scene.trusted, spec, ground.preset, scene.seed, progress, scene.device, stream)


def judge(method: str, trained: Trained, crowd: Crowd, progress: Progress) -> Judgement:
    """What the method called `method` makes of what arrives; `TAUGHT` learns from it first. Raises WrongUse."""
    if method == GUARD and trained.trial is not None:
        return _by_guard(trained.trial, crowd, trained.scene)
    if method == TAUGHT:
        return _by_guard(_train_guard(trained.scene, trained.ground, progress, crowd.x), crowd, trained.scene)
    if method in trained.published:
        return _by_critic(trained.published[method], trained.encoder, crowd, trained.scene.clean)
    return _by_defence(method, crowd, trained.scene)


def histogram(model: DePois, trained: Trained, crowd: Crowd) -> Row:
    """Shares of clean rows and of poison in 40 equal bins of critic values, with μ, σ and y_thr of the boundary."""
    values = [
        score_rows(model.critic, rows.z, rows.y)
        for rows in (
            trained.encoder.rows(*trained.scene.clean),
            trained.encoder.rows(crowd.x[crowd.poisoned], crowd.y[crowd.poisoned]),
        )
    ]
    low, high = np.quantile(np.concatenate(values), (0.002, 0.998)).tolist()
    edges = np.linspace(low, high, _BINS + 1)
    clean, poison = (np.histogram(part.clip(edges[0], edges[-1]), edges)[0] / len(part) for part in values)
    boundary = model.boundary
    return {
        "edges": edges.tolist(),
        "clean": clean.tolist(),
        "poison": poison.tolist(),
        "mean": boundary.mean,
        "std": boundary.std,
        "threshold": boundary.threshold,
    }


def likeness(trained: Trained) -> Row:
    """`measure_quality` of what each variant added to St, against clean rows that are neither in St nor added.

    Variants with one augmenter share what it made, and are listed once, by the augmenter's name.
    """
    real, trusted = trained.encoder.rows(*trained.scene.clean), len(trained.scene.trusted[1])
    found: Row = {}
    for name, model in trained.published.items():
        augmenter = name.removeprefix(f"{PUBLISHED}:").split("/")[0]
        if augmenter not in found and len(model.augmented) > trusted:
            made = model.augmented.select(torch.arange(trusted, len(model.augmented)))
            quality = asdict(measure_quality(real, made, seed=trained.scene.seed))
            found[augmenter] = {name: value for name, value in quality.items() if value is not None}
    return found


def _by_guard(trial: Trial, crowd: Crowd, scene: Scene) -> Judgement:
    (suspicion, held), (clean, clean_held) = (
        _guard_says(trial, samples, scene) for samples in ((crowd.x, crowd.y), scene.clean)
    )
    return Judgement(suspicion, clean, held, clean_held)


def _guard_says(trial: Trial, samples: Samples, scene: Scene) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Suspicion and verdict; a class that the trusted rows do not hold is held without being scored."""
    x, y = samples
    unknown = y >= scene.known if scene.known else np.zeros(len(y), np.bool_)
    suspicion, held = np.full(len(y), np.finfo(np.float64).max), unknown.copy()
    suspicion[~unknown] = trial.surprise(x[~unknown], y[~unknown])
    held[~unknown] = trial.judge(x[~unknown], y[~unknown]).held
    return suspicion, held


def _by_critic(model: DePois, encoder: Encoder, crowd: Crowd, clean: Samples) -> Judgement:
    """The published verdict y_pre < y_thr, and -y_pre as suspicion."""
    arrived, other = encoder.rows(crowd.x, crowd.y), encoder.rows(*clean)
    suspicion, clean_suspicion = (-score_rows(model.critic, rows.z, rows.y) for rows in (arrived, other))
    return Judgement(
        suspicion,
        clean_suspicion,
        model.boundary.poisoned(-suspicion),
        model.boundary.poisoned(-clean_suspicion),
    )


def _by_defence(method: str, crowd: Crowd, scene: Scene) -> Judgement:
    """A baseline: it is told the share of poison, which no defender knows, and given the trusted rows."""
    share = float(crowd.poisoned.mean())
    evidence = Evidence(crowd.x, crowd.y, *scene.trusted, *scene.clean, scene.spec, scene.seed, share)
    ranking = find_defence(method).run(evidence)
    return Judgement(ranking.suspicion, ranking.clean_suspicion, ranking.flagged)
