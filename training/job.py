"""The training job: a trusted snapshot in, a verified model bundle out, or nothing at all."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
from pydantic import JsonValue

from guard.bundle import load_bundle, write_bundle
from guard.calibration import MINIMUM_ROWS, Fusion
from guard.conformal import rows_needed
from guard.errors import BundleRefused, SnapshotRefused, TrainingFailed, WrongUse
from guard.folder import require_free
from guard.gate import AuditBound
from guard.manifest import FORMAT_VERSION, Manifest
from guard.rfc3339 import now_text
from training.allowance import allowance
from training.assemble import assemble, calibrate, member_cards
from training.device import DeviceName, deterministic, resolve_device, torch_settings
from training.folds import FoldPlan, plan_folds
from training.learn import AugmenterOption, Learned, Stages, learn
from training.presets import PRESETS, PresetName
from training.progress import Progress, Silent
from training.report.page import Story, render_report
from training.samples import draw_samples
from training.settings import JobSettings
from training.snapshot import Snapshot
from training.unlabelled import COUNTS, Unlabelled
from training.worth import Worth, challenges, measure_worth
from training.wrong_labels import wrong_labels

__all__ = ["TrainedBundle", "train_bundle"]

_LIBRARIES = ("depois-guard", "numpy", "onnx", "onnxruntime", "onnxruntime-gpu", "onnxscript", "scikit-learn", "torch")


@dataclass(frozen=True)
class TrainedBundle:
    """A bundle that was written and loaded again. `digest`: SHA-256 of its manifest, by which it can be pinned."""

    path: Path
    manifest: Manifest
    digest: str
    worth: tuple[Worth, ...]


def train_bundle(
    snapshot: Snapshot,
    out: str | Path,
    *,
    alpha: float = 0.01,
    preset: PresetName = "standard",
    device: DeviceName = "auto",
    seed: int = 0,
    augmenter: AugmenterOption = "auto",
    name: str = "guard",
    version: str = "1",
    strict: bool = False,
    unlabelled: Unlabelled | None = None,
    audit: AuditBound | None = None,
    progress: Progress | None = None,
) -> TrainedBundle:
    """Trains a bundle and writes it to the folder `out`, whole or not at all.

    `alpha`: the share of clean samples that may be held; `augmenter`: what makes synthetic rows for the mimic, `auto`
    the one that wins on held-out trusted rows; `name`, `version`: how verdicts name the bundle; `strict`
    refuses an α that the snapshot is too small to guarantee; `unlabelled`: rows of the stream, from which members learn
    beside the snapshot where that helps on trusted labels that they have not seen; `audit`: of this snapshot, where
    somebody looked for poison in it; the bundle carries it. The same snapshot, stream, settings and number of threads
    give the same scores on the same kind of device.

    Raises WrongUse for settings that cannot be meant (as unlabelled rows beside numbers), OutputFailed when `out`
    exists or cannot be written, SnapshotRefused when the snapshot is too small (with `strict`: for α), TrainingFailed
    when the exported graph does not say what the networks say.
    """
    settings = JobSettings(alpha, preset, device, seed, augmenter, name, version, strict)
    if unlabelled is not None and snapshot.spec.task == "regression":
        raise WrongUse("unlabelled rows teach which class they belong to, but these labels are numbers; leave them out")
    return _train(snapshot, Path(out), settings, unlabelled, audit, progress or Silent())


def _train(
    snapshot: Snapshot,
    path: Path,
    settings: JobSettings,
    unlabelled: Unlabelled | None,
    audit: AuditBound | None,
    progress: Progress,
) -> TrainedBundle:
    device = resolve_device(settings.device)
    plan = plan_folds(snapshot, PRESETS[settings.preset].folds)
    _refuse_early(path, plan, settings)
    _refuse_other_audit(audit, snapshot)
    stages = Stages()
    with deterministic():
        preset, seed = PRESETS[settings.preset], settings.seed
        stream = None if unlabelled is None else unlabelled.x
        learned = learn(snapshot, plan, preset, seed, device, progress, stages, settings.augmenter, stream)
        with stages.stage("samples"):
            samples = draw_samples(learned.data, learned.choice)
        calibration, fusion = calibrate(learned, snapshot, settings.alpha)
        with stages.stage("worth", progress):
            worth = _worth(learned, snapshot, fusion)
        with stages.stage("export", progress):
            parts = assemble(learned, snapshot, calibration, fusion)
        manifest = _manifest(learned, snapshot, settings, unlabelled, fusion, worth, stages)
        manifest = manifest.model_copy(update={"audit": audit})
    with stages.stage("report", progress):
        report = render_report(
            Story(manifest, settings, snapshot, learned, samples, calibration, fusion, worth, unlabelled)
        )
    digest = write_bundle(
        path,
        model=parts.model,
        calibration=calibration,
        golden=parts.golden,
        reference=parts.reference,
        report_html=report,
        manifest=manifest,
    )
    return TrainedBundle(path, _verified(path, digest), digest, worth)


def _refuse_early(path: Path, plan: FoldPlan, settings: JobSettings) -> None:
    """What can be known before hours of training."""
    rows = len(plan.calibration)
    require_free(path)
    if rows < MINIMUM_ROWS:
        raise SnapshotRefused(
            f"{rows} calibration rows are fewer than {MINIMUM_ROWS}: nothing could be calibrated; "
            f"add {MINIMUM_ROWS - rows} trusted rows"
        )
    if settings.strict and rows < rows_needed(settings.alpha):
        raise SnapshotRefused(
            f"{allowance(settings.alpha, rows, held_out=plan.held_out)}; --strict refuses an extrapolated α"
        )


def _refuse_other_audit(audit: AuditBound | None, snapshot: Snapshot) -> None:
    if audit is not None and audit.snapshot_digest != snapshot.digest:
        raise WrongUse(
            f"the audit is about the snapshot {audit.snapshot_digest[:12]}…, and this one is {snapshot.digest[:12]}…; "
            "audit this one, or train without an audit"
        )


def _worth(learned: Learned, snapshot: Snapshot, fusion: Fusion) -> tuple[Worth, ...]:
    data = learned.data
    wrong = wrong_labels(snapshot.y[data.plan.calibration], snapshot.spec, np.random.default_rng([data.seed, 1]))
    members = [(member.name, fitted) for member, fitted in learned.members]
    posed = challenges(data, learned.targets(wrong), data.seed + 1)
    return tuple(worth for challenge in posed for worth in measure_worth(data, challenge, members, fusion))


def _manifest(
    learned: Learned,
    snapshot: Snapshot,
    settings: JobSettings,
    unlabelled: Unlabelled | None,
    fusion: Fusion,
    worth: tuple[Worth, ...],
    stages: Stages,
) -> Manifest:
    return Manifest(
        format_version=FORMAT_VERSION,
        name=settings.name,
        version=settings.version,
        created=now_text(),
        spec=snapshot.spec,
        members=member_cards(learned),
        alpha=fusion.card,
        snapshot_digest=snapshot.digest,
        training={**_training(learned, settings, stages), **_stream(learned, unlabelled)},
        metrics=_metrics(worth),
        libraries=_libraries(),
        files={},
    )


def _training(learned: Learned, settings: JobSettings, stages: Stages) -> dict[str, JsonValue]:
    plan = learned.data.plan
    return {
        "preset": settings.preset,
        "seed": settings.seed,
        "device": settings.device,
        "augmenter": _augmenter(learned),
        "rows": len(learned.data.y),
        "calibration_rows": len(plan.calibration),
        "held_out": plan.held_out,
        "folds": len(plan.folds),
        "seconds": dict(stages.seconds),
        "torch": dict(torch_settings(learned.data.device)),
    }


def _stream(learned: Learned, unlabelled: Unlabelled | None) -> dict[str, JsonValue]:
    """Where the unlabelled rows come from, what became of the others, and what they did for each member."""
    if unlabelled is None:
        return {}
    told: dict[str, JsonValue] = {name: getattr(unlabelled, name) for name in ("name", "sha256", *COUNTS)}
    gains = {member.name: fitted.stream for member, fitted in learned.members if fitted.stream is not None}
    members: dict[str, JsonValue] = {name: {**asdict(gain), "kept": gain.kept} for name, gain in gains.items()}
    return {"unlabelled": {**told, "rows": len(unlabelled.x), "members": members}}


def _augmenter(learned: Learned) -> dict[str, JsonValue]:
    """The augmenter, and by how much each beats none on held-out trusted rows: mean and spread over the splits."""
    choice = learned.choice
    if choice is None:
        return {"name": learned.data.augmenter, "chosen_by": "operator"}
    gains = {name: choice.gain(name) for name in choice.losses if name != "none"}
    said: dict[str, JsonValue] = {name: {"mean": round(m, 5), "spread": round(s, 5)} for name, (m, s) in gains.items()}
    return {"name": choice.name, "chosen_by": "auto", "measure": choice.measure, "gain": said}


def _metrics(worth: tuple[Worth, ...]) -> dict[str, JsonValue]:
    """Challenge → member → AUROC and recall at α: a self-test on trusted rows."""
    found: dict[str, dict[str, JsonValue]] = {one.challenge: {} for one in worth}
    for one in worth:
        found[one.challenge][one.member] = {"auroc": round(one.auroc, 4), "recall": round(one.recall, 4)}
    return {**found}


def _libraries() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _verified(path: Path, digest: str) -> Manifest:
    """The manifest of the bundle as the guard loads it. What the guard refuses is removed again."""
    try:
        return load_bundle(path, sha256=digest).manifest
    except BundleRefused as refused:
        shutil.rmtree(path, ignore_errors=True)
        raise TrainingFailed(f"the guard refuses the new bundle, it was removed: {refused}") from refused
