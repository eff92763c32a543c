"""The arithmetic of α: what a number of calibration rows can hold the share of wrongly held samples to."""

from __future__ import annotations

import math

from guard.conformal import Band, band, rows_needed

__all__ = ["allowance", "percent", "smallest_alpha"]


def allowance(alpha: float, rows: int, *, held_out: bool, found: Band | None = None) -> str:
    """One sentence that says what α is worth with `rows` calibration rows, and what to do where that is little.

    `held_out`: one snapshot row in five calibrates (large snapshots) instead of every one; `found`: the band of the
    bundle, where classes are ranked apart; without it the band of `rows` ranked together.
    """
    found = band(alpha, [rows]) if found is None else found
    needed = rows_needed(alpha)
    said = f"α = {percent(alpha)} is guaranteed from {needed:,} calibration samples on; this snapshot has {rows:,}"
    span = f"{percent(found.low)}–{percent(found.high)}"
    if not found.extrapolated:
        return f"{said}: nine bundles out of ten will hold {span} of the clean samples"
    add = (needed - rows) * (5 if held_out else 1)
    return f"{said}: α is extrapolated (band {span}); use --alpha {smallest_alpha(rows):g} or add {add:,} trusted rows"


def smallest_alpha(rows: int) -> float:
    """The smallest α that `rows` calibration rows guarantee, 1 / (rows + 1), rounded up to two digits."""
    exact = 1 / (rows + 1)
    unit = 10 ** (math.floor(math.log10(exact)) - 1)
    return float(f"{math.ceil(exact / unit - 1e-9) * unit:.12g}")


def percent(share: float) -> str:
    """A share as text with two digits, such as `0.25 %`."""
    return f"{float(f'{100 * share:.2g}'):g} %"
