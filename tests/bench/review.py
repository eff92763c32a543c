"""What the review page costs over 100,000 held records: `python -m tests.bench.review` writes its results.

A folder that `depois filter` wrote is served as it is to a reviewer, and asked over HTTP. Each figure is CPU time of
the server per answer, so that other work on the machine is not counted; the median of several rounds.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

from guard.sample import encode_samples
from tests.bench.machine import machine, versions
from tests.support.bundles import TABLE, draw_samples, make_bundle
from tests.support.folders import judged_folder
from tests.support.page import ReviewServer, review_server

__all__ = ["main", "measure"]

_RESULT = Path("results/bench-review.json")
_TICKS = os.sysconf("SC_CLK_TCK")
_SOURCES = 5000


def main() -> None:
    """Measures at full size and writes `results/bench-review.json`."""
    found = measure(records=110_000, answers=50, rounds=3)
    _RESULT.write_text(json.dumps(found, indent=2) + "\n")
    sys.stdout.write(json.dumps(found, indent=2) + "\n")


def measure(*, records: int, answers: int, rounds: int) -> dict[str, Any]:
    """CPU milliseconds of each kind of answer, with what they were measured on."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        bundle = make_bundle(work / "bundle")
        held = _fill(work, bundle, records)
        with review_server(["--folder", str(work / "out"), "--bundle", str(bundle)]) as server:
            cookie = _enter(server)
            ready = _cpu(server)
            costs = {
                name: _cost(server, cookie, path, answers, rounds) for name, path in _questions(work, held).items()
            }
            return {
                "command": "python -m tests.bench.review",
                "machine": machine(),
                "versions": versions(("starlette", "uvicorn", "numpy", "msgspec")),
                "held": held,
                "sources": _SOURCES,
                "answers": answers,
                "rounds": rounds,
                "start_cpu_seconds": round(ready, 2),
                "cpu_milliseconds_per_answer": costs,
                "peak_mib": _peak(server),
            }


def _fill(work: Path, bundle: Path, records: int) -> int:
    """Filters samples whose labels are all wrong; how many were held."""
    x, y = draw_samples(TABLE, records, 3)
    sources = [f"sender {number % _SOURCES}" for number in range(records)]
    judged_folder(work, bundle, encode_samples(TABLE, x, (y + 1) % 3, sources))
    with (work / "out/quarantine.jsonl").open("rb") as lines:
        return sum(1 for _ in lines)


def _questions(work: Path, held: int) -> dict[str, str]:
    with (work / "out/verdicts.jsonl").open() as lines:
        found = [json.loads(line) for line in lines]
    origins = [f"file/input/0/{line['line']}" for line in found if line["verdict"] == "quarantined"]
    marked = "&".join(f"origin={quote(origin, safe='')}" for origin in origins[:10])
    return {
        "queue, most suspicious first": "/api/queue?first=0",
        "queue, filtered, in the middle": f"/api/queue?max_p=0.009&order=arrival&first={held // 200 * 100}",
        "one record with its grounds": f"/api/record?origin={quote(origins[held // 2], safe='')}",
        "marks of ten records": f"/api/marks?{marked}",
        "sources": "/api/groups?state=all&by=source&first=0",
        "what stands above": "/api/session",
    }


def _enter(server: ReviewServer) -> str:
    address = f"127.0.0.1:{server.port}"
    return (server.ask("GET", server.link.split(address)[1], Host=address).getheader("set-cookie") or "").split(";")[0]


def _cost(server: ReviewServer, cookie: str, path: str, answers: int, rounds: int) -> float:
    address = f"127.0.0.1:{server.port}"
    found = []
    for _ in range(rounds):
        began = _cpu(server)
        for _ in range(answers):
            answer = server.ask("GET", path, Host=address, Cookie=cookie)
            if answer.status != 200:
                raise RuntimeError(f"{path} was answered with {answer.status}")
        found.append((_cpu(server) - began) / answers)
    return round(1000 * statistics.median(found), 2)


def _cpu(server: ReviewServer) -> float:
    """User and system seconds of the server."""
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _peak(server: ReviewServer) -> float:
    text = Path(f"/proc/{server.process.pid}/status").read_text()
    (line,) = (line for line in text.splitlines() if line.startswith("VmHWM"))
    return round(int(line.split()[1]) / 1024, 1)


if __name__ == "__main__":
    main()
