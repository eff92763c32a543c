"""How a text cell of a CSV file reads: alike for the snapshot and for the stream."""

from __future__ import annotations

__all__ = ["FALSE_CELLS", "GAP_CELLS", "TRUE_CELLS"]

GAP_CELLS = frozenset({"", "NA", "N/A", "NaN", "nan", "null", "NULL"})
"""Cells that mean "no value". `None` is not among them: real tables use it as a category."""

TRUE_CELLS = frozenset({"true", "True", "TRUE"})
FALSE_CELLS = frozenset({"false", "False", "FALSE"})
