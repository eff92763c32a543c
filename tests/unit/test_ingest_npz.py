"""NPZ: x and y become a table or images; pickles, bombs and other shapes are refused."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from guard.errors import SnapshotRefused, WrongUse
from training.ingest.npz import read_npz
from training.ingest.raw import RawImages, RawTable


def packed(**arrays):
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


@pytest.mark.parametrize(
    ("shape", "out"), [((5, 4, 3), (5, 4, 3, 1)), ((5, 4, 3, 1), (5, 4, 3, 1)), ((5, 4, 3, 3), (5, 4, 3, 3))]
)
def test_bytes_in_three_or_four_dimensions_are_images(shape, out):
    x = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    rows = read_npz(packed(x=x, y=np.arange(5)), "t.npz")
    assert isinstance(rows, RawImages)
    np.testing.assert_array_equal(rows.x, x.reshape(out))
    np.testing.assert_array_equal(rows.label.codes, np.arange(5))
    np.testing.assert_array_equal(rows.origin, [1, 2, 3, 4, 5])


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32, np.bool_, ">f8"])
def test_numbers_in_two_dimensions_are_a_table(dtype):
    rows = read_npz(packed(x=np.eye(3, 2, dtype=dtype), y=np.array(["b", "a", "b"])), "t.npz")
    assert isinstance(rows, RawTable)
    assert [column.name for column in rows.columns] == ["x0", "x1"]
    np.testing.assert_array_equal(rows.content(), np.eye(3, 2))
    assert rows.label.values == ("a", "b")


def test_true_and_false_as_label_are_text():
    label = read_npz(packed(x=np.zeros((3, 2)), y=np.array([True, False, True])), "t").label
    assert label.values == ("false", "true")
    np.testing.assert_array_equal(label.codes, [1, 0, 1])


def test_columns_can_be_dropped():
    raw = packed(x=np.zeros((3, 3)), y=np.zeros((3, 1)))
    assert [column.name for column in read_npz(raw, "t", None, ["x1"]).columns] == ["x0", "x2"]
    with pytest.raises(SnapshotRefused, match="no column 'x3'"):
        read_npz(raw, "t", None, ["x3"])


def test_other_arrays_are_left_aside_and_named():
    (finding,) = read_npz(packed(x=np.zeros((3, 3)), y=np.zeros(3), ids=np.zeros(3)), "t").findings
    assert (finding.severity, finding.code) == ("note", "unread_data")
    assert "'ids'" in finding.message


@pytest.mark.parametrize(
    ("arrays", "match"),
    [
        ({"x_train": np.zeros(3)}, r"holds the arrays \['x_train'\]; name the samples 'x'"),
        ({"x": np.zeros((3, 2)), "y": np.zeros(4)}, "one row per sample"),
        ({"x": np.zeros((3, 2)), "y": np.zeros((3, 2))}, "one label per row"),
        ({"x": np.zeros((3, 2)), "y": np.array([{}, {}, {}])}, "never pickles"),
        ({"x": np.array([[{}]]), "y": np.zeros(1)}, "never pickles"),
        ({"x": np.zeros((3, 2, 2)), "y": np.zeros(3)}, "images are uint8"),
        ({"x": np.zeros((3, 2, 2, 2), np.uint8), "y": np.zeros(3)}, "images are uint8"),
        ({"x": np.zeros((3, 0, 2), np.uint8), "y": np.zeros(3)}, "images are uint8"),
        ({"x": np.zeros((3, 4097, 1), np.uint8), "y": np.zeros(3)}, "sides up to 4096"),
        ({"x": np.zeros(3), "y": np.zeros(3)}, "a table is numbers"),
        ({"x": np.zeros(()), "y": np.zeros(1)}, "one row per sample"),
        ({"x": np.array([["a"]]), "y": np.zeros(1)}, "a table is numbers"),
        ({"x": np.zeros((1, 1), np.complex64), "y": np.zeros(1)}, "dtype complex64"),
    ],
)
def test_what_is_neither_is_refused(arrays, match):
    with pytest.raises(SnapshotRefused, match=match):
        read_npz(packed(**arrays), "t.npz")


def test_no_other_label_can_be_named():
    with pytest.raises(WrongUse, match="labels of t are in 'y', not in 'label'"):
        read_npz(packed(x=np.zeros((3, 2)), y=np.zeros(3)), "t", "label")


def test_a_zip_bomb_and_garbage_are_refused():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("x.npy", "y.npy"):
            archive.writestr(name, bytes(200))
        archive.getinfo("x.npy").file_size = 1 << 42
    for raw, match in [
        (file.getvalue(), "more than the"),
        (b"", "not a readable"),
        (b"PK\x03\x04" * 9, "not a readable"),
    ]:
        with pytest.raises(SnapshotRefused, match=match):
            read_npz(raw, "t.npz")
