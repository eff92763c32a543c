"""At least 100,000 records, most of them broken: each ends in exactly one place, and none raises."""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guard.decode import Decoded, Decoder
from guard.diagnose import UNEXPLAINED
from guard.record import Head
from guard.rejection import Rejection
from guard.spec import ClassLabel, InputSpec, NumberColumn, TableInput
from guard.verdict import RejectReason
from tests.support.records import SPECS, read_plainly, valid_lines

RECORDS_PER_SPEC = 26_000
BATCH = 1_000


def assert_each_ends_in_one_place(batch: list[bytes], decoded: Decoded, spec: InputSpec) -> None:
    rejected = [at for at, head in enumerate(decoded.heads) if isinstance(head, Rejection)]
    assert sorted([*decoded.index, *decoded.unknown, *rejected]) == list(range(len(batch)))
    assert len(decoded.x) == len(decoded.y) == len(decoded.index)
    for at in rejected:
        assert_explained(batch[at], decoded.heads[at])
    for at, x, y in zip(decoded.index.tolist(), decoded.x, decoded.y, strict=True):
        assert_same_as_plainly_read(batch[at], spec, decoded.heads[at], x, y)
    for at in decoded.unknown.tolist():
        _, label, _ = read_plainly(batch[at], spec)
        assert isinstance(spec.label, ClassLabel)
        assert type(label) is type(spec.label.values[0])
        assert label not in spec.label.values


def assert_explained(raw: bytes, head: Head | Rejection) -> None:
    assert isinstance(head, Rejection)
    assert head.detail != UNEXPLAINED, raw
    assert head.detail.isprintable(), raw
    assert len(head.detail) < 300, raw


def assert_same_as_plainly_read(raw: bytes, spec: InputSpec, head: Head | Rejection, x: Any, y: Any) -> None:
    expected, label, value = read_plainly(raw, spec)
    np.testing.assert_array_equal(x, expected, err_msg=repr(raw))
    assert (spec.label.values[int(y)] if isinstance(spec.label, ClassLabel) else y) == label
    assert isinstance(head, Head)
    assert (head.source, head.id, head.label) == (value["source"], value.get("id"), label)
    if isinstance(spec.input, TableInput):
        for cell, column in zip(x.tolist(), spec.input.columns, strict=True):
            assert math.isfinite(cell) or column.gaps
            if isinstance(column, NumberColumn) and math.isfinite(cell):
                assert column.minimum <= np.float32(cell) or column.minimum <= cell
                assert cell <= column.maximum or np.float32(cell) <= np.float32(column.maximum)


TOKENS = [
    *(b'"', b"\\", b":", b",", b"{", b"}", b"[", b"]", b"null", b"true", b"NaN", b"-Infinity", b"1e999", b"-0", b"1.0"),
    *(
        b"\\u0000",
        b"\\ud800",
        b"\\udc00",
        b"\\ud83d\\ude00",
        b"\\u003a",
        b"\xff",
        b"\xed\xa0\x80",
        "é😀".encode(),
        b"\0",
    ),
    *(
        b" ",
        b"\r",
        b"\n",
        b"\xef\xbb\xbf",
        b"9" * 400,
        b"9" * 5000,
        b"[" * 2000,
        b'{"a":' * 500,
        b'"id":"a",',
        b'"id":null,',
    ),
]
VALUES: list[Any] = [
    *(
        None,
        True,
        False,
        0,
        1,
        -1,
        7,
        10**30,
        10**400,
        1.0,
        1e300,
        float("nan"),
        float("inf"),
        "",
        "s",
        "apple",
        "a:b:c",
        "NaN",
    ),
    *("\ud800", "\x00", "é" * 300, [], {}, [[]], [1, 2, 3], {"a": 1}, "AAAA", "2026-01-31T09:30:00Z", -(10**30)),
]


def truncate(raw: bytes, rng: random.Random) -> bytes:
    return raw[: rng.randrange(len(raw) + 1)]


def flip(raw: bytes, rng: random.Random) -> bytes:
    flipped = bytearray(raw)
    for _ in range(rng.randint(1, 3)):
        flipped[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
    return bytes(flipped)


def insert(raw: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(raw) + 1)
    return raw[:at] + rng.choice(TOKENS) + raw[at:]


def cut_out(raw: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(raw))
    return raw[:at] + raw[at + rng.randint(1, 9) :]


def splice(raw: bytes, rng: random.Random) -> bytes:
    at, to = rng.randrange(len(raw)), rng.randrange(len(raw))
    return raw[:at] + raw[to:]


def change_value(raw: bytes, rng: random.Random) -> bytes:
    value = json.loads(raw)
    target = rng.choice([value, *(child for child in value.values() if isinstance(child, dict))])
    key = rng.choice([*target, "other"])
    target[key] = rng.choice(VALUES)
    return json.dumps(value, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")


def rename_key(raw: bytes, rng: random.Random) -> bytes:
    value = json.loads(raw)
    target = rng.choice([value, *(child for child in value.values() if isinstance(child, dict))])
    key = rng.choice(list(target))
    target[rng.choice([key + " ", key.upper(), "", "c0", "id", "tensor"])] = target.pop(key)
    return json.dumps(value).encode()


def repeat_key(raw: bytes, rng: random.Random) -> bytes:
    pairs = list(json.loads(raw).items())
    key, value = rng.choice(pairs)
    pairs.insert(rng.randrange(len(pairs) + 1), (key, rng.choice([value, *VALUES[:8]])))
    text = ",".join(f"{escaped(name, rng)}:{json.dumps(child)}" for name, child in pairs)
    return f"{{{text}}}".encode()


def escaped(name: str, rng: random.Random) -> str:
    return json.dumps(name) if rng.random() < 0.7 else f'"\\u{ord(name[0]):04x}{name[1:]}"'


def reorder(raw: bytes, rng: random.Random) -> bytes:
    pairs = list(json.loads(raw).items())
    rng.shuffle(pairs)
    return json.dumps(dict(pairs), indent=rng.choice([None, 1])).encode()


def noise(raw: bytes, rng: random.Random) -> bytes:
    return rng.randbytes(rng.randrange(60))


MUTATIONS: list[Callable[[bytes, random.Random], bytes]] = [
    *(truncate, flip, flip, insert, insert, cut_out, splice, change_value, change_value, change_value),
    *(rename_key, repeat_key, reorder, noise),
]


def mutants(name: str, seed: int) -> Iterator[bytes]:
    rng = random.Random(seed)
    lines = valid_lines(name)
    while True:
        raw = rng.choice(lines)
        yield raw if rng.random() < 0.03 else rng.choice(MUTATIONS)(raw, rng)


IMPOSSIBLE = {
    "mixed": {RejectReason.SHAPE_MISMATCH},
    "numeric": {RejectReason.UNKNOWN_CATEGORY},
    "grey": {RejectReason.UNKNOWN_CATEGORY, RejectReason.OUT_OF_RANGE},
    "rgb": {RejectReason.UNKNOWN_CATEGORY, RejectReason.OUT_OF_RANGE},
}


@pytest.mark.parametrize("name", SPECS)
def test_100_000_mutated_records_end_in_one_place_each(name: str) -> None:
    decoder, stream, outcomes = Decoder(SPECS[name], max_record_bytes=5_000), mutants(name, seed=11), Counter[str]()
    for _ in range(RECORDS_PER_SPEC // BATCH):
        batch = [next(stream) for _ in range(BATCH)]
        decoded = decoder.decode(batch)
        assert_each_ends_in_one_place(batch, decoded, SPECS[name])
        outcomes.update(head.reason if isinstance(head, Rejection) else "fine" for head in decoded.heads)
        outcomes["unknown"] += len(decoded.unknown)
    assert outcomes.total() >= RECORDS_PER_SPEC
    assert outcomes["fine"] > RECORDS_PER_SPEC / 20, "the mutations leave too little that is right"
    expected = set(RejectReason) - IMPOSSIBLE[name]
    assert expected <= outcomes.keys(), "a reason never came up"
    assert (outcomes["unknown"] > 0) == isinstance(SPECS[name].label, ClassLabel)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(VALUES[:-12]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=8,
)
KEYS = [
    "source",
    "label",
    "id",
    "event_time",
    "features",
    "tensor",
    "image",
    "dtype",
    "shape",
    "data",
    "encoding",
    "x0",
]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(sorted(SPECS)), st.dictionaries(st.sampled_from(KEYS), json_values, max_size=7), st.data())
def test_generated_objects_end_in_one_place_each(name: str, extra: dict[str, Any], data: st.DataObject) -> None:
    base = json.loads(data.draw(st.sampled_from(valid_lines(name))))
    raw = json.dumps(data.draw(st.sampled_from(({**base, **extra}, {**extra, **base}, extra)))).encode()
    assert_each_ends_in_one_place([raw], Decoder(SPECS[name]).decode([raw]), SPECS[name])


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(SPECS)), st.binary(max_size=200))
def test_any_bytes_end_in_one_place(name: str, raw: bytes) -> None:
    assert_each_ends_in_one_place([raw], Decoder(SPECS[name]).decode([raw]), SPECS[name])


def test_100_megabytes_in_one_record_are_refused_unread() -> None:
    (head,) = Decoder(SPECS["mixed"]).decode([b'{"source":"' + b"x" * 100_000_000]).heads
    assert isinstance(head, Rejection)
    assert head.reason is RejectReason.TOO_LARGE
