"""The learning half of a training job: preprocessing, then every member that applies, fitted out of fold."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from guard.spec import ClassLabel
from training.augmenters import AugmenterName
from training.choose_augmenter import AugmenterChoice, choose_augmenter
from training.folds import FoldPlan
from training.graph import ClassLabels
from training.members import MEMBERS
from training.members.member import FittedMember, Member, TrustedData
from training.preprocess import LabelScale, Preprocess
from training.presets import Preset
from training.progress import Progress, Silent
from training.pseudo_labels import label_stream
from training.snapshot import Snapshot

__all__ = ["AugmenterOption", "Learned", "Stages", "learn"]

AugmenterOption = AugmenterName | Literal["auto"]
"""`auto` keeps the augmenter that wins on held-out trusted rows."""


@dataclass(frozen=True)
class Stages:
    """Seconds that each stage of a job took, in the order in which the stages began."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str, progress: Progress | None = None) -> Iterator[None]:
        """Times what runs inside it; `progress` shows it where nothing inside shows itself."""
        start = time.perf_counter()
        self.seconds[name] = 0.0
        bar = (progress or Silent()).track((name,), name)
        next(bar)
        try:
            yield
        finally:
            next(bar, None)
            self.seconds[name] = round(time.perf_counter() - start, 3)


@dataclass(frozen=True)
class Learned:
    """Everything that a job has learned, on the training device.

    `choice`: the comparison of augmenters, None where one was asked for; `members` in the order of the graph's scores.
    """

    data: TrustedData
    preprocess: Preprocess
    labels: ClassLabels | LabelScale
    choice: AugmenterChoice | None
    members: tuple[tuple[Member, FittedMember], ...]

    def targets(self, y: NDArray[np.generic]) -> Tensor:
        """Encoded labels (n,) as members see them, on the training device."""
        encoded: Tensor = self.labels(torch.from_numpy(y))
        return encoded.to(self.data.device)


def learn(
    snapshot: Snapshot,
    plan: FoldPlan,
    preset: Preset,
    seed: int,
    device: torch.device,
    progress: Progress,
    stages: Stages,
    augmenter: AugmenterOption = "auto",
    unlabelled: NDArray[Any] | None = None,
) -> Learned:
    """Fits preprocessing on the rows that train, chooses the augmenter, then fits each member that applies.

    `unlabelled`: encoded rows (m, …) of the stream, for the members that can learn from them; they shape neither the
    preprocessing nor the augmenter.
    Where rows are cross-fitted every row trains some model, and medians and scales are those of all rows: they use no
    label, and one row moves them by 1/n.
    """
    with stages.stage("preprocess"):
        rows = np.unique(np.concatenate([fold.train for fold in plan.folds]))
        preprocess = Preprocess.fit(snapshot.spec, snapshot.x, rows)
        labels = _labels(snapshot, rows)
        data = TrustedData(
            z=_encode(preprocess, snapshot.x).to(device),
            y=labels(torch.from_numpy(snapshot.y)).to(device),
            classes=labels.classes if isinstance(labels, ClassLabels) else 0,
            spec=snapshot.spec,
            plan=plan,
            preset=preset,
            seed=seed,
            device=device,
            progress=progress,
            unlabelled=None
            if unlabelled is None or not len(unlabelled)
            else _encode(preprocess, unlabelled).to(device),
        )
    with stages.stage("augmenter"):
        data, choice = _with_augmenter(data, augmenter)
    with stages.stage("pseudo-labels"):
        data = replace(data, pseudo=label_stream(data))
    members = [member for member in MEMBERS if member.applies(snapshot.spec, len(snapshot.x))]
    fitted = []
    for member in progress.track(members, "members"):
        with stages.stage(member.name):
            fitted.append((member, member.fit(data)))
    return Learned(data, preprocess, labels, choice, tuple(fitted))


def _with_augmenter(data: TrustedData, wanted: AugmenterOption) -> tuple[TrustedData, AugmenterChoice | None]:
    if wanted != "auto":
        return replace(data, augmenter=wanted), None
    choice = choose_augmenter(data)
    return replace(data, augmenter=choice.name), choice


def _labels(snapshot: Snapshot, rows: NDArray[np.int64]) -> ClassLabels | LabelScale:
    label = snapshot.spec.label
    if isinstance(label, ClassLabel):
        return ClassLabels(len(label.values))
    return LabelScale(snapshot.y[rows].astype(np.float64))


def _encode(preprocess: Preprocess, x: NDArray[Any]) -> Tensor:
    with torch.no_grad():
        z: Tensor = preprocess(torch.from_numpy(x))
    return z
