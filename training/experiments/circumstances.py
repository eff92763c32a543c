"""What a measured number depends on beside its settings: the machine, the libraries and the code."""

from __future__ import annotations

import hashlib
import os
import platform
from importlib.metadata import version
from pathlib import Path

import torch

from training.experiments.experiment import Row

__all__ = ["circumstances", "code_digest"]

_LIBRARIES = ("numpy", "onnxruntime", "scikit-learn", "scipy", "torch")


def circumstances() -> Row:
    """Machine kind, Python, library versions and the digest of the code that runs."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in _LIBRARIES},
        "code_sha256": code_digest(),
    }


def code_digest() -> str:
    """SHA-256 over the sources of `guard` and `training`: a result is resumed only by the code that began it."""
    root = Path(__file__).parents[2]
    digest = hashlib.sha256()
    for path in sorted([*(root / "guard").rglob("*.py"), *(root / "training").rglob("*.py")]):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _cpu() -> str:
    """The processor's model as Linux names it, else what Python knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()
