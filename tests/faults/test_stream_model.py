"""Models that fail, hang, or are replaced by something hostile while the guard serves."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.kafka.launcher import Broker
from guard.sample import encode_samples
from tests.support.bundles import TABLE, draw_samples, make_bundle
from tests.support.checker import assert_sound, header
from tests.support.crowd import messages
from tests.support.hostile_bundles import hostile_bundles
from tests.support.load import Load
from tests.support.topics import Message, Topics, make_topics, read, send
from tests.support.watch import await_end, await_more, group_of
from tests.support.worker import Worker, eventually, settings

Make = Callable[..., Worker]
ATTACKS = dict(hostile_bundles())
REFUSED = r'guard_reloads_total\{.*outcome="refused"'


@pytest.fixture
def topics(broker: Broker) -> Topics:
    return make_topics(broker)


def replace(watched: Path, prepared: Path) -> None:
    """Puts a bundle at the watched path as one should: by renaming."""
    old = watched.with_name("old")
    watched.rename(old)
    prepared.rename(watched)
    shutil.rmtree(old) if old.is_dir() else old.unlink()


def test_hostile_bundles_are_refused_one_after_the_other_and_the_old_one_serves(
    broker: Broker, topics: Topics, fruit: Path, make_worker: Make, tmp_path: Path
) -> None:
    assert len(ATTACKS) >= 30
    watched = Path(shutil.copytree(fruit, tmp_path / "watched"))
    worker = make_worker(settings(broker.bootstrap, topics, watched, model={"reload_seconds": 0.1})).start()
    with Load(broker.bootstrap, topics.input, messages(5000, 1), 500):
        for number, (name, spoil) in enumerate(ATTACKS.items(), 1):
            spoil(prepared := Path(shutil.copytree(fruit, tmp_path / "prepared")))
            replace(watched, prepared)
            eventually(lambda count=number: worker.total(REFUSED) >= count, f"{name} is refused\n{worker.log()}", 20)
            assert worker.ready(), name
        replace(watched, make_bundle(tmp_path / "prepared", alpha=0.05, seed=7))
        eventually(lambda: worker.total(r'guard_reloads_total\{.*outcome="accepted"'), "a good one is used")
        await_more(broker, topics, 500)
    await_end(broker, topics, worker)
    assert worker.stop()[0] == 0, worker.log()
    assert_sound(broker, topics, group_of(topics))
    digests = {header(record, "guard-model-sha256") for record in read(broker.bootstrap, [topics.clean])[topics.clean]}
    assert len(digests) == 2, "only the first bundle and the last one may have judged"


def test_a_bundle_that_a_full_disk_cut_off_is_refused_until_it_is_whole(
    broker: Broker, topics: Topics, fruit: Path, make_worker: Make, tmp_path: Path
) -> None:
    watched = Path(shutil.copytree(fruit, tmp_path / "watched"))
    fresh = make_bundle(tmp_path / "fresh", seed=7)
    worker = make_worker(settings(broker.bootstrap, topics, watched, model={"reload_seconds": 0.1})).start()
    # A process that may write no more than 1 KiB into a file fails as on a disk without space.
    copying = ["/bin/sh", "-c", f"ulimit -f 1; cp {fresh}/* {watched}/"]
    copied = subprocess.run(copying, capture_output=True, check=False)
    assert copied.returncode != 0
    eventually(lambda: worker.total(REFUSED), f"it is refused\n{worker.log()}", 20)
    send(broker.bootstrap, topics.input, messages(200, 2))
    await_end(broker, topics, worker)
    shutil.copytree(fresh, watched, dirs_exist_ok=True)
    eventually(lambda: worker.total("guard_bundle_refused") == 0, f"it is used\n{worker.log()}", 20)
    assert worker.stop()[0] == 0, worker.log()
    assert_sound(broker, topics, group_of(topics))


def test_samples_on_which_the_model_fails_are_held(
    broker: Broker, topics: Topics, make_worker: Make, tmp_path: Path
) -> None:
    brittle = make_bundle(tmp_path / "brittle", brittle=True)
    x, y = draw_samples(TABLE, 300, 3)
    x[::10, 0] = 100.0
    values = encode_samples(TABLE, x, y, ["sender"] * len(x))
    worker = make_worker(settings(broker.bootstrap, topics, brittle)).start()
    send(broker.bootstrap, topics.input, [Message(value) for value in values])
    await_end(broker, topics, worker)
    assert worker.stop()[0] == 0, worker.log()
    assert_sound(broker, topics, group_of(topics))
    held = read(broker.bootstrap, [topics.quarantine])[topics.quarantine]
    unscored = [record for record in held if header(record, "guard-reason") == "not_scored"]
    assert {record.value for record in unscored} == set(values[::10])


FAULTY = """
import sys, time
from pathlib import Path
import guard.runtime
run = guard.runtime.Runtime.run
def fail(self, *arguments):
    if Path({trigger!r}).exists():
        {fault}
    return run(self, *arguments)
guard.runtime.Runtime.run = fail
from guard.cli.main import main
sys.exit(main())
"""


def faulty(folder: Path, fault: str) -> tuple[tuple[str, ...], Path]:
    """The program of a guard whose model does `fault` from the moment on at which the file exists."""
    trigger = folder / "trigger"
    return ("-c", FAULTY.format(trigger=str(trigger), fault=fault)), trigger


def test_a_runtime_that_raises_holds_everything(
    broker: Broker, topics: Topics, fruit: Path, make_worker: Make, tmp_path: Path
) -> None:
    program, trigger = faulty(tmp_path, "raise RuntimeError('out of memory')")
    worker = make_worker(settings(broker.bootstrap, topics, fruit), program=program).start()
    trigger.touch()
    send(broker.bootstrap, topics.input, messages(500, 4))
    await_end(broker, topics, worker)
    assert worker.stop()[0] == 0, worker.log()
    report = assert_sound(broker, topics, group_of(topics))
    assert report.sinks["clean"] == 0
    assert report.sinks["quarantine"] > 400


def test_a_runtime_that_hangs_ends_the_guard_and_nothing_is_lost(
    broker: Broker, topics: Topics, fruit: Path, make_worker: Make, tmp_path: Path
) -> None:
    program, trigger = faulty(tmp_path, "time.sleep(3600)")
    limits = {"scoring_timeout_seconds": 2, "delivery_timeout_seconds": 5, "stall_seconds": 20}
    worker = make_worker(settings(broker.bootstrap, topics, fruit, guard=limits), program=program).start()
    send(broker.bootstrap, topics.input, messages(500, 5))
    await_end(broker, topics, worker)
    trigger.touch()
    send(broker.bootstrap, topics.input, messages(500, 6))
    assert worker.exit_code(60) == 1
    assert "scor" in worker.log()
    trigger.unlink()
    worker.start()
    await_end(broker, topics, worker)
    assert worker.stop()[0] == 0, worker.log()
    assert_sound(broker, topics, group_of(topics))


@pytest.mark.parametrize("attack", ["model.onnx flipped", "a file"])
def test_a_bundle_that_is_refused_at_the_start_is_named_and_nothing_passes(
    broker: Broker, topics: Topics, fruit: Path, make_worker: Make, tmp_path: Path, attack: str
) -> None:
    bad = Path(shutil.copytree(fruit, tmp_path / "bad"))
    ATTACKS[attack](bad)
    send(broker.bootstrap, topics.input, messages(100, 7))
    worker = make_worker(settings(broker.bootstrap, topics, bad)).start(wait=False)
    assert worker.exit_code(60) == 1
    assert str(bad) in worker.log()
    assert all(not records for records in read(broker.bootstrap, topics.sinks).values())
