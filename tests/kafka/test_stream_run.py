"""The guard as a process on a real broker: what it reads, judges, writes, marks and leaves behind."""

from __future__ import annotations

import asyncio
import struct
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.util import calc_crc32c
from kafka import TopicPartition
from kafka.structs import OffsetAndMetadata

from deploy.kafka.launcher import Broker, free_port
from guard.bundle import load_bundle
from guard.filter.inputs import Samples
from guard.filter.run import Task, run_filter
from guard.filter.stop import Stop
from tests.support.bundles import make_bundle
from tests.support.checker import Report, assert_sound, header
from tests.support.crowd import messages
from tests.support.streams import HOSTILE
from tests.support.topics import Message, Topics, committed, make_topics, read, send
from tests.support.worker import Worker, eventually, settings

FAUST = """
import os, sys
os.environ["GUARD_CONFIG"] = sys.argv[-1]
sys.argv = ["faust", "-A", "guard.app", "worker"]
from faust.__main__ import main
main()
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundle") / "bundle")


class Stage:
    """One broker, four topics, and guards that work on them."""

    def __init__(self, broker: Broker, folder: Path, bundle: Path, topics: Topics) -> None:
        self.broker = broker
        self.folder = folder
        self.bundle = bundle
        self.topics = topics
        self.group = f"guard.{topics.input}"

    def guard(self, name: str = "guard", **sections: Any) -> Worker:
        return Worker(self.folder / name, settings(self.broker.bootstrap, self.topics, self.bundle, **sections))

    def send(self, found: list[Message], **options: Any) -> list[int]:
        return send(self.broker.bootstrap, self.topics.input, found, **options)

    def until_committed(self, offsets: dict[int, int]) -> None:
        eventually(
            lambda: committed(self.broker, self.group, self.topics) == offsets, f"{offsets} committed", every=0.1
        )

    def sound(self, **options: Any) -> Report:
        return assert_sound(self.broker, self.topics, self.group, **options)

    def sink(self, name: str) -> list[Any]:
        return read(self.broker.bootstrap, [name])[name]


@pytest.fixture
def stage(broker: Broker, tmp_path: Path, bundle: Path) -> Stage:
    return Stage(broker, tmp_path, bundle, make_topics(broker, 2))


def ends(found: list[Message]) -> dict[int, int]:
    return {partition: sum(1 for one in found if one.partition == partition) for partition in (0, 1)}


def test_every_record_of_a_crowd_is_in_one_sink_with_its_bytes_and_a_stop_leaves_nothing(stage: Stage) -> None:
    crowd = messages(3000, seed=1, partitions=2)
    stage.send(crowd)
    with stage.guard() as guard:
        stage.until_committed(ends(crowd))
        more = messages(2000, seed=2, partitions=2)
        stage.send(more)
        code, seconds = guard.stop()
        assert (code, seconds < 10) == (0, True), guard.log()
        stage.sound(whole=False)
        guard.start()
        stage.until_committed(ends(crowd + more))
        assert guard.total(r"guard_forged_headers_total") >= 0
        assert guard.stop()[0] == 0
    report = stage.sound()
    assert report.duplicates == 0, "a graceful stop must leave nothing that is read again"
    assert min(report.sinks.values()) > 0


def test_the_stream_says_of_each_record_what_the_filter_says(stage: Stage, tmp_path: Path) -> None:
    values = [one.value or b"" for one in messages(1500, seed=3)]
    values += [value for value in HOSTILE if value and b"\n" not in value and len(value) < 200_000]
    stage.send([Message(value) for value in values], max_batch_size=1 << 20)
    with stage.guard():
        stage.until_committed({0: len(values), 1: 0})
    judged = load_bundle(stage.bundle, threads=1).judge(values)
    found = {int(origin(one).rpartition("/")[2]): one for name in stage.topics.sinks for one in stage.sink(name)}
    assert [header(found[at], "guard-verdict") for at in range(len(values))] == [one.status for one in judged]
    assert [header(found[at], "guard-reason") for at in range(len(values))] == [one.reason for one in judged]
    scores = [header(found[at], "guard-score") for at in range(len(values))]
    assert [score and float(score) for score in scores] == [one.p_value for one in judged]
    lines = [value for value in values if value]
    (tmp_path / "samples.jsonl").write_bytes(b"".join(value + b"\n" for value in lines))
    with Stop() as stop:
        task = Task(Samples(str(tmp_path / "samples.jsonl")), tmp_path / "filtered")
        summary = run_filter(task, load_bundle(stage.bundle, threads=1), stop)
    assert summary.records == len(lines)
    clean = (tmp_path / "filtered/clean.jsonl").read_bytes().splitlines()
    assert [one.value for one in stage.sink(stage.topics.clean)] == clean


def origin(record: Any) -> str:
    found = header(record, "guard-origin")
    assert found is not None
    return found


def test_observe_passes_and_marks_what_enforce_would_hold(stage: Stage) -> None:
    crowd = messages(500, seed=4)
    stage.send(crowd)
    with stage.guard(guard={"mode": "observe"}):
        stage.until_committed(ends(crowd))
    report = stage.sound(mode="observe")
    assert report.sinks["quarantine"] == 0
    assert any(header(one, "guard-verdict") == "quarantined" for one in stage.sink(stage.topics.clean))


def test_only_committed_transactions_are_read_and_their_gaps_do_not_hold_back_the_commit(stage: Stage) -> None:
    found = messages(200, seed=6)

    async def produce() -> None:
        async with AIOKafkaProducer(bootstrap_servers=stage.broker.bootstrap, transactional_id=stage.group) as producer:
            for number, one in enumerate(found):
                await producer.begin_transaction()
                await producer.send(stage.topics.input, one.value or b"", partition=0)
                await (producer.abort_transaction() if number % 4 == 3 else producer.commit_transaction())

    asyncio.run(produce())
    with stage.guard() as guard:
        # The last one was aborted: what is committed ends after the last record of the transaction before it.
        stage.until_committed({0: 2 * len(found) - 3, 1: 0})
        eventually(lambda: guard.total(r"guard_consumer_lag_records") == 0, "no lag behind markers", every=0.2)
        assert guard.stop()[0] == 0
    report = stage.sound()
    assert report.inputs == 150
    assert report.duplicates == 0


def test_a_log_that_ends_before_the_committed_offset_is_judged_from_its_start(stage: Stage) -> None:
    crowd = judged_crowd(stage)
    admin = stage.broker.admin()
    admin.alter_group_offsets(stage.group, {TopicPartition(stage.topics.input, 0): OffsetAndMetadata(9000, "", None)})
    admin.close()
    more = messages(100, seed=9, partitions=2)
    stage.send(more)
    with stage.guard():
        stage.until_committed(ends(crowd + more))
    report = stage.sound()
    assert report.inputs == 500
    assert report.duplicates == 400


def test_a_log_that_begins_behind_the_committed_offset_is_judged_from_its_start(stage: Stage) -> None:
    """Retention took what nobody judged in time: the guard says what is missing and goes on with what is there."""
    crowd = judged_crowd(stage)
    late = messages(300, seed=13)
    stage.send(late)
    admin = stage.broker.admin()
    admin.delete_records({TopicPartition(stage.topics.input, 0): len(crowd) + 200})
    admin.close()
    with stage.guard() as guard:
        stage.until_committed(ends(crowd + late))
        eventually(lambda: guard.total("guard_missed_records_total") == 200, "200 missed records told")
        assert guard.stop()[0] == 0
    found = {int(origin(one).rpartition("/")[2]) for name in stage.topics.sinks for one in stage.sink(name)}
    assert found == {*range(len(crowd)), *range(len(crowd) + 200, len(crowd) + 300)}
    assert "retention deleted 200 records, from offset 400 on" in guard.log()


def judged_crowd(stage: Stage) -> list[Message]:
    """400 records of partition 0, which a guard has judged and committed before it was stopped."""
    crowd = messages(400, seed=8)
    stage.send(crowd)
    with stage.guard() as guard:
        stage.until_committed(ends(crowd))
        assert guard.stop()[0] == 0
    return crowd


def test_a_header_name_that_is_no_text_stops_nobody(stage: Stage) -> None:
    around = messages(20, seed=12)
    stage.send(around)
    asyncio.run(send_hostile_header(stage.broker.bootstrap, stage.topics.input, b'{"source":"a"}'))
    stage.send(around)
    with stage.guard():
        stage.until_committed({0: 41, 1: 0})
    (found,) = [one for one in stage.sink(stage.topics.dead_letter) if origin(one).endswith("/0/20")]
    assert found.value == b'{"source":"a"}'
    assert found.headers[0] == ("\\xff\\xfename", b"1")


async def send_hostile_header(bootstrap: str, topic: str, value: bytes) -> None:
    class Hostile(BatchBuilder):  # type: ignore[misc]
        def _build(self) -> bytearray:
            data = bytearray(bytes(super()._build()).replace(b"##name", b"\xff\xfename"))
            struct.pack_into(">I", data, 17, calc_crc32c(bytes(data[21:])))
            return data

    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        batch = Hostile(10_000, 0)
        batch.append(timestamp=None, key=None, value=value, headers=[("##name", b"1")])
        await (await producer.send_batch(batch, topic, partition=0))


def test_faust_starts_the_same_guard(stage: Stage) -> None:
    crowd = messages(100, seed=10)
    stage.send(crowd)
    sections = settings(stage.broker.bootstrap, stage.topics, stage.bundle)
    with Worker(stage.folder / "guard", sections, program=("-c", FAUST)) as guard:
        stage.until_committed(ends(crowd))
        assert guard.stop()[0] == 0
    stage.sound()


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"model": {"bundle": "/no/such/bundle"}}, "/no/such/bundle"),
        ({"kafka": {"bootstrap": [f"127.0.0.1:{free_port()}"]}}, "nothing listens there"),
        ({"guard": {"mode": "ignore"}}, "guard.mode"),
    ],
)
def test_a_guard_that_cannot_serve_ends_says_why_and_passes_nothing(
    stage: Stage, sections: dict[str, Any], said: str
) -> None:
    stage.send(messages(10, seed=11))
    guard = stage.guard(**sections).start(wait=False)
    assert guard.exit_code() in {1, 2}
    assert said in guard.log()
    assert "Traceback" not in guard.log()
    assert not any(stage.sink(name) for name in stage.topics.sinks)


def test_a_port_that_is_taken_ends_the_guard_with_advice(stage: Stage) -> None:
    with stage.guard("one") as first:
        second = stage.guard("two", http={"port": first.port}).start(wait=False)
        assert second.exit_code() == 1
        assert "http.port" in second.log()
        assert "Traceback" not in second.log()
