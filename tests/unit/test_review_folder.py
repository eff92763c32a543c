"""The quarantine in a folder: decisions written once, whatever is torn, cut short, full or shared."""

from __future__ import annotations

import asyncio
import json
import os
import random
from pathlib import Path

import pytest

from guard.errors import GuardError, InputUnreadable, OutputFailed
from guard.filter.sinks import QUARANTINE, VERDICTS
from guard.filter.summary import SUMMARY
from guard.review.decision import Action
from guard.review.desk import Outcome, Wish
from guard.review.filters import Filter
from guard.review.folder import DECISIONS, RELEASED, FolderQuarantine
from tests.support.crowd import messages
from tests.support.folders import judged_folder

HELD = 10


@pytest.fixture(scope="module")
def judged(fruit: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What a real run wrote: its files by name."""
    folder = tmp_path_factory.mktemp("judged")
    out = judged_folder(folder, fruit, [message.value or b"" for message in messages(150, 3)])
    return {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}


@pytest.fixture
def folder(judged: dict[str, bytes], tmp_path: Path) -> Path:
    for name, content in judged.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def opened(folder: Path) -> FolderQuarantine:
    quarantine = FolderQuarantine(folder)
    asyncio.run(quarantine.refresh())
    return quarantine


def settle(quarantine: FolderQuarantine, action: Action, *numbers: int, reviewer: str = "ana") -> list[Outcome]:
    held = quarantine.desk.queue.take(list(numbers))
    return asyncio.run(quarantine.settle([Wish(one, action, reviewer, "why") for one in held]))


def lines(folder: Path, name: str) -> list[bytes]:
    return (folder / name).read_bytes().splitlines(keepends=True) if (folder / name).exists() else []


def test_what_was_held_is_there_with_what_was_said_of_it(folder: Path) -> None:
    queue = opened(folder).desk.queue
    told = [json.loads(line) for line in lines(folder, VERDICTS)]
    told = [line for line in told if line["verdict"] == "quarantined"]
    assert len(queue) == len(told) == len(lines(folder, QUARANTINE)) > HELD
    for held, line, value in zip(queue, told, lines(folder, QUARANTINE), strict=True):
        assert (held.origin, held.reason) == (f"file/input/0/{line['line']}", line["reason"])
        assert (held.source, held.size) == (line["source"], len(value) - 1)


def test_released_lines_are_the_held_ones_byte_for_byte_and_once(folder: Path) -> None:
    quarantine = opened(folder)
    assert all(outcome.decision for outcome in settle(quarantine, Action.RELEASED, 3, 1))
    assert all(outcome.decision for outcome in settle(quarantine, Action.REJECTED, 0))
    again = settle(quarantine, Action.RELEASED, 1, 0, 5)
    assert [outcome.decision is not None for outcome in sorted(again, key=lambda o: o.wish.held.place)] == [
        False,
        False,
        True,
    ]
    held = lines(folder, QUARANTINE)
    assert lines(folder, RELEASED) == [held[3], held[1], held[5]]
    assert [json.loads(line)["action"] for line in lines(folder, DECISIONS)] == [
        "released",
        "released",
        "rejected",
        "released",
    ]


def test_a_rejection_can_be_taken_back_and_a_release_cannot(folder: Path) -> None:
    quarantine = opened(folder)
    settle(quarantine, Action.REJECTED, 0)
    settle(quarantine, Action.REOPENED, 0)
    assert settle(quarantine, Action.RELEASED, 0)[0].decision
    assert settle(quarantine, Action.REOPENED, 0)[0].decision is None
    assert lines(folder, RELEASED) == lines(folder, QUARANTINE)[:1]


def test_two_reviewers_see_each_other(folder: Path) -> None:
    ana, bo = opened(folder), opened(folder)
    settle(ana, Action.RELEASED, 0, 1)
    outcomes = settle(bo, Action.RELEASED, 1, 2, reviewer="bo")
    assert [outcome.objection is None for outcome in sorted(outcomes, key=lambda o: o.wish.held.place)] == [False, True]
    settle(ana, Action.REJECTED, 3)
    asyncio.run(bo.refresh())
    assert bo.desk.ledger.state(bo.desk.queue.take([3])[0].origin) is Action.REJECTED
    assert lines(folder, RELEASED) == lines(folder, QUARANTINE)[:3]


def test_a_crash_at_any_byte_loses_and_doubles_nothing(folder: Path) -> None:
    """A crash leaves a beginning of what was being appended: of the decisions, or all of them and of the releases."""
    settle(opened(folder), Action.RELEASED, 0, 1)
    before = {name: (folder / name).stat().st_size for name in (DECISIONS, RELEASED)}
    settle(opened(folder), Action.RELEASED, 2, 3)
    after = {name: (folder / name).read_bytes() for name in (DECISIONS, RELEASED)}
    rng = random.Random(1)
    cuts = [(rng.randint(before[DECISIONS], len(after[DECISIONS])), before[RELEASED]) for _ in range(25)]
    cuts += [(len(after[DECISIONS]), rng.randint(before[RELEASED], len(after[RELEASED]))) for _ in range(25)]
    for decisions, released in cuts:
        (folder / DECISIONS).write_bytes(after[DECISIONS][:decisions])
        (folder / RELEASED).write_bytes(after[RELEASED][:released])
        settle(opened(folder), Action.RELEASED, 2, 3, 4)
        found = lines(folder, RELEASED)
        assert sorted(found) == sorted(lines(folder, QUARANTINE)[:5])
        assert len(lines(folder, DECISIONS)) == 5


def test_forged_lines_are_counted_and_change_nothing(folder: Path) -> None:
    quarantine = opened(folder)
    settle(quarantine, Action.RELEASED, 0)
    with (folder / DECISIONS).open("ab") as file:
        file.write(b'{"origin":"file/input/0/9"}\nno json\n' + lines(folder, DECISIONS)[0].replace(b"ana", b"eve"))
    assert settle(opened(folder), Action.RELEASED, 0, 1)[0].objection is not None
    found = opened(folder)
    assert found.desk.ledger.disbelieved.total() == 2
    assert lines(folder, RELEASED) == lines(folder, QUARANTINE)[:2]


def test_what_somebody_else_wrote_is_not_touched(folder: Path) -> None:
    settle(opened(folder), Action.RELEASED, 0)
    with (folder / RELEASED).open("ab") as file:
        file.write(b"mine\n")
    with pytest.raises(OutputFailed, match="something else wrote"):
        settle(opened(folder), Action.RELEASED, 1)


def test_a_changed_quarantine_is_noticed(folder: Path) -> None:
    quarantine = opened(folder)
    content = (folder / QUARANTINE).read_bytes()
    (folder / QUARANTINE).write_bytes(content.replace(b"sender", b"mallor"))
    assert asyncio.run(quarantine.records(quarantine.desk.queue.take([0]))) == [None]
    with pytest.raises(OutputFailed, match="was changed"):
        settle(quarantine, Action.RELEASED, 0)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        (SUMMARY, None),
        (SUMMARY, b"{}"),
        (SUMMARY, b'{"complete": false}'),
        (VERDICTS, b"no json\n"),
        (VERDICTS, b""),
        (QUARANTINE, b""),
        (QUARANTINE, None),
    ],
)
def test_a_folder_that_is_not_whole_is_refused(folder: Path, name: str, change: bytes | None) -> None:
    if change is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(change)
    with pytest.raises(InputUnreadable):
        FolderQuarantine(folder)


def test_a_folder_that_may_not_be_written_is_told(folder: Path) -> None:
    quarantine = opened(folder)
    (folder / ".review.lock").mkdir()
    with pytest.raises(OutputFailed, match="cannot be written"):
        settle(quarantine, Action.REJECTED, 0)
    assert len(quarantine.desk.queue.find(Filter())) == len(quarantine.desk.queue)


def test_a_full_disk_leaves_a_folder_that_goes_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fsync

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    quarantine = opened(folder)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(GuardError, match="No space left"):
        settle(quarantine, Action.RELEASED, 0)
    monkeypatch.setattr(os, "fsync", real)
    settle(opened(folder), Action.RELEASED, 0, 1)
    assert lines(folder, RELEASED) == lines(folder, QUARANTINE)[:2]
