"""The proxy of the tests does to a connection what it says."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from deploy.kafka.launcher import free_port
from tests.support.tcp_proxy import TcpProxy


@pytest.fixture
def echo() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=answer, args=(server,), daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def answer(server: socket.socket) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        threading.Thread(target=repeat, args=(connection,), daemon=True).start()


def repeat(connection: socket.socket) -> None:
    with connection:
        try:
            while data := connection.recv(4096):
                connection.sendall(data)
        except OSError:
            return


def said(connection: socket.socket, data: bytes) -> bytes:
    connection.sendall(data)
    return connection.recv(4096)


def test_it_passes_on_and_cuts_what_is_open(echo: int) -> None:
    with TcpProxy(port := free_port(), echo) as proxy:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            assert said(connection, b"hello") == b"hello"
            proxy.cut()
            with pytest.raises(ConnectionResetError):
                connection.recv(1)
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            assert said(connection, b"again") == b"again"
        assert proxy.passed == 20


def test_it_refuses_until_it_is_healed(echo: int) -> None:
    with TcpProxy(port := free_port(), echo) as proxy:
        proxy.refuse()
        with (
            pytest.raises(ConnectionResetError),
            socket.create_connection(("127.0.0.1", port), timeout=10) as connection,
        ):
            connection.recv(1)
        proxy.heal()
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            assert said(connection, b"hello") == b"hello"


def test_what_it_swallows_comes_when_it_is_healed(echo: int) -> None:
    with (
        TcpProxy(port := free_port(), echo) as proxy,
        socket.create_connection(("127.0.0.1", port), timeout=10) as connection,
    ):
        assert said(connection, b"hello") == b"hello"
        proxy.swallow()
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            said(connection, b"lost?")
        proxy.heal()
        connection.settimeout(10)
        assert connection.recv(4096) == b"lost?"
