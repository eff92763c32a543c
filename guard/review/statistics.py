"""A quarantine in numbers: what waits, for whom, what may soon be gone, and what does not look right."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from guard.review.filters import Filter
from guard.review.quarantine import Quarantine, unknown_decisions
from guard.review.queue import GROUPS, Group

__all__ = ["HORIZONS", "Statistics", "expiring", "statistics"]

HORIZONS = {"24 hours": 86_400.0, "3 days": 3 * 86_400.0, "7 days": 7 * 86_400.0}
"""How soon an undecided record may be gone, for which they are counted."""


@dataclass(frozen=True)
class Statistics:
    """`groups`: the chosen records by reason, member, source, label and model. The rest is about the whole quarantine.

    `expiring`: undecided records that may be gone within each of `HORIZONS`; None where retention cannot be seen.
    `lost`: at most so many are gone undecided. `foreign`: records that no guard wrote; `copies`: second deliveries;
    `disputed`: origins that two different records claim; `unknown`: decisions about records that never were;
    `disbelieved`: what stands among the decisions and is none.
    """

    undecided: int
    released: int
    rejected: int
    expired: int
    groups: dict[str, list[Group]]
    expiring: dict[str, int] | None
    lost: int
    foreign: int
    copies: int
    disputed: int
    unknown: int
    disbelieved: dict[str, int]


def statistics(quarantine: Quarantine, chosen: Filter, now: float) -> Statistics:
    """The numbers at `now` (s), of records in every state: each number says by itself which one it counts."""
    desk, retention = quarantine.desk, quarantine.retention
    queue = desk.queue
    before = retention.expire_before(chosen.expiring or 0.0, now)
    numbers = queue.find(replace(chosen, state="all"), expire_before=before)
    counts = queue.counts(numbers)
    return Statistics(
        undecided=counts["undecided"],
        released=counts["released"],
        rejected=counts["rejected"],
        expired=counts["expired"],
        groups={by: queue.groups(by, numbers) for by in GROUPS},
        expiring=expiring(quarantine, now),
        lost=retention.lost,
        foreign=desk.foreign,
        copies=queue.copies,
        disputed=len(queue.disputed),
        unknown=unknown_decisions(quarantine),
        disbelieved={str(kind): count for kind, count in desk.ledger.disbelieved.items()},
    )


def expiring(quarantine: Quarantine, now: float) -> dict[str, int] | None:
    """Undecided records that may be gone within each of `HORIZONS`; None where retention cannot be seen."""
    if not quarantine.retention.known:
        return None
    queue = quarantine.desk.queue
    times = queue.timestamps(queue.find(Filter()))
    return {
        name: int(np.count_nonzero(times < quarantine.retention.expire_before(within, now)))
        for name, within in HORIZONS.items()
    }
