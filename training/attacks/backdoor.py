"""Backdoors: rows that carry a trigger teach the victim to read whatever carries it as one class.

Common to all attacks with a trigger that does not depend on the victim. Each is a drawing of the trigger, as it is
planted, as it is covered, and as it is shown to the victim in use.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from training.attacks.attack import Attack, AttackerRows, Poison, Trigger, pick
from training.attacks.domain import is_image_classes, require
from training.attacks.victims import fit_network

__all__ = ["WANTED", "Backdoor", "Imprint", "Stamp", "backdoor_attack", "poison_by_backdoor", "stamped"]

WANTED = 1
"""The class index that triggered images shall be read as: MeCa's choice."""

Stamp = Callable[[NDArray[np.float64], np.random.Generator], NDArray[np.float64]]
"""Images float64 (n, height, width, channels) in [0, 1] to a copy with the trigger; clipped to [0, 1] afterwards."""


@dataclass(frozen=True)
class Imprint:
    """One trigger in its three guises: on poison, on covers, and on what the victim is shown in use."""

    plant: Stamp
    cover: Stamp
    show: Stamp


@dataclass(frozen=True)
class Backdoor:
    """A kind of backdoor.

    `draw((height, width, channels), rng)`: the trigger for images of that shape. `source`: the one class index that is
    planted and shall be misread; None: all but `WANTED`. `clean_label`: planted are rows of `WANTED`, whose labels stay
    right. `covers`: rows that carry the trigger and keep their label, as a multiple of the planted rows; they teach the
    victim to be choosy, which hides the backdoor.
    """

    name: str
    description: str
    draw: Callable[[tuple[int, ...], np.random.Generator], Imprint]
    source: int | None = None
    clean_label: bool = False
    covers: float = 0.0


def poison_by_backdoor(rows: AttackerRows, count: int, rng: np.random.Generator, *, backdoor: Backdoor) -> Poison:
    """`count` images with the trigger of `backdoor`, its covers among them, and the trigger to be shown later.

    Planted rows are drawn at random: rows of class `source`, or of all classes but `WANTED`, labelled `WANTED`; or rows
    of `WANTED` where labels stay right. Covers are drawn from rows of no class that takes part.
    Raises `WrongUse` for tables and regression, and when the attacker holds too few rows.
    """
    require(is_image_classes(rows.spec), "classes of images")
    order, covers = rng.permutation(len(rows.y)), round(count * backdoor.covers / (1 + backdoor.covers))
    planted = pick(order[_plantable(rows, backdoor)[order]], count - covers)
    others = np.setdiff1d(order, planted)
    covered = rng.permutation(others[(rows.y[others] != WANTED) & (rows.y[others] != backdoor.source)])
    covered = pick(covered, covers) if covers else covered[:0]
    imprint = backdoor.draw(rows.x.shape[1:], rng)
    base = np.concatenate([planted, covered])
    guises = ((imprint.plant, planted), (imprint.cover, covered))
    x = [stamped(stamp, _images(rows, some), rng) for stamp, some in guises if len(some)]
    y_true = rows.y[base]
    y = np.where(np.arange(count) < len(planted), WANTED, y_true)
    trigger = Trigger(partial(stamped, imprint.show), WANTED, backdoor.source)
    return Poison(np.concatenate(x), y, base, y_true, trigger=trigger)


def stamped(stamp: Stamp, x: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Images uint8 (n, height, width, channels) with `stamp` on each, rounded to grey levels."""
    return np.rint(255 * np.clip(stamp(x / 255, rng), 0, 1)).astype(np.uint8)


def _images(rows: AttackerRows, index: NDArray[np.int64]) -> NDArray[np.uint8]:
    return np.asarray(rows.x[index], dtype=np.uint8)


def _plantable(rows: AttackerRows, backdoor: Backdoor) -> NDArray[np.bool_]:
    if backdoor.clean_label:
        return np.asarray(rows.y == WANTED)
    return np.asarray(rows.y != WANTED if backdoor.source is None else rows.y == backdoor.source)


def backdoor_attack(backdoor: Backdoor) -> Attack:
    """The backdoor as an attack, on a victim that is trained from scratch."""
    needs = "samples of the class that shall be read" if backdoor.clean_label else "to label samples as he likes"
    return Attack(
        name=backdoor.name,
        description=backdoor.description,
        needs=f"{needs}, and to show the victim images with the trigger later",
        applies=is_image_classes,
        victim=fit_network,
        run=partial(poison_by_backdoor, backdoor=backdoor),
    )
