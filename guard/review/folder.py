"""The quarantine in a folder of `depois filter`: decisions go to `decisions.jsonl`, releases to `released.jsonl`.

The protocol: 1. lock the folder, 2. bring both files into agreement and read what other reviewers decided, 3. append
the decisions and put them on disk, 4. append the lines that they release and put them on disk.

Why nothing is lost or doubled. The decisions are the truth: a whole line of `decisions.jsonl` is decided, a torn last
line never was. `released.jsonl` follows from them: the lines of all releases in order. Step 2 cuts a torn line off the
first, and makes the second what it must be: after a crash between 3 and 4, or within either, it writes the rest. All of
it happens under the lock, so two reviewers take turns, and the second one sees what the first one decided. Should
`released.jsonl` be longer than it can be, somebody else wrote to it, and nothing is touched.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import msgspec

from guard.errors import InputUnreadable, OutputFailed
from guard.filter.sinks import QUARANTINE, VERDICTS
from guard.filter.summary import SUMMARY
from guard.filter.verdicts import VerdictLine
from guard.review.decision import Action, Decision, Place, encode_decision
from guard.review.desk import Desk, Outcome, Wish
from guard.review.held import Held, HeldRecord, label_text, value_digest
from guard.review.quarantine import FOREVER
from guard.verdict import Status

__all__ = ["DECISIONS", "RELEASED", "FolderQuarantine"]

DECISIONS = "decisions.jsonl"
RELEASED = "released.jsonl"

_LOCK = ".review.lock"
_AGAIN = "filter the samples again into a new folder"


class FolderQuarantine:
    """The quarantine in one folder. `retention`: for ever."""

    def __init__(self, folder: Path) -> None:
        self.title = str(folder)
        self.desk = Desk()
        self.retention = FOREVER
        self.first: Mapping[int, int] = {}
        self._folder = folder
        self._read_to = 0
        self._noted = 0
        self._released: list[Decision] = []
        self._ends: list[int] = []
        _require_finished(folder)
        for held in _held_records(folder):
            self.desk.hold(held)

    async def refresh(self) -> None:
        """See `Quarantine`. Only reads: a folder may be looked at without the right to write."""
        self._read_decisions()

    async def records(self, held: Sequence[Held]) -> list[HeldRecord | None]:
        """See `Quarantine`."""
        with _opened(self._folder / QUARANTINE) as file:
            return [_read_one(file, one) for one in held]

    async def settle(self, wishes: Sequence[Wish]) -> list[Outcome]:
        """See `Quarantine`. Raises OutputFailed."""
        with self._locked():
            self._mend()
            drafts, outcomes = self.desk.plan(wishes)
            decided = self._place_releases(drafts)
            self._append(DECISIONS, b"".join(encode_decision(decision) + b"\n" for _, decision in decided))
            self._read_decisions()
            self._write_releases()
        return [*outcomes, *(Outcome(wish, decision) for wish, decision in decided)]

    async def close(self) -> None:
        """See `Quarantine`. Nothing is open."""

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            with (self._folder / _LOCK).open("wb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise OutputFailed(
                f"{error.filename or self._folder} cannot be written: {error.strerror}. Make room or allow writing; "
                "what was decided is kept, and the rest can be decided again."
            ) from error

    def _mend(self) -> None:
        """Step 2: whole lines only, and every release that was decided written out."""
        path = self._folder / DECISIONS
        if path.exists():
            self._read_decisions()
            os.truncate(path, self._read_to)
        self._write_releases()

    def _read_decisions(self) -> None:
        path = self._folder / DECISIONS
        if not path.exists():
            return
        with _opened(path) as file:
            file.seek(self._read_to)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self.desk.believe(_key_of(line), line.rstrip(b"\n"), Place(DECISIONS, 0, self._read_to))
                self._read_to += len(line)

    def _place_releases(self, drafts: Sequence[tuple[Wish, Decision]]) -> list[tuple[Wish, Decision]]:
        """The decisions, each release with the byte at which its line will start."""
        end = self._ends[-1] if self._ends else 0
        placed = []
        for wish, draft in drafts:
            decision = draft
            if draft.action is Action.RELEASED:
                decision = msgspec.structs.replace(draft, released=Place(RELEASED, 0, end))
                end += wish.held.size + 1
            placed.append((wish, decision))
        return placed

    def _note_releases(self) -> None:
        """Where the line of each release ends."""
        for decision in self.desk.ledger.log[self._noted :]:
            if decision.action is Action.RELEASED:
                self._released.append(decision)
                self._ends.append((self._ends[-1] if self._ends else 0) + self._line_bytes(decision))
            self._noted += 1

    def _line_bytes(self, decision: Decision) -> int:
        held = self.desk.queue.get(decision.origin)
        if held is None:
            raise OutputFailed(
                f"{self._folder / DECISIONS} releases {decision.origin}, which {QUARANTINE} does not hold. Somebody "
                f"changed one of the two; {_AGAIN}."
            )
        return held.size + 1

    def _write_releases(self) -> None:
        """Step 4: `released.jsonl` becomes the lines of all releases in order."""
        self._note_releases()
        path = self._folder / RELEASED
        written, end = path.stat().st_size if path.exists() else 0, self._ends[-1] if self._ends else 0
        if written > end:
            raise OutputFailed(
                f"{path} is longer than the decisions say: something else wrote to it. Move it away; it is made anew."
            )
        first = bisect_right(self._ends, written)
        start = self._ends[first - 1] if first else 0
        with _opened(self._folder / QUARANTINE) as file:
            lines = b"".join(self._line(file, decision) for decision in self._released[first:])
        self._append(RELEASED, lines[written - start :])

    def _line(self, file: IO[bytes], decision: Decision) -> bytes:
        held = self.desk.queue.get(decision.origin)
        record = None if held is None else _read_one(file, held)
        if record is None:
            raise OutputFailed(f"{self._folder / QUARANTINE} was changed after it was filtered; {_AGAIN}.")
        return record.value + b"\n"

    def _append(self, name: str, data: bytes) -> None:
        if not data:
            return
        path = self._folder / name
        is_new = not path.exists()
        with path.open("ab", buffering=0) as file:
            rest = memoryview(data)
            while rest:
                rest = rest[file.write(rest) or 0 :]
            os.fsync(file.fileno())
        if is_new:
            handle = os.open(self._folder, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def _require_finished(folder: Path) -> None:
    path = folder / SUMMARY
    try:
        complete = json.loads(path.read_bytes())["complete"]
    except FileNotFoundError as error:
        raise InputUnreadable(
            f"{path} is not there: {folder} is no folder of `depois filter`, or its run was killed. Go on with "
            "`depois filter … --resume`, or name another folder."
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputUnreadable(f"{path} cannot be read ({error}); {_AGAIN}") from error
    if not complete:
        raise InputUnreadable(f"{folder}: the run was stopped before its end; go on with `depois filter … --resume`")


def _held_records(folder: Path) -> Iterator[Held]:
    """Every held record with its verdict: both files name them in the order of the input."""
    decode = msgspec.json.Decoder(VerdictLine).decode
    start = 0
    with _opened(folder / QUARANTINE) as lines, _opened(folder / VERDICTS) as verdicts:
        for number, raw in enumerate(verdicts, 1):
            try:
                verdict = decode(raw)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise InputUnreadable(f"{folder / VERDICTS}, line {number}: {error}; {_AGAIN}") from error
            if verdict.verdict is Status.QUARANTINED and not verdict.observed:
                line = lines.readline()
                yield _held(verdict, line.removesuffix(b"\n"), start, folder)
                start += len(line)
        if lines.readline():
            raise InputUnreadable(f"{folder / QUARANTINE} has more lines than {VERDICTS} says; {_AGAIN}")


def _held(verdict: VerdictLine, value: bytes, start: int, folder: Path) -> Held:
    if not value:
        raise InputUnreadable(f"{folder / QUARANTINE} has fewer lines than {VERDICTS} says; {_AGAIN}")
    return Held(
        origin=f"file/input/0/{verdict.line}",
        place=Place(QUARANTINE, 0, start),
        size=len(value),
        value_sha256=value_digest(value),
        timestamp=-1,
        judged=math.nan,
        reason=verdict.reason or "",
        member=verdict.member or "",
        p_value=math.nan if verdict.p_value is None else verdict.p_value,
        threshold=math.nan if verdict.threshold is None else verdict.threshold,
        suggested_label=label_text(verdict.suggested_label),
        source=label_text(verdict.source),
        label=label_text(verdict.label),
        name=label_text(verdict.id),
        model=verdict.model,
        model_sha256=verdict.model_sha256,
    )


def _read_one(file: IO[bytes], held: Held) -> HeldRecord | None:
    file.seek(held.place.offset)
    value = file.read(held.size)
    return HeldRecord(held, None, value) if value_digest(value) == held.value_sha256 else None


def _key_of(line: bytes) -> bytes | None:
    """In a file the origin within the line is the key."""
    try:
        return str(json.loads(line)["origin"]).encode()
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise InputUnreadable(
            f"{path} cannot be read: {error.strerror}. Check the folder and its permissions."
        ) from error
