"""Which code a result depends on: the modules that made it, with all that they import, as a digest."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

__all__ = ["code_digest", "modules_behind"]

_ROOT = Path(__file__).parents[2]
_PACKAGES = ("guard", "training")

_REGISTRIES = frozenset({"training.attacks", "training.defences.baselines"})
"""Lists that are looked up by name. A row that needs one attack names its module, and does not depend on the others."""


def code_digest(*modules: str) -> str:
    """SHA-256 over the code of these modules and of all that they import from `guard` and `training`, in hexadecimal.

    Comments and docstrings are left out: they change no figure. Raises ValueError for a module that is not there.
    """
    digest = hashlib.sha256()
    for name in modules_behind(*modules):
        digest.update(name.encode() + b"\0" + _code(name).encode() + b"\0")
    return digest.hexdigest()


def modules_behind(*modules: str) -> list[str]:
    """The modules themselves and all of `guard` and `training` that they import, also inside functions; sorted."""
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name not in found and name not in _REGISTRIES:
            found.add(name)
            waiting += _imports(name)
    return sorted(found)


@cache
def _imports(name: str) -> tuple[str, ...]:
    return tuple(sorted(set(_imported(_tree(name)))))


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if _ours(alias.name))
        elif isinstance(node, ast.ImportFrom) and node.module and _ours(node.module):
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            submodules = [name for name in inner if _path(name) is not None]
            yield from submodules
            if len(submodules) < len(inner):
                yield node.module


@cache
def _code(name: str) -> str:
    return ast.dump(_WithoutText().visit(_tree(name)))


def _tree(name: str) -> ast.Module:
    path = _path(name)
    if path is None:
        raise ValueError(f"there is no module {name}")
    return ast.parse(path.read_bytes())


def _path(name: str) -> Path | None:
    base = _ROOT.joinpath(*name.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


def _ours(name: str) -> bool:
    return name.split(".")[0] in _PACKAGES


class _WithoutText(ast.NodeTransformer):
    """Drops every statement that is nothing but a string."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if text else node
