"""Records that might become trusted: read from what the guard passed and reviewers released, decoded, and dated.

They are decoded under the specification of the trusted snapshot, which a retraining never widens: a new class, another
range or a new category is a decision about the data, taken with `depois snapshot create`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from guard.blame import Blame
from guard.decode import Decoder, record_limit
from guard.errors import InputUnreadable, WrongUse
from guard.filter.evidence import EVIDENCE, read_blame
from guard.filter.inputs import Samples, open_samples
from guard.filter.lines import FileLines
from guard.filter.reader import Reader, numbered
from guard.filter.sinks import CLEAN
from guard.filter.stop import Stop
from guard.filter.summary import SUMMARY
from guard.rejection import Rejection
from guard.review.decision import Action
from guard.review.opening import with_quarantine
from guard.review.quarantine import Quarantine
from guard.rfc3339 import seconds_of
from guard.spec import InputSpec

__all__ = ["Intake", "Record", "Told", "read_file", "read_filtered", "take_in"]

_BATCH = 1024


class Record(NamedTuple):
    """One record as it arrived. `judged`: when the guard judged it, seconds since 1970, NaN where nobody says."""

    origin: str
    value: bytes
    released: bool = False
    judged: float = math.nan


class Told(NamedTuple):
    """What a record says of itself.

    `time`: when it was judged, else its own event time, else NaN. `fault`: why it is no sample of the snapshot's kind,
    None for one that is. `known`: whether the snapshot holds its label.
    """

    origin: str
    source: str | None
    label: str | int | float | None
    id: str | None
    time: float
    released: bool
    fault: str | None = None
    known: bool = True


@dataclass
class Intake:
    """All considered records, `told` in the order in which they came.

    `x`, `y`: those that are samples, encoded; `sound`: their places in `told`, int64 (m,). `blames`: evidence about
    their sources. `inputs`: how many records came from where.
    """

    told: list[Told] = field(default_factory=list)
    sound: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    x: NDArray[Any] = field(default_factory=lambda: np.empty(0))
    y: NDArray[Any] = field(default_factory=lambda: np.empty(0))
    blames: list[Blame] = field(default_factory=list)
    inputs: dict[str, int] = field(default_factory=dict)

    def is_accused(self, source: str | None) -> bool:
        """Whether any of the evidence accuses `source`."""
        return any(blame.is_accused(source) for blame in self.blames)


def take_in(spec: InputSpec, inputs: Iterable[tuple[str, Iterable[Record]]], blames: Sequence[Blame] = ()) -> Intake:
    """Decodes the records of all `inputs`, each with its title. Raises what reading them raises."""
    decoder, intake = Decoder(spec), Intake(blames=list(blames))
    xs, ys, places = [], [], []
    for title, records in inputs:
        before = len(intake.told)
        waiting = iter(records)
        while batch := list(islice(waiting, _BATCH)):
            decoded = decoder.decode([record.value for record in batch])
            unknown = set(decoded.unknown.tolist())
            places.append(decoded.index + len(intake.told))
            xs.append(decoded.x)
            ys.append(decoded.y)
            for place, (record, head) in enumerate(zip(batch, decoded.heads, strict=True)):
                intake.told.append(_told(record, head, known=place not in unknown))
        intake.inputs[title] = intake.inputs.get(title, 0) + len(intake.told) - before
    if places:
        intake.sound, intake.x, intake.y = np.concatenate(places), np.concatenate(xs), np.concatenate(ys)
    return intake


def _told(record: Record, head: Any, *, known: bool) -> Told:
    if isinstance(head, Rejection):
        return Told(record.origin, head.source, None, head.id, record.judged, record.released, head.detail)
    time = record.judged
    if math.isnan(time) and head.event_time is not None:
        time = seconds_of(head.event_time)
    return Told(record.origin, head.source, head.label, head.id, time, record.released, None, known)


def read_filtered(folder: Path, spec: InputSpec) -> tuple[list[tuple[str, Iterable[Record]]], Blame]:
    """What `depois filter` passed in `folder`, what reviewers released there since, and the evidence about sources.

    Releases are read from the decisions, not from `released.jsonl`. Raises InputUnreadable for a folder that is not
    finished, or that was filtered in mode `observe`, where suspects are among the clean lines.
    """
    mode = _mode(folder)
    if mode != "enforce":
        raise InputUnreadable(f"{folder} was filtered in mode {mode!r}: suspects were passed. Filter again to enforce.")
    released = _released(folder)
    Samples(str(folder / CLEAN)).is_file()  # raises where it is not there
    clean = FileLines(folder / CLEAN, record_limit(spec))
    inputs: list[tuple[str, Iterable[Record]]] = [
        (f"{folder.name}/{CLEAN}", _lines(clean, f"{folder.name}/clean", spec))
    ]
    if released:
        inputs.append((f"{folder.name}, released", released))
    return inputs, read_blame(folder / EVIDENCE)[1]


def read_file(path: Path, spec: InputSpec, samples: Samples) -> tuple[str, Iterable[Record]]:
    """The records of a file of any kind that `depois filter` reads. Raises InputUnreadable, WrongUse."""
    if not samples.is_file():
        raise WrongUse(f"{path} is a pipe; save it to a file first")
    with Stop() as stop:
        reader = open_samples(samples, spec, stop)
    return path.name, _lines(reader, path.name, spec)


def _mode(folder: Path) -> str:
    try:
        return str(json.loads((folder / SUMMARY).read_bytes())["mode"])
    except OSError as error:
        raise InputUnreadable(
            f"{folder / SUMMARY} cannot be read ({error.strerror}): name a file, or a folder that `depois filter` wrote"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputUnreadable(f"{folder / SUMMARY} is no summary of `depois filter`; filter again") from error


def _released(folder: Path) -> list[Record]:
    found: list[Record] = []

    async def work(quarantine: Quarantine) -> None:
        desk = quarantine.desk
        chosen = [one for one in desk.queue if desk.ledger.state(one.origin) is Action.RELEASED]
        for record in await quarantine.records(chosen):
            if record is None:
                raise InputUnreadable(f"{folder}: a released record was changed after it was filtered; filter again")
            found.append(Record(f"{folder.name}/{record.held.origin}", record.value, released=True))

    with_quarantine(None, folder, work)
    return found


def _lines(reader: Reader, title: str, spec: InputSpec) -> Iterator[Record]:
    return (Record(f"{title}/{number}", value) for number, value in numbered(reader, record_limit(spec)))
