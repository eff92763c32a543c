from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import pytest

from guard.decode import Decoder
from guard.diagnose import UNEXPLAINED, diagnose, repeats_a_key
from guard.rejection import Rejection, shown
from guard.spec import InputSpec
from guard.verdict import RejectReason
from tests.support.records import GREY, MIXED, SPECS, base64_text, line, tensor, valid_lines

GOOD = line(label="apple", features={"ripe": True, "weight": 3})


def rejection(raw: bytes) -> Rejection:
    (head,) = Decoder(MIXED).decode([raw]).heads
    assert isinstance(head, Rejection)
    return head


@pytest.mark.parametrize(
    ("raw", "reason", "said"),
    [
        (b"", "tombstone", "empty"),
        (b"\0\0\0\0\7" + GOOD, "unsupported_framing", "Confluent"),
        (b"\0", "unsupported_framing", "JSON text alone"),
        (b" ", "malformed_json", "white space"),
        (b"\r", "malformed_json", "white space"),
        (b"\xef\xbb\xbf" + GOOD, "malformed_json", "byte order mark; remove"),
        (GOOD.decode().encode("utf-16"), "malformed_json", "UTF-8"),
        (GOOD.replace(b'"s"', b'"\xff"'), "malformed_json", "byte 12 (0xff)"),
        (GOOD.replace(b'"s"', b'"\xed\xa0\x80"'), "malformed_json", "byte 12"),
        (GOOD.replace(b'"s"', b'"\\ud800"'), "malformed_json", "record['source'] holds half"),
        (GOOD.replace(b'"s"', b'"\\x"'), "malformed_json", "byte 12"),
        (GOOD.replace(b'"s"', b'"\n"'), "malformed_json", "byte 12"),
        ("é".encode() + GOOD, "malformed_json", "at byte 0"),
        (GOOD.replace(b'"s"', '"é", é'.encode()), "malformed_json", "at byte 17"),
        (GOOD[:-1], "malformed_json", f"ends early, at byte {len(GOOD) - 1}"),
        (GOOD[:20], "malformed_json", "ends early, at byte 20"),
        (GOOD + b"}", "malformed_json", f"at byte {len(GOOD)}: extra data"),
        (GOOD + GOOD, "malformed_json", "extra data"),
        (GOOD + b"\0", "malformed_json", "extra data"),
        (b"[" * 100_000, "malformed_json", "nested"),
        (b'{"a":' * 100_000, "malformed_json", "nested"),
        (GOOD.replace(b"3", b"[" * 900 + b"]" * 900), "schema_violation", "features['weight'] is an array"),
        (GOOD.replace(b"3", b"NaN"), "non_finite", "record['features']['weight']"),
        (GOOD.replace(b"3", b"-Infinity"), "non_finite", "record['features']['weight']"),
        (GOOD.replace(b"3", b"1e999"), "non_finite", "record['features']['weight']"),
        (GOOD.replace(b"3", b"9" * 5000), "non_finite", "digits"),
        (GOOD.replace(b"3", b"9" * 400), "non_finite", "features['weight']"),
        (GOOD.replace(b"3", b"03"), "malformed_json", "byte"),
        (b"[]", "schema_violation", "an array"),
        (b"null", "schema_violation", "null"),
        (b'"text"', "schema_violation", "a string"),
        (b"NaN", "non_finite", "record is not"),
        (b"{}", "schema_violation", "'source' is missing"),
        (b"\x1f\x8b\x08\x00", "malformed_json", "byte 1 (0x8b)"),
        (b"source,label\ns,apple", "malformed_json", "at byte 0"),
    ],
)
def test_reason_and_place_are_named(raw: bytes, reason: str, said: str) -> None:
    found = rejection(raw)
    assert found.reason == reason
    assert said in found.detail


MEGABYTE = 1 << 20


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"[" + b"1," * (MEGABYTE // 2 - 4) + b"NaN]", id="numbers"),
        pytest.param(b"[" + b"{}," * (MEGABYTE // 3 - 2) + b"1]", id="objects"),
        pytest.param(b"[" * MEGABYTE, id="nesting"),
        pytest.param(b'{"source":"' + b"\\u0041" * (MEGABYTE // 6 - 10) + b'"}', id="escapes"),
        pytest.param(b'{"label":' + b"9" * (MEGABYTE - 20) + b"}", id="digits"),
        pytest.param(line(image={"encoding": "jpeg", "data": base64_text(b"\xff\xd8" + b"\xff" * 700_000)}), id="fill"),
        pytest.param(
            line(image={"encoding": "jpeg", "data": base64_text(b"\xff\xd8" + b"\xff\xe1\0\2" * 180_000)}), id="jpeg"
        ),
    ],
)
@pytest.mark.parametrize("spec", [MIXED, GREY], ids=["table", "image"])
def test_the_worst_megabyte_stays_linear(raw: bytes, spec: InputSpec) -> None:
    raw = raw.replace(b'"s",', b'"s","label":7,')
    assert len(raw) <= MEGABYTE
    decoder, started = Decoder(spec), time.process_time()
    assert isinstance(decoder.decode([raw]).heads[0], Rejection)
    # Measured: .4 s for the objects, .1 s for the others; anything quadratic takes minutes.
    assert time.process_time() - started < 2


@pytest.mark.parametrize("ending", [b"\r", b"\n", b"\r\n", b"  \t"])
def test_white_space_around_a_record_is_json(ending: bytes) -> None:
    assert len(Decoder(MIXED).decode([ending + GOOD + ending]).index) == 1


def test_who_sent_it_is_kept_where_it_can_be_read() -> None:
    found = rejection(line(id="7", source="crowd", label=None, features={}))
    assert (found.id, found.source) == ("7", "crowd")
    found = rejection(line(id=7, source="x" * 257, label=None))
    assert (found.id, found.source) == (None, None)


HOSTILE = "\x1b[31m\u202e\n\x00'\"\\" + "A" * 100_000


@pytest.mark.parametrize(
    "keys",
    [
        {HOSTILE: 1},
        {"source": HOSTILE},
        {"event_time": HOSTILE},
        {"label": [HOSTILE]},
        {"features": {HOSTILE: 1}},
        {"features": {"ripe": True, "weight": 3, "größe": HOSTILE}},
        {"features": {"ripe": HOSTILE, "weight": 3}},
        {"features": {HOSTILE: float("nan")}},
        {"features": {"ripe": True, "weight": 10**307}},
        {"tensor": {"dtype": HOSTILE, "shape": [3], "data": ""}, "features": None},
    ],
)
def test_messages_repeat_little_of_what_is_hostile(keys: dict[str, Any]) -> None:
    raw = json.dumps({"source": "s", "label": "apple", "features": {"ripe": True, "weight": 3}} | keys).encode()
    detail = rejection(raw).detail
    assert detail.isprintable()
    assert detail.count("A") <= 60
    assert len(detail) < 250


def test_repeated_hostile_key_is_cut_too() -> None:
    key = json.dumps(HOSTILE)
    detail = rejection(f"{{{key}: 1, {key}: 2}}".encode()).detail
    assert "twice" in detail
    assert detail.isprintable()
    assert len(detail) < 250


def test_shape_of_a_tensor_is_cut_too() -> None:
    raw = line(label=7, tensor=tensor(np.zeros(6, np.uint8)) | {"shape": [10**4000] * 40})
    (head,) = Decoder(GREY).decode([raw]).heads
    assert isinstance(head, Rejection)
    assert head.reason is RejectReason.SHAPE_MISMATCH
    assert len(head.detail) < 250


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("a\nb", r"'a\nb'"),
        ("\u202e", r"'\u202e'"),
        ("x" * 61, "'" + "x" * 59 + "…"),
        (10**4000, "an integer of 13288 bits"),
        (True, "True"),
        (None, "None"),
    ],
)
def test_shown(content: object, text: str) -> None:
    assert shown(content) == text


@pytest.mark.parametrize("name", SPECS)
def test_even_a_good_record_is_never_accepted(name: str) -> None:
    for raw in valid_lines(name):
        found = diagnose(raw, SPECS[name], 1 << 20)
        assert (found.reason, found.detail) == (RejectReason.SCHEMA_VIOLATION, UNEXPLAINED)


@pytest.mark.parametrize(
    ("raw", "repeats"),
    [
        (b'{"a":1,"b":{"a":1}}', False),
        (b'{"a":1,"b":{"a":1,"a":2}}', True),
        (b'{"a":1,"\\u0061":1}', True),
        (b'[{"a":1},{"a":1}]', False),
        (b'{"a":"\\"a\\":1"}', False),
        (b"{", True),
        (b"[" * 100_000, True),
    ],
)
def test_repeats_a_key(raw: bytes, repeats: bool) -> None:
    assert repeats_a_key(raw) is repeats
