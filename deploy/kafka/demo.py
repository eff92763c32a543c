"""A guard at work: a real broker, its topics, `depois guard run`, and a crowd that turns hostile, live in a terminal.

1. train a bundle on real digits, unless one is there; 2. start a broker; 3. create the topics; 4. start the guard;
5. let the crowd send, and show what comes out; 6. wait until everything that was sent has come out, and end all of it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.live import Live

from deploy.kafka.artefacts import BrokerUnavailable, install
from deploy.kafka.crowd import Crowd, Phase, phase_at
from deploy.kafka.launcher import Broker, free_port
from deploy.kafka.view import View
from guard.errors import BundleRefused, GuardError
from training.datasets import load_dataset
from training.demo.scenario import Entry, Scenario, build_scenario

__all__ = ["main"]

_SINKS = {"samples.clean": "clean", "samples.quarantine": "quarantine", "samples.dead-letter": "dead letter"}
_INPUT = "samples"
_PARTITIONS = 2
_TICK = 0.05
"""Seconds between two handfuls of the crowd: short enough that the latency shown is the guard's, not the crowd's."""
_READY_SECONDS = 60.0
_DRAIN_SECONDS = 30.0
_STOP_SECONDS = 15.0
_LINE_EVERY = 5.0


class DemoFailed(RuntimeError):
    """The demo cannot go on; the message says why."""


def main() -> int:
    """Runs the demo and returns its exit code: 0, or 1 with the reason on standard error."""
    parser = argparse.ArgumentParser(prog="make kafka-demo", description=__doc__.split("\n\n")[0])
    parser.add_argument("--seconds", type=float, default=90, help="how long the crowd sends")
    parser.add_argument("--rate", type=int, default=400, help="records per second")
    parser.add_argument("--bundle", type=Path, default=Path("demo-output/kafka/bundle"), help="trained when not there")
    parser.add_argument("--seed", type=int, default=0, help="draws rows, attacks and the order in which they are sent")
    options = parser.parse_args()
    try:
        install()
        _say("Preparing the crowd and its attacks.")
        scenario = build_scenario(load_dataset("digits"), np.random.default_rng(options.seed))
        _train_unless_there(scenario, options.bundle, options.seed)
        return _demonstrate(scenario, options)
    except (BrokerUnavailable, DemoFailed, GuardError) as error:
        sys.stderr.write(f"{error}\n")
        return 1


def _train_unless_there(scenario: Scenario, bundle: Path, seed: int) -> None:
    if bundle.exists():
        _verify(bundle)
        return
    from training.job import train_bundle
    from training.progress import terminal_progress
    from training.snapshot import snapshot_from_arrays

    _say(f"Training a bundle on {len(scenario.y)} trusted digits; it is kept in {bundle}.")
    snapshot = snapshot_from_arrays(scenario.x, scenario.y, scenario.dataset.spec, {"source": "digits"}, seed=seed)
    bundle.parent.mkdir(parents=True, exist_ok=True)
    with terminal_progress() as progress:
        train_bundle(snapshot, bundle, alpha=0.01, preset="fast", seed=seed, name="demo-digits", progress=progress)


def _verify(bundle: Path) -> None:
    """Before anything is started: a bundle that an older version made may be refused."""
    from guard.bundle import load_bundle

    try:
        load_bundle(bundle, threads=1)
    except BundleRefused as error:
        raise DemoFailed(f"{error}. Delete {bundle}, and the demo trains another one.") from error


def _demonstrate(scenario: Scenario, options: argparse.Namespace) -> int:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="depois-kafka-demo-")))
        _say("Starting a broker.")
        broker = stack.enter_context(Broker(folder / "kafka"))
        port = free_port()
        config = folder / "guard.toml"
        config.write_text(_settings(broker, options.bundle, port))
        _depois("topics", "create", "--config", str(config), "--partitions", str(_PARTITIONS))
        _say("Starting the guard.")
        stack.enter_context(_guard(config, folder / "guard.log"))
        view = View("De-Pois Guard on Kafka")
        asyncio.run(_Show(broker, port, view, Crowd(scenario, options.seed), options).run())
        _say("Ending the guard and the broker.")
        Console().print(view.summary())
    return 0


def _settings(broker: Broker, bundle: Path, port: int) -> str:
    clean, quarantine, dead_letter = _SINKS
    sections: dict[str, dict[str, Any]] = {
        "kafka": {"bootstrap": [broker.bootstrap], "group": "demo"},
        "topics": {"input": [_INPUT], "clean": clean, "quarantine": quarantine, "dead_letter": dead_letter},
        "model": {"bundle": str(bundle.resolve())},
        "http": {"port": port},
    }
    lines = [
        f"[{name}]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in keys.items()) for name, keys in sections.items()
    ]
    return "\n".join(lines)


def _depois(*arguments: str) -> None:
    command = [sys.executable, "-m", "guard.cli.main", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DemoFailed(f"depois {' '.join(arguments)}: {done.stderr or done.stdout}")


@contextmanager
def _guard(config: Path, log: Path) -> Iterator[None]:
    """The guard, from ready to ended; its log is shown when it ends before that."""
    command = [sys.executable, "-m", "guard.cli.main", "guard", "run", "--config", str(config)]
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        asyncio.run(_until_ready(process, config))
        yield
        _refuse_ended(process)
        process.send_signal(signal.SIGTERM)
        process.wait(_STOP_SECONDS)
    except (DemoFailed, subprocess.TimeoutExpired) as error:
        raise DemoFailed(f"{error}\n{log.read_text(errors='replace')[-3000:]}") from error
    finally:
        process.kill()
        process.wait()


async def _until_ready(process: subprocess.Popen[bytes], config: Path) -> None:
    port = int(config.read_text().rpartition("port = ")[2])
    try:
        async with asyncio.timeout(_READY_SECONDS):
            while await asyncio.to_thread(_get, port, "/readyz") is None:
                _refuse_ended(process)
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise DemoFailed(f"the guard was not ready after {_READY_SECONDS:.0f} s") from None


def _refuse_ended(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        raise DemoFailed(f"the guard ended with {process.returncode}")


def _get(port: int, path: str) -> str | None:
    """The body of a good answer, None for any other."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2) as answer:
            return str(answer.read().decode())
    except OSError:
        return None


class _Show:
    """The crowd, the reader of the outputs and the picture, on one event loop."""

    def __init__(self, broker: Broker, port: int, view: View, crowd: Crowd, options: argparse.Namespace) -> None:
        self._broker = broker
        self._port = port
        self._view = view
        self._crowd = crowd
        self._seconds, self._rate = options.seconds, options.rate
        self._truth: dict[bytes, Entry] = {}
        self._stop = asyncio.Event()
        self._done = 0.0

    @property
    def _phase(self) -> Phase:
        return phase_at(self._done)

    async def run(self) -> None:
        """Until the time is over or Ctrl-C was pressed, and everything that was sent has come out."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop.set)
        watching = [asyncio.create_task(self._read()), asyncio.create_task(self._paint())]
        try:
            await self._send()
            await self._drain()
        finally:
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)

    async def _send(self) -> None:
        from aiokafka import AIOKafkaProducer

        loop = asyncio.get_running_loop()
        began = loop.time()
        async with AIOKafkaProducer(
            bootstrap_servers=self._broker.bootstrap, enable_idempotence=True, max_request_size=8 << 20
        ) as producer:
            while (past := loop.time() - began) < self._seconds and not self._stop.is_set():
                self._done = past / self._seconds
                due = int(past * self._rate) - self._view.total_sent
                await self._hand_in(producer, self._crowd.draw(due, self._phase.hostile))
                await asyncio.sleep(_TICK)

    async def _hand_in(self, producer: Any, entries: list[Entry]) -> None:
        small = [entry for entry in entries if len(entry.record) < 1 << 19]  # the broker itself refuses larger ones
        waiting = [
            (entry, await producer.send(_INPUT, entry.record, partition=number % _PARTITIONS))
            for number, entry in enumerate(small)
        ]
        for entry, sent in waiting:
            place = await sent
            self._truth[f"{self._broker.cluster}/{_INPUT}/{place.partition}/{place.offset}".encode()] = entry
            self._view.note_sent(entry)

    async def _read(self) -> None:
        from aiokafka import AIOKafkaConsumer

        consumer = AIOKafkaConsumer(*_SINKS, bootstrap_servers=self._broker.bootstrap, auto_offset_reset="earliest")
        await consumer.start()
        try:
            async for record in consumer:
                origin = dict(record.headers)["guard-origin"]
                while origin not in self._truth:  # judged before the sender was told that it was sent
                    await asyncio.sleep(_TICK)
                self._view.note_arrived(_SINKS[record.topic], record, self._truth[origin])
        finally:
            await consumer.stop()

    async def _drain(self) -> None:
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                while self._view.total_arrived < self._view.total_sent:
                    await asyncio.sleep(_TICK)
        except TimeoutError:
            missing = self._view.total_sent - self._view.total_arrived
            raise DemoFailed(f"{missing} records did not come out of the guard in {_DRAIN_SECONDS:.0f} s") from None

    async def _paint(self) -> None:
        console = Console()
        if not console.is_terminal:
            while True:
                console.print(self._view.line(self._phase, self._backlog()), highlight=False)
                await asyncio.sleep(_LINE_EVERY)
        with Live(console=console, refresh_per_second=4, transient=True) as live:
            while True:
                live.update(self._view.render(self._phase, self._backlog()))
                await asyncio.sleep(0.25)

    def _backlog(self) -> int:
        return self._view.total_sent - self._view.total_arrived


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
