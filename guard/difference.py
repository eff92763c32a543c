"""What differs between two bundles: every entry of their manifests, and the size of every file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from guard.store import StoredBundle

__all__ = ["Difference", "differences"]


@dataclass(frozen=True)
class Difference:
    """One entry that is not alike: its dotted name, and its value in either bundle (None where it is absent)."""

    entry: str
    left: Any
    right: Any


def differences(left: StoredBundle, right: StoredBundle) -> list[Difference]:
    """Every entry in which two bundles differ, in the order of the manifest; members and columns by their names."""
    one, other = dict(_entries(left)), dict(_entries(right))
    return [
        Difference(entry, one.get(entry), other.get(entry))
        for entry in dict.fromkeys([*one, *other])
        if one.get(entry) != other.get(entry)
    ]


def _entries(stored: StoredBundle) -> Iterator[tuple[str, Any]]:
    yield from _flattened("", stored.manifest.model_dump(mode="json"))
    for name, data in stored.contents.items():
        yield f"size.{name}", len(data)


def _flattened(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flattened(f"{prefix}.{key}" if prefix else str(key), inner)
    elif isinstance(value, list) and value and all(isinstance(inner, dict) and "name" in inner for inner in value):
        yield f"{prefix} (order)", [inner["name"] for inner in value]
        yield from _flattened(prefix, {inner["name"]: inner for inner in value})
    else:
        yield prefix, value
