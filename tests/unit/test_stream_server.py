"""Health, readiness and metrics over HTTP: right answers to probes, and none of it held up by hostile clients."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPConnection, HTTPResponse

import pytest

from guard.agreement import Agreement
from guard.errors import GuardError
from guard.stream import server as server_module
from guard.stream.metrics import ModelCard, StreamMetrics
from guard.stream.server import BEAT_SECONDS, Health, StatusServer
from guard.verdict import HoldReason, Status, Verdict


@pytest.fixture
def health() -> Health:
    return Health(stall_seconds=60)


@pytest.fixture
def metrics() -> StreamMetrics:
    return StreamMetrics("enforce")


@pytest.fixture
def server(metrics: StreamMetrics, health: Health) -> Iterator[StatusServer]:
    made = StatusServer(metrics, health, port=0)
    made.start()
    yield made
    made.stop()


def ask(server: StatusServer, path: str, method: str = "GET", **headers: str) -> tuple[HTTPResponse, bytes]:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request(method, path, headers=headers)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response, body


def test_ready_only_with_a_verified_model_and_an_assignment(server: StatusServer, health: Health) -> None:
    assert ask(server, "/readyz")[0].status == 503
    health.model_verified(True)
    assert "assigned" in json.loads(ask(server, "/readyz")[1])["reason"]
    health.assigned(0)
    assert ask(server, "/readyz")[0].status == 200
    health.assigned(None)
    assert ask(server, "/readyz")[0].status == 503


def test_alive_until_the_loop_stops_or_records_wait(server: StatusServer, health: Health) -> None:
    assert ask(server, "/healthz")[0].status == 200
    health._beaten -= BEAT_SECONDS + 1
    assert "event loop" in json.loads(ask(server, "/healthz")[1])["reason"]
    health.beat()
    assert ask(server, "/healthz")[0].status == 200
    health._progressed -= 61
    assert "no batch" in json.loads(ask(server, "/healthz")[1])["reason"]
    health.progress()
    assert ask(server, "/healthz")[0].status == 200


def test_metrics_come_in_the_format_that_is_accepted(server: StatusServer, health: Health) -> None:
    health.model_verified(True)
    health.assigned(1)
    plain, text = ask(server, "/metrics")
    assert plain.getheader("Content-Type", "").startswith("text/plain; version=0.0.4")
    assert b"\nguard_ready 1.0\n" in text
    accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
    rich, text = ask(server, "/metrics", Accept=accept)
    assert rich.getheader("Content-Type", "").startswith("application/openmetrics-text; version=1.0.0")
    assert text.endswith(b"# EOF\n")
    health.assigned(None)
    assert b"\nguard_ready 0.0\n" in ask(server, "/metrics")[1]


def test_a_nonsensical_accept_header_gets_metrics_all_the_same(server: StatusServer) -> None:
    assert ask(server, "/metrics", Accept="application/openmetrics-text; version=x.y;;,")[0].status == 200


def test_how_the_bundles_agree_is_told_once_there_are_two(server: StatusServer, metrics: StreamMetrics) -> None:
    response, body = ask(server, "/shadow")
    assert response.status == 404
    assert b"model.shadow" in body
    passed, held = Verdict(Status.CLEAN), Verdict(Status.QUARANTINED, HoldReason.SUSPECT)
    metrics.shadow(("a" * 64, "b" * 64), [passed, held, held], [passed, held, passed])
    response, body = ask(server, "/shadow")
    assert response.status == 200
    found = Agreement.model_validate_json(body, strict=True)
    assert (found.both_held, found.champion_only_held, found.overlap) == (1, 1, 0.5)


def test_offenders_are_told_by_name_only_where_names_are_no_labels(
    server: StatusServer, metrics: StreamMetrics
) -> None:
    metrics.model(ModelCard("m", "1", "0" * 64, 0.01, ("mimic",)), "current")
    verdict = Verdict(Status.QUARANTINED, HoldReason.SUSPECT, 0.001, 0.01, "mimic", source="mallory\r\nX: y")
    metrics.batch([verdict], {}, 0.0)
    response, body = ask(server, "/offenders")
    assert json.loads(body) == [{"source": "mallory\r\nX: y", "records": 1}]
    assert response.getheader("X-Content-Type-Options") == "nosniff"
    assert b"mallory" not in ask(server, "/metrics")[1]


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/", 404), ("POST", "/metrics", 405)])
def test_nothing_else_is_served(server: StatusServer, method: str, path: str, status: int) -> None:
    assert ask(server, path, method)[0].status == status


def test_head_gives_the_length_without_the_body(server: StatusServer) -> None:
    response, body = ask(server, "/healthz", "HEAD")
    assert (response.status, body) == (200, b"")
    assert int(response.getheader("Content-Length", "0")) > 0


@pytest.mark.parametrize(
    "sent", [b"\r\n\r\n", b"GET\r\n\r\n", b"\x00\xff \xfe\r\n\r\n", b"GET /" + b"a" * 20_000, b"G" * 9000 + b"\r\n\r\n"]
)
def test_rubbish_neither_crashes_nor_blocks(server: StatusServer, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as rude:
        rude.sendall(sent)
        rude.shutdown(socket.SHUT_WR)
        try:
            answer = rude.recv(100)
        except ConnectionResetError:
            answer = b""
    assert answer == b"" or answer.startswith(b"HTTP/1.1 40")
    assert ask(server, "/healthz")[0].status == 200


def test_slow_clients_cannot_keep_a_probe_out(server: StatusServer) -> None:
    slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(100)]
    for client in slow:
        client.sendall(b"GET /healthz HTTP/1.1\r\n")
    began = time.monotonic()
    assert ask(server, "/healthz")[0].status == 200
    assert time.monotonic() - began < server_module._REQUEST_SECONDS
    for client in slow:
        client.close()


def test_a_request_letter_by_letter_is_cut_off(server: StatusServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "_REQUEST_SECONDS", 0.2)
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as slow:
        slow.sendall(b"G")
        with suppress(ConnectionResetError):
            assert slow.recv(10) == b""


def test_stopping_does_not_wait_for_open_connections(metrics: StreamMetrics, health: Health) -> None:
    made = StatusServer(metrics, health, port=0)
    made.start()
    idle = socket.create_connection(("127.0.0.1", made.port))
    idle.sendall(b"GET /metrics HTTP/1.1\r\n")
    made.stop()
    idle.close()


def test_a_taken_port_says_what_to_do(server: StatusServer, metrics: StreamMetrics, health: Health) -> None:
    with pytest.raises(GuardError, match=r"http\.port"):
        StatusServer(metrics, health, port=server.port).start()
