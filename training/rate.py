"""A counted rate, with the interval in which the rate behind it lies."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import JsonValue
from scipy.stats import beta

__all__ = ["Rate"]

_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Rate:
    """`count` of `total`, with the exact (Clopper-Pearson) 95 % interval of the rate behind it."""

    count: int
    total: int

    @property
    def value(self) -> float:
        """The rate; NaN where nothing was counted."""
        return self.count / self.total if self.total else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """Lower and upper bound."""
        tail = (1 - _CONFIDENCE) / 2
        low = beta.ppf(tail, self.count, self.total - self.count + 1) if self.count else 0.0
        high = beta.ppf(1 - tail, self.count + 1, self.total - self.count) if self.count < self.total else 1.0
        return float(low), float(high)

    @property
    def spelled(self) -> str:
        """Per cent with one decimal, or a dash where nothing was counted."""
        return f"{100 * self.value:.1f} %" if self.total else "–"

    @property
    def spelled_interval(self) -> str:
        """Both bounds, in per cent with one decimal."""
        low, high = self.interval
        return f"{100 * low:.1f}–{100 * high:.1f} %"

    @property
    def as_json(self) -> dict[str, JsonValue]:
        """Counts, share and interval; the share is null where nothing was counted."""
        low, high = self.interval
        share = self.value if self.total else None
        return {"count": self.count, "of": self.total, "share": share, "interval_95": [low, high]}
