"""What `depois filter` costs against the least that is needed: `python -m tests.bench.filter` writes its results.

Each figure is CPU time (user and system, whole process, start included) of a subprocess on one thread. Baseline and
filter take turns, so that a machine that slows down slows both; the ratio is that of the medians.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from guard.sample import encode_samples
from guard.spec import InputSpec
from tests.bench.machine import machine, versions
from tests.bench.models import IMAGES, TABLE, image_samples, train
from tests.support.bundles import draw_samples

__all__ = ["main", "measure"]

_RESULT = Path("results/bench-filter.json")
_CHUNK = 20_000


def main() -> None:
    """Measures everything at full size and writes `results/bench-filter.json`."""
    found = measure(images=200_000, rows=100_000, long=1_000_000, runs=3)
    _RESULT.parent.mkdir(exist_ok=True)
    _RESULT.write_text(json.dumps(found, indent=2) + "\n")
    sys.stdout.write(json.dumps(found, indent=2) + "\n")


def measure(*, images: int, rows: int, long: int, runs: int) -> dict[str, Any]:
    """All figures, with what they were measured on."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        return {
            "command": "python -m tests.bench.filter",
            "machine": machine(),
            "versions": versions(("onnxruntime", "numpy", "msgspec", "pydantic")),
            "runs": runs,
            "bundles": "trained on 2000 samples, preset fast, all members; one thread",
            "images": _images(work, images, runs),
            "rows": _rows(work, rows, runs),
            "memory": _memory(work, rows, long),
            "help_seconds": _median([_wall(["--help"], work) for _ in range(max(runs, 5))]),
        }


def _images(work: Path, count: int, runs: int) -> dict[str, Any]:
    data, x, y = image_samples(_CHUNK)
    bundle = train(work / "images", IMAGES, x, y)
    x, y = _repeated(x, count), _repeated(y, count)
    np.save(work / "x.npy", x)
    np.save(work / "y.npy", y)
    lines = _write(work / "images.jsonl", IMAGES, x, y)
    baseline = ["arrays", bundle / "model.onnx", work / "x.npy", work / "y.npy"]
    what = "bare ONNX Runtime on arrays"
    return {"records": count, "data": data, "baseline": what, **_race(work, bundle, lines, baseline, runs)}


def _rows(work: Path, count: int, runs: int) -> dict[str, Any]:
    x, y = draw_samples(TABLE, _CHUNK, 3)
    bundle = train(work / "rows", TABLE, x, y)
    lines = _write(work / "rows.jsonl", TABLE, _repeated(x, count), _repeated(y, count))
    baseline = ["rows", bundle / "model.onnx", lines]
    what = "msgspec typed decoding, then ONNX Runtime"
    data = "drawn rows of 10 numbers and 2 categories"
    return {"records": count, "data": data, "baseline": what, **_race(work, bundle, lines, baseline, runs)}


def _memory(work: Path, short: int, long: int) -> dict[str, Any]:
    """Peak resident memory of the filter over the same rows once and many times."""
    bundle, once = work / "rows", work / "rows.jsonl"
    many = work / "many.jsonl"
    with many.open("wb") as file:
        for _ in range(long // short):
            file.write(once.read_bytes())
    peaks = {count: _filter(work, bundle, path)[1] for count, path in ((short, once), (long, many))}
    growth = peaks[long] / peaks[short] - 1
    return {
        "peak_mib": {str(count): round(peak / 1024, 1) for count, peak in peaks.items()},
        "growth": round(growth, 4),
    }


def _race(work: Path, bundle: Path, lines: Path, baseline: Sequence[object], runs: int) -> dict[str, Any]:
    least, filtered = [], []
    command = ["-m", "tests.bench.baseline", *map(str, baseline)]
    nothing = work / "nothing.jsonl"
    nothing.touch()
    start = [_filter(work, bundle, nothing)[0] for _ in range(2)][1]
    for _ in range(runs):
        least.append(_cpu(command, work)[0])
        filtered.append(_filter(work, bundle, lines)[0])
    return {
        "baseline_cpu_seconds": [round(seconds, 3) for seconds in least],
        "filter_cpu_seconds": [round(seconds, 3) for seconds in filtered],
        "filter_start_cpu_seconds": round(start, 3),
        "ratio": round(_median(filtered) / _median(least), 3),
    }


def _filter(work: Path, bundle: Path, lines: Path) -> tuple[float, int]:
    with tempfile.TemporaryDirectory(dir=work) as out:
        command = ["-m", "guard.cli.main", "filter", str(lines), "--bundle", str(bundle)]
        return _cpu([*command, "--out", f"{out}/out", "--threads", "1", "--json"], work)


def _cpu(arguments: Sequence[str], work: Path) -> tuple[float, int]:
    """CPU seconds, and peak memory in KiB, of a Python program.

    A launcher stands between, because Linux counts the memory of the process that starts a program to its peak.
    """
    launcher = (
        "import json, os, subprocess, sys\n"
        "process = subprocess.Popen([sys.executable, *sys.argv[1:]], stdout=subprocess.DEVNULL)\n"
        "_, status, usage = os.wait4(process.pid, 0)\n"
        "print(json.dumps([status, usage.ru_utime + usage.ru_stime, usage.ru_maxrss]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", launcher, *arguments], env=_environment(work), check=True, capture_output=True
    )
    status, seconds, peak = json.loads(done.stdout)
    if status:
        raise RuntimeError(f"{arguments} ended with {status}: {done.stderr.decode()}")
    return seconds, peak


def _wall(arguments: Sequence[str], work: Path) -> float:
    command = [sys.executable, "-m", "guard.cli.main", *arguments]
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=_environment(work))
    return round(time.perf_counter() - began, 3)


def _environment(work: Path) -> dict[str, str]:
    """One thread, and byte code that is kept, as after an installation: compiling takes longer than starting."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "OMP_NUM_THREADS": "1", "PYTHONPYCACHEPREFIX": str(work / "bytecode")}


def _repeated(values: Any, count: int) -> Any:
    return np.concatenate([values] * -(-count // len(values)))[:count]


def _write(path: Path, spec: InputSpec, x: Any, y: Any) -> Path:
    with path.open("wb") as file:
        for first in range(0, len(x), _CHUNK):
            part = slice(first, first + _CHUNK)
            lines = encode_samples(spec, x[part], y[part], ["bench"] * len(y[part]))
            file.write(b"\n".join(lines) + b"\n")
    return path


def _median(values: Sequence[float]) -> float:
    return statistics.median(values)


if __name__ == "__main__":
    main()
