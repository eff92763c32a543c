"""How much is measured: at full size for `results/bench-kafka.json`, and small, to see that everything runs."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FULL", "SMALL", "Sizes"]


@dataclass(frozen=True)
class Sizes:
    """Counts of records unless the name says otherwise.

    `race`: what one run works through; a subject that is many times slower gets `slow`, one that is many times faster
    `fast`. `warm`: what a run has worked through before it is measured. `backlog`: what is added before each
    interruption at full rate. `trained` False: bundles built by hand, whose graphs cost next to nothing. `whole` False:
    each program runs, but not with both kinds of records, and not under both kinds of load.
    """

    runs: int
    pool: int
    warm: int
    fast: int
    race: int
    slow: int
    latency_seconds: float
    kills: int
    stops: int
    rate: int
    backlog: int
    memory: int
    scale: int
    trained: bool
    whole: bool
    seed: int = 0


FULL = Sizes(
    runs=3,
    pool=20_000,
    warm=6_000,
    fast=200_000,
    race=100_000,
    slow=20_000,
    latency_seconds=20.0,
    kills=10,
    stops=5,
    rate=2_000,
    backlog=50_000,
    memory=1_000_000,
    scale=150_000,
    trained=True,
    whole=True,
)
SMALL = Sizes(
    runs=1,
    pool=500,
    warm=200,
    fast=4_000,
    race=3_000,
    slow=500,
    latency_seconds=1.0,
    kills=1,
    stops=1,
    rate=300,
    backlog=20_000,
    memory=20_000,
    scale=3_000,
    trained=False,
    whole=False,
)
