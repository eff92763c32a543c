from __future__ import annotations

from datetime import UTC, datetime

import pytest

from guard.stream.headers import BatchHeaders, GuardHeaders, Stamp, strip_forged
from guard.verdict import HoldReason, RejectReason, Status, Verdict

STAMP = Stamp("fruit:7", "ab" * 32, 0.01, "cluster%d", "guards", "guard-0")


def batch() -> BatchHeaders:
    return GuardHeaders(STAMP).batch("input", 3, datetime(2026, 1, 31, 9, 30, 0, 125_000, UTC))


def test_clean_record_says_who_judged_it_by_what_and_where_it_stood() -> None:
    assert dict(batch().clean(42, 0.25)) == {
        "guard-verdict": b"clean",
        "guard-threshold": b"0.01",
        "guard-model": b"fruit:7",
        "guard-model-sha256": b"ab" * 32,
        "guard-instance": b"guard-0",
        "guard-time": b"2026-01-31T09:30:00.125Z",
        "guard-score": b"0.25",
        "guard-origin": b"cluster%d/input/3/42",
    }


def test_held_record_says_why_and_carries_the_names_of_kafka_connect() -> None:
    verdict = Verdict(
        Status.QUARANTINED, HoldReason.SUSPECT, 1e-05, 0.01, "mimic", "größe", label="x", detail="by alpha"
    )
    found = dict(batch().refused(42, verdict))
    assert found["guard-verdict"] == b"quarantined"
    assert found["guard-reason"] == b"suspect"
    assert found["guard-member"] == b"mimic"
    assert found["guard-suggested-label"] == "größe".encode()
    assert float(found["guard-score"] or b"") == 1e-05
    assert found["guard-origin"] == b"cluster%d/input/3/42"
    assert {name.removeprefix("__connect.errors."): value for name, value in found.items() if "__" in name} == {
        "topic": b"input",
        "partition": b"3",
        "offset": b"42",
        "connector.name": b"guards",
        "task.id": b"guard-0",
        "stage": b"TRANSFORMATION",
        "class.name": b"guard.judge.Judge",
        "exception.class.name": b"guard.verdict.HoldReason",
        "exception.message": b"suspect: by alpha",
    }


def test_unscored_record_has_no_score() -> None:
    names = dict(batch().marked(0, Verdict(Status.QUARANTINED, HoldReason.NOT_SCORED)))
    assert names["guard-reason"] == b"not_scored"
    assert not {"guard-score", "guard-member", "guard-suggested-label"} & set(names)


@pytest.mark.parametrize("detail", ["x" * 5000, "ß" * 1000, "\ud800" * 2000])
def test_what_a_sender_wrote_is_bounded_in_a_header_and_always_utf8(detail: str) -> None:
    found = dict(batch().stub(1, Verdict(Status.MALFORMED, RejectReason.TOO_LARGE, detail=detail), "0" * 64))
    message = found["__connect.errors.exception.message"] or b""
    assert len(message) <= 1024
    assert message.decode().startswith("too_large: ")
    assert found["guard-value-sha256"] == b"0" * 64
    assert found["__connect.errors.stage"] == b"VALUE_CONVERTER"


def test_forged_headers_go_and_all_others_stay_in_order_with_their_bytes() -> None:
    honest: list[tuple[str, bytes | None]] = [("traceparent", b"1"), ("x", None), ("x", b"\xff"), ("guardian", b"g")]
    forged: list[tuple[str, bytes | None]] = [
        ("guard-verdict", b"clean"),
        ("GUARD-Origin", b"a/b/0/1"),
        ("guard-", None),
        ("__connect.errors.topic", b"other"),
        ("__Connect.Errors.", b""),
    ]
    mixed = [header for pair in zip(forged, [*honest, ("", b"")], strict=True) for header in pair]
    assert strip_forged(tuple(mixed)) == ([*honest, ("", b"")], 5)
    assert strip_forged(()) == ([], 0)
