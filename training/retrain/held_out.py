"""Trusted rows that neither champion nor challenger was trained on, as far as that can be known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from guard.bundle import Bundle
from guard.errors import SnapshotRefused, WrongUse
from guard.sample import encode_samples
from training.attacks.attack import Inputs, Labels
from training.redteam.material import share_of_twins
from training.snapshot import Snapshot, read_snapshot, snapshot_from_arrays
from training.split import row_keys

__all__ = ["HeldOut", "hold_out", "training_snapshots"]

_MOST_KNOWN = 0.05
"""Share of rows that may equal a trained one; they are left out. Beyond it the data were not held out."""
_OTHERS = "give trusted rows that were held out of both snapshots"


@dataclass(frozen=True)
class HeldOut:
    """`data`: rows that both bundles read, encoded alike, and that equal none of the rows known to have trained one.

    `x`, `y` and `lines`: those rows, encoded and in the wire format. `left`: how many equal a trained row. `unread`:
    how many the bundles cannot read. `fully_known`: whether all training rows of both bundles were compared, or only
    those that a bundle carries.
    """

    data: Snapshot
    x: Inputs
    y: Labels
    lines: list[bytes]
    left: int
    unread: int
    fully_known: bool


def training_snapshots(bundles: Iterable[tuple[Path, Bundle]], given: Iterable[Path]) -> list[Snapshot]:
    """Snapshots that the bundles were trained on: of those that are `given`, and of those beside a bundle.

    `depois retrain` puts the snapshot beside the bundle. Raises SnapshotRefused; WrongUse where one that is given
    belongs to neither bundle.
    """
    pairs = list(bundles)
    wanted = {bundle.manifest.snapshot_digest for _, bundle in pairs}
    found = {}
    for path in given:
        snapshot = read_snapshot(path)
        if snapshot.digest not in wanted:
            raise WrongUse(f"{path}: neither bundle was trained on this snapshot; leave it out")
        found[snapshot.digest] = snapshot
    for path, bundle in pairs:
        beside = path.resolve().parent / "snapshot"
        if bundle.manifest.snapshot_digest not in found and (beside / "snapshot.json").exists():
            snapshot = read_snapshot(beside)
            if snapshot.digest == bundle.manifest.snapshot_digest:
                found[snapshot.digest] = snapshot
    return list(found.values())


def hold_out(bundles: Sequence[Bundle], data: Snapshot, trained_on: Sequence[Snapshot]) -> HeldOut:
    """The rows of `data` as both bundles read them, without those that trained either.

    A row is told by its content, its label left aside. Raises SnapshotRefused where more than one row in twenty is
    known, or is no sample to the bundles; WrongUse where the bundles do not read the same samples.
    """
    champion, challenger = bundles
    if champion.manifest.spec != challenger.manifest.spec:
        raise WrongUse(
            "champion and challenger read different samples; retrain one of them on rows of the other's kind"
        )
    for bundle in bundles:
        if bundle.manifest.snapshot_digest == data.digest:
            name = f"{bundle.manifest.name}:{bundle.manifest.version}"
            raise SnapshotRefused(f"these are the {len(data.y)} rows that {name} was trained on; {_OTHERS}")
    lines = encode_samples(data.spec, data.x, data.y, ["held out"] * len(data.y))
    decoded = champion.judgement.decoder.decode(lines)
    unread = len(lines) - len(decoded.index)
    if unread > _MOST_KNOWN * len(lines):
        raise SnapshotRefused(f"the bundles cannot read {unread} of {len(lines)} rows; they are data of another kind")
    trained = [row_keys(x) for x in (*(bundle.reference.x for bundle in bundles), *(rows.x for rows in trained_on))]
    known = np.isin(row_keys(decoded.x), np.concatenate(trained))
    if known.mean() - max(map(share_of_twins, trained)) > _MOST_KNOWN:
        raise SnapshotRefused(f"{known.sum()} of {len(known)} rows trained champion or challenger; {_OTHERS}")
    x, y = decoded.x[~known], decoded.y[~known]
    covered = {snapshot.digest for snapshot in trained_on}
    return HeldOut(
        data=snapshot_from_arrays(x, y, champion.manifest.spec, origin=data.origin[decoded.index][~known]),
        x=x,
        y=y,
        lines=[lines[place] for place in decoded.index[~known].tolist()],
        left=int(known.sum()),
        unread=unread,
        fully_known=all(bundle.manifest.snapshot_digest in covered for bundle in bundles),
    )
