"""The plots of the page, as SVG files that are legible on light and on dark ground."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.defences.baselines import DEFENCES
from training.experiments.roster import GUARD, PUBLISHED, TAUGHT
from training.report.style import figure_style

__all__ = ["Line", "bars", "histogram", "lines"]

_INK = "#808080"
_COLOURS = (
    *("#d6494b", "#3b82c4", "#2f9e5b", "#d97706", "#9b6bd3"),
    *("#17a2b8", "#b07d62", "#c23b8f", "#7f8c1f", "#e59a9b"),
)
_METHODS = (GUARD, PUBLISHED, *(defence.name for defence in DEFENCES), TAUGHT)
"""A method has the same colour in all plots."""

_STYLE = figure_style(_INK, _INK)

_PRINTED = " (printed)"

Line = Mapping[float, float]
"""x → y."""


def lines(path: Path, panels: Mapping[str, Mapping[str, Line]], across: str) -> None:
    """One panel for each figure, one line for each method; `across`: what stands on the horizontal axes.

    The guard's line is thick, and dashed lines are printed values.
    """
    with rc_context(_STYLE):
        figure, axes = _panels(len(panels))
        for one, (title, methods) in zip(axes, panels.items(), strict=True):
            for name, line in methods.items():
                _line(one, name, line)
            one.set(title=title, xlabel=across, ylim=(-0.02, 1.02))
        handles = {text: handle for one in axes for handle, text in zip(*one.get_legend_handles_labels(), strict=True)}
        figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4)
        _save(figure, path)


def bars(path: Path, panels: Mapping[str, Mapping[str, float]]) -> None:
    """One panel for each data set, one bar for each variant."""
    with rc_context(_STYLE):
        figure, axes = _panels(len(panels))
        for one, (title, values) in zip(axes, panels.items(), strict=True):
            one.bar(range(len(values)), list(values.values()), color=_COLOURS[: len(values)])
            one.set_xticks(range(len(values)), list(values), rotation=30, ha="right", fontsize=7)
            one.set(title=title, ylim=(0, 1))
        _save(figure, path)


def histogram(path: Path, found: Mapping[str, Any]) -> None:
    """Critic values of clean rows and of poison, and y_thr; `found` as `training.experiments.methods.histogram`."""
    with rc_context(_STYLE):
        figure = Figure(figsize=(5.2, 2.6))
        axes = figure.add_subplot()
        for index, kind in enumerate(("poison", "clean")):
            axes.stairs(found[kind], found["edges"], fill=True, alpha=0.5, color=_COLOURS[index], label=kind)
        axes.axvline(found["threshold"], color=_INK, linestyle="--", label="y_thr")
        axes.set(xlabel="critic value", ylabel="share of rows")
        axes.legend()
        _save(figure, path)


def _line(axes: Axes, name: str, line: Line) -> None:
    base = name.removesuffix(_PRINTED)
    colour = _COLOURS[_METHODS.index(base)] if base in _METHODS else _INK
    style = "--" if name.endswith(_PRINTED) else "-"
    width = 2.2 if name == GUARD else 1.1
    xs = sorted(line)
    axes.plot(xs, [line[x] for x in xs], style, marker="o", markersize=2.5, linewidth=width, color=colour, label=name)


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(2.9 * count, 2.9))
    return figure, [figure.add_subplot(1, count, index + 1) for index in range(count)]


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
