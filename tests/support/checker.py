"""Reads all topics of a guard and proves what it promises. It shares no code with the guard.

L: nothing is lost. D: a duplicate is its first copy again. V: no origin is in two sinks under one model. O: first
copies are in the order of the input. B: key, value, timestamp and the sender's headers are the sender's bytes. C: what
is committed was produced. S: nothing that a sender chose stands in a trusted header.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from deploy.kafka.launcher import Broker
from tests.support.topics import Record, Topics, committed, read

TRUSTED = ("guard-", "__connect.errors.")
_ALWAYS = {"guard-verdict", "guard-model", "guard-model-sha256", "guard-origin", "guard-time", "guard-instance"}
_SHAPES = {
    "guard-verdict": r"clean|quarantined|malformed",
    "guard-reason": r"[a-z_]{1,40}",
    "guard-score": r"[01](\.\d+)?(e-\d+)?|\d(\.\d+)?e-\d+",
    "guard-threshold": r"0\.\d+|\d(\.\d+)?e-\d+",
    "guard-member": r"[a-z_-]{1,40}",
    "guard-model": r"[\w.-]+:[\w.-]+",
    "guard-model-sha256": r"[0-9a-f]{64}",
    "guard-origin": r"[\w-]{1,40}/[\w.-]+/\d+/\d+",
    "guard-time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)",
    "guard-value-sha256": r"[0-9a-f]{64}",
}
_VERDICT_OF = {"clean": {"clean"}, "quarantine": {"quarantined"}, "dead letter": {"malformed"}}
_SHOWN = 20


@dataclass(frozen=True)
class Report:
    """What was found: the numbers, and one line for each promise that was broken (the first of them, then a count)."""

    inputs: int
    produced: int
    duplicates: int
    sinks: dict[str, int]
    verdicts: dict[tuple[int, int], str]
    broken: tuple[str, ...]


def check(
    inputs: Iterable[Record],
    sinks: Mapping[str, list[Record]],
    offsets: Mapping[int, int],
    *,
    cluster: str,
    mode: str = "enforce",
    whole: bool = True,
) -> Report:
    """Holds outputs against inputs. `sinks`: records by `clean`, `quarantine`, `dead letter`; `offsets`: committed.

    `whole` False: the guard may still be at work, so only what is committed must have been produced.
    """
    sent = {(record.partition, record.offset): record for record in inputs}
    topic = next((record.topic for record in sent.values()), "")
    broken: list[str] = []
    copies: dict[tuple[int, int], list[tuple[str, Record]]] = {}
    for sink, records in sinks.items():
        last: dict[int, int] = {}
        for record in records:
            place = _origin(record, f"{cluster}/{topic}")
            if place is None or place not in sent:
                broken.append(f"S: {sink} holds {_show(record)}, whose origin was never sent")
                continue
            if not any(first == sink for first, _ in copies.get(place, ())):
                if last.get(record.partition, -1) > place[1]:
                    broken.append(f"O: {sink} {record.partition} has origin {place[1]} after {last[record.partition]}")
                last[record.partition] = max(last.get(record.partition, -1), place[1])
            copies.setdefault(place, []).append((sink, record))
            broken += _unfaithful(sent[place], record) + _untrusted(sink, record, place, mode)
    broken += _unproduced(sent, copies, offsets, whole=whole)
    for place, found in copies.items():
        broken += _contradictions(place, found)
    return Report(
        inputs=len(sent),
        produced=sum(map(len, copies.values())),
        duplicates=sum(map(len, copies.values())) - len(copies),
        sinks={sink: len({_origin(record, f"{cluster}/{topic}") for record in many}) for sink, many in sinks.items()},
        verdicts={place: found[0][0] for place, found in copies.items()},
        broken=_shortened(broken),
    )


def assert_sound(
    broker: Broker, topics: Topics, group: str, *, mode: str = "enforce", whole: bool = True, since: int = 0
) -> Report:
    """Reads the topics of a broker and fails with every promise that is broken.

    Inputs before the offset `since` are passed over: a test took some of what came of them away.
    """
    offsets = committed(broker, group, topics)  # before the outputs: what is committed now was produced before
    found = read(broker.bootstrap, [topics.input, *topics.sinks])
    sinks = dict(zip(("clean", "quarantine", "dead letter"), (found[name] for name in topics.sinks), strict=True))
    prefix = f"{broker.cluster}/{topics.input}"
    sinks = {
        sink: [one for one in many if (_origin(one, prefix) or (0, since))[1] >= since] for sink, many in sinks.items()
    }
    inputs = [one for one in found[topics.input] if one.offset >= since]
    report = check(inputs, sinks, offsets, cluster=broker.cluster, mode=mode, whole=whole)
    assert not report.broken, "\n".join(report.broken)
    return report


def header(record: Record, name: str) -> str | None:
    """The one value of a header as text, None when it is not there; it must not be there twice."""
    values = [value for key, value in record.headers if key == name]
    assert len(values) <= 1, f"{name} stands {len(values)} times in {_show(record)}"
    return values[0].decode() if values and values[0] is not None else None


def _origin(record: Record, prefix: str) -> tuple[int, int] | None:
    values = [value for key, value in record.headers if key == "guard-origin"]
    found = re.fullmatch(re.escape(prefix) + r"/(\d+)/(\d+)", (values[0] or b"").decode()) if len(values) == 1 else None
    return (int(found[1]), int(found[2])) if found else None


def _unproduced(
    sent: Mapping[tuple[int, int], Record],
    copies: Mapping[tuple[int, int], object],
    offsets: Mapping[int, int],
    *,
    whole: bool,
) -> list[str]:
    """C and L: committed but nowhere, and nowhere at all."""
    missing = sent.keys() - copies.keys()
    committed = [place for place in missing if place[1] < offsets.get(place[0], 0)]
    lost = [f"C: offset {place[1]} of partition {place[0]} is committed and in no sink" for place in sorted(committed)]
    if whole:
        lost += [f"L: offset {place[1]} of partition {place[0]} is in no sink" for place in sorted(missing)]
        lost += [
            f"C: partition {place[0]} is committed up to {offsets.get(place[0], 0)}, but {place[1]} was sent"
            for place in {place[0]: place for place in sorted(sent)}.values()
            if offsets.get(place[0], 0) <= place[1]
        ]
    return lost


def _contradictions(place: tuple[int, int], found: list[tuple[str, Record]]) -> list[str]:
    """D and V: copies of one origin that differ, and one model that put it into two sinks."""
    first = found[0][1]
    told = [
        f"D: two copies of {place} differ"
        for _, other in found[1:]
        if (other.key, other.timestamp, other.partition) != (first.key, first.timestamp, first.partition)
        or (other.value != first.value and not (_is_stub(other) or _is_stub(first)))
    ]
    sinks: dict[str | None, set[str]] = {}
    for sink, record in found:
        sinks.setdefault(header(record, "guard-model-sha256"), set()).add(sink)
    return told + [f"V: {place} is in {sorted(many)} under one model" for many in sinks.values() if len(many) > 1]


def _is_stub(record: Record) -> bool:
    return any(key == "guard-value-sha256" for key, _ in record.headers)


def _unfaithful(sent: Record, got: Record) -> list[str]:
    """B: what is not the sender's any more."""
    own, theirs = (
        [(key, value) for key, value in record.headers if not key.lower().startswith(TRUSTED)] for record in (got, sent)
    )
    same = {"timestamp": got.timestamp == sent.timestamp, "partition": got.partition == sent.partition}
    if _is_stub(got):
        digest = hashlib.sha256(sent.value or b"").hexdigest()
        same["hash of the value"] = header(got, "guard-value-sha256") == digest and not got.value
        same["key"] = got.key in {sent.key, None}
    else:
        same |= {"key": got.key == sent.key, "value": got.value == sent.value, "headers": own == theirs}
    return [f"B: the {name} of {_show(sent)} was changed" for name, kept in same.items() if not kept]


def _untrusted(sink: str, record: Record, place: tuple[int, int], mode: str) -> list[str]:
    """S: trusted headers that are missing, double, of another shape, or say another place than the record's."""
    names = Counter(key for key, _ in record.headers if key.startswith(TRUSTED))
    told = [f"{name} stands {count} times" for name, count in names.items() if count > 1]
    told += [f"{name} is missing" for name in sorted(_ALWAYS - names.keys())]
    for name, shape in _SHAPES.items():
        value = dict(record.headers).get(name, b"") or b""
        if name in names and not re.fullmatch(shape, value.decode(errors="replace")):
            told.append(f"{name} is {value[:80]!r}")
    verdict = (dict(record.headers).get("guard-verdict") or b"").decode()
    allowed = _VERDICT_OF[sink] | ({"quarantined"} if mode == "observe" and sink == "clean" else set())
    told += [f"{sink} holds a record that is {verdict!r}"] if verdict not in allowed else []
    if sink != "clean":
        told += _wrong_place(record, place)
    return [f"S: {what} on the copy of {place} in {sink}" for what in told]


def _wrong_place(record: Record, place: tuple[int, int]) -> list[str]:
    said = tuple(header(record, f"__connect.errors.{name}") for name in ("partition", "offset"))
    return [] if said == tuple(map(str, place)) else [f"__connect.errors.partition and .offset are {said}"]


def _shortened(broken: list[str]) -> tuple[str, ...]:
    rest = len(broken) - _SHOWN
    return tuple(broken[:_SHOWN]) + ((f"… and {rest} more",) if rest > 0 else ())


def _show(record: Record) -> str:
    return f"{record.topic}/{record.partition}/{record.offset}"
