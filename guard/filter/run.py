"""One run: read a window, judge its records, write each to exactly one output, go on.

1. read a window of whole records, 2. judge them in batches, 3. append each record to one of the three outputs and what
was said of it to the fourth, 4. every few seconds put the outputs on disk, then the checkpoint. A run that is killed
after any step and resumed cuts the outputs back to the checkpoint and reads on from there: the outputs become, byte for
byte, those of a run that was never killed.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from guard.blame import Blame, PlaceState
from guard.bundle import Bundle
from guard.decode import record_limit
from guard.drift import Drift, DriftState, expected_of
from guard.errors import InputUnreadable, OutputFailed, WrongUse
from guard.filter.checkpoint import CHECKPOINT, DRAFT, Checkpoint, Origin, input_hash, read_checkpoint
from guard.filter.evidence import DRIFT, EVIDENCE
from guard.filter.inputs import Samples, open_samples
from guard.filter.reader import Piece, Reader, Window
from guard.filter.sinks import CLEAN, QUARANTINE, REJECTED, VERDICTS, Sinks
from guard.filter.stop import Stop, Stopped
from guard.filter.summary import SUMMARY, Summary, library_versions
from guard.filter.tally import Tally
from guard.filter.verdicts import VerdictWriter
from guard.routing import ROUTES, Mode, Sink
from guard.suspicion import suspicion_of
from guard.verdict import RejectReason, Status, Verdict
from guard.whole_file import write_whole

__all__ = ["BATCH_RECORDS", "CHECKPOINT_SECONDS", "Task", "run_filter"]

BATCH_RECORDS = 2048
"""Records judged at once: so many that what a batch costs beside its records does not show."""

CHECKPOINT_SECONDS = 5.0
"""Work that a kill can cost. An fsync of the outputs takes up to .1 s on a slow disk: 2 % of this."""

_PLACE = "samples"

_FILES = {Sink.CLEAN: CLEAN, Sink.QUARANTINE: QUARANTINE, Sink.DEAD_LETTER: REJECTED}


@dataclass(frozen=True)
class Task:
    """What to filter, into which folder, and how. `checkpoint_seconds` 0 keeps a checkpoint after each window."""

    samples: Samples
    out: Path
    mode: Mode = "enforce"
    resume: bool = False
    checkpoint_seconds: float = CHECKPOINT_SECONDS


def run_filter(
    task: Task, bundle: Bundle, stop: Stop, progress: Callable[[int, int | None], None] = lambda *_: None
) -> Summary:
    """Filters `task.samples` with `bundle` and returns what `summary.json` says.

    `progress(position, total)` is told after each window. Raises InputUnreadable, OutputFailed, WrongUse for a folder
    that is not free or cannot be resumed, MissingRuntime, and Stopped when `stop` was asked before the end.
    """
    origin = _origin(task, bundle)
    if task.resume and origin is None:
        raise WrongUse("a pipe cannot be resumed: it cannot be read twice. Save it to a file first.")
    reader = open_samples(task.samples, bundle.manifest.spec, stop)
    with _folder(task.out):
        found = _begin(task, origin)
        with Sinks(task.out, found.lengths if found else {}) as sinks:
            return _Run(task, bundle, stop, sinks, origin, found).run(reader, progress)


class _Run:
    """The state of one run: where it is in the input, what it has counted, and its open outputs."""

    def __init__(
        self, task: Task, bundle: Bundle, stop: Stop, sinks: Sinks, origin: Origin | None, found: Checkpoint | None
    ) -> None:
        self._task = task
        self._bundle = bundle
        self._stop = stop
        self._sinks = sinks
        self._origin = origin
        self._position = found.position if found else 0
        self._tally = Tally(found.tally if found else None, classes=bundle.manifest.spec.task == "classification")
        self._began = self._kept = time.monotonic()
        self._seconds_before = found.seconds if found else 0.0
        self._piece_bytes = 0
        self._blame = Blame(suspicion_of(bundle.judgement.fusion, bundle.digest))
        if found and found.evidence:
            self._blame.keep(_PLACE, PlaceState.from_bytes(found.evidence.encode()))
        known = DriftState.from_bytes(found.drift.encode()) if found and found.drift else None
        self._drift = Drift(expected_of(bundle.judgement.fusion, bundle.manifest.spec.label, bundle.digest), known)
        card = bundle.manifest
        self._writer = VerdictWriter(f"{card.name}:{card.version}", bundle.digest, observe=task.mode == "observe")

    def run(self, reader: Reader, progress: Callable[[int, int | None], None]) -> Summary:
        try:
            self._take_all(reader, progress)
            self._keep()
        except (InputUnreadable, OutputFailed) as error:
            raise type(error)(f"{error} {self._way_on()}") from error
        summary = self._summary()
        for name, content in (
            (EVIDENCE, self._evidence()),
            (DRIFT, self._drift.state().to_bytes()),
            (SUMMARY, summary.model_dump_json(indent=2).encode() + b"\n"),
        ):
            write_whole(self._task.out / name, content, DRAFT)
        if not summary.complete:
            raise Stopped(f"stopped by {self._stop.asked} after {summary.records} records. {self._way_on()}")
        return summary

    def _take_all(self, reader: Reader, progress: Callable[[int, int | None], None]) -> None:
        try:
            for item in reader.windows(self._position):
                self._take(item)
                progress(item.position, reader.total)
                if not self._piece_bytes and self._is_time_to_stop():
                    return
        except Stopped:
            self._drop_open_piece()

    def _is_time_to_stop(self) -> bool:
        """Between two records: keeps a checkpoint when one is due."""
        self._sinks.flush()
        if time.monotonic() - self._kept >= self._task.checkpoint_seconds:
            self._keep()
        return self._stop.asked is not None

    def _take(self, item: Window | Piece) -> None:
        if isinstance(item, Piece):
            self._take_piece(item)
        else:
            for first in range(0, len(item.records), BATCH_RECORDS):
                self._take_batch(item.records[first : first + BATCH_RECORDS])
        self._position = item.position

    def _take_batch(self, records: Sequence[bytes]) -> None:
        # An empty record is a tombstone on a topic; an empty line is only a line without a sample.
        verdicts = self._bundle.judge([record or b" " for record in records])
        routes = ROUTES[self._task.mode]
        sinks = [routes[verdict.status] for verdict in verdicts]
        for sink, name in _FILES.items():
            self._sinks[name].add_lines([record for record, home in zip(records, sinks, strict=True) if home is sink])
        self._count(verdicts, sum(map(len, records)) + len(records))

    def _take_piece(self, piece: Piece) -> None:
        """A record too long to be judged goes straight to the rejected ones; it is counted with its last piece."""
        self._sinks[REJECTED].add_piece(piece.data, last=piece.last)
        self._piece_bytes += len(piece.data)
        if piece.last:
            detail = f"{self._piece_bytes} bytes; send at most {record_limit(self._bundle.manifest.spec)}"
            verdict = Verdict(Status.MALFORMED, RejectReason.TOO_LARGE, detail=detail)
            self._count([verdict], self._piece_bytes + 1)
            self._piece_bytes = 0

    def _count(self, verdicts: Sequence[Verdict], size: int) -> None:
        numbered = enumerate(verdicts, self._tally.records + 1)
        told = [(number, verdict) for number, verdict in numbered if verdict.status is not Status.CLEAN]
        self._sinks[VERDICTS].add_lines([self._writer.line(number, verdict) for number, verdict in told])
        lines = range(self._tally.records + 1, self._tally.records + len(verdicts) + 1)
        self._blame.add(_PLACE, verdicts, lines, lines)
        self._drift.add(verdicts)
        self._tally.add(verdicts, size)

    def _drop_open_piece(self) -> None:
        """A record whose end was never received is none: what was written of it is cut off."""
        if self._piece_bytes:
            self._sinks[REJECTED].drop(self._piece_bytes)

    def _keep(self) -> None:
        """Put all that is done on disk; for an input that can be read again, with a checkpoint."""
        lengths = self._sinks.to_disk()
        self._kept = time.monotonic()
        if self._origin is not None:
            _write_checkpoint(self._task.out, self._checkpoint(self._origin, lengths))

    def _checkpoint(self, origin: Origin, lengths: dict[str, int]) -> Checkpoint:
        return Checkpoint(
            origin=origin,
            position=self._position,
            lengths=lengths,
            tally=self._tally.state(),
            seconds=self._seconds(),
            evidence=self._evidence().decode(),
            drift=self._drift.state().to_bytes().decode(),
        )

    def _evidence(self) -> bytes:
        return self._blame.state(_PLACE).to_bytes()

    def _seconds(self) -> float:
        return self._seconds_before + time.monotonic() - self._began

    def _way_on(self) -> str:
        if self._origin is None:
            return f"{self._tally.records} records were filtered before; a pipe cannot be resumed."
        return "Repeat the command with --resume to go on; no record is lost or doubled."

    def _summary(self) -> Summary:
        card, tally, seconds = self._bundle.manifest, self._tally.state(), self._seconds()
        return Summary(
            complete=self._stop.asked is None,
            samples=self._task.samples.title,
            mode=self._task.mode,
            boundary=_boundary(self._bundle),
            alpha=self._bundle.alpha,
            model=card.name,
            model_version=card.version,
            model_sha256=self._bundle.digest,
            records=tally.records,
            bytes=tally.bytes,
            seconds=seconds,
            records_per_second=tally.records / seconds if seconds else 0.0,
            verdicts=tally.verdicts,
            reasons=tally.reasons,
            held_share=tally.held_share(),
            sources=tally.sources.cut(),
            labels=tally.labels.cut(),
            libraries=library_versions(),
        )


def _origin(task: Task, bundle: Bundle) -> Origin | None:
    """What a resumed run must agree with; None for a pipe."""
    samples = task.samples
    if not samples.is_file():
        return None
    path = Path(samples.path)
    return Origin(
        input_bytes=path.stat().st_size,
        input_sha256=input_hash(path),
        columns=f"label={samples.label} source={samples.source} drop={sorted(samples.drop)}",
        bundle=bundle.digest,
        alpha=bundle.alpha.value,
        boundary=_boundary(bundle),
        mode=task.mode,
    )


def _boundary(bundle: Bundle) -> str:
    return bundle.judgement.fusion.rule


def _begin(task: Task, origin: Origin | None) -> Checkpoint | None:
    """The checkpoint to go on from; None for a run from the start, whose first checkpoint is then written."""
    found = read_checkpoint(task.out, origin) if task.resume and origin else None
    if found is None and (others := [file.name for file in task.out.iterdir() if file.name != DRAFT]):
        advice = "Remove --resume and name a new folder" if task.resume else "Name a new folder, or go on with --resume"
        raise WrongUse(f"{task.out} is not empty: it holds {others[0]}. {advice}.")
    if found is None and origin is not None:
        empty = Tally(classes=False).state()
        _write_checkpoint(task.out, Checkpoint(origin=origin, position=0, lengths={}, tally=empty, seconds=0.0))
    return found


def _write_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    write_whole(folder / CHECKPOINT, checkpoint.model_dump_json().encode(), DRAFT)


@contextmanager
def _folder(path: Path) -> Iterator[None]:
    """Makes the output folder, and keeps it to this process. Raises OutputFailed."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise OutputFailed(f"{path} cannot be made: {error.strerror}. Name a folder that may be written.") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise OutputFailed(f"another run writes to {path}. Wait for it, or name another folder.") from error
    finally:
        os.close(handle)
