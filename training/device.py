"""Where a training job runs: the device that was asked for or none, with deterministic arithmetic."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

from guard.errors import WrongUse

__all__ = ["DeviceName", "deterministic", "resolve_device", "torch_settings"]

DeviceName = Literal["auto", "cpu", "cuda"]
"""`auto` takes a GPU where there is one."""


def resolve_device(name: DeviceName) -> torch.device:
    """The device of that name. Raises WrongUse when `cuda` is asked for and absent."""
    if name == "cuda" and not torch.cuda.is_available():
        raise WrongUse(
            f"device cuda was asked for, but torch {torch.__version__} sees no GPU here; use --device cpu, or install "
            "the NVIDIA driver and 'depois-guard[gpu,train]'"
        )
    found = "cpu" if name == "cpu" or not torch.cuda.is_available() else "cuda"
    return torch.device(found)


@contextmanager
def deterministic() -> Iterator[None]:
    """Within it the same seed gives the same weights on the same device: torch refuses arithmetic that would not."""
    # cuBLAS reads this once, before its first product; without it torch refuses matrix products on a GPU.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.get_deterministic_debug_mode()
    torch.set_deterministic_debug_mode("error")
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(before)


def torch_settings(device: torch.device) -> dict[str, str | int | bool]:
    """What else decides the outcome beside the seed, for the manifest."""
    settings: dict[str, str | int | bool] = {
        "version": torch.__version__,
        "device": device.type,
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
    }
    if device.type == "cuda":
        settings["gpu"] = torch.cuda.get_device_name(device)
    return settings
