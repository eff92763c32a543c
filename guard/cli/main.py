"""The command `depois`: one table of commands, each loaded only when it is called, and one place where errors end."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from guard.errors import GuardError, MissingRuntime

if TYPE_CHECKING:
    import typer

__all__ = ["COMMANDS", "Command", "main"]


@dataclass(frozen=True)
class Command:
    """Where a command lives, and the line that `depois --help` says of it.

    `attribute` of `module` is a `typer.Typer` with subcommands, or a function that typer turns into one command.
    """

    module: str
    attribute: str
    help: str


COMMANDS = {
    "snapshot": Command("training.cli.snapshot", "app", "Make a trusted snapshot from a file or folder, or show one."),
    "cleanse": Command(
        "training.cli.cleanse", "cleanse", "Find poison in a snapshot that nobody vouches for, and leave it out."
    ),
    "train": Command("training.cli.train", "train", "Train a model bundle from a trusted snapshot."),
    "bundle": Command("guard.cli.bundle", "app", "Show, verify, compare or re-calibrate model bundles."),
    "filter": Command("guard.cli.filter", "filter", "Split a file or pipe of samples: clean, quarantine, rejected."),
    "sources": Command("guard.cli.sources", "sources", "Show who sends poison, with the evidence, after `filter`."),
    "drift": Command(
        "guard.cli.drift", "drift", "Show whether the data changed, or few sources attack, after `filter`."
    ),
    "guard": Command("guard.cli.guard", "app", "Run the guard on Kafka, or check what would keep it from running."),
    "topics": Command("guard.cli.topics", "app", "Make the topics of a guard."),
    "dedupe": Command(
        "guard.cli.dedupe", "dedupe", "Write each record of a guarded topic once, without the copies of a kill."
    ),
    "quarantine": Command(
        "guard.cli.quarantine", "app", "Look through what is held; release or reject it, each record once."
    ),
    "review": Command("guard.cli.review", "review", "Review what is held in the browser, on this machine alone."),
    "promote": Command("guard.cli.registry", "promote", "Let a bundle serve that passed its gate."),
    "rollback": Command("guard.cli.registry", "rollback", "Let a bundle serve again that served before."),
    "registry": Command(
        "guard.cli.registry", "app", "Show which bundles a registry holds, and how they came to serve."
    ),
    "explain": Command("guard.cli.explain", "explain", "Show why one sample is judged as it is."),
    "demo": Command("training.cli.demo", "demo", "Poison a stream of real data, filter it and report what was held."),
    "attack": Command("training.cli.attack", "attack", "Make poisoned samples from your own rows, to test your guard."),
    "redteam": Command("training.cli.redteam", "redteam", "Attack a bundle of your own, and count what it holds."),
    "retrain": Command("training.cli.retrain", "retrain", "Make a candidate snapshot by a policy, and train on it."),
    "audit": Command("training.cli.audit", "app", "Draw a sample of a candidate to be checked; bound its poison."),
    "compare": Command("training.cli.compare", "compare", "Judge champion and challenger on the same data."),
    "experiment": Command("training.cli.experiment", "app", "Measure detection on real data; write into results/."),
}
"""Every command of `depois`. Nothing named here is imported before it is called."""

_OWN_PACKAGES = ("guard", "training")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `depois ARGUMENTS` (the process's own when None) and return its exit code.

    0: done, 1: failed, 2: wrong use, 3: done but some of the input was rejected. Whatever goes wrong on purpose is a
    `GuardError`: its message goes to standard error, never a traceback.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        code = _dispatch(arguments)
        sys.stdout.flush()
    except GuardError as error:
        _say(f"depois: {error}", sys.stderr.write)
        return error.exit_code
    except BrokenPipeError:
        # Whoever read the output has gone; without this the interpreter trips over it once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def _dispatch(arguments: Sequence[str]) -> int:
    if not arguments or arguments[0] in {"--help", "-h", "help"}:
        _say(_overview(), sys.stdout.write)
        return 0 if arguments else 2
    if arguments[0] == "--version":
        _say(f"depois-guard {_version()}", sys.stdout.write)
        return 0
    name = arguments[0]
    if name not in COMMANDS:
        _say(_unknown(name), sys.stderr.write)
        return 2
    return _run(name, arguments[1:])


def _run(name: str, arguments: Sequence[str]) -> int:
    try:
        application = _load(COMMANDS[name])
        application(args=list(arguments), prog_name=f"depois {name}")
    except ModuleNotFoundError as error:
        raise _missing(name, error) from error
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _load(command: Command) -> typer.Typer:
    """The typer application of a command; a bare function becomes an application of one command."""
    import typer

    found = getattr(import_module(command.module), command.attribute)
    if isinstance(found, typer.Typer):
        return found
    application = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    application.command()(found)
    return application


def _missing(name: str, error: ModuleNotFoundError) -> Exception:
    """A package that is not installed, as advice; a module of our own that is not there stays the fault that it is."""
    package = (error.name or "").partition(".")[0]
    if package in _OWN_PACKAGES:
        return error
    extra = (
        "cpu,review" if name == "review" else "cpu,train" if COMMANDS[name].module.startswith("training.") else "cpu"
    )
    return MissingRuntime(
        f"`depois {name}` needs the package {package!r}, which is not installed: pip install 'depois-guard[{extra}]'"
    )


def _overview() -> str:
    width = max(map(len, COMMANDS)) + 2
    lines = [f"  {name:<{width}}{command.help}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "Usage: depois COMMAND [OPTIONS]",
            "",
            "A streaming data-ingestion guard against data poisoning.",
            "",
            "Commands:",
            *lines,
            "",
            "  depois COMMAND --help   options and an example of one command",
            "  depois --version        the version that is installed",
        ]
    )


def _unknown(name: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, COMMANDS, n=1)
    hint = f"Did you mean `depois {close[0]}`?" if close else f"Commands: {', '.join(COMMANDS)}."
    return f"depois: there is no command {name!r}. {hint}"


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("depois-guard")
    except PackageNotFoundError:
        return "(run from its sources, not installed)"


def _say(text: str, write: Callable[[str], object]) -> None:
    write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
