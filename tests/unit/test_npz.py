from __future__ import annotations

import io
import zipfile
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from guard.errors import SnapshotRefused
from guard.npz import ArrayKind, pack_arrays, read_arrays, unpack_arrays

any_array = st.sampled_from(["<f8", "<f4", "<i8", "|u1", "|b1"]).flatmap(
    lambda dtype: arrays(np.dtype(dtype), array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))
)


@given(any_array, any_array)
def test_arrays_survive_their_file(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> None:
    kinds = {"one": ArrayKind(one.dtype.str, one.shape), "other": ArrayKind(other.dtype.str, (None,) * other.ndim)}
    data = pack_arrays({"one": one, "other": other})
    found = unpack_arrays(data, kinds, "file.npz", SnapshotRefused)
    assert np.array_equal(found["one"], one, equal_nan=one.dtype.kind == "f")
    assert np.array_equal(found["other"], other, equal_nan=other.dtype.kind == "f")
    assert pack_arrays({"one": one, "other": other}) == data


def test_headers_of_numpy_itself_are_read_in_both_orders() -> None:
    array = np.arange(6.0).reshape(2, 3)
    for stored in (array, np.asfortranarray(array)):
        buffer = io.BytesIO()
        np.savez(buffer, a=stored, b=np.array(["ä", "bc"]), c=np.float32(1))
        found = read_arrays(buffer, ["a", "b", "c"], "file.npz", SnapshotRefused)
        assert found["a"].tolist() == array.tolist()
        assert found["b"].tolist() == ["ä", "bc"]
        assert found["c"].shape == ()


def test_long_headers_of_version_2_are_read() -> None:
    buffer, file = io.BytesIO(), io.BytesIO()
    np.lib.format.write_array(file, np.arange(3), version=(2, 0))
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.npy", file.getvalue())
    assert read_arrays(buffer, ["a"], "file.npz", SnapshotRefused)["a"].tolist() == [0, 1, 2]


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_damaged_files_are_refused_or_harmless(data: st.DataObject) -> None:
    sound = bytearray(pack_arrays({"a": np.arange(20.0), "b": np.zeros((3, 3), np.int64)}))
    for _ in range(data.draw(st.integers(1, 4))):
        sound[data.draw(st.integers(0, len(sound) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = unpack_arrays(
            bytes(sound), {"a": ArrayKind("<f8", (20,)), "b": ArrayKind("<i8", (3, 3))}, "file.npz", SnapshotRefused
        )
    except SnapshotRefused as refusal:
        message = str(refusal)
    else:
        message = f"file.npz {found['a'].shape} {found['b'].shape}"
    assert message.startswith("file.npz")


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (ArrayKind("<f8", (3,)), "'a' is <f8 (4,), expected <f8 (3)"),
        (ArrayKind("<f8", (None, None)), "expected <f8 (*, *)"),
        (ArrayKind("<f4", (4,)), "expected <f4 (4)"),
    ],
)
def test_another_kind_is_named(kind: ArrayKind, said: str) -> None:
    with pytest.raises(SnapshotRefused) as refusal:
        unpack_arrays(pack_arrays({"a": np.zeros(4)}), {"a": kind}, "file.npz", SnapshotRefused)
    assert said in str(refusal.value)
