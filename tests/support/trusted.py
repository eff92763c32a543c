"""Trusted data for members, from the real sets that scikit-learn ships."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.preprocessing import StandardScaler

from guard.spec import ClassLabel, ImageInput, InputSpec, NumberColumn, NumberLabel, TableInput
from training.folds import Fold, FoldPlan
from training.members.member import FittedMember, Member, TrustedData
from training.presets import Preset
from training.progress import Silent

QUICK = Preset("fast", augment=5, mimic=5, network=80, adversarial=40, folds=2, batch=64)


def plan_of(rows: int, folds: int = 2) -> FoldPlan:
    """`folds` cross-fitted folds in turn; one fold holds out every fifth row."""
    where = np.arange(rows)
    if folds == 1:
        return FoldPlan((Fold(np.flatnonzero(where % 5 > 0), np.flatnonzero(where % 5 == 0)),))
    return FoldPlan(
        tuple(Fold(np.flatnonzero(where % folds != k), np.flatnonzero(where % folds == k)) for k in range(folds))
    )


def classes_of(
    z: NDArray[np.floating[Any]], y: NDArray[np.integer[Any]], *, seed: int = 0, folds: int = 2
) -> TrustedData:
    """A classification task of rows (n, d) or images (n, c, h, w)."""
    classes = int(y.max()) + 1
    label = ClassLabel(values=tuple(range(classes)))
    return _data(
        z, torch.as_tensor(y, dtype=torch.int64), classes, InputSpec(input=_input(z), label=label), seed, folds
    )


def numbers_of(
    z: NDArray[np.floating[Any]], y: NDArray[np.floating[Any]], *, seed: int = 0, folds: int = 2
) -> TrustedData:
    """A regression task of rows (n, d)."""
    label = NumberLabel(minimum=-1e6, maximum=1e6)
    return _data(z, torch.as_tensor(y, dtype=torch.float32), 0, InputSpec(input=_input(z), label=label), seed, folds)


def _data(
    z: NDArray[np.floating[Any]], y: torch.Tensor, classes: int, spec: InputSpec, seed: int, folds: int
) -> TrustedData:
    tensor = torch.as_tensor(z, dtype=torch.float32)
    return TrustedData(tensor, y, classes, spec, plan_of(len(y), folds), QUICK, seed, torch.device("cpu"), Silent())


def _input(z: NDArray[np.floating[Any]]) -> TableInput | ImageInput:
    if z.ndim == 4:
        return ImageInput(height=z.shape[2], width=z.shape[3], channels=z.shape[1])
    return TableInput(columns=tuple(NumberColumn(name=f"c{i}", minimum=-9, maximum=9) for i in range(z.shape[1])))


@cache
def digits() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """1797 images (n, 1, 8, 8) in [0, 1], shuffled."""
    raw = load_digits()
    order = np.random.default_rng(0).permutation(len(raw.target))
    return (raw.images[order, None] / 16).astype(np.float32), raw.target[order].astype(np.int64)


@cache
def cancer() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """569 rows of 30 numbers, two classes."""
    raw = load_breast_cancer()
    order = np.random.default_rng(0).permutation(len(raw.target))
    return StandardScaler().fit_transform(raw.data)[order].astype(np.float32), raw.target[order].astype(np.int64)


@cache
def diabetes() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """442 rows of 10 numbers, a label of unit spread."""
    raw = load_diabetes()
    order = np.random.default_rng(0).permutation(len(raw.target))
    y = (raw.target - raw.target.mean()) / raw.target.std()
    return StandardScaler().fit_transform(raw.data)[order].astype(np.float32), y[order].astype(np.float32)


@cache
def task(name: str) -> TrustedData:
    """`images`: 160 digits; `classes`: 120 rows of breast cancer; `numbers`: 120 rows of diabetes."""
    z, y = {"images": digits, "classes": cancer, "numbers": diabetes}[name]()
    rows = 160 if name == "images" else 120
    return numbers_of(z[:rows], y[:rows]) if name == "numbers" else classes_of(z[:rows], y[:rows])


@cache
def fitted(member: Member, name: str) -> FittedMember:
    """The member fitted to a task, once per test run."""
    return member.fit(task(name))


def with_label(data: TrustedData, row: int, label: float) -> TrustedData:
    """The same data with one label changed."""
    y = data.y.clone()
    y[row] = label
    return replace(data, y=y)
