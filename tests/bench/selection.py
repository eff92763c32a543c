"""What EPIC's selection costs on 50,000 rows: `python -m tests.bench.selection` writes its results.

Gradients are those of a network half way: logits that favour the label by 3 standard deviations of 2, and a tenth of
the labels wrong. Ten classes of equal size are the usual case; one class that holds all rows is the worst.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tests.bench.machine import machine, versions
from training.defences.epic.isolation import gradient_proxy, isolated_rows
from training.defences.epic.train import SHORT

__all__ = ["main", "measure"]

_RESULT = Path("results/bench-selection.json")
_CLASSES = 10
_WRONG = 0.1


def main() -> None:
    """Measures at full size and writes `results/bench-selection.json`."""
    found = measure(rows=50_000)
    _RESULT.write_text(json.dumps(found, indent=2) + "\n")
    sys.stdout.write(json.dumps(found, indent=2) + "\n")


def measure(*, rows: int) -> dict[str, Any]:
    """Seconds and MiB of one selection, with what they were measured on.

    Memory is the growth of the largest resident size since before the first selection, so the second one's is at least
    the first one's.
    """
    torch.manual_seed(0)
    y = torch.arange(rows) % _CLASSES
    logits = 2 * torch.randn(rows, _CLASSES) + 6 * torch.nn.functional.one_hot(y, _CLASSES)
    told = torch.where(torch.rand(rows) < _WRONG, (y + 1) % _CLASSES, y)
    gradient = gradient_proxy(logits, told)
    before = _largest()
    return {
        "command": "python -m tests.bench.selection",
        "machine": machine(),
        "versions": versions(("torch",)),
        "threads": torch.get_num_threads(),
        "rows": rows,
        "share": SHORT.share,
        "ten_classes": _cost(gradient, told, before),
        "one_class": _cost(gradient, torch.zeros_like(told), before),
    }


def _cost(gradient: Tensor, y: Tensor, before: float) -> dict[str, float]:
    began = time.perf_counter()
    isolated, _ = isolated_rows(gradient, y, SHORT.share)
    seconds = time.perf_counter() - began
    return {
        "seconds": round(seconds, 2),
        "mib": round(_largest() - before, 1),
        "isolated": round(float(isolated.float().mean()), 4),
    }


def _largest() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
