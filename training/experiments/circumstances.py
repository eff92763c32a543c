"""What a measured number depends on beside its settings and the code: the machine and the libraries."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path

import torch

from training.experiments.experiment import Row

__all__ = ["circumstances"]

_LIBRARIES = ("numpy", "onnxruntime", "scikit-learn", "scipy", "torch")


def circumstances() -> Row:
    """Machine kind, Python and library versions."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in _LIBRARIES},
    }


def _cpu() -> str:
    """The processor's model as Linux names it, else what Python knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()
