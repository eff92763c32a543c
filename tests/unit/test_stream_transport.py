from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from faust import streams
from faust.transport import consumer

from guard.errors import MissingRuntime
from guard.stream import transport

ROOT = Path(__file__).parents[2]


def test_installed_faust_is_the_one_whose_internals_are_overridden() -> None:
    transport.assert_internals()


def test_tested_versions_are_the_pinned_ones() -> None:
    pinned = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert {f"{name}=={version}" for name, version in transport.TESTED.items()} <= set(pinned)


@pytest.mark.parametrize("package", transport.TESTED)
def test_another_version_is_refused_by_name(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(transport.TESTED, package, "0.0.1")  # type: ignore[arg-type]
    with pytest.raises(MissingRuntime, match=rf"{package} 0\.0\.1 is needed.*pip install '{package}==0\.0\.1'"):
        transport.assert_internals()


def test_a_package_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(transport.TESTED, "no-such-package", "1")  # type: ignore[arg-type]
    with pytest.raises(MissingRuntime, match="no-such-package 1 is needed, none is installed"):
        transport.assert_internals()


def test_a_missing_internal_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(consumer.Consumer, "_wait_next_records")
    with pytest.raises(MissingRuntime, match=r"lacks Consumer\._wait_next_records"):
        transport.assert_internals()


def test_faust_without_its_compiled_iterator_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "_CStreamIterator", None)
    with pytest.raises(MissingRuntime, match="unset NO_CYTHON"):
        transport.assert_internals()
