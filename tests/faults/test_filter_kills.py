"""A filter that is killed anywhere and resumed writes, byte for byte, what one that was never killed writes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from guard.filter.evidence import DRIFT, EVIDENCE
from guard.filter.sinks import OUTPUTS
from tests.support.bundles import TABLE, make_bundle
from tests.support.streams import make_stream

RECORDS = 30_000
SEED = 20

WORKER = """
import os, resource, signal, sys
from pathlib import Path
import onnx, onnxruntime
from guard.bundle import load_bundle
from guard.filter.inputs import Samples
from guard.filter.run import Task, run_filter
from guard.filter.stop import Stop

folder, out, *kills = sys.argv[1:]

def run(kind, count):
    if kind == "bytes":  # the kernel kills at exactly this byte of the first output that reaches it
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (count, resource.RLIM_INFINITY))
    def told(position, total):
        nonlocal count
        count -= 1
        if kind == "windows" and count == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        os.write(tell, b".")
    bundle = load_bundle(f"{folder}/bundle", threads=1)
    task = Task(Samples(f"{folder}/samples.jsonl"), Path(out), resume=True, checkpoint_seconds=0)
    run_filter(task, bundle, Stop(), told)

ENDS = {"bytes": -signal.SIGXFSZ, "windows": -signal.SIGKILL, "never": 0}
for kill in [*kills, "never:0"]:
    kind, _, count = kill.partition(":")
    hear, tell = os.pipe()
    child = os.fork()
    if not child:
        run(kind, int(count))
        os._exit(0)
    os.close(tell)
    if kind == "outside":  # some moments after the child said that its first window is done
        os.read(hear, 1)
        for _ in range(int(count)):
            pass
        os.kill(child, signal.SIGKILL)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.close(hear)
    if kind in ENDS and ended != ENDS[kind]:
        sys.exit(f"{kill} ended with {ended}")
"""
"""Filters in forks, each of which dies as it was told `kind:count`, and at last in one that does not."""


def _filter(made: Path, out: Path, *kills: str) -> None:
    repository = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", WORKER, str(made), str(out), *kills], check=True, cwd=repository)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A bundle, a stream of six windows in which a record too long for memory stands, and the whole run over it."""
    folder = tmp_path_factory.mktemp("kills")
    make_bundle(folder / "bundle")
    lines = make_stream(TABLE, RECORDS, SEED)
    lines.insert(RECORDS // 3, b"x" * 2_500_000)
    (folder / "samples.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    _filter(folder, folder / "whole")
    return folder


def _require_same(made: Path, out: Path) -> None:
    for name in (*OUTPUTS, EVIDENCE, DRIFT):
        assert (out / name).read_bytes() == (made / "whole" / name).read_bytes(), name
    whole, resumed = (json.loads((folder / "summary.json").read_bytes()) for folder in (made / "whole", out))
    for summary in (whole, resumed):
        del summary["seconds"], summary["records_per_second"]
    assert resumed == whole


def _random_bytes(made: Path, rng: np.random.Generator, count: int) -> list[str]:
    end = (made / "whole" / "clean.jsonl").stat().st_size
    return [f"bytes:{position}" for position in sorted(rng.integers(4000, end, count).tolist())]


def test_the_uninterrupted_run_has_every_record_exactly_once(made):
    given = (made / "samples.jsonl").read_bytes().split(b"\n")
    kept = [line for name in OUTPUTS[:3] for line in (made / "whole" / name).read_bytes().split(b"\n")[:-1]]
    assert sorted(kept) == sorted(given[:-1])


def test_killed_at_twelve_random_bytes(made, tmp_path):
    _filter(made, tmp_path / "out", *_random_bytes(made, np.random.default_rng(SEED), 12))
    _require_same(made, tmp_path / "out")


def test_killed_between_windows_and_from_outside(made, tmp_path):
    rng = np.random.default_rng(SEED)
    outside = [f"outside:{spins}" for spins in rng.integers(0, 500_000, 3)]
    _filter(made, tmp_path / "out", "windows:1", "windows:2", *outside)
    _require_same(made, tmp_path / "out")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_killed_at_many_random_moments(made, tmp_path, seed):
    rng = np.random.default_rng(seed)
    outside = [f"outside:{spins}" for spins in rng.integers(0, 3_000_000, 20)]
    _filter(made, tmp_path / "out", *_random_bytes(made, rng, 40), *outside)
    _require_same(made, tmp_path / "out")
