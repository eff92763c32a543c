from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiokafka.structs import ConsumerRecord

from guard.bundle import Bundle, load_bundle
from guard.routing import Sink
from guard.stream.delivery import Delivery, DeliveryFailed
from guard.stream.metrics import StreamMetrics
from guard.stream.outgoing import Limits, Outgoing
from guard.stream.protocol import Identity, Protocol, ScoringHung
from guard.stream.serving import Serving
from guard.stream.settings import ModelSettings
from guard.verdict import Verdict
from tests.support.bundles import make_bundle
from tests.support.crowd import messages


class Outputs(Delivery):
    """Takes what is delivered, or fails as it is told."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.taken: list[tuple[int, dict[Sink, list[Outgoing]]]] = []
        self._fault = fault

    async def deliver(self, partition: int, outgoing: Any) -> None:
        await asyncio.sleep(0)
        if self._fault is not None:
            raise self._fault
        self.taken.append((partition, outgoing))


class Event:
    """A fetched list, which remembers when it was acknowledged."""

    def __init__(self, records: list[Any], log: list[str]) -> None:
        self.value = records
        self._log = log

    def ack(self) -> None:
        self._log.append(f"ack {self.value[0].offset}")


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Serving:
    path = make_bundle(tmp_path_factory.mktemp("bundle") / "bundle")
    return Serving.open(ModelSettings(bundle=path, threads=1))


def records(first: int, count: int = 5) -> list[Any]:
    found = messages(count, seed=first)
    return [
        ConsumerRecord("input", 3, first + n, 1_700_000_000_000, 0, one.key, one.value, None, 0, 0, one.headers)
        for n, one in enumerate(found)
    ]


def run(
    serving: Any,
    outputs: Outputs,
    events: Sequence[Event],
    log: list[str],
    seconds: float = 30,
    *,
    quiet_after: bool = False,
    model_free: Callable[[], None] = lambda: None,
) -> StreamMetrics:
    """`quiet_after`: the stream does not end after its last event, but nothing comes any more."""
    metrics = StreamMetrics("enforce")

    async def stream() -> Any:
        for event in events:
            yield event
        if quiet_after:
            await asyncio.Event().wait()

    async def finished() -> None:
        log.append("finished")

    async def main() -> None:
        protocol = Protocol(
            Identity("c", "g", "i"),
            serving,
            outputs,
            Limits(100_000, 1 << 20),
            metrics,
            mode="enforce",
            scoring_timeout_seconds=seconds,
            model_free=model_free,
        )
        await asyncio.wait_for(protocol.run(stream(), finished), 60)

    asyncio.run(main())
    return metrics


class Broken(Serving):
    """Serves the same bundle, but judges as it is told."""

    def __init__(self, bundle: Bundle, judge: Callable[[Sequence[bytes]], list[Verdict]]) -> None:
        self.current = bundle
        self.judge = judge  # type: ignore[method-assign]


def test_each_list_is_delivered_before_it_is_acknowledged_and_in_order(serving: Serving) -> None:
    log: list[str] = []
    outputs = Outputs()
    metrics = run(serving, outputs, [Event(records(0), log), Event(records(5), log)], log)
    assert log == ["ack 0", "finished", "ack 5", "finished"]
    assert [partition for partition, _ in outputs.taken] == [3, 3]
    assert sum(len(many) for _, outgoing in outputs.taken for many in outgoing.values()) == 10
    assert metrics.registry.get_sample_value("guard_batch_records_count") == 2


def test_a_list_that_was_not_delivered_is_neither_acknowledged_nor_counted(serving: Serving) -> None:
    log: list[str] = []
    outputs = Outputs(DeliveryFailed("gone", Sink.QUARANTINE, "no_topic"))
    with pytest.raises(DeliveryFailed):
        run(serving, outputs, [Event(records(0), log), Event(records(5), log)], log)
    assert log == []


def test_the_next_list_is_judged_while_one_is_confirmed_and_produced_after_its_acknowledgement(
    serving: Serving,
) -> None:
    log: list[str] = []
    lists = {values[0]: first for first in (0, 5) if (values := [one.value for one in records(first)])}

    def judge(values: Sequence[bytes]) -> list[Verdict]:
        log.append(f"judge {lists[values[0]]}")
        return serving.current.judge(values)

    class Slow(Outputs):
        async def deliver(self, partition: int, outgoing: Any) -> None:
            log.append("deliver")
            while log.count("model free") < 2:
                await asyncio.sleep(0.001)
            await super().deliver(partition, outgoing)

    def free() -> None:
        log.append("model free")

    two = [Event(records(0), log), Event(records(5), log)]
    run(Broken(serving.current, judge), Slow(), two, log, model_free=free)
    asked = ["judge 0", "deliver", "judge 5", "ack 0", "finished", "deliver", "ack 5", "finished"]
    assert sorted(log) == sorted([*asked, "model free", "model free"])
    first, second = (index for index, what in enumerate(log) if what == "deliver")
    # The model may be free for the second list just before or just after the first one sets out.
    assert max(first, log.index("judge 5")) < log.index("ack 0") < second < log.index("ack 5")


def test_a_delivery_that_fails_ends_the_guard_also_when_no_record_follows(serving: Serving) -> None:
    log: list[str] = []
    outputs = Outputs(DeliveryFailed("gone", Sink.CLEAN, "timeout"))
    with pytest.raises(DeliveryFailed):
        run(serving, outputs, [Event(records(0), log)], log, quiet_after=True)
    assert log == []


def test_a_scorer_that_hangs_ends_the_guard_before_anything_is_delivered(serving: Serving) -> None:
    log: list[str] = []
    release = threading.Event()
    outputs = Outputs()

    def hang(_values: Sequence[bytes]) -> list[Verdict]:
        release.wait(30)
        return []

    threading.Timer(1, release.set).start()
    with pytest.raises(ScoringHung, match=r"guard\.scoring_timeout_seconds"):
        run(Broken(serving.current, hang), outputs, [Event(records(0), log)], log, seconds=0.1)
    assert (log, outputs.taken) == ([], [])


def test_a_scorer_that_raises_holds_every_record_of_the_list(serving: Serving) -> None:
    log: list[str] = []
    outputs = Outputs()

    def fail(_values: Sequence[bytes]) -> list[Verdict]:
        raise RuntimeError("the graph is broken")

    metrics = run(Broken(serving.current, fail), outputs, [Event(records(0), log)], log)
    ((_, outgoing),) = outputs.taken
    assert [len(outgoing[sink]) for sink in Sink] == [0, 5, 0]
    assert {dict(one.headers)["guard-reason"] for one in outgoing[Sink.QUARANTINE]} == {b"not_scored"}
    assert log == ["ack 0", "finished"]
    labels = {"verdict": "quarantined", "reason": "not_scored"}
    assert metrics.registry.get_sample_value("guard_records_total", labels) == 5


def test_a_scorer_that_loses_a_record_ends_the_guard(serving: Serving) -> None:
    log: list[str] = []
    outputs = Outputs()
    judge = serving.current.judge
    with pytest.raises(ValueError, match="zip"):
        run(Broken(serving.current, lambda values: judge(values)[1:]), outputs, [Event(records(0), log)], log)
    assert (log, outputs.taken) == ([], [])


def test_a_new_bundle_serves_from_the_next_list_on_and_signs_with_its_own_hash(tmp_path: Path) -> None:
    path = make_bundle(tmp_path / "bundle")
    serving = Serving.open(ModelSettings(bundle=path, threads=1))
    other = load_bundle(make_bundle(tmp_path / "other", seed=3), threads=1)
    log: list[str] = []
    outputs = Outputs()
    first = serving.current.digest

    class Swapping(Event):
        def ack(self) -> None:
            super().ack()
            serving.current = other

    # The second list is judged while the first one is confirmed.
    run(serving, outputs, [Swapping(records(0), log), Event(records(5), log), Event(records(10), log)], log)
    signed = [
        {dict(one.headers)["guard-model-sha256"] for many in outgoing.values() for one in many}
        for _, outgoing in outputs.taken
    ]
    assert signed == [{first.encode()}, {first.encode()}, {other.digest.encode()}]


class Swapped(Serving):
    """Judges when it is let go, and then has another bundle to swap to."""

    def __init__(self, old: Bundle, new: Bundle) -> None:
        self.current, self._new = old, new
        self.entered, self.let_go = threading.Event(), threading.Event()

    def judge(self, records: Sequence[bytes]) -> list[Verdict]:
        self.entered.set()
        assert self.let_go.wait(30)
        return self.current.judge(records)

    def swap(self) -> Bundle:
        self.current = self._new
        return self._new


def test_a_swap_waits_for_the_list_in_work_and_the_next_list_for_nothing_but_the_swap(
    serving: Serving, tmp_path: Path
) -> None:
    new = load_bundle(make_bundle(tmp_path / "new", seed=7), threads=1)
    swapped, outputs = Swapped(serving.current, new), Outputs()

    async def main() -> None:
        protocol = Protocol(
            Identity("c", "g", "i"),
            swapped,
            outputs,
            Limits(100_000, 1 << 20),
            StreamMetrics("enforce"),
            mode="enforce",
            scoring_timeout_seconds=30,
            model_free=lambda: None,
        )
        first = asyncio.create_task(protocol.pass_on(records(0)))
        await asyncio.to_thread(swapped.entered.wait, 30)
        swap = asyncio.create_task(protocol.swap())
        second = asyncio.create_task(protocol.pass_on(records(5)))
        await asyncio.sleep(0)
        assert not swap.done()
        assert swapped.current is serving.current
        swapped.let_go.set()
        await asyncio.wait_for(asyncio.gather(first, swap, second), 30)

    asyncio.run(main())
    marks = [
        {dict(record.headers)["guard-model-sha256"] for many in outgoing.values() for record in many}
        for _, outgoing in outputs.taken
    ]
    assert marks == [{serving.current.digest.encode()}, {new.digest.encode()}]
