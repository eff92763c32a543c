"""What a test asks of a guard's topics while the guard works: is everything committed, how much has come out."""

from __future__ import annotations

from deploy.kafka.launcher import Broker
from tests.support.topics import Topics, committed, ends
from tests.support.worker import Worker, eventually


def group_of(topics: Topics) -> str:
    """The group that `tests.support.worker.settings` gives a guard of these topics."""
    return f"guard.{topics.input}"


def judged(broker: Broker, topics: Topics) -> int:
    """Records in all outputs, duplicates included."""
    return sum(sum(ends(broker, name).values()) for name in topics.sinks)


def await_more(
    broker: Broker, topics: Topics, more: int = 1, seconds: float = 60.0, keep: Worker | None = None
) -> None:
    """Waits until `more` further records have come out. `keep`: a guard that is started again whenever it ends."""
    wanted = judged(broker, topics) + more

    def come_out() -> bool:
        _restart(keep)
        return judged(broker, topics) >= wanted

    eventually(come_out, f"{more} more records come out\n{keep.log() if keep else ''}", seconds, every=0.1)


def await_end(broker: Broker, topics: Topics, worker: Worker, seconds: float = 90.0, *, keep: bool = False) -> None:
    """Waits until the whole input is committed: the lag is 0. `keep`: the guard is started again whenever it ends.

    Fails when no offset was committed for `seconds`: how long a backlog takes is for the machine to say.
    """
    kept = worker if keep else None
    _restart(kept)
    while lag := _lag(broker, topics):

        def moved(before: int = lag) -> bool:
            _restart(kept)
            return _lag(broker, topics) != before

        eventually(moved, f"{lag} records are not committed\n{worker.log()}", seconds, every=0.1)


def _lag(broker: Broker, topics: Topics) -> int:
    """Records in the input that are not committed."""
    found = committed(broker, group_of(topics), topics)
    return sum(max(0, end - found.get(partition, 0)) for partition, end in ends(broker, topics.input).items())


def _restart(worker: Worker | None) -> None:
    """What an orchestrator does with a guard that has ended."""
    if worker is not None and not worker.alive():
        worker.start(wait=False)
