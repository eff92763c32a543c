"""A reviewer as a process of its own: decides about everything undecided in small batches, until killed or done.

`python -m tests.support.reviewer CONFIG NAME SEED`; prints a line when it begins to decide and when nothing is left.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

from guard.review.decision import Action
from guard.review.desk import Wish
from guard.review.filters import Filter
from guard.review.opening import with_quarantine
from guard.review.quarantine import Quarantine


def main() -> None:
    config, name, seed = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    rng = random.Random(seed)

    async def work(quarantine: Quarantine) -> None:
        print("deciding", flush=True)  # noqa: T201 – the test waits for it
        queue = quarantine.desk.queue
        while len(numbers := queue.find(Filter())):
            some = queue.take(rng.sample(numbers.tolist(), min(len(numbers), rng.randint(1, 8))))
            actions = [rng.choice((Action.RELEASED, Action.REJECTED)) for _ in some]
            await quarantine.settle(
                [Wish(held, action, name, "test") for held, action in zip(some, actions, strict=True)]
            )
        print("done", flush=True)  # noqa: T201 – as above

    with_quarantine(config, None, work)


if __name__ == "__main__":
    main()
