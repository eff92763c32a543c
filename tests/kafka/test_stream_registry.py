"""Promotions and rollbacks under load: no record lost, none judged twice or by half a model, and no pause."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest

from deploy.kafka.launcher import Broker
from guard.bundle import Bundle, load_bundle
from guard.registry.registry import Registry
from guard.store import read_files
from tests.support.bundles import SNAPSHOT, make_bundle
from tests.support.checker import assert_sound, header
from tests.support.crowd import messages
from tests.support.gates import make_audit, write_gate_for
from tests.support.load import Load
from tests.support.topics import Record, Topics, make_topics, read
from tests.support.watch import await_end, await_more, group_of
from tests.support.worker import Worker, eventually, settings

RATE = 400
PAUSE_SECONDS = 3.0
"""A batch at this rate is judged in milliseconds; the rest is what a busy machine may take away from all of them."""


@pytest.fixture
def bundles(tmp_path: Path) -> dict[str, Path]:
    """Three that judge unlike: each version holds more than the one before it."""
    return {
        version: make_bundle(tmp_path / version, alpha=alpha, seed=3, version=version, audit=make_audit(SNAPSHOT))
        for version, alpha in (("1", 0.01), ("2", 0.1), ("3", 0.3))
    }


def serving(worker: Worker, digest: str) -> float:
    return worker.total(rf'guard_model_info\{{.*role="current".*sha256="{digest}"')


def test_promotions_and_rollbacks_under_load(
    broker: Broker,
    bundles: dict[str, Path],
    make_worker: Callable[..., Worker],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    topics = make_topics(broker, partitions=2)
    registry = Registry.made(tmp_path / "registry")

    def promote(version: str) -> None:
        champion = registry.current()
        digest = None if champion is None else read_files(bundles[champion]).digest
        registry.promote(bundles[version], write_gate_for(bundles[version], tmp_path / "gate.json", digest), by="ada")

    promote("1")
    model = {"reload_seconds": 0.1}
    worker = make_worker(settings(broker.bootstrap, topics, tmp_path / "registry/current", model=model)).start()
    assert worker.total(r'guard_bundle_audited\{role="current"') == 1
    changes = [
        lambda: promote("2"),
        lambda: registry.rollback(by="ada"),
        lambda: promote("3"),
        lambda: registry.rollback(by="ada"),
        lambda: registry.rollback("3", by="ada"),
    ]
    with Load(broker.bootstrap, topics.input, messages(4000, 1, partitions=2), RATE):
        await_more(broker, topics, RATE)
        for change in changes:
            change()
            digest = read_files(registry._layout.path / "current").digest
            eventually(lambda digest=digest: serving(worker, digest), f"it serves\n{worker.log()}")
            await_more(broker, topics, RATE // 2)
    await_end(broker, topics, worker)
    assert worker.stop()[0] == 0, worker.log()
    report = assert_sound(broker, topics, group_of(topics))
    assert report.duplicates == 0
    found = [record for records in read(broker.bootstrap, topics.sinks).values() for record in records]
    assert len(found) == report.inputs
    versions = {read_files(path).digest: version for version, path in bundles.items()}
    assert_one_whole_model_each(
        found, {read_files(path).digest: load_bundle(path) for path in bundles.values()}, topics
    )
    for partition in range(2):
        order = [versions[str(header(one, "guard-model-sha256"))] for one in by_origin(found, partition)]
        served = [order[0], *(after for before, after in pairwise(order) if before != after)]
        assert served == ["1", "2", "1", "3", "1", "3"], partition
    longest, at_a_swap = pauses(found)
    record_property("longest pause, seconds", longest)
    record_property("pause where the model changes, seconds", at_a_swap)
    assert at_a_swap < PAUSE_SECONDS


def by_origin(found: list[Record], partition: int) -> list[Record]:
    """The records of one partition in the order in which they were sent."""
    own = [record for record in found if record.partition == partition]
    return sorted(own, key=lambda record: int(str(header(record, "guard-origin")).rpartition("/")[2]))


def assert_one_whole_model_each(found: list[Record], bundles: dict[str, Bundle], topics: Topics) -> None:
    """Each verdict and p-value is that of the very bundle whose digest the record carries."""
    status = dict(zip(topics.sinks, ("clean", "quarantined", "malformed"), strict=True))
    for digest, bundle in bundles.items():
        own = [record for record in found if header(record, "guard-model-sha256") == digest]
        assert own, "it never judged"
        for record, verdict in zip(own, bundle.judge([record.value or b"" for record in own]), strict=True):
            assert status[record.topic] == verdict.status
            assert float(header(record, "guard-threshold") or bundle.alpha.value) == bundle.alpha.value
            if verdict.p_value is not None:
                assert float(str(header(record, "guard-score"))) == pytest.approx(verdict.p_value, rel=1e-3)


def pauses(found: list[Record]) -> tuple[float, float]:
    """Seconds between two lists: the longest, and the longest of those between which the model changed."""
    lists = sorted({(str(header(one, "guard-time")), str(header(one, "guard-model-sha256"))) for one in found})
    times = [(datetime.fromisoformat(time).timestamp(), digest) for time, digest in lists]
    gaps = [(after - before, one != other) for (before, one), (after, other) in pairwise(times)]
    return max(gap for gap, _ in gaps), max(gap for gap, changed in gaps if changed)
