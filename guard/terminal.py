"""Hostile text on a terminal: what a bundle or a sample says may not move the cursor or recolour the screen."""

from __future__ import annotations

__all__ = ["cell", "printable"]

_LONGEST_CELL = 200


def printable(content: object) -> str:
    """`content` as one line in which whatever is not printable stands as an escape."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in str(content))


def cell(content: object) -> str:
    """`content`, printable, cut to 200 characters: one cell of a table may not flood the screen."""
    text = str(content)
    return printable(text[:_LONGEST_CELL]) + ("…" if len(text) > _LONGEST_CELL else "")
