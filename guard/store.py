"""A bundle as a folder of files: a closed set, each hashed, written whole or not at all, read as hostile bytes."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from guard.errors import BundleRefused, OutputFailed
from guard.folder import new_folder
from guard.gate import AuditBound
from guard.manifest import FORMAT_VERSION, Manifest

__all__ = ["BUNDLE_FILES", "StoredBundle", "read_files", "write_files"]

BUNDLE_FILES = ("model.onnx", "calibration.npz", "golden.npz", "reference.npz", "report.html")
"""Every file of a bundle that the manifest hashes."""

_MANIFEST = "manifest.json"
_DIGEST = "manifest.json.sha256"
_MAX_MANIFEST_BYTES = 8 << 20
_MAX_FILE_BYTES = 1 << 30
_AGAIN = "copy the bundle again from where it was made, or train it again"


@dataclass(frozen=True)
class StoredBundle:
    """A bundle whose files are as they were written.

    `digest`: SHA-256 of manifest.json, by which an operator pins the bundle; `contents`: the bytes of each of
    `BUNDLE_FILES`, those that were hashed; `manifest_bytes`: those of manifest.json.
    """

    manifest: Manifest
    digest: str
    contents: Mapping[str, bytes]
    manifest_bytes: bytes

    @property
    def files(self) -> Mapping[str, bytes]:
        """Every file of the bundle by its name, byte for byte: what a copy must hold."""
        return {**self.contents, _MANIFEST: self.manifest_bytes, _DIGEST: _digest_line(self.digest)}

    def with_audit(self, audit: AuditBound | None) -> StoredBundle:
        """The same bundle with another audit in its manifest, and so with another digest."""
        manifest = self.manifest.model_copy(update={"audit": audit})
        text = _render(manifest)
        return StoredBundle(manifest, hashlib.sha256(text).hexdigest(), self.contents, text)


def read_files(path: Path, sha256: str | None = None) -> StoredBundle:
    """Reads and verifies the folder `path`; every byte is read once and hashed before it is used.

    `sha256`: the digest that the bundle must have. Raises BundleRefused.
    """
    raw = _read_folder(path)
    digest = hashlib.sha256(raw[_MANIFEST]).hexdigest()
    if raw[_DIGEST] != _digest_line(digest):
        raise BundleRefused(f"{_MANIFEST}: it does not have the hash that {_DIGEST} names; {_AGAIN}")
    if sha256 is not None and sha256.lower() != digest:
        raise BundleRefused(f"{_MANIFEST}: its SHA-256 is {digest}, but {sha256} is pinned; {_AGAIN}, or pin this one")
    manifest = _parse_manifest(raw[_MANIFEST])
    if set(manifest.files) != set(BUNDLE_FILES):
        raise BundleRefused(f"{_MANIFEST}: files must name exactly {', '.join(BUNDLE_FILES)}; {_AGAIN}")
    for name in BUNDLE_FILES:
        if hashlib.sha256(raw[name]).hexdigest() != manifest.files[name]:
            raise BundleRefused(f"{name}: it does not have the hash that {_MANIFEST} names; {_AGAIN}")
    return StoredBundle(manifest, digest, {name: raw[name] for name in BUNDLE_FILES}, raw[_MANIFEST])


def write_files(path: Path, contents: Mapping[str, bytes], manifest: Manifest, *, overwrite: bool = False) -> str:
    """Writes a bundle to `path` and returns its digest. `manifest.files` is filled in here.

    Everything is written beside `path` and renamed at the end: an interrupted write leaves nothing. Raises OutputFailed
    when `path` is there and `overwrite` is false, or when it cannot be written.
    """
    if overwrite and path.exists() and not (path / _MANIFEST).is_file():
        raise OutputFailed(f"{path}: it is no bundle and will not be overwritten; name another folder")
    hashes = {name: hashlib.sha256(contents[name]).hexdigest() for name in BUNDLE_FILES}
    text = _render(manifest.model_copy(update={"files": hashes}))
    digest = hashlib.sha256(text).hexdigest()
    files = {**{name: contents[name] for name in BUNDLE_FILES}, _MANIFEST: text, _DIGEST: _digest_line(digest)}
    with new_folder(path, overwrite=overwrite) as draft:
        for name, data in files.items():
            (draft / name).write_bytes(data)
    return digest


def _render(manifest: Manifest) -> bytes:
    return manifest.model_dump_json(indent=2).encode() + b"\n"


def _digest_line(digest: str) -> bytes:
    return f"{digest}  {_MANIFEST}\n".encode()


def _read_folder(path: Path) -> dict[str, bytes]:
    try:
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise BundleRefused(
            f"it is not a folder that can be read ({error.strerror}); name a bundle's folder"
        ) from error
    try:
        present, expected = {entry.name for entry in os.scandir(folder)}, {*BUNDLE_FILES, _MANIFEST, _DIGEST}
        if present != expected:
            missing, extra = sorted(expected - present), sorted(present - expected)
            what = f"{missing[0]}: it is missing" if missing else f"{extra[0]!r}: it does not belong to a bundle"
            raise BundleRefused(f"{what}; {_AGAIN}")
        return {name: _read_file(folder, name) for name in sorted(expected)}
    finally:
        os.close(folder)


def _read_file(folder: int, name: str) -> bytes:
    limit = _MAX_MANIFEST_BYTES if name in (_MANIFEST, _DIGEST) else _MAX_FILE_BYTES
    try:
        handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        with os.fdopen(handle, "rb") as file:
            found = os.fstat(handle)
            if not stat.S_ISREG(found.st_mode):
                raise BundleRefused(f"{name}: it is not a plain file; {_AGAIN}")
            data = file.read(min(found.st_size, limit) + 1)  # that many bytes are reserved, however few there are
    except OSError as error:
        raise BundleRefused(f"{name}: it cannot be read as a plain file ({error.strerror}); {_AGAIN}") from error
    if len(data) > limit:
        raise BundleRefused(f"{name}: it has more than the {limit} bytes allowed; {_AGAIN}")
    return data


def _parse_manifest(data: bytes) -> Manifest:
    try:
        document = json.loads(data, object_pairs_hook=_unique_keys, parse_constant=_no_constant)
        _check_version(document)
        return Manifest.model_validate_json(data, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BundleRefused(f"{_MANIFEST}: {where}: {first['msg']}; {_AGAIN}") from error
    except (ValueError, RecursionError) as error:
        raise BundleRefused(f"{_MANIFEST}: it is not sound JSON ({error}); {_AGAIN}") from error


def _check_version(document: Any) -> None:
    version = document.get("format_version") if isinstance(document, dict) else None
    if type(version) is not int:
        raise BundleRefused(f"{_MANIFEST}: it names no format_version; {_AGAIN}")
    if version > FORMAT_VERSION:
        raise BundleRefused(
            f"{_MANIFEST}: format version {version} is newer than {FORMAT_VERSION}, read here; upgrade depois-guard"
        )
    if version < FORMAT_VERSION:
        raise BundleRefused(f"{_MANIFEST}: format version {version} is no longer read; train the bundle again")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is not a JSON number")
