"""Hostile text on a terminal: what a bundle or a sample says may not move the cursor or recolour the screen."""

from __future__ import annotations

__all__ = ["printable"]

_LONGEST = 200


def printable(content: object) -> str:
    """`content` as one line of at most 200 characters, in which what is not printable stands as an escape."""
    text = str(content)
    cut = "…" if len(text) > _LONGEST else ""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[:_LONGEST]) + cut
