"""What is seen of a guard under load: a real Prometheus scrapes it, every panel shows data, no sender makes series."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Event, Thread

import pytest

from deploy.grafana.dashboards import HERE, PAGES
from deploy.kafka.launcher import Broker
from guard.sample import encode_samples
from tests.support.bundles import TABLE, draw_samples, make_bundle
from tests.support.crowd import messages
from tests.support.prometheus import Prometheus, prometheus
from tests.support.topics import Message, Topics, make_topics, send
from tests.support.worker import Worker, eventually, settings

VARIABLES = {"$__rate_interval": "30s", "$job": ".*", "$instance": ".*"}
CALM = 5
"""Scrapes of one second that a rate needs before it is told."""


@dataclass(frozen=True)
class Scene:
    """A guard under load, and the Prometheus that has scraped it for some time."""

    worker: Worker
    topics: Topics
    server: Prometheus
    bootstrap: str


@pytest.fixture(scope="module")
def scene(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("sight")
    topics = make_topics(broker, 2)
    bundle = make_bundle(folder / "bundle")
    shadow = make_bundle(folder / "shadow", alpha=0.1, seed=1)
    model = {"bundle": str(bundle), "shadow": str(shadow)}
    with (
        Worker(folder, settings(broker.bootstrap, topics, bundle, model=model)) as worker,
        prometheus(folder, worker.port) as server,
        load(broker.bootstrap, topics),
    ):
        eventually(lambda: scrapes(server) > CALM, "a guard that is scraped for some time", every=0.5)
        yield Scene(worker, topics, server, broker.bootstrap)


class load:  # noqa: N801 – read as a word: with load(…)
    """A crowd that sends until the block ends."""

    def __init__(self, bootstrap: str, topics: Topics) -> None:
        self._over = Event()
        self._thread = Thread(target=self._send, args=(bootstrap, topics))

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _send(self, bootstrap: str, topics: Topics) -> None:
        seed = 0
        while not self._over.wait(0.2):
            send(bootstrap, topics.input, messages(500, seed := seed + 1, partitions=topics.partitions))


def scrapes(server: Prometheus) -> float:
    """How often Prometheus has seen the guard work."""
    found = server.query("count_over_time((sum(guard_records_total) > 2000)[5m:1s])")
    return found[0].value if found else 0


def expressions() -> list[tuple[str, str, str]]:
    return [
        (page.name, panel["title"], target["expr"])
        for page in PAGES
        for panel in json.loads((HERE / f"{page.name}.json").read_text())["panels"]
        for target in panel.get("targets", [])
    ]


@pytest.mark.parametrize(("page", "title", "expression"), expressions())
def test_every_panel_shows_data(scene: Scene, page: str, title: str, expression: str) -> None:
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    assert "$" not in expression
    found = scene.server.query(expression)
    assert found, f"{page}: {title}: no data"
    assert any(math.isfinite(point.value) for point in found), f"{page}: {title}: {found}"


def test_the_target_is_up_and_its_exposition_is_sound(scene: Scene) -> None:
    (target,) = scene.server.ask("targets")["activeTargets"]
    assert target["health"] == "up", target["lastError"]
    assert scene.server.query("guard_ready")[0].value == 1


def test_counts_are_those_of_the_topics(scene: Scene) -> None:
    held = scene.server.query('sum(guard_records_total{verdict="quarantined"}) / sum(guard_records_total)')
    assert 0.05 < held[0].value < 0.3


def test_both_bundles_are_told_and_the_shadow_disagrees_now_and_then(scene: Scene) -> None:
    roles = {point.labels["role"]: point.labels["sha256"] for point in scene.server.query("guard_model_info")}
    assert len(set(roles.values())) == len(roles) == 2
    assert scene.server.query('sum(guard_shadow_verdicts_total{current="clean",shadow="quarantined"})')[0].value > 0


def test_no_alert_fires_that_speaks_of_a_broken_guard(scene: Scene) -> None:
    firing = scene.server.query('ALERTS{alertname=~"Guard.*|ProduceErrors|MixedModelVersions|BundleRefused"}')
    assert [point.labels["alertname"] for point in firing] == []


def test_a_flood_of_invented_sources_and_labels_makes_no_series(scene: Scene) -> None:
    before = names(scene.worker)
    judged = scene.worker.total("guard_records_total")
    flood = list(invented(3000))
    send(scene.bootstrap, scene.topics.input, flood)
    eventually(lambda: scene.worker.total("guard_records_total") >= judged + len(flood), "the flood is judged")
    assert names(scene.worker) - before == set()
    assert not [name for name in names(scene.worker) if "mallory" in name]


def names(worker: Worker) -> set[str]:
    return {name for name in worker.metrics() if not re.match(r"process_|guard_consumer_lag", name)}


def invented(count: int) -> Iterator[Message]:
    """Samples of sources that nobody heard of, with labels that nobody knows, and forged headers of invented names."""
    x, y = draw_samples(TABLE, count, 7)
    lines = encode_samples(TABLE, x, y, [f'mallory {number}"}}\n' for number in range(count)])
    for number, line in enumerate(lines):
        label = re.sub(rb'"label":"\w+"', b'"label":"mallory %d"' % number, line)
        yield Message(label if number % 2 else line, headers=((f"guard-mallory-{number}", b"x"),), partition=number % 2)
