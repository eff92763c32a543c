"""Training on poisoned rows without a trusted one: plain, LGM and EPIC on the same rows, and cleansing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from training.attacks.attack import AttackerRows, Inputs, Labels, Poison
from training.attacks.harm import poisoned_rows
from training.attacks.targeting import network_without
from training.attacks.victims import penultimate, pixels, small_network
from training.datasets import DatasetName
from training.defences.cleansing import RunCleansing
from training.defences.epic.train import SHORT, train_epic
from training.defences.lgm.train import cleanse_by_mixture, train_lgm
from training.defences.meca.train import cleanse_by_consistency
from training.defences.robust_training import Build, logits_in_pieces, train_plain
from training.device import DeviceName, deterministic, resolve_device
from training.experiments.doubtful_rows import draw_doubtful_rows, poison_of
from training.experiments.experiment import Case, Experiment, Row, Scale
from training.experiments.roster import attack_module
from training.experiments.setting import DEVICES
from training.experiments.summary import mean_and_spread
from training.progress import Progress
from training.rows import Rows

__all__ = ["CLEANSING", "CleansingGround"]

_FOLDS = 10


class CleansingGround(BaseModel):
    """What all methods of one group share.

    `rows`: size of the training set; poison stands in the place of what it was made from. `attack`: by name; None:
    clean data. `rate`: poison as a share of `rows`. `transfer`: only the last layer is trained, on features that were
    learnt from clean rows, which is what collisions are made for.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: DatasetName
    rows: int
    attack: str | None
    rate: float = Field(gt=0, lt=1)
    transfer: bool
    device: DeviceName


@dataclass(frozen=True)
class _Scene:
    """`rows`: what is trained on, `poisoned`: bool (n,), which of them the attacker made; `build`: the network.

    `test`, `targets`: clean rows as the network takes them, with their labels, and with those that are wanted.
    """

    rows: Rows
    poisoned: NDArray[np.bool_]
    build: Build
    test: tuple[Tensor, Labels]
    targets: tuple[Tensor, Labels] | None
    fold: NDArray[np.int8]


@dataclass(frozen=True)
class _Trained:
    """A network, and which rows the method left out on the way, bool (n,); None for one that leaves out none."""

    network: nn.Module
    left_out: NDArray[np.bool_] | None


def _run(cases: Sequence[Case], seed: int, progress: Progress) -> Iterator[Row]:
    """One row for each method of a group, on the same rows.

    `accuracy`: on clean rows never seen. `success`: share of the targets that are read as the attacker wants.
    `poison_left_out`, `clean_left_out`: shares of the poisoned and of the other rows that the method left out.
    `training_seconds`: of the processor; `overhead`: those over what plain training took in the same loop.
    """
    with deterministic():
        scene = _set_scene(CleansingGround.model_validate(cases[0].settings["ground"]), seed)
        plain = _timed(_plain, scene, seed)
        for case in progress.track(cases, "methods"):
            method = _METHODS[str(case.settings["method"])]
            trained, seconds = plain if method is _plain else _timed(method, scene, seed)
            shared: Row = {
                "rows": len(scene.rows),
                "poison": int(scene.poisoned.sum()),
                "training_seconds": round(seconds, 2),
                "overhead": round(seconds / plain[1], 3),
            }
            yield shared | _figures(trained, scene)


def _timed(method: Callable[[_Scene, int], _Trained], scene: _Scene, seed: int) -> tuple[_Trained, float]:
    began = time.process_time()
    return method(scene, seed), time.process_time() - began


def _figures(trained: _Trained, scene: _Scene) -> Row:
    found: Row = {"accuracy": _share_read(trained.network, *scene.test)}
    if scene.targets is not None:
        found["success"] = _share_read(trained.network, *scene.targets)
    if trained.left_out is not None:
        found["clean_left_out"] = float(trained.left_out[~scene.poisoned].mean())
        if scene.poisoned.any():
            found["poison_left_out"] = float(trained.left_out[scene.poisoned].mean())
    return found


def _share_read(network: nn.Module, z: Tensor, y: Labels) -> float:
    return float((logits_in_pieces(network, z).argmax(1).cpu().numpy() == y).mean())


def _plain(scene: _Scene, seed: int) -> _Trained:
    return _Trained(train_plain(scene.rows, SHORT.schedule.for_rows(len(scene.rows)), seed, build=scene.build)[0], None)


def _lgm(scene: _Scene, seed: int) -> _Trained:
    schedule = SHORT.schedule.for_rows(len(scene.rows))
    return _Trained(train_lgm(scene.rows, schedule, seed, build=scene.build), None)


def _epic(scene: _Scene, seed: int) -> _Trained:
    network, dropping = train_epic(scene.rows, SHORT.for_rows(len(scene.rows)), seed, build=scene.build)
    return _Trained(network, (dropping.dropped_at >= 0).cpu().numpy())


def _cleansed(run: RunCleansing, scene: _Scene, seed: int) -> _Trained:
    verdict = run(scene.rows, scene.fold, seed)
    return _Trained(verdict.network, verdict.suspected)


_METHODS: dict[str, Callable[[_Scene, int], _Trained]] = {
    "plain": _plain,
    "lgm": _lgm,
    "epic": _epic,
    "lgm, cleansed": partial(_cleansed, cleanse_by_mixture),
    "meca, cleansed": partial(_cleansed, cleanse_by_consistency),
}

_AGAINST_BACKDOORS = "meca, cleansed"
"""What it costs where there is none; `backdoors` says what it is worth where there are."""


def _set_scene(ground: CleansingGround, seed: int) -> _Scene:
    """Draws rows and poisons them."""
    drawn, device = draw_doubtful_rows(ground.data, ground.rows, seed), resolve_device(ground.device)
    rows, (test_x, test_y) = drawn.train, drawn.test
    count = round(ground.rate * len(rows.y))
    poison = None if ground.attack is None else poison_of(drawn, ground.attack, count, seed)
    kept, embed = np.arange(len(rows.y)), _embed(ground, rows, poison, seed)
    if poison is not None and poison.targets is not None:
        kept = np.setdiff1d(kept, poison.targets.index)
    x, y = (rows.x[kept], rows.y[kept]) if poison is None else poisoned_rows(rows, poison, kept)
    made = 0 if poison is None else len(poison.y)
    aims = None if poison is None or poison.targets is None else poison.targets
    return _Scene(
        rows=Rows(embed(x).to(device), torch.from_numpy(y).to(device), len(np.unique(drawn.dataset.y))),
        poisoned=np.arange(len(y)) >= len(y) - made,
        build=_last_layer if ground.transfer else small_network,
        test=(embed(test_x).to(device), test_y),
        targets=None if aims is None else (embed(rows.x[aims.index]).to(device), aims.wanted),
        fold=np.random.default_rng([seed, 2]).integers(0, _FOLDS, len(y)).astype(np.int8),
    )


def _embed(ground: CleansingGround, rows: AttackerRows, poison: Poison | None, seed: int) -> Callable[[Inputs], Tensor]:
    """Images as pixels; in transfer, as features of a network that saw clean rows less the targets."""
    if not ground.transfer or poison is None or poison.targets is None:
        return _pixels
    features = penultimate(network_without(rows, poison.targets, seed))
    return lambda x: logits_in_pieces(features, _pixels(x))


def _pixels(x: Inputs) -> Tensor:
    return pixels(np.asarray(x, dtype=np.uint8))


def _last_layer(shape: torch.Size, outputs: int) -> nn.Module:
    return nn.Linear(shape[0], outputs)


_ROWS = {"small": {"mnist": 3_000, "cifar10": 3_000}, "paper": {"mnist": 60_000, "cifar10": 50_000}}
_TARGETED = 0.04
_FLIPPED = 0.2

_LAST_LAYER = 500
_COLLIDING = 0.12
"""Rows of which the last layer alone is trained, and the share that collides: as many as convex polytope was shown on,
and ten for a target.
"""


def _grounds(scale: Scale) -> list[CleansingGround]:
    both = ("mnist", "cifar10")
    found: list[tuple[str, str | None, float, bool]] = [(data, None, _TARGETED, False) for data in both]
    found += [("mnist", attack, _FLIPPED, False) for attack in ("random-flip", "runner-up-flip")]
    found += [(data, attack, _TARGETED, False) for data in both for attack in ("gradient-matching", "metapoison")]
    found += [
        (data, attack, _COLLIDING, True) for data in both for attack in ("feature-collision", "bullseye-polytope")
    ]
    return [
        CleansingGround.model_validate(
            {
                "data": data,
                "rows": _LAST_LAYER if transfer else _ROWS[scale][data],
                "attack": attack,
                "rate": rate,
                "transfer": transfer,
                "device": DEVICES[scale],
            }
        )
        for data, attack, rate, transfer in found
    ]


def _cases(scale: Scale) -> tuple[Case, ...]:
    return tuple(
        _case(ground, method)
        for ground in _grounds(scale)
        for method in _METHODS
        if ground.attack is None or method != _AGAINST_BACKDOORS
    )


def _case(ground: CleansingGround, method: str) -> Case:
    words = [ground.data, ground.attack or "no attack", *(["last layer"] if ground.transfer else []), method]
    own = (attack_module(ground.attack),) if ground.attack else ()
    settings: Row = {"ground": ground.model_dump(mode="json"), "method": method}
    return Case(", ".join(words), settings, (__name__, *own), group=ground.model_dump_json())


CLEANSING = Experiment(
    name="cleansing",
    figure="a model from partly poisoned rows without trusted ones: plain training, LGM, EPIC, and cleansing",
    cases=_cases,
    seeds={"small": 2, "paper": 5},
    run=_run,
    summarise=mean_and_spread,
)
"""Small: 3,000 rows, 120 of them after a dozen targets, or 600 flipped, and a network of two convolutions. Where the
last layer alone is trained, 500 rows, 60 of them after six targets.

Differs from the papers: EPIC's schedule of 40 epochs is stretched to at least 600 steps; AdamW, no augmentation.
"""
