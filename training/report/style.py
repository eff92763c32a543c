"""How figures look: SVG that names its fonts, the same bytes each time, and no ground of its own."""

from __future__ import annotations

from typing import Any

__all__ = ["figure_style"]


def figure_style(ink: str, muted: str) -> dict[Any, Any]:
    """Settings for `matplotlib.rc_context`: text in the colour `ink`; labels, ticks and edges in `muted`."""
    return {
        "svg.fonttype": "none",
        "svg.hashsalt": "depois",
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.facecolor": "none",
        "figure.facecolor": "none",
        "axes.linewidth": 0.8,
        "text.color": ink,
        "axes.labelcolor": muted,
        "axes.edgecolor": muted,
        "axes.titlecolor": ink,
        "axes.titlesize": 9,
        "xtick.color": muted,
        "ytick.color": muted,
        "legend.frameon": False,
        "legend.fontsize": 8,
        "figure.constrained_layout.use": True,
    }
