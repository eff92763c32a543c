"""One demo from end to end, through the same files and the same code as the commands `train` and `filter`.

1. build the scenario; 2. write snapshot and stream; 3. train the bundle; 4. filter the stream; 5. join the truth, and
count.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np

from guard.bundle import load_bundle
from guard.errors import OutputFailed, WrongUse
from guard.filter.inputs import Samples
from guard.filter.run import Task, run_filter
from guard.filter.sinks import VERDICTS
from guard.filter.stop import Stop
from guard.filter.verdicts import VerdictLine
from guard.manifest import Manifest
from training.datasets import DatasetName, load_dataset
from training.demo.measure import Figures, Told, join_truth, measure
from training.demo.scenario import Scenario, build_scenario
from training.job import train_bundle
from training.presets import PresetName
from training.progress import Progress
from training.snapshot import snapshot_from_arrays, write_snapshot

__all__ = ["MARK", "Demo", "Settings", "run_demo"]

MARK = ".depois-demo"
"""A file that says that a folder was written by the demo and may be written anew."""


@dataclass(frozen=True)
class Settings:
    """What to run: the data set, the folder for all that is written, and how much training."""

    data: DatasetName
    out: Path
    seed: int = 0
    preset: PresetName = "fast"
    alpha: float = 0.01


@dataclass(frozen=True)
class Demo:
    """A finished demo. `told`: each line of the stream with its verdict; `seconds`: by stage, in order."""

    settings: Settings
    scenario: Scenario
    manifest: Manifest
    digest: str
    told: list[Told]
    figures: Figures
    seconds: dict[str, float]


@dataclass
class _Clock:
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - began


def run_demo(settings: Settings, progress: Progress) -> Demo:
    """Runs the demo into `settings.out`: `snapshot/`, `stream.jsonl`, `bundle/`, `filtered/`.

    A folder that an earlier demo wrote is emptied first. Raises WrongUse when the folder holds anything else,
    OutputFailed when it cannot be written, InputUnreadable when the data set is absent.
    """
    clock, out = _Clock(), settings.out
    with clock.stage("poison the stream"):
        scenario = build_scenario(load_dataset(settings.data), np.random.default_rng(settings.seed))
    _clear(out)
    provenance = {"source": f"{settings.data}, {len(scenario.y)} rows drawn with seed {settings.seed}"}
    snapshot = snapshot_from_arrays(scenario.x, scenario.y, scenario.dataset.spec, provenance, seed=settings.seed)
    write_snapshot(snapshot, out / "snapshot")
    (out / "stream.jsonl").write_bytes(b"".join(entry.record + b"\n" for entry in scenario.stream))
    with clock.stage("train on the trusted rows"):
        train_bundle(
            snapshot,
            out / "bundle",
            alpha=settings.alpha,
            preset=settings.preset,
            seed=settings.seed,
            name=f"demo-{settings.data}",
            progress=progress,
        )
    with clock.stage("filter the stream"):
        bundle = load_bundle(out / "bundle")
        with Stop() as stop:
            run_filter(Task(Samples(str(out / "stream.jsonl")), out / "filtered"), bundle, stop)
    told = join_truth(scenario.stream, _verdicts(out / "filtered" / VERDICTS))
    return Demo(settings, scenario, bundle.manifest, bundle.digest, told, measure(scenario, told), clock.seconds)


def _clear(out: Path) -> None:
    """Leaves a folder that holds nothing but the mark. Raises WrongUse, OutputFailed."""
    if out.exists() and not out.is_dir():
        raise WrongUse(f"{out} is a file; name a folder with --out")
    try:
        if out.exists() and any(out.iterdir()):
            if not (out / MARK).is_file():
                raise WrongUse(f"{out} holds files that no demo wrote; name another folder with --out")
            shutil.rmtree(out)
        out.mkdir(parents=True, exist_ok=True)
        (out / MARK).write_text("Written by `depois demo`, which empties this folder when it runs again.\n")
    except OSError as error:
        raise OutputFailed(f"{out} cannot be written ({error.strerror}); name another folder with --out") from error


def _verdicts(path: Path) -> list[VerdictLine]:
    decode = msgspec.json.Decoder(VerdictLine).decode
    return [decode(line) for line in path.read_bytes().splitlines()]
