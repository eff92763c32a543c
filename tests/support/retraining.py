"""Candidates for tests: a trusted snapshot, what a guard passed, and reviewers who know the truth."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from guard.bundle import load_bundle
from guard.filter.inputs import Samples
from guard.filter.run import Task, run_filter
from guard.filter.stop import Stop
from guard.review.batch import decide
from guard.review.decision import Action
from guard.review.folder import FolderQuarantine
from guard.sample import encode_samples
from guard.spec import InputSpec
from tests.support.bundles import TABLE, draw_samples, make_bundle
from training.retrain.candidate import Made, make_candidate
from training.retrain.intake import Intake, Record, take_in
from training.retrain.policy import Policy, WrittenPolicy
from training.snapshot import Snapshot, snapshot_from_arrays

TEXT = b"format_version = 1\n"


def trusted_table(rows: int = 120) -> Snapshot:
    return snapshot_from_arrays(*draw_samples(TABLE, rows, 0), TABLE, {"seed": "0"})


def records_of(spec: InputSpec, x: NDArray[Any], y: NDArray[Any], sources: list[str]) -> list[Record]:
    lines = encode_samples(spec, x, y, sources)
    return [Record(f"clean/{number}", line) for number, line in enumerate(lines, 1)]


def intake_of(trusted: Snapshot, count: int, seed: int = 1, sources: int = 5) -> Intake:
    x, y = draw_samples(trusted.spec, count, seed)
    names = [f"sender {number % sources}" for number in range(count)]
    return take_in(trusted.spec, [("clean", records_of(trusted.spec, x, y, names))])


def written(policy: Policy, text: bytes = TEXT) -> WrittenPolicy:
    """A policy as if it had been read; its text is that of the defaults."""
    from hashlib import sha256

    return WrittenPolicy(policy, text, sha256(text).hexdigest())


def candidate_in(folder: Path, count: int = 400, rows: int = 400) -> Made:
    """A candidate of the default policy: up to as many new rows as trusted ones, at most 200 of a source."""
    trusted = trusted_table(rows)
    return make_candidate(trusted, intake_of(trusted, count), written(Policy()), folder, now=0.0)


def filtered(folder: Path, count: int = 200, *, mode: Any = "enforce", wrong: int = 20) -> Path:
    """A folder of `depois filter`: honest samples, and `wrong` ones from mallory at the end."""
    bundle = load_bundle(make_bundle(folder.parent / f"{folder.name}-bundle"))
    x, y = draw_samples(TABLE, count + wrong, 1)
    y[count:] = (y[count:] + 1) % 3
    names = [f"sender {number % 5}" for number in range(count)] + ["mallory"] * wrong
    samples = folder.parent / f"{folder.name}.jsonl"
    samples.write_bytes(b"".join(line + b"\n" for line in encode_samples(TABLE, x, y, names)))
    with Stop() as stop:
        run_filter(Task(Samples(str(samples)), folder, mode=mode), bundle, stop)
    return folder


def review(folder: Path, action: Callable[[int], Action | None], reviewer: str = "ana") -> None:
    """Decides about the held records of a folder by their place."""

    async def work() -> None:
        quarantine = FolderQuarantine(folder)
        await quarantine.refresh()
        for wanted in Action:
            chosen = [held for place, held in enumerate(quarantine.desk.queue) if action(place) is wanted]
            if chosen:
                await decide(quarantine, chosen, wanted, reviewer=reviewer, why="looked at it")

    asyncio.run(work())
