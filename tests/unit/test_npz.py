"""Arrays out of an untrusted archive: numbers and text as they were, anything else refused before it costs memory."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from guard.errors import BundleRefused, SnapshotRefused
from guard.npz import array_names, read_arrays

plain = st.sampled_from(["u1", "<i8", ">i4", "<f8", "f2", "?", "U3", "S2"]).map(np.dtype)


@given(
    hnp.arrays(plain, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)), st.booleans(), st.booleans()
)
def test_what_numpy_writes_is_read_back(array, fortran, compress):
    file = io.BytesIO()
    array = np.asfortranarray(array) if fortran else array
    (np.savez_compressed if compress else np.savez)(file, a=array, b=np.zeros(1))
    got = read_arrays(file, ["a"], "t", SnapshotRefused)["a"]
    np.testing.assert_array_equal(got, array, strict=True)
    assert got.flags.writeable
    assert array_names(file, "t", SnapshotRefused) == ["a", "b"]


def test_missing_twice_and_too_large_are_refused_in_the_callers_words(tmp_path):
    np.savez(tmp_path / "t.npz", a=np.zeros(100))
    with pytest.raises(BundleRefused, match=r"bundle/t\.npz: array 'b' is missing"):
        read_arrays(tmp_path / "t.npz", ["a", "b"], "bundle/t.npz", BundleRefused)
    with pytest.raises(BundleRefused, match="would unpack to 928 bytes, more than the 500"):
        read_arrays(tmp_path / "t.npz", ["a"], "t", BundleRefused, max_bytes=500)
    with pytest.raises(SnapshotRefused, match="No such file"):
        read_arrays(tmp_path / "none.npz", ["a"], "t", SnapshotRefused)


@given(st.binary(max_size=400))
def test_any_bytes_are_refused(raw):
    with pytest.raises(SnapshotRefused, match=r"^t"):
        read_arrays(io.BytesIO(raw), ["a"], "t", SnapshotRefused)
