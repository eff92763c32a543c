"""Attack × defence on poisoned images: MeCa's Table II, its adaptive attacks, ratios, architectures, and clean data."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import torch
from torch import nn

from training.attacks import BACKDOORS
from training.defences.baselines import BACKDOOR_DEFENCES
from training.defences.robust_training import train_plain
from training.device import deterministic
from training.experiments.backdoor_scene import BackdoorGround, BackdoorScene, set_backdoor_scene
from training.experiments.experiment import Case, Experiment, Row, Scale
from training.experiments.setting import DEVICES
from training.experiments.summary import mean_and_spread
from training.progress import Progress

__all__ = ["BACKDOOR_TABLES"]

_NONE = "none"
_CLEAN_PART = "clean part"
"""A network that learned from the rows that are not poison: what a defence that knew them all would reach."""
_DEFENCES = {defence.name: defence for defence in BACKDOOR_DEFENCES}
_METHODS = (_NONE, _CLEAN_PART, *_DEFENCES)

_ATTACKS = tuple(attack.name for attack in BACKDOORS)
_ANY_CLASS = ("badnet", "blend", "wanet", "physical-ba", "adaptive-blend", "adaptive-patch")
"""The others poison rows of one class: of ten equal classes none holds more than 10 %."""

_ROWS = {"small": 2_500, "paper": 47_500}
_EPOCHS = {"small": 30, "paper": 60}
_ARCHITECTURES = {"small": ("resnet8",), "paper": ("resnet18", "resnet34", "mobilenetv2")}
_RATIOS = {"small": (), "paper": (0.10, 0.15, 0.20)}
_ABROAD = ("badnet", "sig", "wanet")
_RATIO = 0.05


def _run(cases: Sequence[Case], seed: int, progress: Progress) -> Iterator[Row]:
    """One row for each case of a group, which share the poisoned rows and the network that was trained plainly on them.

    `accuracy`, `success`: see `BackdoorScene.figures`. `training_seconds`: what the method took beside that plain
    training, of the processor; of `none`, the plain training itself; of a second form of a method, what it took beside
    the first. `overhead`: those over what plain training took.
    """
    with deterministic():
        scene = set_backdoor_scene(BackdoorGround.model_validate(cases[0].settings["ground"]), seed)
        for case in progress.track(cases, "defences"):
            yield _row(str(case.settings["method"]), scene)


def _row(method: str, scene: BackdoorScene) -> Row:
    began = time.process_time()
    network = _network(method, scene)
    seconds = scene.seconds if method == _NONE else time.process_time() - began
    shared: Row = {
        "trained": len(scene.doubtful.rows),
        "training_seconds": round(seconds, 2),
        "overhead": round(seconds / scene.seconds, 3),
    }
    return shared | scene.figures(network)


def _network(method: str, scene: BackdoorScene) -> nn.Module:
    given = scene.doubtful
    if method == _NONE:
        return given.network
    if method == _CLEAN_PART:
        clean = given.rows.select(torch.nonzero(~scene.poisoned).squeeze(1))
        return train_plain(clean, given.schedule, given.seed, build=given.build)[0]
    return _DEFENCES[method].run(given)


def _cases(scale: Scale) -> tuple[Case, ...]:
    """Table II, the adaptive attacks and clean data; then ratios, other networks, and other data at Table I's ratio."""
    first, *further = _ARCHITECTURES[scale]
    table = [_ground(scale, attack, first) for attack in (*_ATTACKS, None)]
    ratios = [_ground(scale, attack, first, ratio=ratio) for ratio in _RATIOS[scale] for attack in _ANY_CLASS]
    others = [_ground(scale, attack, other) for other in further for attack in (*_ATTACKS, None)]
    abroad = [_ground(scale, attack, first, data="mnist") for attack in _ABROAD]
    return tuple(_case(ground, method) for ground in (*table, *ratios, *others, *abroad) for method in _METHODS)


def _ground(
    scale: Scale, attack: str | None, architecture: str, *, ratio: float = _RATIO, data: str = "cifar10"
) -> BackdoorGround:
    return BackdoorGround.model_validate(
        {
            "data": data,
            "rows": _ROWS[scale],
            "epochs": _EPOCHS[scale],
            "attack": attack,
            "ratio": ratio,
            "architecture": architecture,
            "device": DEVICES[scale],
        }
    )


def _case(ground: BackdoorGround, method: str) -> Case:
    words = [ground.attack or "no attack", f"{100 * ground.ratio:g} %", ground.architecture, ground.data, method]
    settings: Row = {"ground": ground.model_dump(mode="json"), "method": method}
    # All backdoors run the same function: what tells them apart is the module that draws the trigger.
    own = [f"training.attacks.{ground.attack.replace('-', '_')}"] if ground.attack else []
    own += [str(_DEFENCES[method].run.__module__)] if method in _DEFENCES else []
    return Case(", ".join(words), settings, (__name__, *own), group=ground.model_dump_json())


BACKDOOR_TABLES = Experiment(
    name="backdoors",
    figure="accuracy and attack success after each defence, on images of which some carry a trigger",
    cases=_cases,
    seeds={"small": 1, "paper": 3},
    run=_run,
    summarise=mean_and_spread,
)
"""Small: 2,500 images, 5 % poison and a network of eight layers. A method joins with its entry in `BACKDOOR_DEFENCES`.

Differs from MeCa: CIFAR-10 and MNIST, since Imagenette, CIFAR-100 and Tiny ImageNet are not among the data; images
went through JPEG, poison and triggered ones among them; the reserved rows are 5 % as many as the training rows, and
the plain network is trained by AdamW.
"""
