"""Evidence on a real broker: who is accused, and whether the data drift, also after a kill and a hand-over."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deploy.kafka.launcher import Broker, free_port
from guard.cli.main import main
from guard.sample import encode_samples
from guard.stream.evidence import Evidence
from guard.stream.settings import GuardSettings
from guard.stream.topics import create_topics, topic_facts, wanted_topics
from tests.support.bundles import TABLE, draw_samples
from tests.support.checker import header
from tests.support.topics import Message, Topics, make_topics, read, send
from tests.support.worker import Worker, eventually, settings, toml

Make = Callable[..., Worker]


class Crowd:
    """Samples of named sources, and a guard's settings that hold those of accused ones."""

    def __init__(self, broker: Broker, fruit: Path, partitions: int = 1) -> None:
        self.broker = broker
        self.topics: Topics = make_topics(broker, partitions)
        self.evidence = f"{self.topics.input}.evidence"
        policy = {"topic": self.evidence, "hold_accused": True, "keep_seconds": 0.5}
        self.sections = settings(broker.bootstrap, self.topics, fruit, evidence=policy)
        self.sent = 0
        wished = GuardSettings(**self.sections)
        admin = broker.admin()
        found = topic_facts(admin, wished.topics.input)
        self.made = create_topics(admin, wanted_topics(wished, found))
        admin.close()

    def send(
        self, source: str, count: int, *, poison: bool = False, partition: int = 0, names: int = 1, shift: float = 0.0
    ) -> list[str]:
        """Their ids. With `names` above 1 so many sources take turns; two columns are `shift` away."""
        x, y = draw_samples(TABLE, count, self.sent)
        x[:, :2] += shift
        ids = [f"{source}-{self.sent + n}" for n in range(count)]
        sources = [source if names == 1 else f"{source} {n % names}" for n in range(count)]
        lines = encode_samples(TABLE, x, (y + poison) % 3, sources, ids=ids)
        send(self.broker.bootstrap, self.topics.input, [Message(line, partition=partition) for line in lines])
        self.sent += count
        return ids

    def until_judged(self) -> None:
        eventually(lambda: sum(map(len, self.sinks().values())) >= self.sent, "all are judged", every=0.2)

    def sinks(self) -> dict[str, list[Any]]:
        return read(self.broker.bootstrap, self.topics.sinks)

    def fates(self, ids: list[str]) -> list[str | None]:
        """The reason for which each was held; None where it passed."""
        found = {
            json.loads(record.value)["id"]: header(record, "guard-reason")
            for records in self.sinks().values()
            for record in records
        }
        return [found[name] for name in ids]


def standings(worker: Worker) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://127.0.0.1:{worker.port}/sources", timeout=10) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def drifting(worker: Worker) -> set[str]:
    """What has changed, by the metric."""
    name = "guard_drift_alarmed_partitions"
    found = {
        key.partition('watched="')[2][:-2]: value for key, value in worker.metrics().items() if key.startswith(name)
    }
    assert set(found) == {"p_values", "labels", "refusals"}
    return {watched for watched, value in found.items() if value}


def remembered(crowd: Crowd) -> list[Evidence]:
    records = read(crowd.broker.bootstrap, [crowd.evidence])[crowd.evidence]
    return [Evidence.from_bytes(record.value or b"") for record in records]


def test_an_accused_source_is_held_over_a_kill_and_finds_its_way_back(
    broker: Broker, fruit: Path, make_worker: Make
) -> None:
    crowd = Crowd(broker, fruit)
    assert [outcome.what for outcome in crowd.made if outcome.name == crowd.evidence] == ["created"]
    worker = make_worker(crowd.sections).start()
    crowd.send("honest", 200)
    crowd.send("mallory", 40, poison=True)
    crowd.until_judged()
    eventually(lambda: worker.total("guard_accused_sources") == 1, "the metric says so", every=0.2)
    told = standings(worker)
    assert (told["accused"], told["sources"][0]["source"]) == (1, "mallory")
    assert not any("mallory" in name for name in worker.metrics())
    assert drifting(worker) == set()
    eventually(lambda: remembered(crowd) and remembered(crowd)[-1].through == crowd.sent, "it is kept", every=0.2)
    worker.kill()
    worker.start()
    seemingly_clean = crowd.send("mallory", 20)
    honest = crowd.send("honest", 20)
    crowd.until_judged()
    assert crowd.fates(seemingly_clean).count("suspect_source") >= 18
    assert "suspect_source" not in crowd.fates(honest)
    [row] = [row for row in standings(worker)["sources"] if row["source"] == "honest"]
    assert row["records"] == 220
    crowd.send("mallory", 300)
    crowd.until_judged()
    free = crowd.send("mallory", 20)
    crowd.until_judged()
    assert crowd.fates(free).count("suspect_source") == 0
    assert worker.stop()[0] == 0
    assert remembered(crowd)[-1].through == crowd.sent


def test_evidence_goes_with_its_partition_and_counts_together(broker: Broker, fruit: Path, make_worker: Make) -> None:
    """The same source in two partitions, each of which is judged by a guard of its own: neither alone has enough."""
    crowd = Crowd(broker, fruit, partitions=2)
    first = make_worker(crowd.sections).start()
    for partition in (0, 1):
        crowd.send("honest", 50, partition=partition)
    crowd.until_judged()
    second = make_worker({**crowd.sections, "http": {"port": free_port()}}).start()
    eventually(lambda: second.total("guard_assigned_partitions") == 1, "each has one", every=0.2)
    for partition in (0, 1):
        crowd.send("mallory", 40, poison=True, partition=partition)
    crowd.until_judged()
    for worker in (first, second):
        eventually(lambda worker=worker: standings(worker)["accused"] == 1, "both know", every=0.2)
    assert first.stop()[0] == 0
    eventually(lambda: second.total("guard_assigned_partitions") == 2, "one has both", every=0.2)
    held = [crowd.send("mallory", 5, partition=partition) for partition in (0, 1)]
    crowd.until_judged()
    for ids in held:
        assert crowd.fates(ids).count("suspect_source") >= 4
    [row] = [row for row in standings(second)["sources"] if row["source"] == "honest"]
    assert row["records"] == 100
    second.stop()


def test_drift_of_all_sources_is_told_and_survives_a_kill(broker: Broker, fruit: Path, make_worker: Make) -> None:
    crowd = Crowd(broker, fruit)
    worker = make_worker(crowd.sections).start()
    crowd.send("crowd", 400, names=40)
    crowd.until_judged()
    eventually(lambda: worker.total("guard_followed_sources") == 40, "they are counted", every=0.2)
    assert drifting(worker) == set()
    crowd.send("crowd", 3200, names=40, shift=1.2)
    crowd.until_judged()
    eventually(lambda: drifting(worker) == {"p_values"}, "the alarm", every=0.2)
    eventually(lambda: remembered(crowd)[-1].through == crowd.sent, "it is kept", every=0.2)
    worker.kill()
    worker.start()
    assert drifting(worker) == set()
    crowd.send("crowd", 1, names=40)
    crowd.until_judged()
    eventually(lambda: drifting(worker) == {"p_values"}, "it is remembered", every=0.2)
    worker.stop()


def test_what_others_write_to_the_topic_of_evidence_stops_nothing(
    broker: Broker, fruit: Path, make_worker: Make
) -> None:
    crowd = Crowd(broker, fruit)
    worker = make_worker(crowd.sections).start()
    crowd.send("mallory", 40, poison=True)
    crowd.until_judged()
    eventually(lambda: remembered(crowd) and remembered(crowd)[-1].through == crowd.sent, "it is kept", every=0.2)
    [kept] = {record.key: record for record in read(broker.bootstrap, [crowd.evidence])[crowd.evidence]}.values()
    forged = [Message(b"no evidence", kept.key), Message(b"", kept.key), Message(kept.value, b"another/place/0")]
    send(broker.bootstrap, crowd.evidence, forged)
    worker.kill()
    worker.start()
    crowd.send("honest", 10)
    crowd.until_judged()
    eventually(lambda: standings(worker)["accused"] == 1, "what guards wrote counts", every=0.2)
    assert worker.log().count("a record of evidence is passed over") == 3
    worker.stop()


def test_the_check_names_a_topic_that_would_forget(
    broker: Broker, fruit: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    crowd = Crowd(broker, fruit)
    config = tmp_path / "guard.toml"
    config.write_text(toml(crowd.sections))
    assert main(["guard", "check", "--config", str(config)]) == 0
    assert f"topic {crowd.evidence}: compacted" in capfd.readouterr().out
    wrong = {**crowd.sections, "evidence": {**crowd.sections["evidence"], "topic": f"{crowd.topics.input}.none"}}
    config.write_text(toml(wrong))
    assert main(["guard", "check", "--config", str(config)]) == 1
    assert "depois topics create" in capfd.readouterr().out
