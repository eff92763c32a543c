from __future__ import annotations

import subprocess
import sys
import types
from importlib import import_module

import pytest
import typer

from guard.cli.main import COMMANDS, Command, main
from guard.errors import BundleRefused


def _command(monkeypatch, attribute, found, *, module="guard_room_for_tests"):
    room = types.ModuleType(module)
    setattr(room, attribute, found)
    monkeypatch.setitem(sys.modules, module, room)
    monkeypatch.setitem(COMMANDS, "tried", Command(module, attribute, "A command of this test."))


def test_help_names_every_command(capsys):
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {name} " in shown for name in COMMANDS)


def test_help_loads_neither_typer_nor_any_heavy_package():
    heavy = {"typer", "rich", "pydantic", "numpy", "onnxruntime", "torch"}
    program = (
        f"from guard.cli.main import main; main(['--help']); import sys; print(sorted({heavy!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_no_command_shows_the_help_and_is_wrong_use(capsys):
    assert main([]) == 2
    assert "Usage: depois" in capsys.readouterr().out


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("depois-guard ")


def test_a_misspelt_command_is_wrong_use_and_gets_a_hint(capsys):
    assert main(["flter"]) == 2
    assert "depois filter" in capsys.readouterr().err


def test_a_function_becomes_a_command_with_its_own_help(monkeypatch, capsys):
    def tried(word: str) -> None:
        """Say WORD."""
        typer.echo(word)

    _command(monkeypatch, "tried", tried)
    assert main(["tried", "hello"]) == 0
    assert capsys.readouterr().out == "hello\n"
    assert main(["tried", "--help"]) == 0
    assert "Say WORD." in capsys.readouterr().out
    assert main(["tried"]) == 2


def test_a_typer_application_keeps_its_subcommands(monkeypatch, capsys):
    app = typer.Typer()

    @app.callback()
    def room() -> None: ...

    @app.command()
    def show() -> None:
        typer.echo("shown")

    _command(monkeypatch, "app", app)
    assert main(["tried", "show"]) == 0
    assert capsys.readouterr().out == "shown\n"


def test_an_exit_code_of_a_command_is_kept(monkeypatch):
    def tried() -> None:
        raise typer.Exit(3)

    _command(monkeypatch, "tried", tried)
    assert main(["tried"]) == 3


def test_an_error_of_ours_is_a_message_and_its_exit_code(monkeypatch, capsys):
    def tried() -> None:
        raise BundleRefused("model.onnx is not what the manifest says. Fetch the bundle again.")

    _command(monkeypatch, "tried", tried)
    assert main(["tried"]) == 1
    assert capsys.readouterr().err == "depois: model.onnx is not what the manifest says. Fetch the bundle again.\n"


@pytest.mark.parametrize(("module", "extra"), [("training.tried", "[cpu,train]"), ("guard.tried", "[cpu]")])
def test_a_missing_package_is_answered_with_the_command_that_installs_it(monkeypatch, capsys, module, extra):
    def tried() -> None:
        import package_that_nobody_has  # noqa: F401

    _command(monkeypatch, "tried", tried, module=module)
    assert main(["tried"]) == 1
    assert f"pip install 'depois-guard{extra}'" in capsys.readouterr().err


def test_a_module_of_our_own_that_is_missing_is_a_fault_and_not_an_advice(monkeypatch):
    monkeypatch.setitem(COMMANDS, "tried", Command("guard.no_such_room", "app", "Broken."))
    with pytest.raises(ModuleNotFoundError):
        main(["tried"])


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_is_where_it_says(name):
    found = getattr(import_module(COMMANDS[name].module), COMMANDS[name].attribute)
    assert isinstance(found, typer.Typer) or callable(found)
