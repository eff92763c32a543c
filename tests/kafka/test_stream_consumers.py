"""Readers of a guard's topics: the command, and the recipe of the documentation as it stands there."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from deploy.kafka.launcher import Broker
from guard.cli.main import main
from tests.support.topics import Message, Topics, make_topics, send
from tests.support.worker import settings, toml

RECIPE = Path(__file__).parents[2] / "docs/consumers.md"
CLUSTER = "kB9x-_cluster"


def message(offset: int, partition: int = 0) -> Message:
    """As a guard passes on the input record `offset`."""
    headers = (("x", b"\xff"), ("guard-origin", f"{CLUSTER}/samples/{partition}/{offset}".encode()))
    return Message(f'{{"number":\n{offset}}}'.encode(), b"key", headers, partition)


def killed_at(*runs: tuple[int, int]) -> list[int]:
    """Offsets as guards produce them that begin and end at these."""
    return [offset for start, end in runs for offset in range(start, end)]


@pytest.fixture
def topics(broker: Broker) -> Topics:
    return make_topics(broker, 2)


def config_of(broker: Broker, topics: Topics, folder: Path) -> Path:
    config = folder / "guard.toml"
    config.write_text(toml(settings(broker.bootstrap, topics, Path("bundle"))))
    return config


def test_the_command_writes_each_origin_of_a_topic_once(
    broker: Broker, topics: Topics, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    offsets = killed_at((0, 300), (250, 500), (499, 520))
    send(broker.bootstrap, topics.clean, [message(o, p) for p in (0, 1) for o in offsets])
    send(broker.bootstrap, topics.clean, [Message(b"\xffno guard wrote me")] * 2)
    config, out = config_of(broker, topics, tmp_path), tmp_path / "clean.jsonl"
    command = ["dedupe", "--config", str(config), "--topic", topics.clean]
    assert main([*command, "--out", str(out)]) == 0
    assert "102 copies left out, 2 without guard-origin kept" in capsys.readouterr().err
    lines = [json.loads(line) for line in out.read_bytes().splitlines()]
    numbers = [json.loads(line["payload"])["number"] for line in lines if "payload" in line]
    assert numbers == [*range(520), *range(520)]
    assert sum("payload_base64" in line for line in lines) == 2
    assert main([*command, "--values", "--out", str(tmp_path / "values.jsonl")]) == 0
    values = (tmp_path / "values.jsonl").read_bytes().splitlines()
    assert len(values) == 1042
    assert values[0] == b'{"number": 0}'
    assert main([*command, "--out", str(out)]) == 1, "a file that is there is not overwritten"


def test_what_it_writes_it_reads(
    broker: Broker, topics: Topics, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    send(broker.bootstrap, topics.clean, [message(number) for number in (0, 1, 1, 2)])
    config, out = config_of(broker, topics, tmp_path), tmp_path / "clean.jsonl"
    assert main(["dedupe", "--config", str(config), "--topic", topics.clean, "--out", str(out)]) == 0
    export = tmp_path / "export.jsonl"
    export.write_bytes(out.read_bytes() * 2 + b"no json\n")
    assert main(["dedupe", str(export), "--out", str(tmp_path / "again.jsonl")]) == 3
    assert (tmp_path / "again.jsonl").read_bytes() == out.read_bytes()
    assert "1 lines unreadable" in capsys.readouterr().err


def test_a_topic_that_is_not_there_is_told(
    broker: Broker, topics: Topics, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = config_of(broker, topics, tmp_path)
    assert main(["dedupe", "--config", str(config), "--topic", "absent"]) == 1
    assert "absent cannot be read" in capsys.readouterr().err
    assert main(["dedupe"]) == 2
    assert main(["dedupe", str(tmp_path / "absent.jsonl")]) == 1


def recipe() -> dict[str, Any]:
    """The code of the documentation."""
    code = re.findall(r"```python\n(.*?)```", RECIPE.read_text(), flags=re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(code[0], str(RECIPE), "exec"), names)  # noqa: S102 – it is our own
    return names


async def consume(bootstrap: str, topic: str, until: int, *, early: bool = False) -> list[int]:
    """What one life of the documented consumer handles, up to a position of partition 0.

    `early`: records come before the listener has gone back behind them, as they may on a busy machine.
    """
    handled: list[int] = []
    options = {"group_id": f"reader.{topic}", "auto_offset_reset": "earliest", "enable_auto_commit": False}
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level="read_committed", **options)
    if early:
        hand_out_early(consumer)
    await consumer.start()

    async def handle(record: Any) -> None:
        handled.append(json.loads(record.value)["number"])

    task = asyncio.ensure_future(recipe()["each_once"](consumer, topic, handle))
    async with asyncio.timeout(60):
        while not task.done() and (await committed(consumer, topic)) < until:
            await asyncio.sleep(0.05)
    assert not task.done(), task.exception()
    task.cancel()
    await asyncio.wait([task])
    await consumer.stop()
    return handled


def hand_out_early(consumer: AIOKafkaConsumer) -> None:
    """The listener is answered where a partition begins only when records of it were handed out."""
    handed_out = asyncio.Event()
    getmany, beginning_offsets = consumer.getmany, consumer.beginning_offsets

    async def handing_out(**options: Any) -> Any:
        records = await getmany(**options)
        if records:
            handed_out.set()
        return records

    async def answering_late(partitions: Any) -> Any:
        await handed_out.wait()
        return await beginning_offsets(partitions)

    consumer.getmany, consumer.beginning_offsets = handing_out, answering_late


async def committed(consumer: AIOKafkaConsumer, topic: str) -> int:
    return await consumer.committed(TopicPartition(topic, 0)) or 0


@pytest.mark.parametrize("early", [False, True])
def test_the_recipe_handles_each_record_once_over_its_own_restart(broker: Broker, topics: Topics, early: bool) -> None:
    """The guard is killed while the consumer is away: the first copies lie before its committed offset."""

    def produce(offsets: Iterable[int]) -> None:
        send(broker.bootstrap, topics.clean, [message(offset) for offset in offsets])

    produce(killed_at((0, 300), (250, 400)))
    first = asyncio.run(consume(broker.bootstrap, topics.clean, 450))
    produce(killed_at((350, 600)))
    second = asyncio.run(consume(broker.bootstrap, topics.clean, 700, early=early))
    assert first == list(range(400))
    assert second == list(range(400, 600))
