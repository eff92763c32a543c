"""Real Kafka brokers for tests. A test that asks for one is skipped, with the reason, where none can be started."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from deploy.kafka.launcher import Broker, unavailable
from tests.support.bundles import make_bundle
from tests.support.worker import Worker


@pytest.fixture(scope="session")
def start_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Broker]]:
    """Starts brokers that end with the tests; takes what `Broker` takes but the folder."""
    if reason := unavailable():
        pytest.skip(reason)
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(Broker(tmp_path_factory.mktemp("kafka"), **options))


@pytest.fixture(scope="session")
def broker(start_broker: Callable[..., Broker]) -> Broker:
    """A broker that many tests share: leave it running, and take topics of your own."""
    return start_broker()


@pytest.fixture(scope="session")
def secured_broker(start_broker: Callable[..., Broker]) -> Broker:
    """A shared broker with SASL_SSL, mTLS and an authorizer that denies whatever is not allowed."""
    return start_broker(secured=True)


@pytest.fixture
def own_broker(start_broker: Callable[..., Broker]) -> Iterator[Broker]:
    """A broker for one test, which may stop, kill and start it."""
    broker = start_broker()
    yield broker
    broker.kill()


@pytest.fixture
def admin(broker: Broker) -> Iterator[Any]:
    """An administrator of the shared broker."""
    client = broker.admin()
    yield client
    client.close()


@pytest.fixture(scope="session")
def fruit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that judges the table samples of `tests.support.crowd`."""
    return make_bundle(tmp_path_factory.mktemp("bundle") / "fruit")


@pytest.fixture
def make_worker(tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    """Makes guards that are not started yet; takes what `Worker` takes but the folder. None outlives the test."""
    made: list[Worker] = []

    def make(sections: dict[str, dict[str, Any]], **options: Any) -> Worker:
        made.append(Worker(tmp_path / f"guard-{len(made)}", sections, **options))
        return made[-1]

    yield make
    for worker in made:
        worker.kill()
