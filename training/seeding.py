"""Reproducible randomness: the state that layers and dropout draw from, seeded inside a block, untouched outside."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["draw_seed", "torch_seed"]


@contextmanager
def torch_seed(seed: int, device: torch.device) -> Iterator[None]:
    """Inside the block, initial weights, dropout and noise follow from `seed`; afterwards the old state is back.

    Layers take no generator, so a generator alone could not make training repeatable.
    """
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


def draw_seed(generator: torch.Generator) -> int:
    """A seed in [0, 2⁶²) drawn from a generator on the CPU."""
    return int(torch.randint(2**62, (), generator=generator))
