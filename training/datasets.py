"""Real data sets for the demo, the experiments and the tests, and how one is split into trusted, outside and clean."""

from __future__ import annotations

import csv
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from guard.errors import InputUnreadable, WrongUse
from guard.spec import ClassLabel, ImageInput, InputSpec, NumberColumn, NumberLabel, TableInput
from training.jpeg import decode_jpegs, through_jpeg

__all__ = [
    "DATASETS",
    "POISON_RATIO",
    "Codec",
    "Dataset",
    "DatasetName",
    "Split",
    "data_folder",
    "load_cifar10",
    "load_dataset",
    "load_digits_images",
    "load_fourclass",
    "load_house",
    "load_mnist",
    "select_classes",
    "split_dataset",
]

DatasetName = Literal["digits", "mnist", "cifar10", "fourclass", "house"]
"""Digits come with scikit-learn; the others are read from `data_folder()`."""

Codec = Callable[[NDArray[Any]], NDArray[np.uint8]]
"""Images uint8 (n, height, width, channels), encoded and decoded again."""

POISON_RATIO = 0.2
"""|Sp| / |Sc|: the paper's default, hence |So| = 1.2 · |Sc|."""

_TEST_SHARE = 0.3


@dataclass(frozen=True)
class Dataset:
    """Encoded rows as `guard.spec` says.

    `x`: float64 (n, columns) or uint8 (n, height, width, channels); `y`: int64 class index (n,) or float64 (n,).
    `training_rows`: how many of the first rows the publisher meant for training; None where he made no split.
    `clean_rows`: |Sc|, the clean rows of a poisoned training set; None: all training rows. `codec`: the lossy one that
    every image has been through once; what is made from them has to go through it, too (`training.attacks.codec`).
    """

    name: DatasetName
    x: NDArray[np.float64] | NDArray[np.uint8]
    y: NDArray[np.int64] | NDArray[np.float64]
    spec: InputSpec
    training_rows: int | None = None
    clean_rows: int | None = None
    codec: Codec | None = None


@dataclass(frozen=True)
class Split:
    """Disjoint row indices of one data set.

    `trusted`: St. `outside`: the rest of Sc; poison is made from it alone. `clean_test`: neither; false alarms are
    counted on them. `poison`: |Sp|, the number of poisoned rows that belongs to |Sc|.
    """

    trusted: NDArray[np.int64]
    outside: NDArray[np.int64]
    clean_test: NDArray[np.int64]
    poison: int


def data_folder() -> Path:
    """The folder of the real data sets: `DEPOIS_DATA`, else `../shared/data` beside the repository."""
    configured = os.environ.get("DEPOIS_DATA")
    return Path(configured) if configured else Path(__file__).parents[2] / "shared" / "data"


def load_digits_images() -> Dataset:
    """1797 handwritten digits of 8 × 8 pixels (scikit-learn), 16 grey levels spread to 0-240."""
    from sklearn.datasets import load_digits

    found = load_digits()
    x = (found.images * 15).astype(np.uint8)[..., np.newaxis]
    spec = _image_spec(8, tuple(range(10)))
    return Dataset("digits", x, found.target.astype(np.int64), spec)


def load_mnist() -> Dataset:
    """MNIST: 60,000 training rows, then 10,000 test rows, 28 × 28 × 1; |Sc| = 50,000, so that |So| = 60,000.

    Raises `InputUnreadable` when `mnist.npz` is absent or is something else.
    """
    path = _data_file("mnist.npz")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            x = np.concatenate([arrays["x_train"], arrays["x_test"]])[..., np.newaxis]
            y = np.concatenate([arrays["y_train"], arrays["y_test"]]).astype(np.int64)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise _broken(path, error) from error
    return Dataset("mnist", x, y, _image_spec(28, tuple(range(10))), training_rows=60_000, clean_rows=50_000)


def load_cifar10() -> Dataset:
    """CIFAR-10 as JPEG files: 50,000 training rows, then 10,000 test rows, 32 × 32 × 3; |Sc| = 41,667: |So| = 50,000.

    Takes some seconds. Raises `InputUnreadable` when `cifar10-jpeg.npz` is absent or is something else.
    """
    path = _data_file("cifar10-jpeg.npz")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            parts = [decode_jpegs(arrays[f"{part}_jpeg"], arrays[f"{part}_offset"], 32) for part in ("train", "test")]
            y = np.concatenate([arrays["train_label"], arrays["test_label"]]).astype(np.int64)
            spec = _image_spec(32, tuple(arrays["class_names"].tolist()), channels=3)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise _broken(path, error) from error
    return Dataset("cifar10", np.concatenate(parts), y, spec, 50_000, clean_rows=41_667, codec=through_jpeg)


def load_fourclass() -> Dataset:
    """Fourclass: 862 rows, two columns in [-1, 1], classes -1 and 1.

    Raises `InputUnreadable` when `fourclass.txt` is absent or is something else.
    """
    path = _data_file("fourclass.txt")
    try:
        rows = _numbers([line.split() for line in path.read_text().splitlines() if line.strip()], columns=3)
    except (OSError, ValueError) as error:
        raise _broken(path, error) from error
    label, x = rows[:, 0], rows[:, 1:]
    columns = tuple(NumberColumn(name=name, minimum=-1, maximum=1) for name in ("x1", "x2"))
    spec = InputSpec(input=TableInput(columns=columns), label=ClassLabel(values=(-1, 1)))
    return Dataset("fourclass", np.ascontiguousarray(x), (label > 0).astype(np.int64), spec)


def load_house() -> Dataset:
    """House prices as De-Pois and its attackers use them: 1460 rows, 274 columns and the price, all in [0, 1].

    A column called `name:value` is one value of a one-hot group; each group leaves out one of its values.
    Raises `InputUnreadable` when `house-processed.csv` is absent or is something else.
    """
    path = _data_file("house-processed.csv")
    try:
        names, *cells = csv.reader(path.read_text().splitlines())
        rows = _numbers(cells, columns=len(names))
    except (OSError, ValueError) as error:
        raise _broken(path, error) from error
    columns = tuple(NumberColumn(name=name, minimum=0, maximum=1) for name in names[1:])
    spec = InputSpec(input=TableInput(columns=columns), label=NumberLabel(minimum=0, maximum=1))
    return Dataset("house", np.ascontiguousarray(rows[:, 1:]), np.ascontiguousarray(rows[:, 0]), spec)


DATASETS: dict[DatasetName, Callable[[], Dataset]] = {
    "digits": load_digits_images,
    "mnist": load_mnist,
    "cifar10": load_cifar10,
    "fourclass": load_fourclass,
    "house": load_house,
}
"""How each data set is loaded."""


def load_dataset(name: str) -> Dataset:
    """The data set called `name`; raises `WrongUse` for an unknown name."""
    for known, load in DATASETS.items():
        if known == name:
            return load()
    raise WrongUse(f"there is no data set {name!r}; choose one of: {', '.join(DATASETS)}")


def select_classes(dataset: Dataset, classes: tuple[int, ...]) -> Dataset:
    """Only the rows of these class indices, which become 0, 1, … in the order given; |Sc| is at most what is left.

    Raises `WrongUse` for regression.
    """
    if not isinstance(dataset.spec.label, ClassLabel):
        raise WrongUse(f"{dataset.name} has no classes to choose from")
    place = {label: index for index, label in enumerate(classes)}
    rows = np.flatnonzero(np.isin(dataset.y, classes))
    values = dataset.spec.label.values
    label = ClassLabel.model_validate({"values": tuple(values[index] for index in classes)})
    training = None if dataset.training_rows is None else int(np.sum(rows < dataset.training_rows))
    clean = None if dataset.clean_rows is None else min(dataset.clean_rows, training or len(rows))
    y = np.array([place[index] for index in dataset.y[rows].tolist()], np.int64)
    spec = dataset.spec.model_copy(update={"label": label})
    return replace(dataset, x=dataset.x[rows], y=y, spec=spec, training_rows=training, clean_rows=clean)


def split_dataset(dataset: Dataset, trusted: int | float, rng: np.random.Generator) -> Split:
    """Draw St, the rest of Sc and clean test rows; `trusted` is a number of rows (int) or a share of |So| (float).

    Training rows are those of the publisher, else 70 % drawn at random; |Sc| of them are drawn, the rest joins the
    test rows. Raises `WrongUse` when more rows would be trusted than are clean.
    """
    n = len(dataset.y)
    candidates = np.arange(dataset.training_rows) if dataset.training_rows else rng.permutation(n)[: _training_rows(n)]
    clean = rng.permutation(candidates)[: dataset.clean_rows]
    size = trusted if isinstance(trusted, int) else round(trusted * (1 + POISON_RATIO) * len(clean))
    if not 0 < size < len(clean):
        raise WrongUse(f"{size} trusted rows were asked for, but {dataset.name} has {len(clean)} clean training rows")
    rest = np.setdiff1d(np.arange(n), clean)
    return Split(np.sort(clean[:size]), np.sort(clean[size:]), rest, round(POISON_RATIO * len(clean)))


def _training_rows(rows: int) -> int:
    return round((1 - _TEST_SHARE) * rows)


def _image_spec(side: int, classes: tuple[int, ...] | tuple[str, ...], channels: Literal[1, 3] = 1) -> InputSpec:
    return InputSpec(input=ImageInput(height=side, width=side, channels=channels), label=ClassLabel(values=classes))


def _numbers(cells: list[list[str]], columns: int) -> NDArray[np.float64]:
    """The cells as float64 (rows, columns); raises ValueError for any other shape, for text and for no rows at all."""
    rows = np.array(cells, dtype=np.float64)
    if rows.shape != (len(cells), columns):
        raise ValueError(f"rows of {columns} numbers each were expected")
    return rows


def _data_file(name: str) -> Path:
    path = data_folder() / name
    if not path.is_file():
        raise InputUnreadable(
            f"{path} is not there: set DEPOIS_DATA to the folder that holds {name} (the digits need no file)"
        )
    return path


def _broken(path: Path, error: Exception) -> InputUnreadable:
    return InputUnreadable(f"{path} is not the data set that its name says ({error}): fetch it anew")
