"""A TCP proxy on a thread of its own, through which a test takes the network away and gives it back."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from types import TracebackType
from typing import Self


class TcpProxy:
    """Passes everything between its own port and `target`, until it is told otherwise.

    `cut()` resets all connections that are open; `refuse()` also resets new ones at once; `swallow()` leaves them open
    but passes nothing on, as a network does that loses every packet; `heal()` ends both.
    """

    def __init__(self, port: int, target: int) -> None:
        self._port = port
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._refusing = False
        self._open: asyncio.Event | None = None
        self._server: asyncio.Server | None = None
        self.passed = 0

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._serve(), self._loop).result(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def cut(self) -> None:
        """Reset every connection that is open now."""
        self._loop.call_soon_threadsafe(self._abort)

    def refuse(self) -> None:
        """Reset every connection, and let none in."""
        self._refusing = True
        self.cut()

    def swallow(self) -> None:
        """Pass nothing on, in either direction, and close nothing."""
        assert self._open is not None
        self._loop.call_soon_threadsafe(self._open.clear)

    def heal(self) -> None:
        """Pass on again what comes, and what was held back."""
        assert self._open is not None
        self._refusing = False
        self._loop.call_soon_threadsafe(self._open.set)

    async def _serve(self) -> None:
        self._open = asyncio.Event()
        self._open.set()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)

    async def _close(self) -> None:
        assert self._server is not None
        self._server.close()
        self._abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._writers.add(writer)
        with contextlib.suppress(OSError):
            if not self._refusing:
                await self._pass_both_ways(reader, writer)
        self._writers.discard(writer)
        _reset(writer)

    async def _pass_both_ways(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back_reader, back_writer = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers.add(back_writer)
        try:
            async with asyncio.TaskGroup() as ways:
                ways.create_task(self._pass(reader, back_writer))
                ways.create_task(self._pass(back_reader, writer))
        except* OSError:
            pass
        finally:
            self._writers.discard(back_writer)
            _reset(back_writer)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert self._open is not None
        while data := await reader.read(1 << 16):
            await self._open.wait()
            self.passed += len(data)
            writer.write(data)
            await writer.drain()
        raise ConnectionResetError("one side has closed")  # ends the other direction too

    def _abort(self) -> None:
        for writer in list(self._writers):
            _reset(writer)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Closes with RST: a connection that lingers for 0 s is not closed in good order."""
    found = writer.get_extra_info("socket")
    if found is not None and not writer.transport.is_closing():
        found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
