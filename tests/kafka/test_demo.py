"""`make kafka-demo` runs from end to end, and Ctrl-C ends it in good order with nothing left behind."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deploy.kafka.crowd import PHASES, phase_at
from deploy.kafka.launcher import Broker
from tests.support.bundles import make_bundle
from training.datasets import load_dataset

pytestmark = pytest.mark.slow  # preparing the attacks takes 15 s of a core


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Not a trained one: what it judges is not the question here."""
    return make_bundle(tmp_path_factory.mktemp("bundle") / "digits", load_dataset("digits").spec)


def demo(bundle: Path, seconds: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "ignore", "-m", "deploy.kafka.demo", "--bundle", str(bundle)]
    command += ["--seconds", str(seconds), "--rate", "100"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_all_that_was_sent_comes_out(broker: Broker, bundle: Path) -> None:
    process = demo(bundle, 8)
    told, _ = process.communicate(timeout=300)
    assert process.returncode == 0, told
    poisoned, honest = map(int, re.search(r"Of (\d+) poisoned.*of (\d+)\s+honest", told, re.DOTALL).groups())
    assert 600 <= poisoned + honest <= 800
    assert poisoned > 50
    assert "mallory" in told


def test_ctrl_c_ends_it_with_the_summary(broker: Broker, bundle: Path) -> None:
    process = demo(bundle, 3600)
    assert process.stdout is not None
    heard = ""
    while not re.search(r"sent [1-9]", heard):
        heard += (line := process.stdout.readline())
        assert line, heard
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    rest = process.stdout.read()
    assert process.wait(60) == 0, rest
    process.stdout.close()
    assert time.monotonic() - began < 60
    assert "contributor" in rest


def test_a_bundle_that_cannot_be_used_is_told_before_anything_starts(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    process = demo(tmp_path / "bundle", 8)
    told, _ = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "Delete" in told
    assert "broker" not in told


def test_phases_follow_each_other_and_fill_the_time() -> None:
    assert sum(phase.length for phase in PHASES) == pytest.approx(1)
    assert [phase_at(done) for done in (0.0, 0.3, 0.6, 0.9, 1.0)] == [*PHASES, PHASES[-1]]
