"""What an attack leaves: the error of its victim when it learns from everything that passes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.attacks.attack import Attack, Inputs, Labels, Poison
from training.attacks.attack_success import attack_success_rate
from training.attacks.harm import harm_left, mean_error, transfer_victim
from training.experiments.experiment import Row
from training.experiments.scene import Crowd, Scene

__all__ = ["damage_left", "harm_of_rows"]

_VICTIMS = 3


def damage_left(attack: Attack, scene: Scene, crowd: Crowd, passed: dict[str, NDArray[np.bool_]]) -> Row:
    """Error of the attack's victim, trained on the trusted rows and part of what arrives.

    `clean`: trusted and the attacker's rows before he did anything; `unguarded`: everything that arrives; further: what
    `passed` says by name, bool (n,). On clean rows: share of wrong classes, or mean squared error over the label range
    squared; where the attack is after targets, or plants a trigger, the share of targets, or of clean rows that carry
    the trigger, that is read as the attacker wants.
    """
    before = np.ones(len(scene.outside.y), np.bool_)
    if crowd.poison.targets is not None:
        before[crowd.poison.targets.index] = False
    clean = _error(attack, scene, crowd.poison, scene.outside.x[before], scene.outside.y[before])
    everything = {"unguarded": np.ones(len(crowd.y), np.bool_)} | passed
    left: Row = {"clean": clean}
    for name, rows in everything.items():
        left[name] = _error(attack, scene, crowd.poison, crowd.x[rows], crowd.y[rows])
    return left


def harm_of_rows(scene: Scene, crowd: Crowd) -> NDArray[np.float64] | None:
    """What each poisoned row does to victims that retrain their last layer, (p,) in [0, 1]; None without targets."""
    targets = crowd.poison.targets
    if targets is None:
        return None
    victims = [transfer_victim(scene.outside, targets, scene.seed + number) for number in range(_VICTIMS)]
    return harm_left(scene.outside, crowd.poison, victims)


def _error(attack: Attack, scene: Scene, poison: Poison, x: Inputs, y: Labels) -> float:
    rows = np.concatenate([scene.trusted[0], x]), np.concatenate([scene.trusted[1], y])
    predict = attack.victim(*rows, scene.spec, scene.seed)
    if poison.trigger is not None:
        return attack_success_rate(predict, poison.trigger, scene.clean, scene.seed)
    if poison.targets is None:
        return mean_error(predict, scene.clean, scene.spec)
    return float(np.mean(predict(scene.outside.x[poison.targets.index]) == poison.targets.wanted))
