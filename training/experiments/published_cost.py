"""What the published method and the baselines cost: Tables IV and V."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import torch

from training.augmenter import train_augmenter
from training.depois import augmenter_settings, fit_published, mimic_settings
from training.experiments.experiment import Case, Experiment, Row, Scale, one_by_one
from training.experiments.methods import Trained, judge
from training.experiments.roster import PUBLISHED, find_attack, find_defence
from training.experiments.scene import Encoder, Scene, gather, set_scene
from training.experiments.setting import Ground
from training.experiments.summary import mean_and_spread
from training.mimic import train_mimic
from training.presets import PRESETS
from training.progress import Progress

__all__ = ["METHOD_SPEED", "PUBLISHED_TIME"]

_SAMPLES = 500
_ATTACKS = {"fourclass": "random-flip", "house": "statistical", "mnist": "random-flip"}
_BASELINES = {
    "fourclass": ("centroid", "deep-knn", "label-sanitisation", "duti", "sever"),
    "house": ("trim", "duti", "sever"),
    "mnist": ("centroid", "deep-knn", "label-sanitisation", "sever"),
}
_REPEATS = 3


def _speed(case: Case, seed: int, progress: Progress) -> Row:
    """Seconds for 1000 samples, the median of 3 runs: De-Pois scores, a baseline is fitted to them and judges them.

    What needs trusted rows alone is trained before; the critic's weights do not matter here.
    """
    scene, ground, encoder = _scene(case, seed)
    brief = replace(PRESETS["paper"], augment=1, mimic=1)
    rows = encoder.rows(*scene.trusted)
    model = fit_published(rows, torch.Generator().manual_seed(seed), preset=brief, progress=progress)
    trained = Trained(scene, ground, encoder, None, {PUBLISHED: model})
    crowd = gather(scene, _ATTACKS[str(case.settings["data"])], 0.2)
    figures: Row = {}
    for method in (PUBLISHED, *_BASELINES[str(case.settings["data"])]):
        times = []
        for _ in range(_REPEATS):
            began = time.perf_counter()
            judge(method, trained, crowd, progress)
            times.append((time.perf_counter() - began) / (len(crowd.y) + len(scene.clean[1])) * 1000)
        figures[method] = float(np.median(times))
    return figures


def _time(case: Case, seed: int, progress: Progress) -> Row:
    """Seconds to train augmenter and mimic from 500 samples with the printed budgets, on which alone they depend."""
    scene, _, encoder = _scene(case, seed)
    rows = encoder.rows(*scene.trusted)
    rows = rows.select(torch.arange(_SAMPLES) % len(rows))
    preset, generator = PRESETS["paper"], torch.Generator().manual_seed(seed)
    began = time.perf_counter()
    train_augmenter(rows, augmenter_settings(preset), generator, progress)
    between = time.perf_counter()
    train_mimic(rows, mimic_settings(preset, rows.classes), generator, progress=progress)
    return {"augment_seconds": between - began, "mimic_seconds": time.perf_counter() - between}


def _scene(case: Case, seed: int) -> tuple[Scene, Ground, Encoder]:
    ground = Ground.model_validate(case.settings)
    scene = set_scene(ground, seed)
    return scene, ground, Encoder(scene)


def _cases(_scale: Scale) -> tuple[Case, ...]:
    grounds = [
        Ground(data="fourclass", trusted=0.20),
        Ground(data="house", trusted=0.20),
        Ground(data="mnist", trusted=0.20, clean_rows=2_500),
    ]
    return tuple(
        Case(ground.data, ground.model_dump(mode="json"), sources=(__name__, *_modules(ground.data)))
        for ground in grounds
    )


def _modules(data: str) -> tuple[str, ...]:
    runs = [find_attack(_ATTACKS[data]).run, *(find_defence(name).run for name in _BASELINES[data])]
    return tuple(run.__module__ for run in runs)


METHOD_SPEED = Experiment(
    name="method-speed",
    figure="seconds that De-Pois as published and the baselines take for 1000 samples",
    cases=_cases,
    seeds={"small": 1, "paper": 3},
    run=one_by_one(_speed),
    summarise=mean_and_spread,
    timed=True,
)
"""Table IV; our guard's seconds are in `graph-speed`."""

PUBLISHED_TIME = Experiment(
    name="published-time",
    figure="seconds to train De-Pois's augmenter and mimic from 500 samples with the printed budgets",
    cases=_cases,
    seeds={"small": 1, "paper": 3},
    run=one_by_one(_time),
    summarise=mean_and_spread,
    timed=True,
)
"""Table V."""
