"""Bars on a terminal, silence elsewhere, and every item passes through."""

from __future__ import annotations

import io
from contextlib import suppress

from rich.console import Console

from training.learn import Stages
from training.progress import Silent, terminal_progress


def _terminal() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=100)


def test_bars_pass_items_on_and_show_what_runs_and_how_far() -> None:
    console = _terminal()
    with terminal_progress(console) as progress:
        outer = []
        for item in progress.track(["a", "b"], "members"):
            outer.append(item)
            assert list(progress.track(iter(range(3)), "steps", 3)) == [0, 1, 2]
            console.print("")  # anything printed redraws the bars
    shown = console.file.getvalue()
    assert outer == ["a", "b"]
    assert "members" in shown
    assert "0/2" in shown
    assert "1/2" in shown


def test_a_loop_that_is_left_early_takes_its_bar_along() -> None:
    with terminal_progress(_terminal()) as progress:
        loop = progress.track(range(5), "steps")
        next(loop)
        loop.close()
        assert progress._display.tasks == []


def test_a_stage_shows_its_bar_until_it_ends_however_it_ends() -> None:
    stages = Stages()
    with terminal_progress(_terminal()) as progress:
        with suppress(KeyError), stages.stage("export", progress):
            assert [task.description for task in progress._display.tasks] == ["export"]
            raise KeyError
        assert progress._display.tasks == []
    assert 0 <= stages.seconds["export"] < 60


def test_no_terminal_no_bars() -> None:
    stream = io.StringIO()
    with terminal_progress(Console(file=stream)) as progress:
        assert isinstance(progress, Silent)
        assert list(progress.track(range(3), "steps")) == [0, 1, 2]
    assert stream.getvalue() == ""
