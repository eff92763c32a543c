"""One poisoned training set, the network that falls for it, and how it is asked: what all defences of a table share."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass, replace

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from training.attacks.attack import Inputs, Labels, Trigger
from training.attacks.attack_success import attack_success_rate
from training.attacks.harm import mean_error, poisoned_rows
from training.attacks.victims import logits_of, pixels
from training.datasets import Codec, Dataset, DatasetName
from training.defences.backdoor_defence import BuildFeatures, Doubtful, new_network
from training.defences.robust_training import Curriculum, Schedule, train_robustly
from training.device import DeviceName, resolve_device
from training.experiments.doubtful_rows import DoubtfulRows, draw_doubtful_rows, poison_of
from training.experiments.experiment import Row
from training.mobile_network import mobilenet_v2
from training.residual_network import residual_network, resnet18, resnet34
from training.rows import Rows

__all__ = ["ARCHITECTURES", "COVERS", "BackdoorGround", "BackdoorScene", "set_backdoor_scene"]

COVERS = {"wanet": 1.0, "tact": 0.2, "adaptive-blend": 0.2, "adaptive-patch": 0.2}
"""Covers, as a multiple of planted rows: the cover rates of MeCa's Table I over its poison ratio of 5 %."""

ARCHITECTURES: dict[str, BuildFeatures] = {
    "resnet8": residual_network,
    "resnet18": resnet18,
    "resnet34": resnet34,
    "mobilenetv2": mobilenet_v2,
}
"""Networks by name. `resnet8` is for two cores."""

_RESERVED = 0.05
_BATCH = 128


class BackdoorGround(BaseModel):
    """What all cells of one group share.

    `rows`: size of the training set, poison in the place of what it was made from. `attack`: by name; None: clean data.
    `ratio`: planted rows as a share of `rows`; covers come on top.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: DatasetName
    rows: int
    epochs: int
    attack: str | None
    ratio: float = Field(0.05, gt=0, lt=1)
    architecture: str
    device: DeviceName


@dataclass(frozen=True)
class BackdoorScene:
    """What one group shares, and the truth about it.

    `seconds`: of the processor, for training `doubtful.network`. `poisoned`: bool (n,), which of its rows are, covers
    among them; no defence is told. `test`: clean rows, never seen. `trigger`: None without an attack.
    """

    doubtful: Doubtful
    poisoned: torch.Tensor
    seconds: float
    test: tuple[Inputs, Labels]
    trigger: Trigger | None
    dataset: Dataset

    def figures(self, network: nn.Module) -> Row:
        """`accuracy` on clean test rows, in [0, 1]; where there is an attack `success`, its ASR behind the codec."""
        asked = copy.deepcopy(network).cpu().eval()

        def predict(x: Inputs) -> Labels:
            return np.asarray(logits_of(asked, np.asarray(x, dtype=np.uint8)).argmax(axis=1))

        found: Row = {"accuracy": 1 - mean_error(predict, self.test, self.dataset.spec)}
        if self.trigger is not None:
            shown = _behind(self.trigger, self.dataset.codec)
            found["success"] = attack_success_rate(predict, shown, self.test, self.doubtful.seed)
        return found


def set_backdoor_scene(ground: BackdoorGround, seed: int) -> BackdoorScene:
    """Draws rows, poisons them and trains a network on them. The same data, rows and seed give the same clean rows."""
    drawn = draw_doubtful_rows(ground.data, ground.rows, seed)
    dataset, reserved = drawn.dataset, drawn.rest[: max(1, round(_RESERVED * ground.rows))]
    rows, count, trigger = _poisoned(ground, drawn, seed)
    device = resolve_device(ground.device)
    doubtful = Doubtful(
        rows=_on(rows, dataset, device),
        reserved=_on((dataset.x[reserved], dataset.y[reserved]), dataset, device),
        network=nn.Sequential(),
        build=ARCHITECTURES[ground.architecture],
        schedule=Schedule(ground.epochs, (int(0.6 * ground.epochs), int(0.85 * ground.epochs)), _BATCH),
        seed=seed,
    )
    network, began = new_network(doubtful), time.process_time()
    train_robustly(network, Curriculum.of(doubtful.rows), doubtful.schedule, seed)
    seconds = time.process_time() - began
    poisoned = torch.arange(ground.rows, device=device) >= ground.rows - count
    return BackdoorScene(replace(doubtful, network=network), poisoned, seconds, drawn.test, trigger, dataset)


def _poisoned(
    ground: BackdoorGround, drawn: DoubtfulRows, seed: int
) -> tuple[tuple[Inputs, Labels], int, Trigger | None]:
    """The training rows, as they arrive, the last so many of them poison."""
    rows = drawn.train
    if ground.attack is None:
        return (rows.x, rows.y), 0, None
    count = round(ground.ratio * len(rows.y) * (1 + COVERS.get(ground.attack, 0)))
    poison = poison_of(drawn, ground.attack, count, seed)
    return poisoned_rows(rows, poison, np.arange(len(rows.y))), count, poison.trigger


def _on(rows: tuple[Inputs, Labels], dataset: Dataset, device: torch.device) -> Rows:
    x, y = rows
    classes = len(np.unique(dataset.y))
    return Rows(pixels(np.asarray(x, dtype=np.uint8)).to(device), torch.from_numpy(y).to(device), classes)


def _behind(trigger: Trigger, codec: Codec | None) -> Trigger:
    """The trigger as it arrives: a triggered image is saved as a file of the data set's kind, too."""
    if codec is None:
        return trigger
    return replace(trigger, put=lambda x, rng: codec(trigger.put(x, rng)))
