"""The checker of the stream finds each promise that is broken, and nothing where all are kept."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest

from tests.support.checker import check
from tests.support.topics import Record

Sinks = dict[str, list[Record]]
Headers = tuple[tuple[str, bytes | None], ...]
SENT = [
    Record(
        "in", number % 2, number // 2, 1000 + number, b"key", b"value %d" % number, (("own", b"1"), ("Guard-x", b"f"))
    )
    for number in range(6)
]


def marked(verdict: str, sent: Record, model: str = "a") -> Headers:
    place = (("__connect.errors.partition", b"%d" % sent.partition), ("__connect.errors.offset", b"%d" % sent.offset))
    return (
        ("own", b"1"),
        ("guard-verdict", verdict.encode()),
        ("guard-model", b"fruit:1"),
        ("guard-model-sha256", model.encode() * 64),
        ("guard-origin", b"cluster/in/%d/%d" % (sent.partition, sent.offset)),
        ("guard-time", b"2026-01-01T00:00:00.000Z"),
        ("guard-instance", b"guard-0"),
        *(() if verdict == "clean" else place),
    )


def copy(sent: Record, topic: str, verdict: str, offset: int, model: str = "a") -> Record:
    return sent._replace(topic=topic, offset=offset, headers=marked(verdict, sent, model))


def sound() -> Sinks:
    """Partition 0: all clean. Partition 1: a clean one, one held, one malformed."""
    clean = [copy(sent, "clean", "clean", number) for number, sent in enumerate([*SENT[::2], SENT[1]])]
    held, malformed = copy(SENT[3], "quarantine", "quarantined", 0), copy(SENT[5], "dead", "malformed", 0)
    return {"clean": clean, "quarantine": [held], "dead letter": [malformed]}


def replaced(sinks: Sinks, sink: str, at: int, **fields: object) -> None:
    sinks[sink][at] = sinks[sink][at]._replace(**fields)


def without(record: Record, name: str) -> Headers:
    return tuple(header for header in record.headers if header[0] != name)


def broken(sinks: Sinks, offsets: dict[int, int] | None = None, **options: bool) -> list[str]:
    return [line[0] for line in check(SENT, sinks, offsets or {0: 3, 1: 3}, cluster="cluster", **options).broken]


def test_a_sound_run_is_sound() -> None:
    report = check(SENT, sound(), {0: 3, 1: 3}, cluster="cluster")
    assert report.broken == ()
    assert (report.inputs, report.produced, report.duplicates) == (6, 6, 0)
    assert report.sinks == {"clean": 4, "quarantine": 1, "dead letter": 1}
    assert report.verdicts[1, 2] == "dead letter"


def test_true_copies_are_duplicates_and_no_fault() -> None:
    sinks = sound()
    sinks["clean"] += [copy(SENT[0], "clean", "clean", 9), copy(SENT[2], "clean", "clean", 10)]
    assert check(SENT, sinks, {0: 3, 1: 3}, cluster="cluster").duplicates == 2
    assert broken(sinks) == []


def test_a_stub_stands_for_its_record() -> None:
    sinks = sound()
    digest = hashlib.sha256(SENT[5].value or b"").hexdigest().encode()
    headers = (*marked("malformed", SENT[5])[1:], ("guard-value-sha256", digest))
    replaced(sinks, "dead letter", 0, value=b"", key=None, headers=headers)
    assert broken(sinks) == []
    replaced(sinks, "dead letter", 0, headers=(*headers[:-1], ("guard-value-sha256", b"0" * 64)))
    assert broken(sinks) == ["B"]


def lose(sinks: Sinks) -> None:
    sinks["clean"].pop(1)


def disorder(sinks: Sinks) -> None:
    first, second, *rest = sinks["clean"]
    sinks["clean"] = [second, first, *rest]


def decide_twice(sinks: Sinks) -> None:
    sinks["quarantine"].append(copy(SENT[0], "quarantine", "quarantined", 7))


def invent(sinks: Sinks) -> None:
    sinks["clean"].append(copy(SENT[0]._replace(offset=77), "clean", "clean", 9))


def take_origin_of_another_cluster(sinks: Sinks) -> None:
    record = sinks["clean"].pop()
    sinks["clean"].append(
        record._replace(headers=(*without(record, "guard-origin"), ("guard-origin", b"other/in/1/0")))
    )


def change(name: str, content: object) -> Callable[[Sinks], None]:
    return lambda sinks: replaced(sinks, "clean", 0, **{name: content})


def say(name: str, content: bytes) -> Callable[[Sinks], None]:
    def said(sinks: Sinks) -> None:
        record = sinks["quarantine"][0]
        replaced(sinks, "quarantine", 0, headers=(*without(record, name), (name, content)))

    return said


def drop(name: str) -> Callable[[Sinks], None]:
    return lambda sinks: replaced(sinks, "quarantine", 0, headers=without(sinks["quarantine"][0], name))


def double(sinks: Sinks) -> None:
    replaced(sinks, "clean", 0, headers=(*sinks["clean"][0].headers, ("guard-verdict", b"clean")))


@pytest.mark.parametrize(
    ("fault", "promises"),
    [
        (lose, "CL"),
        (disorder, "O"),
        (decide_twice, "V"),
        (invent, "S"),
        (take_origin_of_another_cluster, "SCL"),
        (change("key", None), "B"),
        (change("value", b"other"), "B"),
        (change("timestamp", 7), "B"),
        (change("partition", 1), "B"),
        (change("headers", marked("clean", SENT[0])[1:]), "B"),
        (change("headers", (("more", b"1"), *marked("clean", SENT[0]))), "B"),
        (say("guard-verdict", b"clean"), "S"),
        (say("guard-verdict", b"released"), "SS"),
        (say("guard-time", b"yesterday"), "S"),
        (say("guard-score", b"2.0"), "S"),
        (say("__connect.errors.offset", b"2"), "S"),
        (drop("guard-instance"), "S"),
        (double, "S"),
    ],
)
def test_each_broken_promise_is_found(fault: Callable[[Sinks], None], promises: str) -> None:
    sinks = sound()
    fault(sinks)
    assert sorted(broken(sinks)) == sorted(promises)


def test_a_changed_duplicate_is_found() -> None:
    sinks = sound()
    sinks["clean"].append(copy(SENT[0], "clean", "clean", 9)._replace(value=b"other"))
    assert sorted(broken(sinks)) == ["B", "D"]


def test_a_second_model_may_decide_otherwise() -> None:
    sinks = sound()
    sinks["quarantine"].append(copy(SENT[0], "quarantine", "quarantined", 7, model="b"))
    assert broken(sinks) == []


def test_while_the_guard_works_only_what_is_committed_must_be_there() -> None:
    sinks = sound()
    sinks["clean"].pop(2)  # the last one of partition 0
    assert broken(sinks, {0: 2, 1: 0}, whole=False) == []
    assert broken(sinks, {0: 3, 1: 0}, whole=False) == ["C"]


def test_what_is_not_committed_at_the_end_is_found() -> None:
    assert broken(sound(), {0: 2, 1: 3}) == ["C"]
