"""The shape of the house, held by tests: who may import whom, how long things are, what is documented."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import guard
import training

ROOT = Path(__file__).parents[2]
SOURCES = sorted([*(ROOT / "guard").rglob("*.py"), *(ROOT / "training").rglob("*.py")])
PYTHON_FILES = sorted([*SOURCES, *(ROOT / "tests").rglob("*.py"), *(ROOT / "deploy").rglob("*.py")])
MODULES = sorted(
    found.name
    for package in (guard, training)
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    if not found.name.endswith("__main__")
)
FORBIDDEN = {
    "guard": {"torch", "training", "sklearn", "scipy", "matplotlib"},
}


def function_lengths(path: Path) -> Iterator[int]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            yield body[-1].end_lineno - body[0].lineno + 1 if body and body[-1].end_lineno else 1


def imported_roots(path: Path) -> set[str]:
    roots: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            roots |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            roots.add(node.module.split(".")[0])
    return roots


def test_guard_never_names_torch_or_training() -> None:
    offenders = {
        str(path.relative_to(ROOT)): bad
        for path in SOURCES
        if path.is_relative_to(ROOT / "guard") and (bad := imported_roots(path) & FORBIDDEN["guard"])
    }
    assert offenders == {}


def test_importing_all_of_guard_loads_neither_torch_nor_training() -> None:
    names = [name for name in MODULES if name.startswith("guard")]
    code = f"import importlib, sys; [importlib.import_module(n) for n in {names!r}]; print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = {name.split(".")[0] for name in out.stdout.split()}
    assert "guard" in loaded
    assert loaded & FORBIDDEN["guard"] == set()


@pytest.mark.parametrize("path", PYTHON_FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_is_longer_than_500_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 500


def test_functions_are_short() -> None:
    lengths = sorted(length for path in SOURCES for length in function_lengths(path))
    assert statistics.median(lengths) <= 9
    assert lengths[int(0.9 * len(lengths))] <= 30


def public_objects(module: ModuleType) -> Iterator[tuple[str, object]]:
    for name in module.__all__:
        yield name, getattr(module, name)


@pytest.mark.parametrize("name", MODULES)
def test_all_is_true(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__, f"{name} has no docstring"
    if Path(str(module.__file__)).name == "__init__.py" and not hasattr(module, "__all__"):
        return
    exported = set(module.__all__)
    assert len(exported) == len(module.__all__), "a name stands twice in __all__"
    for missing in exported:
        assert hasattr(module, missing), f"{name}.__all__ names {missing}, which is not there"
    own = {
        key
        for key, value in vars(module).items()
        if (inspect.isclass(value) or inspect.isroutine(value))
        and getattr(value, "__module__", None) == name
        and not key.startswith("_")
    }
    assert own <= exported, f"public but not in {name}.__all__: {sorted(own - exported)}"


@pytest.mark.parametrize("name", MODULES)
def test_public_names_are_documented_and_annotated(name: str) -> None:
    module = importlib.import_module(name)
    for public, value in public_objects(module) if hasattr(module, "__all__") else ():
        if inspect.isclass(value) or inspect.isfunction(value):
            assert inspect.getdoc(value), f"{name}.{public} has no docstring"
        if inspect.isfunction(value):
            signature = inspect.signature(value)
            bare = [p.name for p in signature.parameters.values() if p.annotation is inspect.Parameter.empty]
            assert not bare, f"{name}.{public}: no annotation on {bare}"
            assert signature.return_annotation is not inspect.Signature.empty, f"{name}.{public}: no return annotation"


def test_no_module_is_named_after_nothing() -> None:
    vague = {"utils", "util", "common", "helpers", "misc"}
    assert [path for path in SOURCES if path.stem in vague] == []


@pytest.mark.parametrize(
    "lock",
    sorted([*(ROOT / "deploy/locks").glob("*-?pu.txt"), ROOT / "deploy/locks/quix.txt"]),
    ids=lambda path: path.name,
)
def test_locks_pin_every_package_by_hash_and_hold_no_address(lock: Path) -> None:
    text = lock.read_text()
    assert "://" not in text
    assert "/" not in re.sub(r"--hash=sha256:[0-9a-f]{64}", "", text)
    entries = re.findall(r"^[a-z0-9][^\n]*(?:\n    [^\n]*)*", text, flags=re.MULTILINE)
    assert len(entries) > 10
    assert [entry for entry in entries if "==" not in entry or "--hash=sha256:" not in entry] == []


def test_what_is_compared_with_the_guard_runs_the_guards_versions() -> None:
    ours = (ROOT / "deploy/locks/guard-cpu.txt").read_text()
    for line in (ROOT / "deploy/locks/quix.in").read_text().splitlines():
        assert "==" not in line or f"\n{line} " in ours, line


def test_guard_locks_hold_no_torch() -> None:
    for runtime in ("cpu", "gpu"):
        assert "\ntorch==" not in (ROOT / f"deploy/locks/guard-{runtime}.txt").read_text()
        assert "\ntorch==" in (ROOT / f"deploy/locks/trainer-{runtime}.txt").read_text()
