"""`report.html` of the demo: one file without outside links; what was held, and what was held or missed wrongly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from guard.errors import OutputFailed
from guard.spec import ClassLabel, ImageInput, InputSpec
from training.demo.measure import Told
from training.demo.pictures import image_uri, scatter
from training.demo.run import Demo
from training.demo.scenario import HONEST, JUNK
from training.report.template import render_template

__all__ = ["Example", "render_report", "write_report"]

_CAUGHT, _MISSED, _ALARMS, _JUNK = 14, 14, 21, 20


@dataclass(frozen=True)
class Example:
    """One sample as the report shows it; `picture` is a `data:` address, empty for tables."""

    picture: str
    source: str
    line: int
    claimed: str
    suggested: str
    truth: str
    p_value: str
    member: str


def write_report(demo: Demo) -> Path:
    """Writes `report.html` into the demo's folder and returns its path. Raises OutputFailed."""
    path = demo.settings.out / "report.html"
    try:
        path.write_text(render_report(demo), encoding="utf-8")
    except OSError as error:
        raise OutputFailed(f"{path} cannot be written ({error.strerror}); name another folder with --out") from error
    return path


def render_report(demo: Demo) -> str:
    """The report as HTML; whatever came from a sample is escaped."""
    spec, told = demo.scenario.dataset.spec, demo.told
    groups = {attack.name: [t for t in told if t.entry.kind == attack.name] for attack in demo.scenario.attacks}
    return render_template(
        Path(__file__).with_name("report.html.j2"),
        demo=demo,
        figures=demo.figures,
        attacks=demo.scenario.attacks,
        caught={name: _examples([t for t in rows if t.held], _CAUGHT, spec) for name, rows in groups.items()},
        missed={name: _examples([t for t in rows if not t.held], _MISSED, spec) for name, rows in groups.items()},
        alarms=_examples([t for t in told if t.held and t.entry.kind == HONEST], _ALARMS, spec),
        junk=[t for t in told if t.entry.kind == JUNK][:_JUNK],
        dots=scatter((demo.scenario.x, demo.scenario.y), told, spec),
        classes=spec.label.values if isinstance(spec.label, ClassLabel) else (),
    )


def _examples(told: Sequence[Told], count: int, spec: InputSpec) -> list[Example]:
    """At most `count` of them, at even distances along the stream: neither the best nor the worst."""
    step = max(1.0, len(told) / count)
    return [_example(told[int(place * step)], spec) for place in range(min(count, len(told)))]


def _example(told: Told, spec: InputSpec) -> Example:
    entry, verdict = told.entry, told.verdict
    return Example(
        picture=image_uri(entry.x) if entry.x is not None and isinstance(spec.input, ImageInput) else "",
        source=entry.source,
        line=told.line,
        claimed=_label(entry.y, spec),
        suggested="" if verdict is None or verdict.suggested_label is None else _short(verdict.suggested_label),
        truth=_label(entry.y_true, spec),
        p_value="" if verdict is None or verdict.p_value is None else f"{verdict.p_value:.2g}",
        member="" if verdict is None else verdict.member or "",
    )


def _label(encoded: float | None, spec: InputSpec) -> str:
    if encoded is None:
        return ""
    return _short(spec.label.values[int(encoded)] if isinstance(spec.label, ClassLabel) else encoded)


def _short(label: str | int | float) -> str:
    return f"{label:.3f}" if isinstance(label, float) else str(label)
