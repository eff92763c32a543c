from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from guard.stream.watchdog import Stalled, Watchdog


class Guard:
    """Is ready when it is told so, and remembers why it was asked to leave."""

    def __init__(self) -> None:
        self.why_not: str | None = "no partitions"
        self.left: list[Stalled] = []
        self.watchdog = Watchdog(self.left.append, lambda: self.why_not, stall_seconds=20, ready_seconds=10)

    def look(self, seconds: float, *, beat: bool = True, progress: bool = True) -> str | None:
        """Half-second ticks; the first reason that is given."""
        for _ in range(int(seconds * 2)):
            if beat:
                self.watchdog.beat()
            if progress:
                self.watchdog.progress()
            if reason := self.watchdog.look(0.5):
                return reason
        return None


def test_a_guard_that_works_is_left_alone() -> None:
    guard = Guard()
    guard.why_not = None
    assert guard.look(1000) is None


def test_a_guard_that_never_becomes_ready_is_told_why() -> None:
    guard = Guard()
    assert guard.look(10) is None
    assert guard.look(1) == "not ready after 10 s: no partitions. Run: depois guard check"


def test_readiness_that_is_lost_later_is_no_reason_to_end() -> None:
    guard = Guard()
    guard.why_not = None
    guard.look(1)
    guard.why_not = "rebalance"
    assert guard.look(100) is None


def test_records_that_wait_without_a_finished_batch_end_the_guard() -> None:
    guard = Guard()
    guard.why_not = None
    assert guard.look(20, progress=False) is None
    assert guard.look(1, progress=False) == "records are waiting, and no batch was finished for 20 s"


def test_an_event_loop_that_hangs_is_found() -> None:
    guard = Guard()
    guard.why_not = None
    assert guard.look(30, beat=False) is None
    assert guard.look(1, beat=False) == "the event loop has not run for 30 s"


def test_a_process_that_was_stopped_gets_its_time_again() -> None:
    guard = Guard()
    guard.why_not = None
    assert guard.watchdog.look(3600) is None
    assert guard.look(17, progress=False) is None


def test_an_end_that_hangs_is_cut_short() -> None:
    guard = Guard()
    guard.watchdog.ending(5)
    guard.watchdog.ending(1000)
    assert guard.look(5, beat=False, progress=False) is None
    assert guard.look(1) == "the guard did not come to its end in time"


def test_a_process_whose_threads_hang_is_ended_with_code_1() -> None:
    program = """
import threading, time
from guard.stream import watchdog
watchdog._LEAVE_SECONDS = 0.5
left = []
dog = watchdog.Watchdog(left.append, lambda: "never", stall_seconds=0.5, ready_seconds=100)
dog.ending.__func__.__defaults__ = (0.5,)
dog.start()
threading.Thread(target=threading.Event().wait).start()
while not left:
    dog.beat(); time.sleep(0.05)
print(left[0], flush=True)
"""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=root,
        env=dict(os.environ),
        check=False,
    )
    assert done.returncode == 1
    assert "no batch was finished" in done.stdout
    assert "read again" in done.stdout
