from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.decode import MAX_RECORD_BYTES, Decoder, record_limit
from guard.record import Head
from guard.rejection import Rejection
from guard.sample import encode_samples
from guard.spec import (
    BooleanColumn,
    CategoryColumn,
    ClassLabel,
    Column,
    ImageInput,
    InputSpec,
    NumberColumn,
    NumberLabel,
    TableInput,
)
from guard.verdict import RejectReason
from tests.support.records import GREY, MIXED, NUMERIC, SPECS, base64_text, line, read_plainly, tensor, valid_lines

ROW = {"ripe": True, "weight": 3}


def reason_of(spec: InputSpec, raw: bytes, limit: int = 1 << 20) -> tuple[RejectReason, str]:
    decoded = Decoder(spec, limit).decode([raw])
    assert len(decoded.index) == len(decoded.unknown) == 0
    (head,) = decoded.heads
    assert isinstance(head, Rejection)
    return head.reason, head.detail


@pytest.mark.parametrize("name", SPECS)
def test_every_form_decodes_to_what_plain_json_says(name: str) -> None:
    spec, lines = SPECS[name], valid_lines(name)
    decoded = Decoder(spec).decode(lines)
    assert decoded.index.tolist() == list(range(len(lines)))
    for raw, x, y, head in zip(lines, decoded.x, decoded.y, decoded.heads, strict=True):
        expected, label, value = read_plainly(raw, spec)
        np.testing.assert_array_equal(x, expected)
        assert isinstance(head, Head)
        assert (head.label, head.source, head.id) == (label, value["source"], value.get("id"))
        assert y == (spec.label.values.index(label) if isinstance(spec.label, ClassLabel) else label)


@pytest.mark.parametrize("name", SPECS)
def test_shapes_and_dtypes_also_of_an_empty_batch(name: str) -> None:
    spec = SPECS[name]
    table = isinstance(spec.input, TableInput)
    for batch in ([], valid_lines(name)):
        decoded = Decoder(spec).decode(batch)
        assert decoded.x.dtype == (np.float64 if table else np.uint8)
        assert decoded.y.dtype == (np.int64 if isinstance(spec.label, ClassLabel) else np.float64)
        assert decoded.x.ndim == (2 if table else 4)
        assert len(decoded.x) == len(decoded.y) == len(decoded.index) == len(batch) == len(decoded.heads)


names = st.text(st.characters(codec="utf-8", exclude_characters='"\\', exclude_categories=("Cc",)), max_size=8)
texts = st.text(st.characters(codec="utf-8"), max_size=8)


@st.composite
def columns(draw: st.DrawFn, name: str) -> Column:
    gaps = draw(st.booleans())
    kind = draw(st.sampled_from(("number", "category", "boolean")))
    if kind == "number":
        return NumberColumn(name=name, minimum=-1.7e308, maximum=1.7e308, gaps=gaps)
    if kind == "category":
        values = draw(st.lists(texts, min_size=1, max_size=4, unique=True))
        return CategoryColumn(name=name, values=tuple(values), gaps=gaps)
    return BooleanColumn(name=name, gaps=gaps)


def cells(column: Column) -> st.SearchStrategy[float]:
    if isinstance(column, NumberColumn):
        legal: st.SearchStrategy[Any] = st.floats(column.minimum, column.maximum)
    elif isinstance(column, CategoryColumn):
        legal = st.sampled_from(range(len(column.values)))
    else:
        legal = st.sampled_from((0, 1))
    return (st.just(float("nan")) | legal if column.gaps else legal).map(float)


@st.composite
def tables(draw: st.DrawFn) -> tuple[InputSpec, np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    given_names = draw(st.lists(names, min_size=1, max_size=6, unique=True))
    table = TableInput(columns=tuple(draw(columns(name)) for name in given_names))
    n = draw(st.integers(1, 5))
    x = np.array([[draw(cells(column)) for column in table.columns] for _ in range(n)])
    if draw(st.booleans()):
        label = NumberLabel(minimum=-1.7e308, maximum=1.7e308)
        return InputSpec(input=table, label=label), x, np.array([draw(st.floats(-1e300, 1e300)) for _ in range(n)])
    values: tuple[str, ...] | tuple[int, ...] = draw(
        st.lists(texts, min_size=2, max_size=4, unique=True).map(tuple)
        | st.lists(st.integers(-(2**63), 2**63), min_size=2, max_size=4, unique=True).map(tuple)
    )
    y = np.array([draw(st.integers(0, len(values) - 1)) for _ in range(n)])
    return InputSpec(input=table, label=ClassLabel(values=values)), x, y


@settings(max_examples=150, deadline=None)
@given(tables(), st.data())
def test_tables_round_trip_bit_for_bit(table: tuple[Any, Any, Any], data: st.DataObject) -> None:
    spec, x, y = table
    sources = [data.draw(texts.filter(bool)) for _ in x]
    ids = [data.draw(texts) for _ in x]
    decoded = Decoder(spec).decode(encode_samples(spec, x, y, sources, ids))
    assert decoded.index.tolist() == list(range(len(x)))
    np.testing.assert_array_equal(decoded.x, x)
    np.testing.assert_array_equal(np.signbit(decoded.x), np.signbit(x) & ~np.isnan(x))
    np.testing.assert_array_equal(decoded.y, y)
    assert [(head.source, head.id) for head in decoded.heads] == list(zip(sources, ids, strict=True))


@pytest.mark.parametrize("channels", [1, 3])
def test_images_round_trip_bit_for_bit(channels: Any) -> None:
    image = ImageInput(height=9, width=11, channels=channels)
    spec = InputSpec(input=image, label=NumberLabel(minimum=0, maximum=1))
    rng = np.random.default_rng(3)
    x, y = rng.integers(0, 256, (20, 9, 11, channels), np.uint8), rng.random(20)
    decoded = Decoder(spec).decode(encode_samples(spec, x, y, ["s"] * 20))
    np.testing.assert_array_equal(decoded.x, x)
    np.testing.assert_array_equal(decoded.y, y)


@settings(max_examples=50, deadline=None)
@given(st.randoms(use_true_random=False))
def test_a_record_is_judged_alike_in_any_company(random: Any) -> None:
    repeated = line(label="apple", features=ROW).replace(b'"ripe"', b'"weight": 9, "ripe"')
    batch = [*valid_lines("mixed"), line(label="kiwi", features=ROW), repeated, b"{", b"", line(label="apple")] * 40
    random.shuffle(batch)
    batch = batch[: random.randrange(1, len(batch))]
    decoder = Decoder(MIXED)
    together = decoder.decode(batch)
    alone = {raw: decoder.decode([raw]) for raw in set(batch)}
    for position, (raw, head) in enumerate(zip(batch, together.heads, strict=True)):
        assert head == alone[raw].heads[0]
        assert (position in together.index) == (len(alone[raw].index) == 1)
        assert (position in together.unknown) == (len(alone[raw].unknown) == 1)
    for position, x, y in zip(together.index, together.x, together.y, strict=True):
        np.testing.assert_array_equal(x, alone[batch[position]].x[0])
        assert y == alone[batch[position]].y[0]


@pytest.mark.parametrize(
    ("spec", "label", "features"),
    [
        (MIXED, "kiwi", ROW),
        (MIXED, "", ROW),
        (GREY, 2, None),
        (GREY, -1, None),
        (GREY, 10**30, None),
    ],
)
def test_well_formed_sample_of_unknown_label_is_set_aside(spec: InputSpec, label: Any, features: Any) -> None:
    payload = {"features": features} if features else {"tensor": tensor(np.zeros((3, 2), np.uint8))}
    decoded = Decoder(spec).decode([line(label=label, **payload)])
    assert decoded.unknown.tolist() == [0]
    assert len(decoded.index) == len(decoded.x) == 0
    assert decoded.heads[0].label == label  # type: ignore[union-attr]


@pytest.mark.parametrize("label", [3, 1.0, True, None, ["apple"], {}])
def test_text_classes_refuse_other_labels(label: Any) -> None:
    reason, detail = reason_of(MIXED, line(label=label, features=ROW))
    assert reason is RejectReason.SCHEMA_VIOLATION
    assert "label" in detail
    assert "a string" in detail


@pytest.mark.parametrize("label", ["1", 1.0, 7.0, True, False, None, [1]])
def test_integer_classes_refuse_other_labels(label: Any) -> None:
    reason, detail = reason_of(GREY, line(label=label, tensor=tensor(np.zeros((3, 2), np.uint8))))
    assert reason is RejectReason.SCHEMA_VIOLATION
    assert "an integer" in detail


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        (1001, RejectReason.OUT_OF_RANGE),
        (-1e300, RejectReason.OUT_OF_RANGE),
        (10**30, RejectReason.OUT_OF_RANGE),
        (10**400, RejectReason.NON_FINITE),
        (float("nan"), RejectReason.NON_FINITE),
        (float("-inf"), RejectReason.NON_FINITE),
        ("1", RejectReason.SCHEMA_VIOLATION),
        (True, RejectReason.SCHEMA_VIOLATION),
        (None, RejectReason.SCHEMA_VIOLATION),
    ],
)
def test_number_labels_are_finite_and_in_range(label: Any, expected: RejectReason) -> None:
    assert reason_of(NUMERIC, line(label=label, features=[0, 0, 0]))[0] is expected


REPEATS = [
    b'{"source":"s","label":"pear:green","label":"apple","features":{"ripe":true,"weight":3}}',
    b'{"source":"s","label":"apple","features":{"ripe":true,"weight":3,"weight":3}}',
    b'{"source":"s","label":"apple","features":{"weight":{"a":[1,"x"]},"ripe":true,"weight":3}}',
    b'{"source":"s","label":"apple","features":{"ripe":true,"weight":3},"features":{"ripe":true,"weight":4}}',
    b'{"source":"s","label":"apple","features":{"ripe":true,"weight" :3,"w\\u0065ight":4}}',
    b'{"s\\u006furce":"t","source":"s","label":"apple","features":{"ripe":true,"weight":3}}',
    # One colon too few (an escaped one in the source) hides one too many, unless escapes are looked at.
    b'{"source":"a\\u003ab","label":"apple","id":"x","id":"y","features":{"ripe":true,"weight":3}}',
    b'{"source":"s","label":"apple","id":null,"id":"y","features":{"ripe":true,"weight":3}}',
    b'{"source":"s","label":"apple","features":{"ripe":true,"weight":3,"size:cm":1,"size:cm":null}}',
    b'{"source":"s","label":"apple","image":null,"image":null,"features":{"ripe":true,"weight":3}}',
]


@pytest.mark.parametrize("raw", REPEATS)
@pytest.mark.parametrize("company", [0, 300])
def test_repeated_keys_are_refused_alone_and_in_company(raw: bytes, company: int) -> None:
    batch = [*valid_lines("mixed")[:2] * company, raw]
    decoded = Decoder(MIXED).decode(batch)
    assert decoded.index.tolist() == list(range(2 * company))
    head = decoded.heads[-1]
    assert isinstance(head, Rejection)
    assert "twice" in head.detail


def test_repeated_keys_in_a_tensor_are_refused() -> None:
    good = line(label=7, tensor=tensor(np.zeros((3, 2), np.uint8)))
    twice = good.replace(b'"shape"', b'"dtype": "uint8", "shape"')
    assert reason_of(GREY, twice)[0] is RejectReason.MALFORMED_JSON
    assert len(Decoder(GREY).decode([good] * 3).index) == 3


@pytest.mark.parametrize("extra", [{"id": None}, {"event_time": None}, {"tensor": None, "image": None}])
def test_optional_keys_may_be_null(extra: dict[str, None]) -> None:
    assert len(Decoder(MIXED).decode([line(label="apple", features=ROW, **extra)]).index) == 1


@pytest.mark.parametrize(
    ("features", "reason", "said"),
    [
        ({"ripe": True, "weight": -1}, "out_of_range", "weight"),
        ({"ripe": True, "weight": 10**400}, "non_finite", "weight"),
        ({"ripe": True, "weight": float("nan")}, "non_finite", "weight"),
        ({"ripe": True, "weight": None}, "schema_violation", "weight"),
        ({"ripe": True, "weight": "3"}, "schema_violation", "weight"),
        ({"ripe": True, "weight": True}, "schema_violation", "weight"),
        ({"ripe": True, "weight": [3]}, "schema_violation", "weight"),
        ({"ripe": 1, "weight": 3}, "schema_violation", "ripe"),
        ({"ripe": "true", "weight": 3}, "schema_violation", "ripe"),
        ({"ripe": None, "weight": 3}, "schema_violation", "ripe"),
        ({"weight": 3}, "schema_violation", "ripe"),
        ({**ROW, "größe": "groß"}, "unknown_category", "groß"),
        ({**ROW, "größe": 1}, "schema_violation", "größe"),
        ({**ROW, "c0": 1}, "schema_violation", "c0"),
        ({**ROW, "größe": ""}, "unknown_category", "größe"),
        ([1, 2, 0, 0, 1], "schema_violation", "größe"),
        ("text", "schema_violation", "features"),
        ({}, "schema_violation", "weight"),
    ],
)
def test_what_is_wrong_with_features_is_named(features: Any, reason: str, said: str) -> None:
    found, detail = reason_of(MIXED, line(label="apple", features=features))
    assert found == reason
    assert said in detail


X32 = np.array([0, 0, 0], np.float32)


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"features": [0, 0]}, "shape_mismatch"),
        ({"features": [0, 0, 0, 0]}, "shape_mismatch"),
        ({"features": []}, "shape_mismatch"),
        ({"features": [0, 0, None]}, "schema_violation"),
        ({"features": [0, 0, False]}, "schema_violation"),
        ({"features": [0, 0, 0.11]}, "out_of_range"),
        ({"tensor": tensor(X32[:2])}, "shape_mismatch"),
        ({"tensor": tensor(X32[:, None])}, "shape_mismatch"),
        ({"tensor": tensor(X32.astype(np.uint8))}, "schema_violation"),
        ({"tensor": tensor(X32 + np.float32(np.nan))}, "non_finite"),
        ({"tensor": tensor(X32 - np.float32(np.inf))}, "non_finite"),
        ({"tensor": tensor(np.array([0, 0, -np.inf]))}, "non_finite"),
        ({"tensor": tensor(np.frombuffer(b"\1\0\x80\x7f" * 3, np.float32))}, "non_finite"),
        ({"tensor": tensor(np.array([0, 0, 0.1000001], np.float32))}, "out_of_range"),
        ({"tensor": tensor(np.array([0, 0, 0.1], np.float32).astype(np.float64))}, "out_of_range"),
        ({"tensor": tensor(X32) | {"data": base64_text(bytes(11))}}, "shape_mismatch"),
        ({"tensor": tensor(X32) | {"data": base64_text(bytes(24))}}, "shape_mismatch"),
        ({"tensor": tensor(X32) | {"data": "AAAA AAAA"}}, "schema_violation"),
        ({"tensor": tensor(X32) | {"data": "AAA"}}, "schema_violation"),
        ({"tensor": tensor(X32) | {"data": "__--"}}, "schema_violation"),
        ({"tensor": tensor(X32) | {"data": None}}, "schema_violation"),
        ({"tensor": tensor(X32) | {"shape": [3.0]}}, "schema_violation"),
        ({"tensor": tensor(X32) | {"shape": 3}}, "schema_violation"),
        ({"tensor": tensor(X32) | {"more": 3}}, "schema_violation"),
        ({"tensor": {"dtype": "float32", "shape": [3]}}, "schema_violation"),
        ({"tensor": [0, 0, 0]}, "schema_violation"),
        ({"features": [0, 0, 0], "tensor": tensor(X32)}, "schema_violation"),
        ({"image": {"encoding": "png", "data": ""}}, "schema_violation"),
        ({}, "schema_violation"),
    ],
)
def test_what_is_wrong_with_a_numeric_table_is_named(keys: dict[str, Any], reason: str) -> None:
    assert reason_of(NUMERIC, line(label=0, **keys))[0] == reason


def test_a_bound_may_be_sent_as_float32_even_where_it_rounds_beyond_itself() -> None:
    x = np.array([-10, 0, 0.1], np.float32)
    assert float(x[2]) > 0.1
    decoded = Decoder(NUMERIC).decode([line(label=0, tensor=tensor(x))])
    np.testing.assert_array_equal(decoded.x, x[None].astype(np.float64))


def test_float32_infinity_is_no_bound_of_a_column_that_has_none() -> None:
    column = NumberColumn(name="a", minimum=-1.7e308, maximum=1.7e308)
    spec = InputSpec(input=TableInput(columns=(column,)), label=NumberLabel(minimum=0, maximum=1))
    for value, accepted in ((3e38, 1), (np.inf, 0), (-np.inf, 0)):
        raw = line(label=0, tensor=tensor(np.array([value], np.float32)))
        assert len(Decoder(spec).decode([raw]).index) == accepted


Z = np.zeros((3, 2), np.uint8)


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"features": [0] * 6}, "schema_violation"),
        ({"features": {"x": 0}}, "schema_violation"),
        ({"tensor": tensor(Z.T)}, "shape_mismatch"),
        ({"tensor": tensor(Z.ravel())}, "shape_mismatch"),
        ({"tensor": tensor(np.zeros((3, 2, 3), np.uint8))}, "shape_mismatch"),
        ({"tensor": tensor(Z.astype(np.float32))}, "schema_violation"),
        ({"tensor": tensor(Z) | {"data": base64_text(bytes(5))}}, "shape_mismatch"),
        ({"tensor": tensor(Z) | {"shape": [3, 2, True]}}, "schema_violation"),
        ({"image": {"encoding": "gif", "data": ""}}, "schema_violation"),
        ({"image": {"encoding": "png", "data": ""}}, "schema_violation"),
        ({"image": {"encoding": "png", "data": 3}}, "schema_violation"),
        ({"image": {"encoding": ["png"], "data": "AAAA"}}, "schema_violation"),
        ({"image": "AAAA"}, "schema_violation"),
        ({"tensor": tensor(Z), "image": {"encoding": "png", "data": ""}}, "schema_violation"),
    ],
)
def test_what_is_wrong_with_an_image_is_named(keys: dict[str, Any], reason: str) -> None:
    assert reason_of(GREY, line(label=7, **keys))[0] == reason


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"source": ""}, "source"),
        ({"source": "x" * 257}, "source"),
        ({"source": 3}, "source"),
        ({"source": None}, "source"),
        ({"id": 3}, "id"),
        ({"id": "x" * 257}, "id"),
        ({"event_time": "2026-01-31T09:30:00"}, "event_time"),
        ({"event_time": "2026-02-30T09:30:00Z"}, "event_time"),
        ({"event_time": "yesterday"}, "event_time"),
        ({"event_time": 1700000000}, "event_time"),
        ({"lable": "apple"}, "lable"),
        ({"Label": "apple"}, "Label"),
    ],
)
def test_what_is_wrong_with_the_head_is_named(keys: dict[str, Any], said: str) -> None:
    reason, detail = reason_of(MIXED, line(**{"label": "apple", "features": ROW} | keys))
    assert reason is RejectReason.SCHEMA_VIOLATION
    assert said in detail


def test_longest_names_are_counted_in_characters() -> None:
    raw = json.dumps({"source": "ö" * 256, "id": "😀" * 256, "label": "apple", "features": ROW}).encode()
    assert len(Decoder(MIXED).decode([raw]).index) == 1


def test_limit_of_a_record_is_exact() -> None:
    raw = line(label="apple", features=ROW)
    assert len(Decoder(MIXED, len(raw)).decode([raw]).index) == 1
    reason, detail = reason_of(MIXED, raw, limit=len(raw) - 1)
    assert reason is RejectReason.TOO_LARGE
    assert str(len(raw)) in detail


@pytest.mark.parametrize(("side", "longer"), [(28, 0), (1000, 1)])
def test_a_tensor_of_the_specification_is_never_too_large(side: int, longer: int) -> None:
    spec = InputSpec(input=ImageInput(height=side, width=side, channels=3), label=ClassLabel(values=(0, 1)))
    data = base64.b64encode(bytes(side * side * 3)).decode()
    tensor = {"dtype": "uint8", "shape": [side, side, 3], "data": data}
    record = json.dumps({"source": "s" * 256, "id": "i" * 256, "label": 1, "tensor": tensor}).encode()
    assert (len(record) > MAX_RECORD_BYTES) == bool(longer)
    assert Decoder(spec).decode([record]).index.tolist() == [0]
    padded = record + b" " * (record_limit(spec) - len(record) + 1)
    assert Decoder(spec).decode([padded]).heads[0].reason == "too_large"
