"""What a figure was measured on, and with which versions."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

__all__ = ["machine", "versions"]


def machine() -> dict[str, Any]:
    """Processor, cores and Python."""
    return {"cpu": _cpu_model(), "cores": os.cpu_count(), "python": platform.python_version()}


def versions(names: Iterable[str]) -> dict[str, str]:
    """The installed version of each package."""
    return {name: version(name) for name in names}


def _cpu_model() -> str:
    lines = (line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line)
    return next((line.partition(":")[2].strip() for line in islice(lines, 1)), platform.processor())
