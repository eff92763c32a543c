"""`python -m tests.bench.kafka`: what the stream costs, side by side; writes `results/bench-kafka.json`.

`--small` sees in about a minute that everything runs, and writes nothing unless `--out` names a file. `--only` measures
some parts. The file is written anew after each part, so that a run that breaks off leaves what it found.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from deploy.kafka.artefacts import HERE
from deploy.kafka.launcher import unavailable
from guard.stream.settings import JudgingSettings
from tests.bench.kafka.capacity import memory, scale
from tests.bench.kafka.figures import figures
from tests.bench.kafka.latency import latency
from tests.bench.kafka.material import FLIPPED, MALFORMED, Material, make_material
from tests.bench.kafka.program import QUIX, quix_missing
from tests.bench.kafka.race import ENTRIES, race
from tests.bench.kafka.recovery import kills, stops
from tests.bench.kafka.sizes import FULL, SMALL, Sizes
from tests.bench.kafka.stage import Stage
from tests.bench.machine import machine, versions
from tests.bench.scorer import Kind

__all__ = ["PARTS", "main", "measure"]

_RESULT = Path("results/bench-kafka.json")
_PACKAGES = ("depois-guard", "faust-streaming", "mode-streaming", "aiokafka", "onnxruntime", "numpy", "msgspec")
_KINDS: tuple[Kind, ...] = ("rows", "tensors")
_CALM_RATE = 500
_UNKNOWN_RATE = 2_000
"""Half of the highest rate is not known where the race was not run."""

PARTS = ("race", "latency", "recovery", "memory", "scale")


def main() -> None:
    """Measures, writes the result file and prints the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.kafka", description=__doc__)
    parser.add_argument("--small", action="store_true", help="tiny sizes: do all parts run?")
    parser.add_argument("--out", type=Path, help=f"the result file; {_RESULT} unless --small")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="some of the parts")
    options = parser.parse_args()
    if reason := unavailable():
        sys.exit(reason)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    out = options.out or (None if options.small else _RESULT)
    found = measure(SMALL if options.small else FULL, options.only, lambda found: _write(out, found))
    for row in found["figures"]:
        sys.stdout.write(f"{row['met']:8} {row['found']!s:>10}  {row['what']}\n")


def measure(
    sizes: Sizes, parts: Collection[str] = PARTS, after: Callable[[dict[str, Any]], None] = lambda _: None
) -> dict[str, Any]:
    """All figures, with what they were measured on; `after` sees them after each part."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="depois-bench-") as folder, Stage(Path(folder)) as stage:
        kinds = _KINDS if "race" in parts else _KINDS[:1]
        material = {kind: make_material(kind, Path(folder), sizes) for kind in kinds}
        without_quix = quix_missing() if "race" in parts else None
        found = _circumstances(stage, sizes, material, without_quix)
        for part in parts:
            sys.stderr.write(f"{time.monotonic() - began:6.0f} s  {part}\n")
            found[part] = _measured(part, stage, material, sizes, found)
            found["figures"] = figures(found)
            found["minutes"] = round((time.monotonic() - began) / 60, 1)
            after(found)
    return found


def _measured(part: str, stage: Stage, material: dict[Kind, Material], sizes: Sizes, found: dict[str, Any]) -> Any:
    rows = material["rows"]
    if part == "race":
        entries = [entry for entry in ENTRIES if not (found["without_quix"] and entry.name.startswith("quix"))]
        readers = entries if sizes.whole else [entry for entry in entries if entry.reads]
        runs = {"rows": entries, "tensors": readers}
        return {kind: race(stage, one, sizes, runs[kind]) for kind, one in material.items()}
    if part == "latency":
        half = _highest(found) / 2
        return {"calm": latency(stage, rows, sizes, _CALM_RATE), "half": latency(stage, rows, sizes, half)}
    if part == "recovery":
        return {
            f"{name}, {'backlog' if backlog else 'steady load'}": run(stage, rows, sizes, backlog=backlog)
            for name, run in (("kill -9", kills), ("SIGTERM", stops))
            for backlog in ((False, True) if sizes.whole else (run is stops,))
        }
    return {"memory": memory, "scale": scale}[part](stage, rows, sizes)


def _highest(found: dict[str, Any]) -> float:
    runs = found.get("race", {}).get("rows", {}).get("guard")
    return median(run["records_per_second"] for run in runs) if runs else 2 * _UNKNOWN_RATE


def _circumstances(
    stage: Stage, sizes: Sizes, material: dict[Kind, Material], without_quix: str | None
) -> dict[str, Any]:
    return {
        "command": "python -m tests.bench.kafka",
        "machine": machine(),
        "load_before": [round(load, 2) for load in os.getloadavg()],
        "cores": stage.cores(),
        "versions": {**versions(_PACKAGES), **_foreign_versions(without_quix)},
        "broker": "one KRaft node on the same machine, its data on the same disk, no replication, no TLS",
        "seed": sizes.seed,
        "sizes": asdict(sizes),
        "records": {kind: one.described() for kind, one in material.items()},
        "shares": {"flipped": FLIPPED, "malformed": MALFORMED},
        "bundles": "trained on 2000 samples, preset fast, all members" if sizes.trained else "built by hand",
        "guard_settings": JudgingSettings().model_dump(),
        "subjects": {entry.name: entry.says for entry in ENTRIES},
        "how": (
            "CPU: user and system time of all threads of the subject's process, from the moment at which its input "
            "lies there until the last record is in the outputs; start, group join and a warm-up come before it. "
            "The subjects take turns. Figures are medians of the runs. End offsets are polled every 20 ms, which "
            "bounds how exact records per second are."
        ),
        "without_quix": without_quix,
    }


def _foreign_versions(without_quix: str | None) -> dict[str, str]:
    pom = (HERE / "pom.xml").read_text()
    kafka = pom.partition("<artifactId>kafka_2.13</artifactId>")[2].partition("<version>")[2].partition("<")[0]
    java = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False)  # noqa: S607 – on PATH
    found = {"kafka": kafka, "java": java.stderr.splitlines()[0]}
    if without_quix is None and QUIX.exists():
        code = "from importlib.metadata import version as v; print(v('quixstreams'), v('confluent-kafka'))"
        told = subprocess.run([str(QUIX), "-c", code], capture_output=True, text=True, check=True).stdout.split()
        found |= dict(zip(("quixstreams", "confluent-kafka"), told, strict=True))
    return found


def _write(path: Path | None, found: dict[str, Any]) -> None:
    if path is not None:
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
