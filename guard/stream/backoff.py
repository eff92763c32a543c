"""A pause between two questions after the brokers: aiokafka's producer, whose partition has no leader, makes none.

It asks as fast as the answer, or the refusal, comes, with two lines of log each time, as long as a delivery may take.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from aiokafka import AIOKafkaProducer

__all__ = ["LEAST_SECONDS", "back_off"]

LEAST_SECONDS = 0.1
"""From one question to the next: what Kafka's own client takes as retry.backoff.ms."""


def back_off(producer: AIOKafkaProducer) -> AIOKafkaProducer:
    """The same producer, which asks for metadata at most ten times a second."""
    client = producer.client
    ask, asked = client._metadata_update, 0.0  # noqa: SLF001 – see `assert_internals`

    async def ask_at_leisure(*words: Any) -> Any:
        nonlocal asked
        await asyncio.sleep(asked + LEAST_SECONDS - time.monotonic())
        asked = time.monotonic()
        return await ask(*words)

    client._metadata_update = ask_at_leisure  # noqa: SLF001
    return producer
