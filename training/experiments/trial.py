"""One bundle's worth of learning in memory: the same learning, calibration and fusion as in a bundle, not exported."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from guard.calibration import Fusion, Judged
from guard.encoding import class_indices
from guard.spec import InputSpec
from training.assemble import calibrate
from training.attacks.attack import Inputs, Labels
from training.device import deterministic
from training.folds import plan_folds
from training.learn import Learned, Stages, learn
from training.networks import score_rows
from training.presets import PRESETS, PresetName
from training.progress import Progress
from training.rows import Rows
from training.snapshot import snapshot_from_arrays
from training.unlabelled import new_rows

__all__ = ["ALPHA", "Trial", "train_trial"]

ALPHA = 0.01


@dataclass(frozen=True)
class Trial:
    """A trained guard, open to attackers (`OpenGuard`): `scores` and `judge` say what its bundle would say."""

    learned: Learned
    fusion: Fusion

    def scores(self, x: Inputs, y: Labels) -> NDArray[np.float64]:
        """(n, members) for encoded samples."""
        rows = self.rows(x, y)
        return np.stack([score_rows(fitted.scorer, rows.z, rows.y) for _, fitted in self.learned.members], axis=1)

    def judge(self, x: Inputs, y: Labels) -> Judged:
        """The verdict of encoded samples at α = 1 %."""
        return self.fusion.judge(self.scores(x, y).astype(np.float32), class_indices(y))

    def passes(self, x: Inputs, y: Labels) -> NDArray[np.bool_]:
        """Which encoded samples are passed as clean at α = 1 %, (n,)."""
        return ~self.judge(x, y).held

    def member_scores(self, z: Tensor, y: Tensor) -> Tensor:
        """Scores (n, members) of samples as members see them, differentiable in z, on the device of z."""
        there, claimed = z.to(self.learned.data.device), y.to(self.learned.data.device)
        return torch.stack([fitted.scorer(there, claimed) for _, fitted in self.learned.members], dim=1).to(z.device)

    @property
    def spec(self) -> InputSpec:
        """What the guard accepts as a sample."""
        return self.learned.data.spec

    def rows(self, x: Inputs, y: Labels) -> Rows:
        """Encoded samples as members see them."""
        with torch.no_grad():
            z = self.learned.preprocess(torch.from_numpy(x)).to(self.learned.data.device)
        return Rows(z, self.learned.targets(y), self.learned.data.classes)

    def surprise(self, x: Inputs, y: Labels) -> NDArray[np.float64]:
        """The fusion's statistic S (n,), which orders samples also where their p-values tie; higher is suspicious."""
        p = self.fusion.member_p_values(self.scores(x, y).astype(np.float32))
        return np.asarray((self.fusion.log_weights - np.log(p)).max(axis=1))


def train_trial(
    x: Inputs,
    y: Labels,
    spec: InputSpec,
    preset: PresetName,
    seed: int,
    progress: Progress,
    device: torch.device | None = None,
    stream: Inputs | None = None,
) -> Trial:
    """Learns from the trusted rows x, y as `train_bundle` does; without a `device` on the CPU.

    `stream`: encoded rows (m, …) beside them, poison and all, whose labels are not known.
    """
    snapshot = snapshot_from_arrays(x, y, spec, seed=seed)
    budget, device = PRESETS[preset], device or torch.device("cpu")
    with deterministic():
        plan = plan_folds(snapshot, budget.folds)
        unlabelled = None if stream is None else new_rows(stream, snapshot)
        learned = learn(snapshot, plan, budget, seed, device, progress, Stages(), unlabelled=unlabelled)
    return Trial(learned, calibrate(learned, snapshot, ALPHA)[1])
