"""A counted rate, with the interval in which the rate behind it lies."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import JsonValue

from guard.clopper_pearson import lower_bound, upper_bound

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
        return lower_bound(self.count, self.total, tail), upper_bound(self.count, self.total, tail)

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
