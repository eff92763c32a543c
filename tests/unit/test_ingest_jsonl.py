"""JSON lines in the wire format, read without a specification; the guard's decoder then reads them alike."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sklearn.datasets import load_digits

from guard.decode import Decoder
from guard.errors import GuardError, SnapshotRefused, WrongUse
from guard.sample import encode_samples
from training.infer import encode
from training.ingest.jsonl import read_jsonl
from training.ingest.raw import RawImages, RawTable


def lines(*records):
    return "\n".join(record if isinstance(record, str) else json.dumps(record) for record in records).encode()


def sample(label=1, **payload):
    return {"source": "s", "label": label, **payload}


def b64(data):
    return base64.b64encode(data).decode()


def picture(size=(4, 3), mode="L", kind="png", value=7):
    file = io.BytesIO()
    Image.new(mode, size, value if mode == "L" else (value,) * 3).save(file, kind)
    return {"encoding": kind, "data": b64(file.getvalue())}


def test_named_columns_in_any_order_with_gaps():
    table = read_jsonl(
        lines(
            sample(features={"a": 1, "b": "x", "c": True}),
            sample(features={"c": False, "a": 2.5}),
            "",
            sample(features={"b": "", "a": None, "c": None}),
        ),
        "t",
    )
    assert isinstance(table, RawTable)
    assert [(column.name, column.kind) for column in table.columns] == [
        ("a", "number"),
        ("b", "category"),
        ("c", "boolean"),
    ]
    nan = np.nan
    np.testing.assert_array_equal(table.content(), [[1, 1, 1], [2.5, nan, 0], [nan, 0, nan]])
    assert table.columns[1].values == ("", "x")
    np.testing.assert_array_equal(table.origin, [1, 2, 4])


def test_lists_and_tensors_of_floats_are_the_same_row():
    data = np.array([1.5, -2], "<f4").tobytes()
    tensor = {"dtype": "float32", "shape": [2], "data": b64(data)}
    table = read_jsonl(
        lines(sample(features=[1.5, -2]), sample("b", tensor=tensor)).replace(b'"label": 1', b'"label": "a"'), "t"
    )
    np.testing.assert_array_equal(table.content(), [[1.5, -2], [1.5, -2]])
    assert [column.name for column in table.columns] == ["x0", "x1"]


def test_tensors_and_files_are_the_same_image():
    grey = np.full((3, 4), 7, np.uint8)
    tensor = {"dtype": "uint8", "shape": [3, 4], "data": b64(grey.tobytes())}
    rows = read_jsonl(lines(sample(tensor=tensor), sample(image=picture()), sample(image=picture(kind="jpeg"))), "t")
    assert isinstance(rows, RawImages)
    np.testing.assert_array_equal(rows.x, np.full((3, 3, 4, 1), 7))


def test_colour_images_keep_three_channels():
    assert read_jsonl(lines(sample(image=picture(mode="RGB"))), "t").x.shape == (1, 3, 4, 3)


@pytest.mark.parametrize(
    ("bad", "match"),
    [
        ("{", "JSON"),
        ('{"source": "s", "label": 1, "label": 2, "features": [1]}', "twice"),
        ('{"source": "s", "label": NaN, "features": [1]}', "line 2"),
        ('{"source": "s", "label": 1, "features": [1e999]}', "features"),
        ('{"source": "s", "label": 1' + "0" * 400 + ', "features": [1]}', "line 2"),
        ("[" * 100_000, "line 2"),
        (sample(), "exactly one of"),
        (sample(True, features=[1]), "label"),
        (sample(features=[1, 2]), "an array of 2 numbers, the first sample holds an array of 1 numbers"),
        (sample(features={"x": 1}), "named columns"),
        (sample(tensor={"dtype": "float64", "shape": [2], "data": b64(bytes(8))}), "does not take 8 bytes"),
        (
            sample(tensor={"dtype": "uint8", "shape": [8], "data": b64(bytes(8))}),
            "neither a row of floats nor an image",
        ),
        (sample(tensor={"dtype": "uint8", "shape": [0, 0], "data": ""}), "neither"),
        (sample(tensor={"dtype": "uint8", "shape": [1 << 40, 1 << 40], "data": ""}), "does not take"),
        (sample(image={"encoding": "png", "data": b64(b"\x89PNG")}), "image"),
        (sample(image={"encoding": "png", "data": "?"}), "image"),
    ],
)
def test_a_bad_line_is_named_and_left_out(bad, match):
    rows = read_jsonl(lines(sample(features=[1]), bad, sample(features=[2])), "t")
    np.testing.assert_array_equal(rows.origin, [1, 3])
    (finding,) = rows.findings
    assert finding.message.startswith("line 2 left out")
    assert match in finding.message
    assert finding.rows == (2,)


def test_invalid_text_and_a_mark_are_handled():
    rows = read_jsonl(b"\xef\xbb\xbf" + lines(sample(features=[1])) + b"\r\n\xff\xfe\r\n", "t")
    assert [finding.rows for finding in rows.findings] == [(2,)]


def test_many_bad_lines_are_counted():
    findings = read_jsonl(lines(sample(features=[1]), *["x"] * 25), "t").findings
    assert len(findings) == 11
    assert findings[-1].message.startswith("15 more lines")
    assert sum(finding.count for finding in findings) == 25


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(raw):
    with pytest.raises(GuardError, match=r"t\.jsonl"):
        read_jsonl(raw, "t.jsonl")


def test_columns_that_mix_kinds_are_refused_unless_dropped():
    raw = lines(
        sample(features={"a": 1, "b": 1}), sample(features={"a": 2, "b": 2}), sample(features={"a": "x", "b": 3})
    )
    with pytest.raises(SnapshotRefused, match=r"'a' mixes text in line 3, numbers in line 1"):
        read_jsonl(raw, "t")
    assert [column.name for column in read_jsonl(raw, "t", None, ["a"]).columns] == ["b"]
    with pytest.raises(SnapshotRefused, match="'label' mixes"):
        read_jsonl(lines(sample("a", features=[1]), sample(1, features=[1])), "t")


def test_names_are_checked():
    raw = lines(sample(features={"a": 1}))
    with pytest.raises(SnapshotRefused, match="no column 'c'"):
        read_jsonl(raw, "t", None, ["c"])
    with pytest.raises(WrongUse, match="labels of t are in 'label'"):
        read_jsonl(raw, "t", "a")
    assert read_jsonl(raw, "t", "label").columns[0].name == "a"


def test_the_guards_decoder_reads_the_same_lines_alike():
    x, y = load_digits(return_X_y=True)
    images = (x[:50] * 15).astype(np.uint8).reshape(-1, 8, 8)
    records = [
        json.dumps(
            sample(int(label), tensor={"dtype": "uint8", "shape": [8, 8], "data": b64(image.tobytes())})
        ).encode()
        for image, label in zip(images, y[:50], strict=True)
    ]
    encoded = encode(read_jsonl(b"\n".join(records), "t"), "classification")
    decoded = Decoder(encoded.spec).decode(records)
    np.testing.assert_array_equal(decoded.x, encoded.x)
    np.testing.assert_array_equal(decoded.y, encoded.y)
    again = encode_samples(encoded.spec, encoded.x, encoded.y, ["s"] * 50)
    np.testing.assert_array_equal(read_jsonl(b"\n".join(again), "t").x, encoded.x)
