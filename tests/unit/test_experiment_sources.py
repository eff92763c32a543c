from __future__ import annotations

from pathlib import Path

import pytest

from training.attacks import ATTACKS
from training.defences.baselines import DEFENCES
from training.experiments import sources
from training.experiments.roster import attack_module, method_module
from training.experiments.sources import code_digest, modules_behind


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small `training` of its own: a imports b and, inside a function, c; d stands alone."""
    texts = {
        "a": "from training.b import one\n\n\ndef use():\n    from training import c\n    return one, c\n",
        "b": '"""Text."""\n\none = 1\n"""More text."""\n',
        "c": "import numpy\n",
        "d": "four = 4\n",
        "__init__": "",
    }
    (tmp_path / "training").mkdir()
    for name, text in texts.items():
        (tmp_path / "training" / f"{name}.py").write_text(text)
    monkeypatch.setattr(sources, "_ROOT", tmp_path)
    _forget()
    yield tmp_path / "training"
    _forget()


def _forget() -> None:
    sources._imports.cache_clear()
    sources._code.cache_clear()


def _digest() -> str:
    _forget()
    return code_digest("training.a")


def test_all_that_is_imported_belongs_to_it_and_nothing_else(house: Path) -> None:
    assert modules_behind("training.a") == ["training.a", "training.b", "training.c"]


@pytest.mark.parametrize(
    ("file", "text", "changes"),
    [
        ("b", "one = 2\n", True),
        ("c", "import scipy\n", True),
        ("d", "four = 5\n", False),
        ("b", '"""Other text."""\n\none = 1  # a comment\n', False),
    ],
)
def test_code_changes_the_digest_and_words_do_not(house: Path, file: str, text: str, changes: bool) -> None:
    before = _digest()
    (house / f"{file}.py").write_text(text)
    assert (_digest() != before) == changes


def test_a_module_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match=r"no module training\.nowhere"):
        code_digest("training.nowhere")


def test_a_comparison_depends_on_every_member_and_on_no_attack_that_it_does_not_name() -> None:
    behind = modules_behind("training.experiments.compare")
    assert {"guard.calibration", "training.mimic", "training.members.knn", "training.members.adversarial"} <= {*behind}
    assert "training.attacks.confident_flip" not in behind
    assert "training.defences.trim" not in behind


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_every_attack_has_a_module(attack: object) -> None:
    module = attack_module(attack.name)  # type: ignore[attr-defined]
    assert module.startswith("training.attacks.")
    assert modules_behind(module)


def test_every_baseline_has_a_module_and_the_guard_is_in_all_comparisons() -> None:
    assert all(str(method_module(defence.name)).startswith("training.defences.") for defence in DEFENCES)
    assert method_module("guard") is method_module("depois") is method_module("depois:cgan/gan") is None
