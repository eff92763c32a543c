"""The trusted snapshot: encoded rows, their input specification, a fixed split, and where they came from.

On disk it is a folder of two files: `snapshot.json` (specification, digest, provenance) and `arrays.npz` (x, y, fold,
origin). Both are hostile until the digest over their content agrees.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from guard.errors import SnapshotRefused
from guard.folder import new_folder
from guard.npz import array_names, read_arrays
from guard.spec import InputSpec
from training.audit import audit_rows
from training.split import FOLDS, assign_folds

__all__ = ["FOLDS", "FORMAT_VERSION", "Snapshot", "read_snapshot", "snapshot_from_arrays", "write_snapshot"]

FORMAT_VERSION = 1
"""Raised when an older product would misread a newer snapshot; any other version is refused."""

_ARRAYS = ("x", "y", "fold", "origin")
_MAX_JSON = 64 << 20
_AGAIN = "create the snapshot again with `depois snapshot create`"


@dataclass(frozen=True)
class Snapshot:
    """Trusted rows, encoded as `guard.spec` says.

    `x`: float64 (n, columns) or uint8 (n, height, width, channels); `y`: int64 (n,) class index or float64 (n,);
    `fold`: int8 (n,) in [0, FOLDS); `origin`: int64 (n,) row number in the source, from 1;
    `digest`: SHA-256 of the content.
    """

    spec: InputSpec
    x: NDArray[np.float64] | NDArray[np.uint8]
    y: NDArray[np.int64] | NDArray[np.float64]
    fold: NDArray[np.int8]
    origin: NDArray[np.int64]
    digest: str
    provenance: dict[str, str]


class _Card(BaseModel):
    """`snapshot.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: int
    digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    rows: int
    spec: InputSpec
    provenance: dict[str, str]


def snapshot_from_arrays(
    x: ArrayLike,
    y: ArrayLike,
    spec: InputSpec,
    provenance: Mapping[str, str] | None = None,
    *,
    seed: int = 0,
    origin: ArrayLike | None = None,
) -> Snapshot:
    """A snapshot of rows that are encoded already, split into folds by content and `seed`.

    `x`, `y` and `origin` as in `Snapshot`; `origin` counts from 1 when not given. Raises SnapshotRefused when rows are
    too few or contradict `spec`.
    """
    x, y = np.array(x), np.array(y)
    audit_rows(spec, x, y)
    if x.dtype.kind == "f":
        x = np.where(np.isnan(x), np.nan, x + 0.0)  # one bit pattern per value: the digest is of values
    rows = np.arange(1, len(x) + 1) if origin is None else np.array(origin, np.int64)
    fold = assign_folds(x, y, seed=seed)
    _audit_places(len(x), fold, rows)
    digest = _digest(spec, {"x": x, "y": y, "fold": fold, "origin": rows})
    return Snapshot(spec, x, y, fold, rows, digest, dict(provenance or {}))


def write_snapshot(snapshot: Snapshot, path: str | Path) -> None:
    """Writes the folder `path` whole or not at all. Raises OutputFailed when it exists or cannot be written."""
    card = _Card(
        format_version=FORMAT_VERSION,
        digest=snapshot.digest,
        rows=len(snapshot.x),
        spec=snapshot.spec,
        provenance=snapshot.provenance,
    )
    with new_folder(Path(path)) as draft:
        np.savez(draft / "arrays.npz", allow_pickle=False, **_arrays(snapshot))
        (draft / "snapshot.json").write_text(card.model_dump_json(indent=1) + "\n", encoding="utf-8")


def read_snapshot(path: str | Path) -> Snapshot:
    """Reads the folder `path`: parse, audit, construct.

    Raises SnapshotRefused, naming the file and what to do, when anything is missing, damaged, of a newer format, or
    does not agree with the digest or with the specification.
    """
    folder = Path(path)
    card = _read_card(folder / "snapshot.json")
    arrays = _read_arrays(folder / "arrays.npz", card)
    audit_rows(card.spec, arrays["x"], arrays["y"])
    _audit_places(card.rows, arrays["fold"], arrays["origin"])
    if _digest(card.spec, arrays) != card.digest:
        raise SnapshotRefused(f"{folder}: the content does not agree with its digest {card.digest[:12]}…; {_AGAIN}")
    return Snapshot(spec=card.spec, digest=card.digest, provenance=card.provenance, **arrays)


def _arrays(snapshot: Snapshot) -> dict[str, Any]:
    return {name: getattr(snapshot, name) for name in _ARRAYS}


def _read_card(path: Path) -> _Card:
    text = _read_json(path)
    version = text.get("format_version")
    if version != FORMAT_VERSION:
        raise SnapshotRefused(
            f"{path} has format {version!r}, this product reads format {FORMAT_VERSION}: "
            f"upgrade depois-guard, or {_AGAIN}"
        )
    try:
        return _Card.model_validate(text)
    except ValidationError as wrong:
        first = wrong.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise SnapshotRefused(f"{path}: {where}: {first['msg']}; {_AGAIN}") from wrong


def _read_json(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_JSON + 1)
    except OSError as absent:
        raise SnapshotRefused(f"{path} cannot be read ({absent.strerror}): {path.parent} is no snapshot") from absent
    if len(raw) > _MAX_JSON:
        raise SnapshotRefused(f"{path} has more than {_MAX_JSON} bytes; {_AGAIN}")
    try:
        card = json.loads(raw)
    except (ValueError, RecursionError) as broken:
        raise SnapshotRefused(f"{path} is no JSON ({broken}); {_AGAIN}") from broken
    if not isinstance(card, dict):
        raise SnapshotRefused(f"{path} holds no JSON object; {_AGAIN}")
    return card


def _read_arrays(path: Path, card: _Card) -> dict[str, Any]:
    names = array_names(path, str(path), SnapshotRefused)
    if sorted(names) != sorted(_ARRAYS):
        raise SnapshotRefused(f"{path} holds {names}, not {list(_ARRAYS)}; {_AGAIN}")
    arrays = read_arrays(path, _ARRAYS, str(path), SnapshotRefused)
    if {len(array) if array.ndim else -1 for array in arrays.values()} != {card.rows}:
        raise SnapshotRefused(f"{path}: the arrays do not all have {card.rows} rows; {_AGAIN}")
    return arrays


def _audit_places(rows: int, fold: NDArray[Any], origin: NDArray[Any]) -> None:
    fold_right = fold.dtype == np.int8 and fold.shape == (rows,) and np.all((fold >= 0) & (fold < FOLDS))
    origin_right = origin.dtype == np.int64 and origin.shape == (rows,) and np.all(origin >= 1)
    if not (fold_right and origin_right):
        raise SnapshotRefused(f"fold or origin is no array of {rows} row numbers; {_AGAIN}")


def _digest(spec: InputSpec, arrays: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 over the specification's JSON and, per array, its name, dtype, shape and little-endian C-order bytes."""
    digest = hashlib.sha256(spec.model_dump_json().encode())
    for name in _ARRAYS:
        array = arrays[name]
        little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        digest.update(f"\n{name} {little.dtype.str} {little.shape}\n".encode())
        digest.update(little.data)
    return digest.hexdigest()
