"""Bundles that must be refused, each made from a sound one: what disks, networks and attackers do to a folder."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from guard.store import BUNDLE_FILES
from tests.support.bundles import IMAGE, make_bundle

Spoil = Callable[[Path], object]
_FILES = (*BUNDLE_FILES, "manifest.json", "manifest.json.sha256")


def hostile_bundles() -> Iterator[tuple[str, Spoil]]:
    """Names, and what each does to a copy of a sound bundle in a folder."""
    for name in _FILES:
        yield f"{name} flipped", lambda path, name=name: _rewrite(path / name, _flipped)
        yield f"{name} cut", lambda path, name=name: _rewrite(path / name, lambda data: data[: len(data) // 2])
        yield f"{name} empty", lambda path, name=name: (path / name).write_bytes(b"")
        yield f"{name} missing", lambda path, name=name: (path / name).unlink()
    for name in ("model.onnx", "calibration.npz", "golden.npz", "reference.npz"):
        yield f"{name} pickled, hashes true", lambda path, name=name: _sealed(path, name, pickle.dumps(os.system))
        yield f"{name} of zeros, hashes true", lambda path, name=name: _sealed(path, name, bytes(1 << 20))
    yield "an empty folder", lambda path: [each.unlink() for each in path.iterdir()]
    yield "a link", lambda path: _linked(path / "model.onnx")
    yield "a stranger", lambda path: (path / "weights.bin").write_bytes(b"x")
    yield "a pipe", lambda path: _piped(path / "golden.npz")
    yield "a file", _as_file
    yield "a newer format", lambda path: _with_manifest(path, format_version=99)
    yield "a bundle of images", _of_images


def _flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 0x41]) + data[middle + 1 :]


def _rewrite(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


def _sealed(path: Path, name: str, data: bytes) -> None:
    """As an attacker writes it who can make every hash true again."""
    (path / name).write_bytes(data)
    files = json.loads((path / "manifest.json").read_text())["files"]
    _with_manifest(path, files={**files, name: hashlib.sha256(data).hexdigest()})


def _with_manifest(path: Path, **changed: object) -> None:
    manifest = json.loads((path / "manifest.json").read_text()) | changed
    (path / "manifest.json").write_text(json.dumps(manifest))
    digest = hashlib.sha256((path / "manifest.json").read_bytes()).hexdigest()
    (path / "manifest.json.sha256").write_text(f"{digest}  manifest.json\n")


def _linked(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/hostname")


def _piped(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _as_file(path: Path) -> None:
    shutil.rmtree(path)
    path.write_bytes(b"not a folder")


def _of_images(path: Path) -> None:
    shutil.rmtree(path)
    make_bundle(path, IMAGE)
