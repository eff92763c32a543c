"""Health, readiness and metrics over HTTP, from a thread of its own: it answers while the guard's event loop is busy.

`/healthz`: is the process alive and does it make progress; `/readyz`: may it be relied on; `/metrics`: OpenMetrics for
who accepts it, Prometheus' text for all others; `/offenders`: the sources with most refused records, `/sources`: those
with most evidence against them, by name; `/shadow`: how the shadow bundle and the serving one agree.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from threading import Thread
from typing import NamedTuple

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics

from guard.agreement import Agreement
from guard.errors import GuardError
from guard.stream.metrics import StreamMetrics

__all__ = ["BEAT_SECONDS", "Health", "Response", "StatusServer"]

BEAT_SECONDS = 15.0
"""An event loop that has not run for this long hangs. Far above one batch in its executor, below a probe's patience."""

_REQUEST_SECONDS = 5.0
"""From connection to answer: who sends a request letter by letter is cut off, however busy he keeps the connection."""

_CONNECTIONS = 32
"""Beyond this the oldest connection is cut: slow ones cannot keep a probe out, whose own takes milliseconds."""

_HEAD_BYTES = 8192


class Health:
    """What the guard says of itself. Its event loop sets, the server's thread reads; each set is one assignment."""

    def __init__(self, stall_seconds: float = 120.0) -> None:
        self._stall_seconds = stall_seconds
        self._beaten = self._progressed = time.monotonic()
        self._partitions: int | None = None
        self._verified = False

    def beat(self) -> None:
        """The event loop runs; say so every second."""
        self._beaten = time.monotonic()

    def progress(self) -> None:
        """A batch was finished, or there was nothing to do."""
        self._progressed = time.monotonic()

    def assigned(self, partitions: int | None) -> None:
        """How many partitions this instance reads; None while the group has not given it any answer.

        0 counts as an answer: a spare instance is ready to take over.
        """
        self._partitions = partitions

    def model_verified(self, verified: bool) -> None:  # noqa: FBT001 – one bit of state
        """Whether a verified bundle is loaded and the checks before the start have passed."""
        self._verified = verified

    def not_alive(self) -> str | None:
        """Why the process should be restarted; None when it should not."""
        now = time.monotonic()
        if now - self._beaten > BEAT_SECONDS:
            return f"the event loop has not run for {now - self._beaten:.0f} s"
        if now - self._progressed > self._stall_seconds:
            return f"records are waiting and no batch was finished for {now - self._progressed:.0f} s"
        return None

    def not_ready(self) -> str | None:
        """Why the guard cannot be relied on yet; None when it can."""
        if not self._verified:
            return "no verified model bundle is loaded, or the checks before the start have not passed"
        if self._partitions is None:
            return "the consumer group has not assigned partitions to this instance"
        return self.not_alive()


class Response(NamedTuple):
    """An answer to GET."""

    status: str
    type: str
    body: bytes


class StatusServer:
    """Serves `health` and `metrics` on `host`:`port` from `start` to `stop`. Port 0 takes a free one."""

    def __init__(
        self,
        metrics: StreamMetrics,
        health: Health,
        host: str = "127.0.0.1",
        port: int = 9464,
        sources: Callable[[], bytes] = lambda: b"{}",
    ) -> None:
        self._metrics = metrics
        self._health = health
        self._host = host
        self._wanted = port
        self._open: dict[asyncio.StreamWriter, None] = {}
        self._routes: Mapping[str, Callable[[bool], Response]] = {
            "/healthz": lambda _: _state(health.not_alive()),
            "/readyz": lambda _: _state(health.not_ready()),
            "/metrics": self._exposition,
            "/offenders": lambda _: _json("200 OK", [found._asdict() for found in metrics.offenders.top()]),
            "/shadow": lambda _: _agreement(metrics.agreement.agreement()),
            "/sources": lambda _: Response("200 OK", "application/json", sources() + b"\n"),
        }
        self._paths = f"GET {', '.join(self._routes)}\n"

    @property
    def port(self) -> int:
        """The port that is served."""
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def start(self) -> None:
        """Listen, and serve from a thread of its own. Raises GuardError when the address cannot be had."""
        self._loop = asyncio.new_event_loop()
        try:
            self._server = self._loop.run_until_complete(
                asyncio.start_server(self._serve, self._host, self._wanted, limit=_HEAD_BYTES)
            )
        except OSError as error:
            self._loop.close()
            raise GuardError(
                f"http: {self._host}:{self._wanted} cannot be listened on ({error.strerror}). "
                "End what uses it, or set another http.port (GUARD_HTTP__PORT) or http.host."
            ) from error
        self._thread = Thread(target=self._loop.run_forever, name="status", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Cut what is open and end the thread."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _close(self) -> None:
        # asyncio leaks what it is just accepting when its server is closed: accept no more, end those, then close.
        for listening in self._server.sockets:
            self._loop.remove_reader(listening)
        while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
            for writer in self._open:
                writer.transport.abort()
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open[writer] = None
        if len(self._open) > _CONNECTIONS:
            next(iter(self._open)).transport.abort()
        try:
            async with asyncio.timeout(_REQUEST_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(self._answer(head))
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError):
            pass  # who does not ask properly gets no answer
        finally:
            writer.transport.abort()
            del self._open[writer]

    def _answer(self, head: bytes) -> bytes:
        line, _, rest = head.decode("latin-1").partition("\r\n")
        method, _, target = line.partition(" ")
        route = self._routes.get(target.partition(" ")[0].partition("?")[0])
        if method not in {"GET", "HEAD"}:
            response = _text("405 Method Not Allowed", self._paths)
        elif route is None:
            response = _text("404 Not Found", self._paths)
        else:
            response = route(_accepts_openmetrics(rest))
        return _message(response, with_body=method != "HEAD")

    def _exposition(self, open_metrics: bool) -> Response:  # noqa: FBT001 – what the client accepts
        self._metrics.ready(self._health.not_ready() is None)
        registry = self._metrics.registry
        if open_metrics:
            body: bytes = openmetrics.generate_latest(registry)  # type: ignore[no-untyped-call]
            return Response("200 OK", openmetrics.CONTENT_TYPE_LATEST, body)
        return Response("200 OK", CONTENT_TYPE_PLAIN_0_0_4, generate_latest(registry))


def _accepts_openmetrics(head: str) -> bool:
    return any(
        line.lower().startswith("accept:") and "application/openmetrics-text" in line for line in head.split("\r\n")
    )


def _state(reason: str | None) -> Response:
    return _json("200 OK" if reason is None else "503 Service Unavailable", {"ok": reason is None, "reason": reason})


def _agreement(found: Agreement | None) -> Response:
    if found is None:
        return _text("404 Not Found", "no shadow bundle has judged anything: set model.shadow\n")
    return Response("200 OK", "application/json", found.model_dump_json().encode() + b"\n")


def _json(status: str, content: object) -> Response:
    return Response(status, "application/json", json.dumps(content).encode() + b"\n")


def _text(status: str, text: str) -> Response:
    return Response(status, "text/plain; charset=utf-8", text.encode())


def _message(response: Response, *, with_body: bool) -> bytes:
    head = [
        f"HTTP/1.1 {response.status}",
        f"Content-Type: {response.type}",
        f"Content-Length: {len(response.body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
    ]
    return "\r\n".join([*head, "", ""]).encode() + (response.body if with_body else b"")
