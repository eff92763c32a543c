"""Figures as inline SVG that follows the page's colours, and pictures as data URIs. No text from the data is drawn."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, PercentFormatter
from numpy.typing import NDArray
from PIL import Image

from training.report.style import figure_style

__all__ = ["band_figure", "curve_figure", "histogram_figure", "overlay_figure", "picture", "scatter_figure"]

Floats = NDArray[np.floating[Any]]

_INK, _MUTED, _ACCENT, _ALARM = "#010101", "#020202", "#030303", "#040404"
_VARIABLES = {_INK: "--ink", _MUTED: "--muted", _ACCENT: "--accent", _ALARM: "--alarm"}
"""Placeholder colours; the page's style sheet says what they are by day and by night."""

_STYLE = figure_style(_INK, _MUTED)
_NARROW, _WIDE = (3.3, 2.1), (5.2, 2.8)
_DASHES = ("-", "--", ":", "-.")


def histogram_figure(scores: Floats, threshold: float | None) -> Markup:
    """Calibration scores (n,) of one member, counts on a logarithmic axis, and the score from which it holds."""
    with rc_context(_STYLE):
        figure, axes = _axes(_NARROW)
        edge = scores.max() if threshold is None else max(scores.max(), threshold)
        axes.hist(scores, bins=_bins(scores.min(), edge, 40), color=_ACCENT, log=True)
        if threshold is not None:
            axes.axvline(threshold, color=_ALARM, linewidth=1.4)
        axes.set_xlabel("score of trusted rows")
        axes.set_ylabel("rows")
        return _svg(figure)


def band_figure(alphas: Floats, bands: Floats, alpha: float, guaranteed_from: float) -> Markup:
    """What each α is held to: `alphas` (m,), `bands` (m, 2); left of `guaranteed_from` α is extrapolated."""
    with rc_context(_STYLE):
        figure, axes = _axes(_WIDE)
        axes.fill_between(alphas, bands[:, 0], bands[:, 1], color=_ACCENT, alpha=0.25, linewidth=0)
        axes.plot(alphas, alphas, color=_MUTED, linewidth=0.9, linestyle="--")
        if guaranteed_from > alphas[0]:
            axes.axvspan(alphas[0], guaranteed_from, color=_ALARM, alpha=0.12, linewidth=0)
        axes.axvline(alpha, color=_ALARM, linewidth=1.4)
        axes.set(xscale="log", yscale="log", xlim=(alphas[0], alphas[-1]), xlabel="α that is set", ylabel="share held")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(PercentFormatter(1, decimals=None))
            axis.set_minor_formatter(NullFormatter())
        axes.set_ylim(max(bands[:, 0].min(), alphas[0] / 30), bands[:, 1].max())
        return _svg(figure)


def curve_figure(curves: Mapping[str, list[float]]) -> Markup:
    """Training curves of one kind, one line each, over the share of training that is done."""
    with rc_context(_STYLE):
        figure, axes = _axes(_NARROW)
        for index, values in enumerate(curves.values()):
            share = np.linspace(0, 100, len(values)) if len(values) > 1 else np.array([100.0])
            style = _DASHES[index % len(_DASHES)]
            axes.plot(share, values, color=_ACCENT, linewidth=1.1, linestyle=style, alpha=1 - 0.6 * index / len(curves))
        axes.set_xlabel("training done, %")
        return _svg(figure)


def overlay_figure(real: Floats, synthetic: Floats) -> Markup:
    """Marginal distributions of real and synthetic values (n,), (m,), each as a share."""
    with rc_context(_STYLE):
        figure, axes = _axes(_NARROW)
        both = np.concatenate([real, synthetic])
        bins = _bins(both.min(), both.max(), 25)
        for values, colour in ((real, _ACCENT), (synthetic, _ALARM)):
            axes.hist(values, bins, weights=np.full(len(values), 1 / len(values)), color=colour, histtype="step")
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        return _svg(figure)


def scatter_figure(real: Floats, synthetic: Floats) -> Markup:
    """Real and synthetic points in the plane, (n, 2) and (m, 2)."""
    with rc_context(_STYLE):
        figure, axes = _axes(_WIDE)
        axes.plot(*synthetic.T, "x", color=_ALARM, markersize=3, markeredgewidth=0.7, alpha=0.6)
        axes.plot(*real.T, "o", color=_ACCENT, markersize=2.4, markeredgewidth=0, alpha=0.7)
        axes.set_xlabel("first principal component")
        axes.set_ylabel("second")
        return _svg(figure)


def picture(images: NDArray[np.uint8]) -> str:
    """Images (rows, columns, height, width, channels) side by side as the data URI of one PNG."""
    rows, columns, height, width, channels = images.shape
    framed = np.pad(images, ((0, 0), (0, 0), (0, 1), (0, 1), (0, 0)), constant_values=128)
    tiled = framed.transpose(0, 2, 1, 3, 4).reshape(rows * (height + 1), columns * (width + 1), channels)
    file = io.BytesIO()
    Image.fromarray(tiled[..., 0] if channels == 1 else tiled).save(file, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def _axes(size: tuple[float, float]) -> tuple[Figure, Axes]:
    figure = Figure(figsize=size)
    return figure, figure.add_subplot()


def _bins(low: float, high: float, count: int) -> list[float]:
    """Edges of `count` bins, also where all values are the same."""
    least = 1e-6 * max(abs(low), abs(high), 1e-6)
    edges: list[float] = np.linspace(low, max(high, low + least) + least, count + 1).tolist()
    return edges


def _svg(figure: Figure) -> Markup:
    """The figure as an <svg> element: no metadata, no addresses, no ids of groups, colours by name."""
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    text = file.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(r' xmlns(:\w+)?="[^"]*"| id="(?![mp][0-9a-f]{10}")[^"]*"', "", text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    return Markup(text)  # noqa: S704 – drawn from numbers alone, see above
