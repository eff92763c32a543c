"""Runs an experiment and keeps its result file: written after every row, and taken up again where it was left."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from itertools import groupby
from multiprocessing import get_context
from pathlib import Path
from queue import Queue
from typing import cast

import torch
from pydantic import JsonValue

from guard.errors import OutputFailed, WrongUse
from training.experiments.circumstances import circumstances
from training.experiments.experiment import Case, Experiment, Row, Scale
from training.experiments.sources import code_digest
from training.progress import Progress, Silent

__all__ = ["result_path", "run_experiment"]

_LOOK_SECONDS = 1.0

Planned = tuple[tuple[Case, ...], int]
"""Cases of one group, and a seed."""


def result_path(experiment: Experiment, folder: Path) -> Path:
    """`results/<name>.json`."""
    return folder / f"{experiment.name}.json"


def run_experiment(
    experiment: Experiment,
    folder: Path,
    *,
    scale: Scale = "small",
    seeds: int | None = None,
    jobs: int = 1,
    progress: Progress,
) -> Row:
    """Runs every case at every seed that the result file does not hold yet, and returns what the file says.

    `seeds`: how many, from 0 on; None: as many as the scale asks for. `jobs`: processes of one thread each; 1, or an
    experiment that is timed: this process, with all its threads. A row is kept while its settings and the code behind
    it (`Case.sources`) are the same; rows of other versions or another machine are dropped, not mixed in.
    Raises OutputFailed; WrongUse for fewer than one seed.
    """
    count = experiment.seeds[scale] if seeds is None else seeds
    if count < 1:
        raise WrongUse(f"{count} seeds were asked for; one is the least")
    cases, path = experiment.cases(scale), result_path(experiment, folder)
    here = jobs == 1 or experiment.timed
    head = _head(experiment, scale, cases, torch.get_num_threads() if here else 1)
    # Taken before anything runs: who edits a file during a long run must not have it vouched for.
    digests = {case.name: _digest(case) for case in cases}
    rows = _kept_rows(path, head, digests, count)
    planned = _plan(cases, count, {(row["case"], row["seed"]) for row in rows})
    made = _run_here(experiment, planned, progress) if here else _run_beside(experiment, planned, jobs)
    for row in progress.track(made, experiment.name, total=sum(len(group) for group, _ in planned)):
        rows.append({**row, "digest": digests[str(row["case"])]})
        _write(path, _document(experiment, head, rows))
    return _document(experiment, head, rows)


def _plan(cases: Sequence[Case], seeds: int, done: set[tuple[JsonValue, JsonValue]]) -> list[Planned]:
    """What is missing, group by group; a case without a group is one by itself."""
    grouped = [tuple(group) for _, group in groupby(cases, key=lambda case: case.group or case.name)]
    missing = [
        (tuple(case for case in group if (case.name, seed) not in done), seed)
        for seed in range(seeds)
        for group in grouped
    ]
    return [(group, seed) for group, seed in missing if group]


def _run_here(experiment: Experiment, planned: Sequence[Planned], progress: Progress) -> Iterator[Row]:
    for group, seed in planned:
        yield from _timed_rows(experiment, group, seed, progress)


def _run_beside(experiment: Experiment, planned: Sequence[Planned], jobs: int) -> Iterator[Row]:
    """The same in `jobs` fresh processes; each row comes as soon as it is made, not with the last of its group."""
    context = get_context("spawn")
    with (
        context.Manager() as manager,
        ProcessPoolExecutor(jobs, mp_context=context, initializer=_use_one_thread) as pool,
    ):
        made: Queue[Row] = manager.Queue()
        groups = {pool.submit(_send_rows, experiment, *one, made) for one in planned}
        while groups:
            done, groups = wait(groups, timeout=_LOOK_SECONDS, return_when=FIRST_COMPLETED)
            while not made.empty():
                yield made.get()
            for group in done:
                group.result()


def _use_one_thread() -> None:
    torch.set_num_threads(1)


def _send_rows(experiment: Experiment, group: tuple[Case, ...], seed: int, made: Queue[Row]) -> None:
    for row in _timed_rows(experiment, group, seed, Silent()):
        made.put(row)


def _timed_rows(experiment: Experiment, group: tuple[Case, ...], seed: int, progress: Progress) -> Iterator[Row]:
    """Each row with the time it took; what a group trains is counted to its first row."""
    wall, work = time.perf_counter(), time.process_time()
    for case, figures in zip(group, experiment.run(group, seed, progress), strict=True):
        head: Row = {"case": case.name, "seed": seed}
        seconds: Row = {
            "seconds": round(time.perf_counter() - wall, 2),
            "cpu_seconds": round(time.process_time() - work, 2),
        }
        if taken := figures.keys() & (head.keys() | seconds.keys()):
            raise ValueError(
                f"{case.name}: {', '.join(sorted(taken))} is what every row says; name the figure otherwise"
            )
        yield head | figures | seconds
        wall, work = time.perf_counter(), time.process_time()


def _digest(case: Case) -> str:
    """What a row depends on beside the seed and the circumstances: settings and code."""
    settings = json.dumps(case.settings, sort_keys=True)
    return hashlib.sha256(f"{settings}\n{code_digest(*case.sources)}".encode()).hexdigest()[:16]


def _head(experiment: Experiment, scale: Scale, cases: Sequence[Case], threads: int) -> Row:
    return {
        "experiment": experiment.name,
        "figure": experiment.figure,
        "command": f"depois experiment run {experiment.name} --scale {scale}",
        "scale": scale,
        "cases": {case.name: case.settings for case in cases},
        "circumstances": circumstances() | {"threads": threads},
    }


def _kept_rows(path: Path, head: Row, digests: dict[str, str], seeds: int) -> list[Row]:
    """Rows of an earlier run in the same circumstances and by the same code, of cases and seeds that are asked for."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    if not isinstance(found, dict) or any(found.get(key) != head[key] for key in ("experiment", "circumstances")):
        return []
    return [row for row in found["rows"] if row.get("digest") == digests.get(row["case"], "") and row["seed"] < seeds]


def _document(experiment: Experiment, head: Row, unsorted: Sequence[Row]) -> Row:
    place = {name: index for index, name in enumerate(cast("dict[str, JsonValue]", head["cases"]))}
    rows = sorted(unsorted, key=lambda row: (place[str(row["case"])], int(str(row["seed"]))))
    names = dict.fromkeys(str(row["case"]) for row in rows)
    summary = {name: experiment.summarise([row for row in rows if row["case"] == name]) for name in names}
    return {**head, "summary": cast("JsonValue", summary), "rows": cast("JsonValue", rows)}


def _write(path: Path, document: Row) -> None:
    """Whole or not at all."""
    draft = path.with_suffix(".json.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        raise OutputFailed(f"{path} cannot be written ({error.strerror}); name another folder with --out") from error
