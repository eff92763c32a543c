"""Pages from templates: HTML in which whatever came from a sample is escaped, and an unknown name is an error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from training.allowance import percent

__all__ = ["render_template"]


def render_template(path: Path, **context: Any) -> str:
    """The template at `path` with the names of `context`; the filter `percent` spells shares."""
    environment = Environment(
        loader=FileSystemLoader(path.parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = percent
    return environment.get_template(path.name).render(**context)
