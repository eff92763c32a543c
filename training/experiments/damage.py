"""What an attack leaves: the error of its victim when it learns from everything that passes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.attacks.attack import Attack, Inputs, Labels
from training.attacks.harm import mean_error
from training.experiments.experiment import Row
from training.experiments.scene import Crowd, Scene

__all__ = ["damage_left"]


def damage_left(attack: Attack, scene: Scene, crowd: Crowd, passed: dict[str, NDArray[np.bool_]]) -> Row:
    """Error on clean rows of the attack's victim, trained on the trusted rows and part of what arrives.

    `clean`: trusted and the attacker's rows before he did anything; `unguarded`: everything that arrives; further: what
    `passed` says by name, bool (n,). Share of wrong classes, or mean squared error over the label range squared.
    """
    clean = _error(attack, scene, scene.outside.x, scene.outside.y)
    everything = {"unguarded": np.ones(len(crowd.y), np.bool_)} | passed
    left = {name: _error(attack, scene, crowd.x[rows], crowd.y[rows]) for name, rows in everything.items()}
    return {"clean": clean, **left}


def _error(attack: Attack, scene: Scene, x: Inputs, y: Labels) -> float:
    rows = np.concatenate([scene.trusted[0], x]), np.concatenate([scene.trusted[1], y])
    return mean_error(attack.victim(*rows, scene.spec, scene.seed), scene.clean, scene.spec)
