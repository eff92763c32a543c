"""Versions of a registry: bundles that were verified when they came in, and are never changed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from guard.bundle import load_bundle
from guard.errors import BundleRefused, RegistryRefused
from guard.folder import new_folder
from guard.gate import Gate
from guard.registry.layout import Layout
from guard.store import StoredBundle, read_files

__all__ = ["Candidate", "add_version", "verify_bundle", "verify_version"]


@dataclass(frozen=True)
class Candidate:
    """A bundle that was loaded as a guard loads it, and the bytes of it that were verified."""

    stored: StoredBundle

    @property
    def version(self) -> str:
        """Under which name it stands in a registry."""
        return self.stored.manifest.version

    @property
    def digests(self) -> tuple[str, str]:
        """That of the bundle, and that of the same bundle before it was marked with an audit."""
        return self.stored.digest, self.stored.with_audit(None).digest

    def marked(self, gate: Gate) -> Candidate:
        """The same with the audit of `gate`, where it has none yet."""
        if gate.audit is None or self.stored.manifest.audit is not None:
            return self
        return Candidate(self.stored.with_audit(gate.audit))

    def serves_as(self, serving: Candidate) -> bool:
        """Whether `serving` is this bundle, or this one with an audit."""
        ours, theirs = self.stored, serving.stored
        unmarked = ours.manifest.audit is None and ours.digest == serving.digests[1]
        return ours.digest == theirs.digest or unmarked


def verify_bundle(path: Path, sha256: str | None = None) -> Candidate:
    """Hashes, audit of the graph and golden vectors of the bundle in `path`. Raises BundleRefused."""
    return Candidate(read_files(path, load_bundle(path, sha256=sha256, threads=1).digest))


def verify_version(layout: Layout, name: str, digest: str | None) -> Candidate:
    """A version of the registry as it was when it came in. Raises BundleRefused or RegistryRefused."""
    if not layout.holds(name):
        raise RegistryRefused(f"{name} is no version of {layout.path}; see `depois registry list`")
    return verify_bundle(layout.version(name), digest)


def add_version(layout: Layout, candidate: Candidate) -> None:
    """Copies the bundle into the registry, read-only, whole or not at all; nothing where it is there already.

    Raises RegistryRefused where the version is there with other bytes, or OutputFailed.
    """
    if layout.holds(candidate.version):
        _refuse_other_bytes(layout, candidate)
        return
    with new_folder(layout.version(candidate.version)) as draft:
        for name, content in candidate.stored.files.items():
            (draft / name).write_bytes(content)
            (draft / name).chmod(0o444)
        draft.chmod(0o555)


def _refuse_other_bytes(layout: Layout, candidate: Candidate) -> None:
    name = candidate.version
    try:
        found = read_files(layout.version(name)).digest
    except BundleRefused as error:
        raise RegistryRefused(
            f"version {name} is there already, and damaged: {error}. See who changed it, and move it away"
        ) from error
    if found != candidate.stored.digest:
        raise RegistryRefused(
            f"version {name} is there already with other bytes (sha256 {found[:12]}…, and not "
            f"{candidate.stored.digest[:12]}…). Versions are never changed: make the bundle with another --version"
        )
