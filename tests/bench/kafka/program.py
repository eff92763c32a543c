"""A subject as a process: the guard itself, one of the programs that it is compared with, or Quix Streams."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.bench.kafka.stage import Stage
from tests.bench.scorer import Kind
from tests.support.topics import Topics
from tests.support.worker import Worker, settings, toml

__all__ = ["QUIX", "Program", "guard", "quix_missing"]

QUIX = Path(".setup/quix/bin/python")
_LOCK = Path("deploy/locks/quix.txt")
_SETTINGS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {"guard, no evidence": {"evidence": {"count": False}}}
"""Of subjects whose settings are not the defaults."""

_SESSION = {"session_timeout_seconds": 45, "heartbeat_seconds": 3}
"""As in production: a subject that is frozen while its input is laid out must not lose its partitions."""


def quix_missing() -> str | None:
    """Installs Quix Streams from its lock file if need be; why it cannot be had, or None."""
    uv = Path(".setup/uv/bin/uv")
    python = Path(".setup/python")
    if not (_LOCK.exists() and uv.exists() and python.exists()):
        return f"{_LOCK} or the installer is missing: run make setup"
    steps: Sequence[Sequence[object]] = (
        (uv, "venv", "--quiet", "--allow-existing", "--python", python.read_text().strip(), QUIX.parents[1]),
        (uv, "pip", "sync", "--quiet", "--require-hashes", "--python", QUIX, _LOCK),
    )
    for step in steps:
        done = subprocess.run([*map(str, step)], capture_output=True, text=True, check=False)
        if done.returncode:
            return f"Quix Streams cannot be installed: {done.stderr.strip()[-500:]}"
    return None


def guard(stage: Stage, topics: Topics, bundle: Path, **sections: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Settings of a guard as in production: every default, but for names, ports and a quiet log."""
    own = settings(stage.broker.bootstrap, topics, bundle, kafka=_SESSION, log={"level": "warning"})
    for section, values in sections.items():
        own[section] = {**own.get(section, {}), **values}
    return own


class Program:
    """One process of any subject, on the subject's core. `name`: `guard`, or as in `subjects` and `quix`."""

    def __init__(self, name: str, stage: Stage, topics: Topics, kind: Kind, bundle: Path) -> None:
        self._folder = stage.folder()
        sections = guard(stage, topics, bundle, **_SETTINGS.get(name, {}))
        self._worker = Worker(self._folder, sections) if name.startswith("guard") else None
        self._stage = stage
        self._process: subprocess.Popen[bytes] | None = None
        if self._worker is None:
            config = self._folder / "guard.toml"
            config.write_text(toml(sections))
            told = {
                "config": str(config),
                "kind": kind,
                "model": str(bundle / "model.onnx"),
                "bootstrap": stage.broker.bootstrap,
                "group": topics.input,
                "input": topics.input,
                "clean": topics.clean,
                "state": str(self._folder / "state"),
            }
            python, module = (QUIX, "quix") if name.startswith("quix") else (sys.executable, "subjects")
            self._command = [str(python), "-m", f"tests.bench.kafka.{module}", name, json.dumps(told)]

    def __enter__(self) -> Self:
        with self._stage.on_cores(self._stage.subject_core):
            if self._worker is not None:
                self._worker.start(wait=False)
            else:
                self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._worker is not None:
            self._worker.kill()
        elif self._process is not None:
            self._process.kill()
            self._process.wait()

    @property
    def pid(self) -> int:
        """The process."""
        if self._worker is not None:
            return self._worker.pid
        assert self._process is not None
        return self._process.pid

    def ended(self) -> str | None:
        """What it wrote last, if it has ended; it never should."""
        alive = self._worker.alive() if self._worker else self._process and self._process.poll() is None
        if alive:
            return None
        log = self._folder / ("guard.log" if self._worker else "program.log")
        return f"the process has ended:\n{log.read_text(errors='replace')[-3000:]}"

    def _start(self) -> None:
        guarded = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        with (self._folder / "program.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*guarded, *self._command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
            )
