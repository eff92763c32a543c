"""A model bundle in use: parse → audit → construct, and the way back to files."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from pydantic import ValidationError

from guard.calibration import BoundaryRule, Calibration, Fusion, fuse
from guard.decode import Decoder
from guard.errors import BundleRefused, WrongUse
from guard.gate import AuditBound
from guard.golden import Golden, replay
from guard.graph import MAX_GRAPH_BYTES, audit_graph
from guard.judge import Judge, Scores
from guard.manifest import Alpha, Manifest
from guard.reference import Reference
from guard.runtime import Device, Runtime
from guard.spec import ClassLabel
from guard.store import StoredBundle, read_files, write_files
from guard.verdict import Verdict

__all__ = [
    "Bundle",
    "ParsedBundle",
    "Recalibrated",
    "carry_audit",
    "load_bundle",
    "parse_bundle",
    "recalibrate",
    "write_bundle",
]

_MIMIC = "mimic"
_AGAIN = "copy the bundle again from where it was made, or train it again"


@dataclass(frozen=True)
class ParsedBundle:
    """A bundle whose files are sound and agree with each other; nothing of it runs yet."""

    stored: StoredBundle
    calibration: Calibration
    golden: Golden
    reference: Reference

    @property
    def manifest(self) -> Manifest:
        """The manifest, as on disk."""
        return self.stored.manifest

    @cached_property
    def fusion(self) -> Fusion:
        """The fusion at the manifest's α and boundary."""
        return self.fusion_at(None, None)

    def fusion_at(self, alpha: float | None, boundary: BoundaryRule | None) -> Fusion:
        """The fusion at another α or boundary, None for the manifest's. Raises WrongUse."""
        names = [member.name for member in self.manifest.members]
        return fuse(
            self.calibration,
            self.manifest.alpha.value if alpha is None else alpha,
            rule=boundary or self.manifest.boundary,
            mimic=names.index(_MIMIC) if _MIMIC in names else None,
        )


@dataclass(frozen=True)
class Bundle:
    """A verified model bundle that judges samples.

    `digest`: SHA-256 of its manifest, the model hash of verdicts and summaries; `alpha`: what it is used at, with its
    band, which differs from the manifest's where `load_bundle` was given another α.
    """

    manifest: Manifest
    digest: str
    alpha: Alpha
    judgement: Judge
    reference: Reference

    def score(self, x: NDArray[Any], y: NDArray[Any]) -> Scores:
        """Scores of encoded `x` (m, …), `y` (m,), NaN where the graph fails. Raises WrongUse when not encoded."""
        return self.judgement.score(x, y)

    def judge(self, records: Sequence[bytes]) -> list[Verdict]:
        """One verdict per record of the wire format, in order. No record, whatever its bytes, makes it raise."""
        return self.judgement.judge(records)

    def judge_arrays(self, x: NDArray[Any], y: NDArray[Any]) -> list[Verdict]:
        """One verdict per encoded sample, in order. Raises WrongUse when they are not encoded as the spec says."""
        return self.judgement.judge_arrays(x, y)


def load_bundle(
    path: str | PathLike[str],
    *,
    device: Device = "cpu",
    alpha: float | None = None,
    boundary: BoundaryRule | None = None,
    sha256: str | None = None,
    threads: int = 0,
    max_record_bytes: int | None = None,
    max_graph_bytes: int = MAX_GRAPH_BYTES,
) -> Bundle:
    """Loads the bundle in the folder `path`: parse → audit → construct → replay golden vectors.

    `alpha` and `boundary` replace the manifest's; `sha256` pins the digest of manifest.json; `threads` 0: all cores.
    `max_record_bytes`: see `Decoder`. Raises BundleRefused when anything is missing, damaged, tampered with or too new;
    MissingRuntime; WrongUse for α.
    """
    parsed = parse_bundle(path, sha256=sha256, max_graph_bytes=max_graph_bytes)
    fusion = parsed.fusion_at(alpha, boundary)
    with _named(path):
        runtime = Runtime(parsed.stored.contents["model.onnx"], device, threads)
        spec = parsed.manifest.spec
        judge = Judge(spec, parsed.manifest.members, Decoder(spec, max_record_bytes), runtime, fusion)
        golden = parsed.golden
        replay(golden, judge.score(golden.x, golden.y).scores, parsed.calibration, parsed.fusion)
        _refuse_other_features(runtime, parsed)
    return Bundle(parsed.manifest, parsed.stored.digest, fusion.card, judge, parsed.reference)


def parse_bundle(
    path: str | PathLike[str], *, sha256: str | None = None, max_graph_bytes: int = MAX_GRAPH_BYTES
) -> ParsedBundle:
    """Reads, verifies and audits the bundle in the folder `path`, without ONNX Runtime. Raises BundleRefused."""
    with _named(path):
        stored = read_files(Path(path), sha256)
        manifest, contents = stored.manifest, stored.contents
        audit_graph(contents["model.onnx"], manifest.spec, len(manifest.members), max_graph_bytes)
        calibration = Calibration.from_bytes(contents["calibration.npz"])
        golden = Golden.from_bytes(contents["golden.npz"], manifest.spec)
        reference = Reference.from_bytes(contents["reference.npz"], manifest.spec)
        parsed = ParsedBundle(stored, calibration, golden, reference)
        _refuse_disagreement(parsed)
    return parsed


def write_bundle(
    path: str | PathLike[str],
    *,
    model: bytes,
    calibration: Calibration,
    golden: Golden,
    reference: Reference,
    report_html: str,
    manifest: Manifest,
    overwrite: bool = False,
) -> str:
    """Writes a bundle to the folder `path`, whole or not at all, and returns its digest.

    `manifest.files` is filled in here; leave it empty. Raises OutputFailed.
    """
    contents = {
        "model.onnx": model,
        "calibration.npz": calibration.to_bytes(),
        "golden.npz": golden.to_bytes(),
        "reference.npz": reference.to_bytes(),
        "report.html": report_html.encode(),
    }
    return write_files(Path(path), contents, manifest, overwrite=overwrite)


@dataclass(frozen=True)
class Recalibrated:
    """A bundle whose α or boundary was changed: what it was used at `before` and `after`, and its new digest."""

    before: Alpha
    after: Alpha
    boundary: BoundaryRule
    digest: str


def recalibrate(
    path: str | PathLike[str],
    *,
    alpha: float | None = None,
    boundary: BoundaryRule | None = None,
    version: str | None = None,
    out: str | PathLike[str] | None = None,
) -> Recalibrated:
    """Changes α or the boundary of the bundle in `path`: its manifest and golden verdicts, nothing of the network.

    `version`: its new version, as a registry wants for whatever has other bytes; None keeps the old one. `out`: the new
    folder to write; None replaces the bundle itself. Raises BundleRefused, WrongUse or OutputFailed.
    """
    parsed = parse_bundle(path)
    fusion = parsed.fusion_at(alpha, boundary)
    golden = Golden.judged(fusion, parsed.golden.x, parsed.golden.y, parsed.golden.scores)
    changes = {"alpha": fusion.card, "boundary": fusion.rule, "version": version or parsed.manifest.version}
    manifest = _changed(parsed.manifest, changes)
    contents = {**parsed.stored.contents, "golden.npz": golden.to_bytes()}
    digest = write_files(Path(path if out is None else out), contents, manifest, overwrite=out is None)
    return Recalibrated(parsed.manifest.alpha, manifest.alpha, fusion.rule, digest)


def carry_audit(path: str | PathLike[str], audit: AuditBound, out: str | PathLike[str] | None = None) -> str:
    """Puts the audit of its snapshot into the manifest of the bundle in `path`, and returns its new digest.

    `out`: the new folder to write; None replaces the bundle itself. Raises BundleRefused, OutputFailed, and WrongUse
    for an audit of another snapshot.
    """
    stored = parse_bundle(path).stored
    if audit.snapshot_digest != stored.manifest.snapshot_digest:
        raise WrongUse(
            f"the audit is about the snapshot {audit.snapshot_digest[:12]}…, but {Path(path)} was trained on "
            f"{stored.manifest.snapshot_digest[:12]}…; audit that one"
        )
    marked = stored.with_audit(audit)
    return write_files(Path(path if out is None else out), marked.contents, marked.manifest, overwrite=out is None)


def _changed(manifest: Manifest, changes: dict[str, Any]) -> Manifest:
    try:
        return Manifest.model_validate({**dict(manifest), **changes})
    except ValidationError as error:
        raise WrongUse(
            f"{changes['version']!r} is no version: write letters, digits, dots, dashes and underscores, at most 64"
        ) from error


@contextmanager
def _named(path: str | PathLike[str]) -> Iterator[None]:
    """Puts the bundle's path before what is wrong with it."""
    try:
        yield
    except BundleRefused as error:
        raise BundleRefused(f"{Path(path)}: {error}") from error


def _refuse_other_features(runtime: Runtime, parsed: ParsedBundle) -> None:
    width = runtime.run(["features"], parsed.golden.x[:1], parsed.golden.y[:1])[0].shape[1:]
    if parsed.reference.features.shape[1:] != width:
        raise BundleRefused(f"reference.npz: its features are not those of model.onnx, {width} wide; {_AGAIN}")


def _refuse_disagreement(parsed: ParsedBundle) -> None:
    """Refuses files that are each sound but do not belong together."""
    manifest, calibration = parsed.manifest, parsed.calibration
    names = [member.name for member in manifest.members]
    classes = len(manifest.spec.label.values) if isinstance(manifest.spec.label, ClassLabel) else 1
    agreements = {
        "members stand twice": len(set(names)) == len(names),
        "members are not those of calibration.npz": calibration.weights.tolist()
        == [member.weight for member in manifest.members],
        "alpha.calibration_rows is not that of calibration.npz": manifest.alpha.calibration_rows
        == len(calibration.scores),
        "spec has fewer classes than calibration.npz": int(calibration.labels.max()) < classes,
        "boundary zscore has no member 'mimic'": manifest.boundary != "zscore" or _MIMIC in names,
    }
    for fault, agrees in agreements.items():
        if not agrees:
            raise BundleRefused(f"manifest.json: {fault}; {_AGAIN}")
    if not _agree(parsed.fusion.card, manifest.alpha):
        raise BundleRefused(f"manifest.json: the band of alpha does not follow from calibration.npz; {_AGAIN}")


def _agree(found: Alpha, printed: Alpha) -> bool:
    """Bands of extrapolated α are simulated; another version of NumPy may draw them a little apart."""
    near = all(math.isclose(a, b, rel_tol=0.1) for a, b in zip(found.band, printed.band, strict=True))
    return near and found.extrapolated == printed.extrapolated
