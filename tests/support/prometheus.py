"""Prometheus itself, for tests: promtool's checks, and a server that scrapes what a test starts."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from deploy.kafka.launcher import free_port
from tests.support.worker import eventually

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy/prometheus/rules.yaml"


def tool(name: str) -> str:
    """The path of `promtool`, `prometheus` or `amtool`; skips the test where there is none."""
    own = ROOT / ".setup/prometheus/usr/bin" / name
    found = str(own) if own.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"no {name} here: make prometheus")
    return found


def run(name: str, *arguments: object) -> str:
    """What a tool says; fails with it when the tool does."""
    done = subprocess.run([tool(name), *map(str, arguments)], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


class Point(NamedTuple):
    """One series of an answer: its labels, and its newest value."""

    labels: dict[str, str]
    value: float


class Prometheus:
    """A running server."""

    def __init__(self, port: int) -> None:
        self._address = f"http://127.0.0.1:{port}/api/v1/"

    def ask(self, path: str, **parameters: str) -> Any:
        """What an endpoint of the API answers."""
        question = f"{self._address}{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(question, timeout=20) as answer:  # noqa: S310 – an address of this machine
            return json.loads(answer.read())["data"]

    def query(self, expression: str) -> list[Point]:
        """The instant vector of an expression, as of now."""
        data = self.ask("query", query=expression)
        found = data["result"] if data["resultType"] == "vector" else [{"metric": {}, "value": data["result"]}]
        return [Point(series["metric"], float(series["value"][1])) for series in found]

    def answers(self) -> bool:
        """Whether it is up."""
        try:
            return bool(self.ask("query", query="vector(1)"))
        except OSError:
            return False


@contextmanager
def prometheus(folder: Path, *targets: int) -> Iterator[Prometheus]:
    """Prometheus with the product's rules, which scrapes local ports each second as the job `depois-guard`."""
    config = folder / "prometheus.yaml"
    shutil.copy(RULES, folder)
    addresses = [f"127.0.0.1:{port}" for port in targets]
    config.write_text(
        json.dumps(
            {
                "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                "rule_files": [RULES.name],
                "scrape_configs": [{"job_name": "depois-guard", "static_configs": [{"targets": addresses}]}],
            }
        )
    )
    port = free_port()
    storage = f"--storage.tsdb.path={folder / 'data'}"
    listen = f"--web.listen-address=127.0.0.1:{port}"
    with (folder / "prometheus.log").open("wb") as log:
        command = [tool("prometheus"), f"--config.file={config}", storage, listen]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        server = Prometheus(port)
        eventually(server.answers, "a Prometheus that answers", every=0.1)
        yield server
    finally:
        process.terminate()
        process.wait(30)
