"""Poison as it arrives: what an attacker changed goes through the codec that the data set's images went through."""

from __future__ import annotations

from dataclasses import replace

from training.attacks.attack import AttackerRows, Poison
from training.datasets import Codec

__all__ = ["as_sent"]


def as_sent(poison: Poison, rows: AttackerRows, codec: Codec | None) -> Poison:
    """The poison with every image coded that is not, to the last pixel, one of the attacker's `rows`.

    Those he would have to save as a file of the same kind; the others he sends as he found them. Without this, a
    statistic of the codec's traces would tell poison from clean images for free. A change within ε of its base may be
    larger afterwards, or gone.
    """
    if codec is None:
        return poison
    made = poison.base_index < 0
    changed = made | (poison.x != rows.x[poison.base_index]).any(axis=tuple(range(1, poison.x.ndim)))
    x = poison.x.copy()
    x[changed] = codec(x[changed])
    return replace(poison, x=x)
