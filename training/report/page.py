"""The page: what the template shows, computed from the parts of one training job."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from guard.calibration import Calibration, Fusion, fuse
from guard.conformal import rows_needed
from guard.manifest import Manifest, MemberCard
from guard.spec import ClassLabel, ImageInput
from training.allowance import allowance, percent, smallest_alpha
from training.learn import Learned
from training.report.figure import band_figure, curve_figure, histogram_figure
from training.report.samples import tell_samples
from training.report.template import render_template
from training.report.threshold import holding_score
from training.samples import Samples
from training.settings import JobSettings
from training.snapshot import Snapshot
from training.unlabelled import Unlabelled
from training.worth import FUSED, Worth

__all__ = ["MemberStory", "Story", "render_report"]

_ALPHAS = np.geomspace(0.001, 0.2, 48)
_MOST_LABELS = 30


@dataclass(frozen=True)
class Story:
    """One finished training job, as the report tells it."""

    manifest: Manifest
    settings: JobSettings
    snapshot: Snapshot
    learned: Learned
    samples: Samples | None
    calibration: Calibration
    fusion: Fusion
    worth: tuple[Worth, ...]
    unlabelled: Unlabelled | None = None


@dataclass(frozen=True)
class MemberStory:
    """One member: its card, where it starts to hold, its histogram, its training curves, its worth per challenge."""

    card: MemberCard
    threshold: float | None
    histogram: Markup
    curves: tuple[tuple[str, Markup], ...]
    worth: tuple[Worth, ...]


def render_report(story: Story) -> str:
    """report.html: one file, no outside links, safe whatever the snapshot's names are."""
    return render_template(Path(__file__).with_name("report.html.j2"), **_context(story))


def _context(story: Story) -> dict[str, Any]:
    manifest, plan = story.manifest, story.learned.data.plan
    return {
        "manifest": manifest,
        "snapshot": story.snapshot,
        "regression": manifest.spec.task == "regression",
        "image": isinstance(manifest.spec.input, ImageInput),
        "labels": _labels(story.snapshot),
        "allowance": allowance(story.fusion.alpha, story.fusion.rows, held_out=plan.held_out, found=story.fusion.band),
        "band": f"{percent(manifest.alpha.band[0])[:-2]}–{percent(manifest.alpha.band[1])}",
        "smallest_alpha": smallest_alpha(story.fusion.rows),
        "needed": rows_needed(story.fusion.alpha),
        "members": list(_members(story)),
        "fused": [worth for worth in story.worth if worth.member == FUSED],
        "challenges": list(dict.fromkeys(worth.challenge for worth in story.worth)),
        "bands": _bands(story),
        "augmenter": story.learned.data.augmenter,
        "choice": story.learned.choice,
        "losses": _losses(story),
        "samples": story.samples and tell_samples(story.samples, story.learned.preprocess),
        "unlabelled": story.unlabelled,
        "gains": [(member.name, found.stream) for member, found in story.learned.members if found.stream is not None],
        "command": _command(story.settings, story.unlabelled),
    }


def _labels(snapshot: Snapshot) -> list[tuple[str, int, float]]:
    """(label, rows, share of the largest) of each class, the largest first; ten ranges of numbers for regression."""
    label = snapshot.spec.label
    if isinstance(label, ClassLabel):
        counts = np.bincount(snapshot.y.astype(np.int64), minlength=len(label.values))
        order = np.argsort(-counts, kind="stable")[:_MOST_LABELS]
        return [(str(label.values[i]), int(counts[i]), float(counts[i] / counts.max())) for i in order]
    counts, edges = np.histogram(snapshot.y, bins=10)
    spans = [f"{low:.4g} – {high:.4g}" for low, high in pairwise(edges)]
    return [(span, int(n), float(n / counts.max())) for span, n in zip(spans, counts, strict=True)]


def _members(story: Story) -> Iterator[MemberStory]:
    for index, (card, (_, fitted)) in enumerate(zip(story.manifest.members, story.learned.members, strict=True)):
        threshold = holding_score(story.calibration, story.fusion, index)
        yield MemberStory(
            card=card,
            threshold=threshold,
            histogram=histogram_figure(story.calibration.scores[:, index], threshold),
            curves=tuple((name, curve_figure(curves)) for name, curves in _by_kind(fitted.curves).items()),
            worth=tuple(worth for worth in story.worth if worth.member == card.name),
        )


def _by_kind(curves: dict[str, list[float]]) -> dict[str, dict[str, list[float]]]:
    """Curves that differ by their fold alone share a figure: `generator, fold 1` is of the kind `generator`."""
    kinds: dict[str, dict[str, list[float]]] = {}
    for name, values in curves.items():
        kind = name.split("fold")[0].strip(" ,") or "loss"
        kinds.setdefault(kind, {})[name] = values
    return kinds


def _losses(story: Story) -> list[tuple[str, float, float]]:
    """(augmenter, mean loss, standard deviation over the splits), the best first; empty where nothing was compared."""
    choice = story.learned.choice
    if choice is None:
        return []
    found = [(name, float(np.mean(losses)), float(np.std(losses, ddof=1))) for name, losses in choice.losses.items()]
    return sorted(found, key=lambda each: each[1])


def _bands(story: Story) -> Markup:
    bands = [fuse(story.calibration, float(alpha)).band for alpha in _ALPHAS]
    edges = np.array([(band.low, band.high) for band in bands])
    return band_figure(_ALPHAS, edges, story.fusion.alpha, 1 / (story.fusion.rows + 1))


def _command(settings: JobSettings, unlabelled: Unlabelled | None) -> str:
    options = {name: value for name, value in asdict(settings).items() if name != "strict"}
    chosen = [f"--{name} {value:g}" if name == "alpha" else f"--{name} {value}" for name, value in options.items()]
    flags = [*(["--unlabelled FILE"] if unlabelled else []), *(["--strict"] if settings.strict else [])]
    return " ".join(["depois train SNAPSHOT --out BUNDLE", *chosen, *flags])
