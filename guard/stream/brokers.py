"""Reaching the brokers within bounded time, and saying why one cannot be reached: clients only say that it cannot."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from guard.errors import GuardError
from guard.stream.security import Connection

__all__ = ["Answer", "BrokersUnreachable", "knock", "open_admin"]

_KNOCK_SECONDS = 5.0
"""An honest broker answers within milliseconds; one behind a firewall that drops packets never does."""

_CLOSE_SECONDS = 0.2
"""A transport closes when its loop comes round to it; one that was never opened does not say so."""

_BOOTSTRAP_MILLISECONDS = 10_000
_REQUEST_MILLISECONDS = 10_000
"""An administrator's question may wait for a controller that is being elected, which takes some seconds."""


class BrokersUnreachable(GuardError):
    """No broker can be used: it does not answer, or does not take our certificate or password."""


@dataclass(frozen=True)
class Answer:
    """Why a broker cannot be used, and what to do about it, "" where it can be; and all brokers as it names them."""

    fault: str = ""
    brokers: Mapping[int, str] = field(default_factory=dict)


def knock(connection: Connection, addresses: Sequence[str]) -> dict[str, Answer]:
    """The answer at each HOST:PORT. Connects and logs in as the guard would, to all of them at once.

    Not to be called from a running event loop.
    """

    async def all_at_once() -> list[Answer]:
        return await asyncio.gather(*(_knock(connection, address) for address in addresses))

    return dict(zip(addresses, asyncio.run(all_at_once()), strict=True))


@contextmanager
def open_admin(connection: Connection) -> Iterator[Any]:
    """A kafka-python `KafkaAdminClient`, closed at the end. Raises BrokersUnreachable, and within the block as well."""
    from kafka.admin import KafkaAdminClient
    from kafka.errors import KafkaConnectionError, KafkaError, KafkaTimeoutError

    found = knock(connection, connection.bootstrap)
    if all(answer.fault for answer in found.values()):
        raise BrokersUnreachable("\n".join(f"{address}: {answer.fault}" for address, answer in found.items()))
    # One that did not answer would hold the others up.
    words = {
        **connection.admin,
        "bootstrap_servers": [address for address, answer in found.items() if not answer.fault],
    }
    limits = {"bootstrap_timeout_ms": _BOOTSTRAP_MILLISECONDS, "request_timeout_ms": _REQUEST_MILLISECONDS}
    try:
        admin = KafkaAdminClient(**words, **limits)
    except KafkaError as error:
        raise BrokersUnreachable(f"{', '.join(connection.bootstrap)}: {error}; see what the broker logs") from error
    try:
        yield admin
    except (KafkaTimeoutError, KafkaConnectionError) as error:
        raise BrokersUnreachable(f"{', '.join(connection.bootstrap)}: {error}; see what the broker logs") from error
    finally:
        admin.close()


async def _knock(connection: Connection, address: str) -> Answer:
    from aiokafka.conn import AIOKafkaConnection
    from aiokafka.protocol.metadata import MetadataRequest

    host, _, port = address.rpartition(":")
    words = {word: value for word, value in connection.aiokafka.items() if word != "bootstrap_servers"}
    limit = int(_KNOCK_SECONDS * 1000)
    opened = AIOKafkaConnection(host.strip("[]"), int(port), request_timeout_ms=limit, **words)
    try:
        async with asyncio.timeout(_KNOCK_SECONDS):
            await opened.connect()
            metadata = await opened.send(MetadataRequest([]))
    except Exception as error:  # noqa: BLE001 – a listener may be anything, and make the client raise anything
        return Answer(_why(error))
    finally:
        closed = opened.close()
        if closed is not None:
            await asyncio.wait([closed], timeout=_CLOSE_SECONDS)
    return Answer(brokers={number: f"{name}:{port}" for number, name, port, *_ in metadata.brokers})


def _why(error: BaseException) -> str:
    """The first reason in the chain of causes that is known; a client wraps what the network said."""
    found: BaseException | None = error
    while found is not None:
        for kind, reason in _reasons():
            if isinstance(found, kind):
                return reason(found)
        found = found.__cause__
    if type(error).__name__ == "KafkaConnectionError" or isinstance(error, ConnectionError):
        return "it hangs up; correct kafka.security: its listener seems to speak another protocol"
    return f"{type(error).__name__}: {error}; see what the broker logs"


def _reasons() -> list[tuple[type[BaseException], Callable[[Any], str]]]:
    from aiokafka import errors

    return [
        (socket.gaierror, lambda e: f"there is no such host ({e.strerror}); correct kafka.bootstrap"),
        (ConnectionRefusedError, lambda _: "nothing listens there; start the broker, or correct kafka.bootstrap"),
        (
            TimeoutError,
            lambda _: f"no answer within {_KNOCK_SECONDS:g} s; is it a Kafka broker, and is a firewall between?",
        ),
        (
            ssl.SSLCertVerificationError,
            lambda e: f"its certificate is not trusted ({e.verify_message}); name who signed it in kafka.ca_file",
        ),
        (
            ssl.SSLError,
            lambda e: f"TLS fails ({e.reason}); correct kafka.security or kafka.certificate_file",
        ),
        (
            errors.SaslAuthenticationFailed,
            lambda _: "it refuses the name or the password; correct kafka.username and kafka.password_file",
        ),
        (
            errors.UnsupportedSaslMechanismError,
            lambda _: "it does not take this mechanism; correct kafka.mechanism",
        ),
        (
            errors.IllegalSaslStateError,
            lambda _: "its listener takes no passwords; correct kafka.security, or the port in kafka.bootstrap",
        ),
    ]
