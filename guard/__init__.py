"""The online half: decode, score and judge samples against a verified bundle. Loads neither torch nor `training`.

A batch of records, judged in three lines:

    bundle = guard.load_bundle("bundle")
    for verdict in bundle.judge(Path("samples.jsonl").read_bytes().splitlines()):
        print(verdict.status, verdict.reason, verdict.p_value)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from guard.bundle import Bundle, load_bundle, write_bundle
    from guard.errors import (
        BundleRefused,
        GuardError,
        InputUnreadable,
        MissingRuntime,
        OutputFailed,
        SnapshotRefused,
        WrongUse,
    )
    from guard.verdict import HoldReason, RejectReason, Status, Verdict

__all__ = [
    "Bundle",
    "BundleRefused",
    "GuardError",
    "HoldReason",
    "InputUnreadable",
    "MissingRuntime",
    "OutputFailed",
    "RejectReason",
    "SnapshotRefused",
    "Status",
    "Verdict",
    "WrongUse",
    "load_bundle",
    "write_bundle",
]

_HOMES = {
    "guard.bundle": ("Bundle", "load_bundle", "write_bundle"),
    "guard.verdict": ("HoldReason", "RejectReason", "Status", "Verdict"),
}


def __getattr__(name: str) -> Any:
    """Loads the home of a public name on first use: `import guard` alone costs next to nothing."""
    if name not in __all__:
        raise AttributeError(f"module 'guard' has no attribute {name!r}")
    home = next((home for home, names in _HOMES.items() if name in names), "guard.errors")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
