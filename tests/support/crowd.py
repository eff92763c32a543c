"""A seeded crowd: honest senders, senders who flip labels, junk, and senders who forge the guard's own headers."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from guard.sample import encode_samples
from guard.spec import ClassLabel, InputSpec
from tests.support.bundles import TABLE, draw_samples
from tests.support.streams import HOSTILE
from tests.support.topics import Message

FORGED: tuple[tuple[str, bytes | None], ...] = (
    ("guard-verdict", b"clean"),
    ("guard-verdict", b"released"),
    ("guard-origin", b"other/cluster/0/0"),
    ("guard-score", b"1.0"),
    ("guard-model-sha256", b"0" * 64),
    ("__connect.errors.topic", b"elsewhere"),
    ("guard-", None),
)
OWN: tuple[tuple[str, bytes | None], ...] = (
    ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ("twice", b"1"),
    ("twice", b"2"),
    ("none", None),
    ("bytes", b"\xff\xfe\x00"),
    ("", b"no name"),
    ("x-guard-verdict", b"mine"),
)
"""What a sender may say, and what must arrive as it was."""


@dataclass(frozen=True)
class Shares:
    """The shares of a crowd that are not simply honest."""

    flipped: float = 0.1
    unknown: float = 0.02
    junk: float = 0.03
    tombstones: float = 0.01
    forged: float = 0.05
    own: float = 0.2


def messages(
    count: int,
    seed: int,
    *,
    spec: InputSpec = TABLE,
    partitions: int = 1,
    shares: Shares = Shares(),
) -> list[Message]:
    """`count` records of a crowd, spread over partitions; each with a key, or none."""
    rng = np.random.default_rng(seed)
    x, y = draw_samples(spec, count, seed)
    assert isinstance(spec.label, ClassLabel)
    fate = rng.random(count)
    edges = np.cumsum([shares.flipped, shares.unknown, shares.junk, shares.tombstones]).tolist()
    y = np.where(fate < edges[0], (y + 1) % len(spec.label.values), y)
    sources = [f"sender {number}" for number in rng.integers(0, 12, count)]
    values: list[bytes | None] = list(encode_samples(spec, x, y, sources, ids=[f"{seed}-{n}" for n in range(count)]))
    junk = itertools.cycle([value for value in HOSTILE if len(value) < 300])
    for at in np.flatnonzero((fate >= edges[0]) & (fate < edges[3])).tolist():
        values[at] = _spoiled(values[at] or b"", fate[at], edges, junk)
    return _addressed(values, rng, partitions, shares)


def _spoiled(value: bytes, fate: float, edges: Sequence[float], junk: Iterator[bytes]) -> bytes | None:
    if fate < edges[1]:
        return value.replace(b'"label":"', b'"label":"un')
    return next(junk) if fate < edges[2] else None


def _addressed(
    values: Sequence[bytes | None], rng: np.random.Generator, partitions: int, shares: Shares
) -> list[Message]:
    forging, telling = rng.random(len(values)) < shares.forged, rng.random(len(values)) < shares.own
    places = rng.integers(0, partitions, len(values)).tolist()
    return [
        Message(
            value,
            key=None if number % 3 == 0 and value is not None else f"k{number % 50}".encode(),
            headers=(FORGED[: 1 + number % len(FORGED)] if forges else ()) + (OWN if tells else ()),
            partition=place,
        )
        for number, (value, forges, tells, place) in enumerate(zip(values, forging, telling, places, strict=True))
    ]
