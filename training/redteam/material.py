"""The rows of a red team: read as the bundle reads samples, and shared out between attackers and honest senders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from guard.bundle import Bundle
from guard.decode import Decoded
from guard.errors import SnapshotRefused
from guard.rejection import Rejection
from guard.sample import encode_samples
from training.attacks.attack import AttackerRows, Inputs, Labels
from training.snapshot import Snapshot
from training.split import row_keys

__all__ = ["LEAST_ROWS", "Material", "share_of_twins", "share_out"]

LEAST_ROWS = 100
"""Half of them are attacked: with fewer than 50, the interval of a recall is wider than ±14 %."""

_MOST_REFUSED = 0.1
"""Share of rows that the bundle may refuse; beyond it the data are of another kind than the bundle's."""
_MOST_TRUSTED = 0.05
"""Share of rows that may come from the bundle's own snapshot, as far as can be told."""
_MOST_ATTACKERS = 2_000
_MOST_HONEST = 10_000


@dataclass(frozen=True)
class Material:
    """Disjoint rows: what attackers hold, and honest rows that none of them sees.

    `refused`: rows that the bundle cannot read, `known`: rows that equal one of the trusted rows that it carries.
    """

    attackers: AttackerRows
    x: Inputs
    y: Labels
    refused: int
    known: int


def share_out(bundle: Bundle, data: Snapshot, seed: int) -> Material:
    """Half of the rows of `data` for attackers, at most 2,000, and half for honest contributors, at most 10,000.

    The rows are written in the wire format and decoded by the bundle, so they mean what they would mean in a stream.
    Raises SnapshotRefused for the bundle's own snapshot, for rows of another kind, and for fewer than `LEAST_ROWS`.
    """
    if data.digest == bundle.manifest.snapshot_digest:
        raise SnapshotRefused(f"these are the {len(data.y)} rows that the bundle was trained on; {_OTHERS}")
    decoded = _decode(bundle, data)
    if len(decoded.y) < LEAST_ROWS:
        raise SnapshotRefused(f"{len(decoded.y)} usable rows, at least {LEAST_ROWS} are needed; add clean rows")
    known = _count_known(bundle, decoded.x)
    order = np.random.default_rng(seed).permutation(len(decoded.y))
    half = len(order) // 2
    attackers, honest = order[:half][:_MOST_ATTACKERS], order[half:][:_MOST_HONEST]
    rows = AttackerRows(decoded.x[attackers], decoded.y[attackers], bundle.manifest.spec)
    return Material(rows, decoded.x[honest], decoded.y[honest], len(data.y) - len(decoded.y), known)


_OTHERS = "give clean rows that are not in its snapshot"


def _decode(bundle: Bundle, data: Snapshot) -> Decoded:
    lines = encode_samples(data.spec, data.x, data.y, ["red team"] * len(data.y))
    decoded = bundle.judgement.decoder.decode(lines)
    refused = len(lines) - len(decoded.index)
    if refused > _MOST_REFUSED * len(lines):
        raise SnapshotRefused(f"the bundle cannot read {refused} of {len(lines)} rows; {next(_faults(decoded, data))}")
    return decoded


def _faults(decoded: Decoded, data: Snapshot) -> Iterator[str]:
    unknown = set(decoded.unknown.tolist())
    for row, head in enumerate(decoded.heads):
        if isinstance(head, Rejection):
            yield f"row {data.origin[row]}: {head.detail}"
        elif row in unknown:
            yield f"row {data.origin[row]}: its snapshot held no label {head.label!r}"


def _count_known(bundle: Bundle, x: Inputs) -> int:
    """How many rows equal a trusted row. Raises SnapshotRefused where that is more than chance explains.

    The bundle carries a part of its trusted rows; where those are alike among themselves, new rows will be like them.
    """
    trusted = row_keys(bundle.reference.x)
    known = int(np.isin(row_keys(x), trusted).sum())
    carried = len(trusted) / max(_trusted_rows(bundle), len(trusted))
    share = (known / len(x) - share_of_twins(trusted)) / carried
    if share > _MOST_TRUSTED:
        raise SnapshotRefused(f"about {min(share, 1):.0%} of the rows were trusted rows of this bundle; {_OTHERS}")
    return known


def _trusted_rows(bundle: Bundle) -> int:
    rows = bundle.manifest.training.get("rows")
    return rows if isinstance(rows, int) else 0


def share_of_twins(keys: NDArray[np.bytes_]) -> float:
    """The share of rows, by their keys (n,), that equal another one: so many are alike by chance."""
    _, group, count = np.unique(keys, return_inverse=True, return_counts=True)
    return float(np.mean(count[group] > 1))
