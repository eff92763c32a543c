"""A snapshot survives the disk unchanged; whatever was tampered with is refused with a message that says what to do."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits

from guard.errors import OutputFailed, SnapshotRefused
from guard.spec import ClassLabel, ImageInput, InputSpec, NumberColumn, NumberLabel, TableInput
from training.snapshot import read_snapshot, snapshot_from_arrays, write_snapshot


def digits():
    x, y = load_digits(return_X_y=True)
    spec = InputSpec(input=ImageInput(height=8, width=8, channels=1), label=ClassLabel(values=tuple(range(10))))
    return snapshot_from_arrays(x.reshape(-1, 8, 8, 1).astype(np.uint8) * 15, y.astype(np.int64), spec, {"input": "d"})


def table(x, label):
    columns = tuple(NumberColumn(name=f"x{k}", minimum=-1e6, maximum=1e6, gaps=k == 0) for k in range(x.shape[1]))
    return InputSpec(input=TableInput(columns=columns), label=label)


def diabetes():
    x, y = load_diabetes(return_X_y=True)
    x[3, 0] = np.nan
    return snapshot_from_arrays(x, y, table(x, NumberLabel(minimum=0, maximum=1000)))


def cancer_arrays():
    x, y = load_breast_cancer(return_X_y=True)
    return x, y.astype(np.int64), table(x, ClassLabel(values=("malignant", "benign")))


@pytest.mark.parametrize("make", [digits, diabetes])
def test_a_written_snapshot_reads_back_unchanged(make, tmp_path):
    snapshot = make()
    write_snapshot(snapshot, tmp_path / "s")
    back = read_snapshot(tmp_path / "s")
    assert (back.spec, back.digest, back.provenance) == (snapshot.spec, snapshot.digest, snapshot.provenance)
    for name in ("x", "y", "fold", "origin"):
        np.testing.assert_array_equal(getattr(back, name), getattr(snapshot, name), strict=True)
        assert getattr(back, name).flags.writeable  # torch warns about arrays that are not


def test_the_digest_is_of_content_not_of_memory():
    x, y, spec = cancer_arrays()
    digest = snapshot_from_arrays(x, y, spec).digest
    assert snapshot_from_arrays(np.asfortranarray(x), y, spec, {"input": "elsewhere"}).digest == digest
    assert snapshot_from_arrays(x, 1 - y, spec).digest != digest
    assert snapshot_from_arrays(x, y, spec, seed=1).digest != digest


def test_an_existing_folder_is_not_overwritten(tmp_path):
    snapshot = diabetes()
    write_snapshot(snapshot, tmp_path / "s")
    with pytest.raises(OutputFailed, match="exists already"):
        write_snapshot(snapshot, tmp_path / "s")


def test_a_failed_write_leaves_nothing(tmp_path):
    snapshot = replace(diabetes(), x=np.array([{}], object))
    with pytest.raises(ValueError, match="Object arrays"):
        write_snapshot(snapshot, tmp_path / "s")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("rows", [0, 1, 29])
def test_fewer_than_thirty_rows_are_refused(rows):
    x, y, spec = cancer_arrays()
    with pytest.raises(SnapshotRefused, match=f"has {rows} usable rows; at least 30"):
        snapshot_from_arrays(x[:rows], y[:rows], spec)


def test_a_value_against_the_specification_is_named_by_row_and_column():
    x, y, spec = cancer_arrays()
    for value in (np.nan, np.inf, -np.inf, 2e6):
        wrong = x.copy()
        wrong[7, 2] = value
        with pytest.raises(SnapshotRefused, match="row 8, column 'x2'"):
            snapshot_from_arrays(wrong, y, spec)
    y[5] = 2
    with pytest.raises(SnapshotRefused, match="row 6, column 'label': 2"):
        snapshot_from_arrays(x, y, spec)


def test_a_class_without_a_row_is_refused():
    x, y, _ = cancer_arrays()
    with pytest.raises(SnapshotRefused, match="class 'odd' has no row"):
        snapshot_from_arrays(x, y, table(x, ClassLabel(values=("malignant", "benign", "odd"))))


@pytest.fixture
def folder(tmp_path):
    write_snapshot(diabetes(), tmp_path / "s")
    return tmp_path / "s"


def rewrite(folder, **members):
    with zipfile.ZipFile(folder / "arrays.npz") as archive:
        old = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(folder / "arrays.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in (old | {f"{key}.npy": value for key, value in members.items()}).items():
            archive.writestr(name, data)


def npy(array, **options):
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


def header(shape):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return stream.getvalue()


def test_every_changed_byte_of_the_arrays_is_refused(folder):
    good = (folder / "arrays.npz").read_bytes()
    for offset in np.random.default_rng(0).choice(len(good), 150, replace=False):
        bad = bytearray(good)
        bad[offset] ^= 0x41
        (folder / "arrays.npz").write_bytes(bad)
        try:
            back = read_snapshot(folder)
        except SnapshotRefused:
            continue
        assert back.digest == diabetes().digest  # a byte of the zip's own bookkeeping that carries no content
        assert np.array_equal(back.y, diabetes().y)


def test_arrays_cut_short_are_refused(folder):
    good = (folder / "arrays.npz").read_bytes()
    for length in range(0, len(good), 997):
        (folder / "arrays.npz").write_bytes(good[:length])
        with pytest.raises(SnapshotRefused, match=r"arrays\.npz"):
            read_snapshot(folder)


@pytest.mark.parametrize(
    ("array", "data", "match"),
    [
        ("y", npy(np.array([print] * 442, object), allow_pickle=True), "never pickles"),
        ("y", pickle.dumps(print), "magic string"),
        ("y", npy(np.zeros(442)), "digest"),
        ("y", npy(np.zeros(441)), "442 rows"),
        ("y", npy(np.zeros(442, np.float32)), "float32"),
        ("y", npy(np.full(442, np.nan)), "row 1, column 'label'"),
        ("fold", npy(np.full(442, 10, np.int8)), "fold"),
        ("origin", npy(np.zeros(442, np.int64)), "origin"),
        ("x", header((1 << 40, 10)), "another number of bytes"),
        ("x", header((-1, -10)), "shape"),
        ("../../escape", npy(np.zeros(1)), "holds"),
        ("y", b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535, "arrays.npz"),
    ],
)
def test_a_hostile_array_is_refused(folder, array, data, match):
    rewrite(folder, **{array: data})
    with pytest.raises(SnapshotRefused, match=match):
        read_snapshot(folder)


def test_a_zip_bomb_is_refused_before_it_unpacks(folder):
    with zipfile.ZipFile(folder / "arrays.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("y", "fold", "origin"):
            archive.writestr(f"{name}.npy", npy(np.zeros(1)))
        archive.writestr("x.npy", npy(np.zeros(1)))
        archive.getinfo("x.npy").file_size = 1 << 40  # what the directory at the end of the file will claim
    with pytest.raises(SnapshotRefused, match="more than the"):
        read_snapshot(folder)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"format_version": 2}, "upgrade depois-guard"),
        ({"format_version": "1"}, "upgrade depois-guard"),
        ({"digest": "0" * 64}, "does not agree with its digest 000000000000"),
        ({"digest": "../x"}, "digest"),
        ({"rows": 441}, "do not all have 441 rows"),
        ({"spec": {}}, "spec.input"),
        ({"extra": 1}, "extra"),
        ({"provenance": {"a": {}}}, "provenance"),
    ],
)
def test_a_changed_card_is_refused(folder, change, match):
    card = json.loads((folder / "snapshot.json").read_text()) | change
    (folder / "snapshot.json").write_text(json.dumps(card))
    with pytest.raises(SnapshotRefused, match=match):
        read_snapshot(folder)


@pytest.mark.parametrize("raw", [b"", b"[]", b"\xff\xfe", b"[" * 100_000, b'{"format_version": NaN}', b"null"])
def test_a_card_that_is_no_object_is_refused(folder, raw):
    (folder / "snapshot.json").write_bytes(raw)
    with pytest.raises(SnapshotRefused, match=r"snapshot\.json"):
        read_snapshot(folder)


def test_a_folder_that_is_no_snapshot_is_refused(tmp_path):
    with pytest.raises(SnapshotRefused, match="is no snapshot"):
        read_snapshot(tmp_path / "absent")
    (tmp_path / "snapshot.json").mkdir()
    with pytest.raises(SnapshotRefused, match="is no snapshot"):
        read_snapshot(tmp_path)
