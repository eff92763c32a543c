"""A guard as its own process: `depois guard run` with a settings file, and everything that can be done to a process."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from deploy.kafka.launcher import free_port
from tests.support.topics import Topics

READY_SECONDS = 60.0
POLL_SECONDS = 0.02


def eventually(holds: Callable[[], Any], what: str, seconds: float = 60.0, every: float = POLL_SECONDS) -> Any:
    """Waits until `holds()` is true and returns what it gave; fails, saying `what`, when time is over."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(every)
    return found


def toml(sections: Mapping[str, Mapping[str, Any]]) -> str:
    """Settings as a TOML file; JSON's strings, numbers and lists are TOML's too."""
    lines: list[str] = []
    for section, values in sections.items():
        lines.append(f"[{section}]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in values.items() if value is not None]
    return "\n".join(lines) + "\n"


def settings(bootstrap: str, topics: Topics, bundle: Path, **sections: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Settings of a guard for tests: short sessions. `sections` adds to a section or replaces in it."""
    own: dict[str, dict[str, Any]] = {
        "kafka": {
            "bootstrap": [bootstrap],
            "group": f"guard.{topics.input}",
            "session_timeout_seconds": 6,
            "heartbeat_seconds": 1,
        },
        "topics": {
            "input": [topics.input],
            "clean": topics.clean,
            "quarantine": topics.quarantine,
            "dead_letter": topics.dead_letter,
        },
        "model": {"bundle": str(bundle)},
        "guard": {},
        "http": {"port": free_port()},
        "log": {"format": "console"},
    }
    for section, values in sections.items():
        own[section] = {**own.get(section, {}), **values}
    return own


class Worker:
    """One guard process. `folder` takes its settings and its log."""

    def __init__(
        self,
        folder: Path,
        sections: Mapping[str, Mapping[str, Any]],
        *,
        environment: Mapping[str, str] | None = None,
        program: tuple[str, ...] = ("-m", "guard.cli.main"),
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.config = folder / "guard.toml"
        self.config.write_text(toml(sections))
        self.port = int(sections["http"]["port"])
        self._log = folder / "guard.log"
        self._environment = {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", **(environment or {})}
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self, *, wait: bool = True) -> Self:
        """Starts the process, by default until `/readyz` says yes."""
        guarded = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        command = [*guarded, sys.executable, *self._program, "guard", "run", "--config", str(self.config)]
        with self._log.open("ab") as log:
            environment = {**os.environ, **self._environment}
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=environment
            )
        return self.until_ready() if wait else self

    def until_ready(self, seconds: float = READY_SECONDS) -> Self:
        """Waits for readiness; fails with the log when the process ends instead."""
        eventually(lambda: self.alive() is False or self.ready(), f"a guard that is ready\n{self.log()}", seconds, 0.1)
        assert self.alive(), f"the guard ended with {self.exit_code()}\n{self.log()}"
        return self

    @property
    def pid(self) -> int:
        """The process id of the latest start."""
        assert self._process is not None, "never started"
        return self._process.pid

    def alive(self) -> bool:
        """Whether the process has not ended."""
        return self._process is not None and self._process.poll() is None

    def exit_code(self, seconds: float = 60.0) -> int:
        """Waits for the end of the process, and gives its exit code."""
        assert self._process is not None, "never started"
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the guard still runs after {seconds:.0f} s\n{self.log()}") from None

    def stop(self) -> tuple[int, float]:
        """SIGTERM: the exit code, and the seconds until the end."""
        began = time.monotonic()
        self.send(signal.SIGTERM)
        return self.exit_code(), time.monotonic() - began

    def kill(self) -> None:
        """SIGKILL, if it runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def send(self, number: signal.Signals) -> None:
        """Sends a signal."""
        assert self._process is not None, "never started"
        self._process.send_signal(number)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """The process does nothing at all for as long as the block lasts."""
        self.send(signal.SIGSTOP)
        try:
            yield
        finally:
            self.send(signal.SIGCONT)

    def ready(self) -> bool:
        """What `/readyz` says; False when nobody answers."""
        return self.status("/readyz") == 200

    def status(self, path: str) -> int:
        """The HTTP status of a path, 0 when nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code
        except OSError:
            return 0

    def metrics(self) -> dict[str, float]:
        """Every sample that `/metrics` shows: `name{labels}` as written there, and its value."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
        lines = [line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#")]
        return {name: float(value) for name, _, value in lines}

    def total(self, pattern: str) -> float:
        """The sum of all samples whose `name{labels}` the pattern matches from its start."""
        return sum(value for name, value in self.metrics().items() if re.match(pattern, name))

    def agreement(self) -> dict[str, Any]:
        """What `/shadow` says."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/shadow", timeout=10) as response:
            found: dict[str, Any] = json.load(response)
        return found

    def resident_bytes(self) -> int:
        """Memory of the process that is really in use."""
        found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{self.pid}/status").read_text())
        assert found is not None
        return int(found[1]) * 1024

    def log(self, last: int = 6000) -> str:
        """The end of what it wrote, over all starts."""
        return self._log.read_text(errors="replace")[-last:] if self._log.exists() else ""
