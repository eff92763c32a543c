"""What a bundle costs: seconds of training on MNIST, and of scoring on one core; Table IV."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from guard.bundle import load_bundle
from training.datasets import Dataset, load_dataset, load_mnist, split_dataset
from training.experiments.experiment import Case, Experiment, Row, Scale, one_by_one
from training.experiments.summary import mean_and_spread
from training.job import TrainedBundle, train_bundle
from training.presets import PresetName
from training.progress import Progress
from training.snapshot import Snapshot, snapshot_from_arrays

__all__ = ["GRAPH_SPEED", "TRAIN_TIME", "seconds_per_thousand"]

_TRUSTED_SHARE = 0.2
_REPEATS = 9
_BATCH = 500


def _train(case: Case, seed: int, progress: Progress) -> Row:
    """Seconds from snapshot to a verified bundle: learning, export, parity, report and files."""
    snapshot = _snapshot(load_mnist(), seed)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        trained = _bundle(case, seed, snapshot, folder, progress)
        seconds = time.perf_counter() - began
        size = sum(file.stat().st_size for file in trained.path.iterdir())
    return {"trusted": len(snapshot.y), "train_seconds": round(seconds, 2), "bundle_bytes": size}


def _speed(case: Case, seed: int, progress: Progress) -> Row:
    dataset = load_dataset(str(case.settings["data"]))
    with tempfile.TemporaryDirectory() as folder:
        trained = _bundle(case, seed, _snapshot(dataset, seed), folder, progress)
        seconds = seconds_per_thousand(trained.path, dataset)
    members = [member.name for member in trained.manifest.members]
    return {"members": ", ".join(members), "batch": _BATCH, "repeats": _REPEATS, **seconds}


def seconds_per_thousand(bundle: Path, dataset: Dataset) -> Row:
    """Median and fastest of 9 runs over 1000 rows in two calls, all members, on one core, after one run to warm up."""
    loaded = load_bundle(bundle, threads=1)
    rows = np.arange(-2 * _BATCH, 0) % len(dataset.y)
    x, y = dataset.x[rows], dataset.y[rows]
    times = []
    for _ in range(_REPEATS + 1):
        began = time.perf_counter()
        for half in np.split(np.arange(len(y)), 2):
            loaded.judgement.runtime.run(("scores", "suggestion"), x[half], y[half])
        times.append(time.perf_counter() - began)
    return {"graph_seconds": statistics.median(times[1:]), "fastest_seconds": min(times[1:])}


def _snapshot(dataset: Dataset, seed: int) -> Snapshot:
    trusted = split_dataset(dataset, _TRUSTED_SHARE, np.random.default_rng(seed)).trusted
    return snapshot_from_arrays(dataset.x[trusted], dataset.y[trusted], dataset.spec, seed=seed)


def _bundle(case: Case, seed: int, snapshot: Snapshot, folder: str, progress: Progress) -> TrainedBundle:
    preset: PresetName = "standard" if case.settings["preset"] == "standard" else "fast"
    name = str(case.settings["data"])
    return train_bundle(
        snapshot, Path(folder) / "bundle", preset=preset, device="cpu", seed=seed, name=name, progress=progress
    )


def _case(data: str, preset: PresetName) -> Case:
    settings: Row = {"data": data, "trusted_share": _TRUSTED_SHARE, "preset": preset}
    return Case(data, settings, sources=(__name__,))


def _standard(_scale: Scale) -> tuple[Case, ...]:
    return (_case("mnist", "standard"),)


def _fast(_scale: Scale) -> tuple[Case, ...]:
    return tuple(_case(data, "fast") for data in ("fourclass", "house", "mnist"))


TRAIN_TIME = Experiment(
    name="train-time",
    figure="seconds to train a standard bundle from 12,000 MNIST images",
    cases=_standard,
    seeds={"small": 1, "paper": 3},
    run=one_by_one(_train),
    summarise=mean_and_spread,
    timed=True,
)
"""On the CPU of the machine that is named in the result."""

GRAPH_SPEED = Experiment(
    name="graph-speed",
    figure="seconds for 1000 samples through the graph with all members on one core",
    cases=_fast,
    seeds={"small": 1, "paper": 3},
    run=one_by_one(_speed),
    summarise=mean_and_spread,
    timed=True,
)
"""The graph has the same members and sizes at every preset; a fast one is trained."""
