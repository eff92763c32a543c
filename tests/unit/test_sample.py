from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from guard.decode import Decoder
from guard.sample import Sample, decode_base64, encode_samples
from tests.support.records import GREY, MIXED, SPECS, line, tensor, valid_lines

GOOD_TENSOR = tensor(np.zeros((3, 2), np.uint8))


def accepted_by_model(raw: bytes) -> bool:
    try:
        Sample.model_validate_json(raw)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("name", SPECS)
def test_model_accepts_what_the_decoder_accepts(name: str) -> None:
    for raw in valid_lines(name):
        sample = Sample.model_validate_json(raw)
        value = json.loads(raw)
        assert (sample.source, sample.label, sample.id) == (value["source"], value["label"], value.get("id"))


@pytest.mark.parametrize("name", SPECS)
def test_what_the_model_writes_the_decoder_reads(name: str) -> None:
    for raw in valid_lines(name):
        written = Sample.model_validate_json(raw).model_dump_json().encode()
        before, after = (Decoder(SPECS[name]).decode([text]) for text in (raw, written))
        np.testing.assert_array_equal(before.x, after.x)
        np.testing.assert_array_equal(before.y, after.y)


leaf = st.none() | st.booleans() | st.integers(-3, 300) | st.floats() | st.text(max_size=4) | st.just({}) | st.just([])
identifiers = st.text(st.characters(codec="utf-8"), max_size=3) | st.sampled_from(("x" * 256, "é" * 257, "y" * 257, ""))
times = st.sampled_from(
    (
        "2026-01-31T09:30:00Z",
        "2026-01-31t09:30:00.123456789z",
        "2026-01-31 09:30:00-11:30",
        "2026-01-31T09:30:00",
        "2026-01-31T09:30Z",
        "2026-02-29T00:00:00Z",
        "2024-02-29T00:00:00Z",
        "2026-01-31T24:00:00Z",
        "2026-01-31T09:30:00+0100",
        "2026-01-31T09:30:00+24:00",
        "２０２６-01-31T09:30:00Z",
        "2026-01-31T09:30:00Z\n",
        "1700000000",
    )
)


def broken(good: dict[str, Any]) -> st.SearchStrategy[Any]:
    """`good`, or it with one key changed, dropped or added."""
    changed = st.tuples(st.sampled_from((*good, "other")), leaf).map(lambda pair: {**good, pair[0]: pair[1]})
    dropped = st.sampled_from(tuple(good)).map(lambda key: {k: v for k, v in good.items() if k != key})
    return st.just(good) | changed | dropped


def base64_variants(text: str) -> st.SearchStrategy[str]:
    return st.sampled_from(
        (text, text + "=", text[:-1], text + "\n", text.replace("A", "_"), " " + text, text + "AAAA", "")
    )


@settings(max_examples=600, deadline=None)
@given(
    head=broken({"source": "s", "label": 7}),
    extra=st.fixed_dictionaries(
        {}, optional={"id": identifiers | leaf, "event_time": times | leaf, "source": identifiers}
    ),
    payload=broken(GOOD_TENSOR) | leaf,
    data=base64_variants(GOOD_TENSOR["data"]),
    others=st.dictionaries(st.sampled_from(("features", "image", "tensor")), st.none() | st.just({}), max_size=2),
)
def test_model_and_decoder_agree_on_structure(
    head: dict[str, Any], extra: dict[str, Any], payload: Any, data: str, others: dict[str, Any]
) -> None:
    if isinstance(payload, dict) and payload.get("data") == GOOD_TENSOR["data"]:
        payload = payload | {"data": data}
    record = head | extra | {"tensor": payload} | others
    raw = json.dumps(record).encode()
    decoded = Decoder(GREY).decode([raw])
    agreed = accepted_by_model(raw)
    event(f"accepted by the model: {agreed}")
    if len(decoded.index) + len(decoded.unknown):
        assert agreed, raw
    elif agreed:
        assert not of_structure(record), (raw, decoded.heads)


def of_structure(record: dict[str, Any]) -> bool:
    """True where nothing but structure can have made the decoder refuse: label, dtype, shape and size are GREY's."""
    payload = record.get("tensor")
    return (
        type(record["label"]) is int
        and payload is not None
        and {**payload, "data": ""} == {**GOOD_TENSOR, "data": ""}
        and all(type(size) is int for size in payload["shape"])
        and len(decode_base64(payload["data"])) == 6
    )


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(("ripe", "weight", "size:cm", "größe", "", "x")), leaf | st.text(max_size=3)))
def test_decoder_accepts_no_features_that_the_model_refuses(features: dict[str, Any]) -> None:
    raw = line(label="apple", features={"ripe": True, "weight": 3} | features)
    decoded = Decoder(MIXED).decode([raw])
    assert accepted_by_model(raw) or len(decoded.index) == len(decoded.unknown) == 0


@pytest.mark.parametrize(
    "keys",
    [
        {"label": True},
        {"label": None},
        {"label": float("nan")},
        {"source": 3},
        {"id": 3},
        {"tensor": GOOD_TENSOR | {"shape": [3.0, 2]}},
        {"tensor": GOOD_TENSOR | {"shape": ["3", 2]}},
        {"tensor": GOOD_TENSOR | {"shape": [True, 2]}},
        {"tensor": GOOD_TENSOR | {"shape": [-3, 2]}},
        {"tensor": None, "features": [1, "2"]},
        {"tensor": None, "features": [1, True]},
        {"tensor": None, "features": [float("inf")]},
        {"tensor": None, "features": {"a": [1]}},
        {"tensor": None, "features": {"a": float("nan")}},
    ],
)
def test_model_converts_nothing(keys: dict[str, Any]) -> None:
    good = {"label": 7, "tensor": GOOD_TENSOR}
    assert accepted_by_model(line(**good))
    assert not accepted_by_model(line(**good | keys))


@given(st.binary(max_size=20))
def test_base64_is_the_inverse_of_its_encoding(data: bytes) -> None:
    assert decode_base64(base64.b64encode(data).decode()) == data


@pytest.mark.parametrize(
    "text", ["AAA", "AAAA=", "AAAA====", "AAAA\n", "AA=A", "AA==AA==", "_-__", "====", "é", "AAAAA==="]
)
def test_base64_refuses_all_but_the_standard_form(text: str) -> None:
    with pytest.raises(ValueError, match="base64"):
        decode_base64(text)


def test_lines_are_lines() -> None:
    x = np.array([[1.5, np.nan, 2.0, np.nan, 1.0]])
    x[0, 1] = 0.0
    (raw,) = encode_samples(MIXED, x, np.array([2]), ["a\nb"], ["1"])
    assert b"\n" not in raw
    assert json.loads(raw) == {
        "id": "1",
        "source": "a\nb",
        "label": "ölive",
        "features": {"size:cm": 1.5, "weight": 0.0, "größe": 'sa"id', "": None, "ripe": True},
    }


def test_as_many_sources_as_samples() -> None:
    x = np.zeros((2, 3, 2, 1), np.uint8)
    with pytest.raises(ValueError, match="zip"):
        encode_samples(GREY, x, np.array([0, 1]), ["only one"])
