"""A bundle is attacked in every file; whatever happens it is refused by name, or it is still the same bundle."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import guard
from guard.errors import BundleRefused
from guard.store import BUNDLE_FILES
from tests.support.bundles import TABLE, make_bundle, make_graph

ALL_FILES = (*BUNDLE_FILES, "manifest.json", "manifest.json.sha256")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("sound") / "bundle", rows=60)


@pytest.fixture
def bundle(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "bundle"))


def seal(path: Path) -> None:
    """Makes every hash true again: what an attacker does who may write the whole folder."""
    manifest = json.loads((path / "manifest.json").read_text())
    for name in BUNDLE_FILES:
        manifest["files"][name] = hashlib.sha256((path / name).read_bytes()).hexdigest()
    (path / "manifest.json").write_text(json.dumps(manifest))
    seal_manifest(path)


def seal_manifest(path: Path) -> None:
    digest = hashlib.sha256((path / "manifest.json").read_bytes()).hexdigest()
    (path / "manifest.json.sha256").write_text(f"{digest}  manifest.json\n")


def refused(path: Path, names: str) -> str:
    """Loads `path`, which must be refused with a message that holds its path, `names`, and advice."""
    with pytest.raises(BundleRefused) as refusal:
        guard.load_bundle(path, threads=1)
    message = str(refusal.value)
    assert message.startswith(f"{path}: ")
    assert names in message
    assert any(word in message for word in ("train", "copy", "get the file", "upgrade", "name a bundle")), message
    return message


def edit_manifest(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    manifest = json.loads((path / "manifest.json").read_text())
    change(manifest)
    (path / "manifest.json").write_text(json.dumps(manifest))
    seal_manifest(path)


def edit_arrays(path: Path, name: str, change: Callable[[dict[str, np.ndarray]], object]) -> None:
    with np.load(path / name) as archive:
        arrays = dict(archive)
    change(arrays)
    np.savez(path / name, **arrays)
    seal(path)


@pytest.mark.parametrize("name", ALL_FILES)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_one_flipped_byte_is_refused(bundle: Path, name: str, where: float, flip: int) -> None:
    data = bytearray((bundle / name).read_bytes())
    sound = bytes(data)
    data[int(where * len(data))] ^= flip
    (bundle / name).write_bytes(data)
    refused(bundle, name)
    (bundle / name).write_bytes(sound)


@pytest.mark.parametrize("name", [name for name in BUNDLE_FILES if name != "report.html"])
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(where=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_a_flipped_byte_under_true_hashes_never_crashes(bundle: Path, name: str, where: float, flip: int) -> None:
    """With the hashes made true the flip may be harmless; nothing but a bundle or a refusal may come of it."""
    data = bytearray((bundle / name).read_bytes())
    sound = bytes(data)
    data[int(where * len(data))] ^= flip
    (bundle / name).write_bytes(data)
    seal(bundle)
    with suppress(BundleRefused):
        guard.load_bundle(bundle, threads=1)
    (bundle / name).write_bytes(sound)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(where=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_a_flipped_byte_of_the_manifest_under_its_true_hash_never_crashes(
    bundle: Path, where: float, flip: int
) -> None:
    data = bytearray((bundle / "manifest.json").read_bytes())
    sound = bytes(data)
    data[int(where * len(data))] ^= flip
    (bundle / "manifest.json").write_bytes(data)
    seal_manifest(bundle)
    with suppress(BundleRefused):
        guard.load_bundle(bundle, threads=1)
    (bundle / "manifest.json").write_bytes(sound)


@pytest.mark.parametrize("name", ALL_FILES)
@pytest.mark.parametrize("keep", [0, 0.5, 0.99])
def test_truncated_files_are_refused(bundle: Path, name: str, keep: float) -> None:
    data = (bundle / name).read_bytes()
    (bundle / name).write_bytes(data[: int(keep * len(data))])
    refused(bundle, name)


@pytest.mark.parametrize("name", ["model.onnx", "calibration.npz", "golden.npz", "reference.npz"])
@pytest.mark.parametrize("keep", [0, 0.5, 0.99])
def test_truncated_files_under_true_hashes_are_refused(bundle: Path, name: str, keep: float) -> None:
    data = (bundle / name).read_bytes()
    (bundle / name).write_bytes(data[: int(keep * len(data))])
    seal(bundle)
    refused(bundle, name)


@pytest.mark.parametrize("name", ALL_FILES)
def test_missing_files_are_refused(bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    assert "missing" in refused(bundle, name)


def test_extra_files_are_refused(bundle: Path) -> None:
    (bundle / "weights.bin").write_bytes(b"x")
    assert "does not belong" in refused(bundle, "weights.bin")


@pytest.mark.parametrize("name", ALL_FILES)
def test_links_folders_and_pipes_in_place_of_files_are_refused(bundle: Path, tmp_path: Path, name: str) -> None:
    original = tmp_path / "elsewhere"
    (bundle / name).rename(original)
    (bundle / name).symlink_to(original)
    refused(bundle, name)
    (bundle / name).unlink()
    (bundle / name).mkdir()
    refused(bundle, name)
    (bundle / name).rmdir()
    os.mkfifo(bundle / name)
    refused(bundle, name)


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere", "not a folder")
    (tmp_path / "file").write_text("x")
    refused(tmp_path / "file", "not a folder")


def test_external_data_is_refused_and_never_opened(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_graph(TABLE)
    tensor = model.graph.initializer[0]
    (tmp_path / "weights.bin").write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")
    (bundle / "model.onnx").write_bytes(model.SerializeToString())
    seal(bundle)
    monkeypatch.chdir(tmp_path)
    assert "another file" in refused(bundle, "model.onnx")


def test_custom_operators_are_refused(bundle: Path) -> None:
    model = make_graph(TABLE)
    model.opset_import.append(onnx.helper.make_opsetid("com.evil", 1))
    (bundle / "model.onnx").write_bytes(model.SerializeToString())
    seal(bundle)
    assert "com.evil" in refused(bundle, "model.onnx")


def test_another_network_is_refused_by_its_golden_scores(bundle: Path) -> None:
    model = make_graph(TABLE)
    values = onnx.numpy_helper.to_array(model.graph.initializer[0]) * 1.01
    model.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(values, "centroids"))
    (bundle / "model.onnx").write_bytes(model.SerializeToString())
    seal(bundle)
    assert "is golden" in refused(bundle, "golden.npz")


class Bomb:
    """Unpickled, it would leave a trace."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.mkdir, ("unpickled",)


def pickled(_: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in ("scores", "labels", "weights", "boundary"):
            array = io.BytesIO()
            np.lib.format.write_array(array, np.array([Bomb()], dtype=object), allow_pickle=True)
            archive.writestr(f"{name}.npy", array.getvalue())
    return buffer.getvalue()


def bare_pickle(_: bytes) -> bytes:
    return pickle.dumps(Bomb())


def zip_bomb(data: bytes) -> bytes:
    """A few kilobytes that claim to unpack to four gigabytes."""
    at = data.index(b"PK\x01\x02")
    return data[: at + 24] + b"\xf0\xff\xff\xff" + data[at + 28 :]


def with_header(header: bytes) -> Callable[[bytes], bytes]:
    def build(_: bytes) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name in ("scores", "labels", "weights", "boundary"):
                array = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(64)
                archive.writestr(f"{name}.npy", array)
        return buffer.getvalue()

    build.__name__ = repr(header[:50])
    return build


def lying_size(data: bytes) -> bytes:
    """The directory claims a size that the entry has not."""
    at = data.rindex(b"PK\x01\x02")
    return data[: at + 24] + (7).to_bytes(4, "little") + data[at + 28 :]


def renamed(name: str) -> Callable[[bytes], bytes]:
    def build(data: bytes) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w") as new:
            for entry in old.infolist():
                new.writestr(name if entry.filename == "scores.npy" else entry.filename, old.read(entry))
        return buffer.getvalue()

    build.__name__ = f"renamed to {name}"
    return build


def doubled(data: bytes) -> bytes:
    buffer = io.BytesIO(data)
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("scores.npy", b"")
    return buffer.getvalue()


def encrypted(data: bytes) -> bytes:
    at = data.rindex(b"PK\x01\x02")
    return data[: at + 8] + b"\x01\x00" + data[at + 10 :]


ARCHIVES: list[Callable[[bytes], bytes]] = [
    pickled,
    bare_pickle,
    zip_bomb,
    lying_size,
    doubled,
    encrypted,
    renamed("../../scores.npy"),
    renamed("/etc/scores.npy"),
    renamed("x" * 60_000),
    with_header(b"{'descr': '<f8', 'fortran_order': False, 'shape': (999999999999, 999999), }\n"),
    with_header(b"{'descr': '<f8', 'fortran_order': False, 'shape': (-1, 2), }\n"),
    with_header(b"{'descr': '<f8', 'fortran_order': True, 'shape': (4, 2), }\n"),
    with_header(b"{'descr': '>f8', 'fortran_order': False, 'shape': (4, 2), }\n"),
    with_header(b"{'descr': '|O', 'fortran_order': False, 'shape': (8,), }\n"),
    with_header(b"{'descr': '<q99', 'fortran_order': False, 'shape': (8,), }\n"),
    with_header(b"{'descr': '|V999999999', 'fortran_order': False, 'shape': (8,), }\n"),
    with_header(b"{'descr': '<f8', 'fortran_order': False, 'shape': (4L, 2L), }\n"),
    with_header(b"{'descr': ("),
    with_header(b"(" * 2000),
    with_header(b"__import__('os').mkdir('unpickled')\n"),
    with_header(b"\xff\x00" * 20),
    with_header(b""),
]


@pytest.mark.parametrize("build", ARCHIVES, ids=lambda build: build.__name__)
def test_hostile_archives_are_refused(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, build: Callable[[bytes], bytes]
) -> None:
    monkeypatch.chdir(tmp_path)
    (bundle / "calibration.npz").write_bytes(build((bundle / "calibration.npz").read_bytes()))
    seal(bundle)
    refused(bundle, "calibration.npz")
    assert not (tmp_path / "unpickled").exists()


def put(name: str, value: object) -> Callable[[dict[str, Any]], None]:
    def change(target: dict[str, Any]) -> None:
        target[name] = value

    change.__name__ = f"{name} = {str(value)[:40]}"
    return change


def put_in(*path: str, value: object) -> Callable[[dict[str, Any]], None]:
    def change(target: dict[str, Any]) -> None:
        for key in path[:-1]:
            target = target[key]
        target[path[-1]] = value

    change.__name__ = f"{'.'.join(map(str, path))} = {str(value)[:40]}"
    return change


def fill(name: str, value: float) -> Callable[[dict[str, np.ndarray]], None]:
    def change(arrays: dict[str, np.ndarray]) -> None:
        arrays[name] = arrays[name].copy()
        arrays[name].flat[0] = value

    change.__name__ = f"{name}[0] = {value}"
    return change


CALIBRATIONS = [
    fill("scores", np.nan),
    fill("scores", np.inf),
    fill("scores", 1e300),
    fill("labels", -1),
    fill("labels", 2**62),
    fill("labels", 3),
    fill("weights", np.nan),
    fill("weights", 0),
    fill("weights", 1e9),
    fill("boundary", np.nan),
    put("scores", np.zeros((29, 2))),
    put("scores", np.zeros((60, 3))),
    put("scores", np.zeros((0, 0))),
    put("scores", np.zeros(60)),
    put("scores", np.zeros((60, 2), np.float32)),
    put("labels", np.zeros(60)),
    put("weights", np.zeros(0)),
    put("boundary", np.zeros(4)),
    put("surplus", np.zeros(4)),
]


@pytest.mark.parametrize("change", CALIBRATIONS, ids=lambda change: change.__name__)
def test_unusable_calibrations_are_refused(bundle: Path, change: Callable[[dict[str, Any]], None]) -> None:
    edit_arrays(bundle, "calibration.npz", change)
    refused(bundle, "calibration.npz")


GOLDEN = [
    put("x", np.zeros((16, 3))),
    put("x", np.zeros((0, 4))),
    put("y", np.zeros(16)),
    put("scores", np.zeros((16, 5), np.float32)),
    fill("scores", np.nan),
    fill("p_values", np.nan),
    fill("p_values", 0.5),
    fill("y", 99),
    fill("y", -1),
    fill("x", np.inf),
]


@pytest.mark.parametrize("change", GOLDEN, ids=lambda change: change.__name__)
def test_wrong_golden_vectors_are_refused(bundle: Path, change: Callable[[dict[str, Any]], None]) -> None:
    edit_arrays(bundle, "golden.npz", change)
    refused(bundle, "golden.npz")


REFERENCES = [
    put("x", np.zeros((50, 3))),
    put("y", np.full(50, 99)),
    put("origin", np.zeros(49, np.int64)),
    put("features", np.zeros((50, 9), np.float32)),
    put("features", np.full((50, 4), np.nan, np.float32)),
]


@pytest.mark.parametrize("change", REFERENCES, ids=lambda change: change.__name__)
def test_wrong_reference_samples_are_refused(bundle: Path, change: Callable[[dict[str, Any]], None]) -> None:
    edit_arrays(bundle, "reference.npz", change)
    refused(bundle, "reference.npz")


MANIFESTS = [
    put("format_version", 2),
    put("format_version", 0),
    put("format_version", True),
    put("format_version", "1"),
    put("format_version", 10**400),
    put("name", "../../etc/passwd"),
    put("name", "x" * 65),
    put("members", []),
    put("surprise", 1),
    put("boundary", "magic"),
    put("files", {}),
    put_in("files", "../model.onnx", value="0" * 64),
    put_in("files", "model.onnx", value="0" * 63),
    put_in("alpha", "value", value=0),
    put_in("alpha", "value", value=1),
    put_in("alpha", "value", value=float("nan")),
    put_in("alpha", "value", value=0.5),
    put_in("alpha", "value", value=5e-324),
    put_in("alpha", "value", value=0.001),
    put_in("alpha", "calibration_rows", value=61),
    put_in("alpha", "calibration_rows", value=10**30),
    put_in("alpha", "extrapolated", value=False),
    put_in("alpha", "band", value=[0.0]),
    put_in("members", 0, "weight", value=0.7),
    put_in("members", 0, "name", value="mimic"),
    put_in("spec", "label", "values", value=["apple", "pear"]),
    put_in("spec", "label", "values", value=["apple", "apple", "pear"]),
    put_in("spec", "input", "columns", value=[]),
    put_in("spec", "input", value={"kind": "image", "height": 10**9, "width": 1, "channels": 1}),
]


@pytest.mark.parametrize("change", MANIFESTS, ids=lambda change: change.__name__)
def test_wrong_manifests_are_refused(bundle: Path, change: Callable[[dict[str, Any]], None]) -> None:
    edit_manifest(bundle, change)
    refused(bundle, "")


def test_a_newer_format_says_upgrade_and_an_older_one_says_train(bundle: Path) -> None:
    edit_manifest(bundle, put("format_version", 2))
    assert "upgrade depois-guard" in refused(bundle, "manifest.json")
    edit_manifest(bundle, put("format_version", 0))
    assert "train the bundle again" in refused(bundle, "manifest.json")


def test_a_newer_format_is_named_even_where_its_fields_are_new(bundle: Path) -> None:
    edit_manifest(bundle, lambda manifest: manifest.update(format_version=2, novelty=[1], alpha="different"))
    assert "upgrade depois-guard" in refused(bundle, "manifest.json")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"null",
        b'"manifest"',
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b'{"format_version": ' + b"9" * 5000 + b"}",
        b"\xff\xfe{}",
        b'{"format_version": 1, "format_version": 1}',
        b'{"format_version": 1, "name": "\\ud800"}',
        b'{"format_version": 1, "x": Infinity}',
        b"{" + b" " * (8 << 20) + b"}",
    ],
    ids=lambda text: repr(text[:30]),
)
def test_a_manifest_that_is_no_sound_json_is_refused(bundle: Path, text: bytes) -> None:
    (bundle / "manifest.json").write_bytes(text)
    seal_manifest(bundle)
    refused(bundle, "manifest.json")


def test_a_doubled_key_is_refused_wherever_it_stands(bundle: Path) -> None:
    text = (bundle / "manifest.json").read_text()
    (bundle / "manifest.json").write_text(text.replace('"weight"', '"weight": 1.0, "weight"', 1))
    seal_manifest(bundle)
    assert "twice" in refused(bundle, "manifest.json")


def test_a_failed_load_leaves_a_working_bundle_alone(sound: Path, bundle: Path) -> None:
    working = guard.load_bundle(sound, threads=1)
    (bundle / "model.onnx").write_bytes(b"")
    refused(bundle, "model.onnx")
    assert working.judge([b"{"])[0].status == "malformed"
