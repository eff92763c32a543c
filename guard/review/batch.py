"""Many decisions in one go: bounded in number and speed, and told one by one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from guard.review.decision import Action
from guard.review.desk import Outcome, Wish
from guard.review.held import Held
from guard.review.quarantine import Quarantine

__all__ = ["BATCH", "Report", "decide"]

BATCH = 100
"""Decisions that are written together. On Kafka they are one transaction, and a crash takes back as many."""


@dataclass
class Report:
    """What a batch came to."""

    done: list[Outcome] = field(default_factory=list)
    refused: list[Outcome] = field(default_factory=list)


async def decide(
    quarantine: Quarantine,
    chosen: Sequence[Held],
    action: Action,
    *,
    reviewer: str,
    why: str,
    rate: float | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Report:
    """Decide alike about all `chosen` records, at most `rate` per second; `progress` is told how many are behind.

    Raises what the quarantine raises; what was decided before that stays decided.
    """
    report = Report()
    size = BATCH if rate is None else max(1, min(BATCH, int(rate)))
    loop = asyncio.get_running_loop()
    began = loop.time()
    for first in range(0, len(chosen), size):
        if rate is not None:
            await asyncio.sleep(max(0.0, began + first / rate - loop.time()))
        wishes = [Wish(held, action, reviewer, why) for held in chosen[first : first + size]]
        for outcome in await quarantine.settle(wishes):
            (report.done if outcome.decision else report.refused).append(outcome)
        progress(min(first + size, len(chosen)))
    return report
