"""A steady load on a topic, from a thread of its own, while a test does something to the guard."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaProducer

from guard.stream.backoff import back_off
from tests.support.topics import Message

_TICK = 0.02


class Load:
    """Sends `messages` over and over, `rate` records a second, until the block ends; then waits for the last ones.

    What the broker did not take, because it was away for too long, was never sent: the topic says what there is.
    """

    def __init__(self, bootstrap: str, topic: str, messages: Sequence[Message], rate: int, **options: Any) -> None:
        self._bootstrap = bootstrap
        self._topic = topic
        self._messages = itertools.cycle(messages)
        self._rate = rate
        self._options = {"linger_ms": 5, "request_timeout_ms": 120_000, "enable_idempotence": True, **options}
        self._stopped = threading.Event()
        self._started = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.sent = 0

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(60), "the load did not start"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join(150)
        assert not self._thread.is_alive(), "the last records of the load were not taken"
        if self._error is not None and error is None:
            raise self._error

    def _run(self) -> None:
        try:
            asyncio.run(self._send())
        except BaseException as error:  # noqa: BLE001 – handed to the thread of the test
            self._error = error
        self._started.set()

    async def _send(self) -> None:
        waiting: set[asyncio.Future[Any]] = set()
        async with back_off(AIOKafkaProducer(bootstrap_servers=self._bootstrap, **self._options)) as producer:
            began = time.monotonic()
            self._started.set()
            while not self._stopped.is_set():
                due = int((time.monotonic() - began) * self._rate) - self.sent
                for message in itertools.islice(self._messages, due):
                    waiting.add(await self._send_one(producer, message))
                self.sent += due
                await asyncio.sleep(_TICK)
                waiting = {future for future in waiting if not future.done() or future.exception() is not None}
            await asyncio.gather(*waiting, return_exceptions=True)

    async def _send_one(self, producer: AIOKafkaProducer, message: Message) -> asyncio.Future[Any]:
        headers = list(message.headers)
        place = {"partition": message.partition, "headers": headers}
        sent: asyncio.Future[Any] = await producer.send(self._topic, message.value, key=message.key, **place)
        return sent
