from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

import pytest
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.structs import ConsumerRecord

from guard.routing import ROUTES, Sink
from guard.stream.headers import GuardHeaders, Stamp
from guard.stream.outgoing import Limits, Prepared, prepare
from guard.verdict import HoldReason, RejectReason, Status, Verdict

STAMP = Stamp("fruit:7", "ab" * 32, 0.01, "cluster-1", "guards", "guard-0")
CLEAN = Verdict(Status.CLEAN, None, 0.5, 0.01)
HELD = Verdict(Status.QUARANTINED, HoldReason.SUSPECT, 0.001, 0.01, "mimic", "pear")
MALFORMED = Verdict(Status.MALFORMED, RejectReason.TOMBSTONE, detail="empty")
WIDE = Limits(batch_bytes=100_000, record_bytes=1 << 20)


def record(offset: int, value: bytes | None = b"{}", key: bytes | None = b"k", headers: Any = ()) -> Any:
    return ConsumerRecord("input", 3, offset, 1_700_000_000_000 + offset, 0, key, value, None, 0, 0, headers)


def prepared(records: list[Any], verdicts: list[Verdict], mode: Any = "enforce", limits: Limits = WIDE) -> Prepared:
    write = GuardHeaders(STAMP).batch("input", 3, datetime.now(UTC))
    return prepare(records, verdicts, ROUTES[mode], write, limits)


def origins(done: Prepared) -> dict[str, list[int]]:
    return {
        sink: [int((dict(one.headers)["guard-origin"] or b"").rpartition(b"/")[2]) for one in many]
        for sink, many in done.outgoing.items()
    }


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("enforce", {"clean": [0, 3], "quarantine": [1, 4], "dead_letter": [2]}),
        ("observe", {"clean": [0, 1, 3, 4], "quarantine": [], "dead_letter": [2]}),
    ],
)
def test_each_record_is_in_exactly_one_output_in_order(mode: str, expected: dict[str, list[int]]) -> None:
    verdicts = [CLEAN, HELD, MALFORMED, CLEAN, HELD]
    done = prepared([record(n) for n in range(5)], verdicts, mode)
    assert origins(done) == expected
    assert done.verdicts == verdicts


def test_key_value_timestamp_and_the_senders_headers_stay_and_forged_ones_go() -> None:
    headers = (("a", b"\xff"), ("guard-verdict", b"clean"), ("a", None))
    done = prepared([record(7, b"\x00raw", None, headers), record(8, None, b"", ())], [CLEAN, MALFORMED])
    one, other = done.outgoing[Sink.CLEAN][0], done.outgoing[Sink.DEAD_LETTER][0]
    assert (one.timestamp, one.key, one.value) == (1_700_000_000_007, None, b"\x00raw")
    assert one.headers[:2] == [("a", b"\xff"), ("a", None)]
    assert [value for name, value in one.headers if name == "guard-verdict"] == [b"clean"]
    assert (other.timestamp, other.key, other.value) == (1_700_000_000_008, b"", None)
    assert done.forged_headers == 1


def test_what_is_passed_in_observe_mode_is_marked_but_has_no_error_headers() -> None:
    headers = dict(prepared([record(0)], [HELD], "observe").outgoing[Sink.CLEAN][0].headers)
    assert (headers["guard-verdict"], headers["guard-reason"]) == (b"quarantined", b"suspect")
    assert not [name for name in headers if name.startswith("__connect")]


@pytest.mark.parametrize("verdict", [CLEAN, HELD, MALFORMED])
@pytest.mark.parametrize("large", ["value", "key", "headers"])
def test_a_record_that_no_output_takes_becomes_a_stub(verdict: Verdict, large: str) -> None:
    big = b"x" * 60_000
    one = record(
        9,
        big if large == "value" else b"{}",
        big if large == "key" else b"k",
        (("h", big),) if large == "headers" else (),
    )
    done = prepared([record(8), one, record(10)], [CLEAN, verdict, CLEAN], limits=Limits(1000, 50_000))
    assert origins(done) == {"clean": [8, 10], "quarantine": [], "dead_letter": [9]}
    stub = done.outgoing[Sink.DEAD_LETTER][0]
    headers = dict(stub.headers)
    assert (stub.value, stub.key) == (b"", None if large == "key" else b"k")
    assert headers["guard-value-sha256"] == hashlib.sha256(one.value).hexdigest().encode()
    assert (headers["guard-verdict"], headers["guard-reason"]) == (b"malformed", b"too_large")
    assert "h" not in headers
    assert (done.stubs, done.verdicts[1].reason) == (1, RejectReason.TOO_LARGE)
    assert Limits.size(stub.key, stub.value, stub.headers) < 8000


def test_whatever_is_not_a_stub_is_within_the_limit() -> None:
    limits = Limits(1000, 20_000)
    records = [record(n, b"v" * size) for n, size in enumerate(range(18_500, 20_100, 10))]
    done = prepared(records, [HELD] * len(records), limits=limits)
    sizes = [Limits.size(one.key, one.value, one.headers) for many in done.outgoing.values() for one in many]
    assert max(sizes) <= 20_000
    assert done.stubs > 0
    assert done.outgoing[Sink.QUARANTINE]


@pytest.mark.parametrize("size", [0, 1, 100, 10_000])
def test_the_estimate_is_never_below_what_a_batch_takes(size: int) -> None:
    builder = BatchBuilder(1, 0)
    headers: list[Any] = [("guard-origin", b"c/t/0/1"), ("ü", None)]
    builder.append(timestamp=1_700_000_000_000, key=b"key", value=b"v" * size, headers=headers)
    assert builder.size() <= Limits.size(b"key", b"v" * size, headers) <= builder.size() + 64
