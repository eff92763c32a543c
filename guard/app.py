"""For those who know Faust: `GUARD_CONFIG=guard.toml faust -A guard.app worker` runs what `depois guard run` runs."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

__all__: list[str] = []

_CONFIG = "GUARD_CONFIG"
"""Names the settings file, because Faust's command line is Faust's; without it the environment is all there is."""


def __getattr__(name: str) -> Any:
    """`app`, made when it is first asked for: importing this module reads no settings and connects to nothing."""
    if name != "app":
        raise AttributeError(name)
    return _app()


@cache
def _app() -> Any:
    from guard.stream.app import GuardApp
    from guard.stream.settings import load_settings

    path = os.environ.get(_CONFIG)
    return GuardApp(load_settings(Path(path) if path else None))
