"""Attackers who know the guard: what share of their samples passes and harms."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from training.attacks.adaptive_black_box import attack_black_box
from training.attacks.adaptive_white_box import measure_white_box
from training.attacks.attack import AttackerRows
from training.attacks.opinion import form_opinion
from training.experiments.experiment import Case, Experiment, Row, Scale
from training.experiments.scene import Scene, set_scene
from training.experiments.setting import DEVICES, Ground
from training.experiments.summary import mean_and_spread
from training.experiments.trial import Trial, train_trial
from training.progress import Progress

__all__ = ["ADAPTIVE"]

_EPSILONS = (0.1, 0.2, 0.3)
_COUNT = {"small": 50, "paper": 500}
_CLEAN_ROWS = {"small": 8_500, "paper": None}


def _run(cases: Sequence[Case], seed: int, progress: Progress) -> Iterator[Row]:
    """Trains the guard once for all cases, which share their ground.

    `passes_and_harms`: share of the samples that pass at α = 1 % and whose label a network contradicts that was trained
    on rows which the attack did not touch. White box: the strongest of all tries; `by_weighting`: of each alone.
    """
    ground = Ground.model_validate(cases[0].settings["ground"])
    scene = set_scene(ground, seed)
    trial = train_trial(*scene.trusted, scene.spec, ground.preset, seed, progress, scene.device)
    for case in cases:
        count, epsilon = int(str(case.settings["count"])), case.settings["epsilon"]
        counts: Row = {"trusted": len(scene.trusted[1]), "count": count}
        if epsilon is None:
            yield counts | {"passes_and_harms": _black_box(trial, scene, count, seed)}
            continue
        found = measure_white_box(trial, scene.outside, count, float(str(epsilon)), seed)
        yield counts | {"passes_and_harms": found.strongest, "by_weighting": {**found.by_weighting}}


def _black_box(trial: Trial, scene: Scene, count: int, seed: int) -> float:
    """The same for an attacker who only sees which of his samples pass."""
    rows, rng = scene.outside, np.random.default_rng([seed, 4])
    sent = attack_black_box(trial, rows, count, rng)
    rest = np.setdiff1d(np.arange(len(rows.y)), sent.base_index)
    judge = form_opinion(AttackerRows(rows.x[rest], rows.y[rest], rows.spec), int(rng.integers(2**31)))
    return float(np.mean(trial.passes(sent.x, sent.y) & (judge.contradiction(sent.x, sent.y) > 0)))


def _cases(scale: Scale) -> tuple[Case, ...]:
    mnist = Ground(data="mnist", trusted=0.20, clean_rows=_CLEAN_ROWS[scale], device=DEVICES[scale])
    fourclass = Ground(data="fourclass", trusted=0.20)
    white = tuple(_case(f"white box, ε {epsilon}", mnist, epsilon, scale) for epsilon in _EPSILONS)
    return (*white, _case("black box", mnist, None, scale), _case("black box", fourclass, None, scale))


def _case(name: str, ground: Ground, epsilon: float | None, scale: Scale) -> Case:
    settings: Row = {"ground": ground.model_dump(mode="json"), "epsilon": epsilon, "count": _COUNT[scale]}
    return Case(f"{ground.data}, {name}", settings, sources=(__name__,), group=ground.model_dump_json())


ADAPTIVE = Experiment(
    name="adaptive",
    figure="what an attacker who knows the guard, or asks it, brings past it harmfully",
    cases=_cases,
    seeds={"small": 1, "paper": 5},
    run=_run,
    summarise=mean_and_spread,
)
"""Small: 50 images, 2,040 trusted ones."""
