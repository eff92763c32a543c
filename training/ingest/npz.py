"""Reads a NumPy archive with `x` and `y`: images or a table of numbers."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guard.errors import SnapshotRefused
from guard.npz import array_names, read_arrays
from training.findings import Finding
from training.ingest.columns import fixed_label, without
from training.ingest.raw import RawColumn, RawImages, RawInput, RawTable, number_column, text_column

__all__ = ["label_column", "read_npz"]

_MAX_SIDE = 4096


def read_npz(raw: bytes, title: str, label: str | None = None, drop: Sequence[str] = ()) -> RawInput:
    """The rows in `raw`; `title` names the file in messages.

    `x`: uint8 (n, height, width) or (n, height, width, 1 or 3) for images, numbers (n, columns) for a table whose
    columns are named x0, x1, …; `y`: numbers or text (n,). Other arrays are left aside, with a note. Raises
    SnapshotRefused for any other shape or type, for pickles, and for damaged files.
    """
    fixed_label(title, label, "y")
    names = array_names(io.BytesIO(raw), title, SnapshotRefused)
    if not {"x", "y"} <= set(names):
        raise SnapshotRefused(f"{title} holds the arrays {sorted(names)}; name the samples 'x' and the labels 'y'")
    arrays = read_arrays(io.BytesIO(raw), ("x", "y"), title, SnapshotRefused)
    x, y = arrays["x"], label_column("y", arrays["y"], title)
    if x.ndim == 0 or len(x) != len(y.codes):
        raise SnapshotRefused(
            f"{title}: x has shape {x.shape}, y has {len(y.codes)} rows; both need one row per sample"
        )
    origin = np.arange(1, len(x) + 1)
    findings = _left_aside(names)
    if x.ndim > 2:
        return RawImages(_images(x, title), y, origin, findings)
    return RawTable(without(_columns(x, title), title, drop), y, origin, findings)


def label_column(name: str, y: NDArray[Any], title: str) -> RawColumn:
    """A label column from an array of numbers or text, (n,) or (n, 1)."""
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise SnapshotRefused(f"{title}: y has shape {y.shape}; it needs one label per row")
    if y.dtype.kind == "b":
        y = np.where(y, "true", "false")  # as JSON writes them: a label is text or a number
    if y.dtype.kind in "US":
        return text_column(name, [text if isinstance(text, str) else text.decode("latin-1") for text in y.tolist()])
    return number_column(name, y)


def _images(x: NDArray[Any], title: str) -> NDArray[np.uint8]:
    if x.ndim == 3:
        x = x[..., np.newaxis]
    sides = x.shape[1:3]
    if (
        x.dtype != np.uint8
        or x.ndim != 4
        or x.shape[3] not in (1, 3)
        or not all(1 <= side <= _MAX_SIDE for side in sides)
    ):
        raise SnapshotRefused(
            f"{title}: x is {x.dtype} {x.shape}; images are uint8 (n, height, width) or (n, height, width, 1 or 3), "
            f"sides up to {_MAX_SIDE}"
        )
    return x


def _columns(x: NDArray[Any], title: str) -> tuple[RawColumn, ...]:
    if x.ndim != 2 or x.dtype.kind not in "biuf":
        raise SnapshotRefused(f"{title}: x is {x.dtype} {x.shape}; a table is numbers (n, columns)")
    return tuple(number_column(f"x{index}", values) for index, values in enumerate(x.T))


def _left_aside(names: list[str]) -> tuple[Finding, ...]:
    rest = sorted(set(names) - {"x", "y"})
    if not rest:
        return ()
    return (Finding("note", "unread_data", f"arrays {rest} were not read: a sample is its row of x and y"),)
