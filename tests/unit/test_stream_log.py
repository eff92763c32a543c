from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PRELUDE = """
import logging, structlog
from guard.errors import GuardError
from guard.stream.log import configure_logging
from guard.stream.settings import LogSettings
configure_logging(LogSettings(level="info", format={format!r}))
"""


def written(code: str, style: str = "json") -> list[str]:
    """What a process that ran `code` wrote to standard error; nothing may go to standard output."""
    command = [sys.executable, "-c", PRELUDE.format(format=style) + code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, env=dict(os.environ))
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_each_event_is_one_json_object() -> None:
    (line,) = written("structlog.get_logger('guard.stream').info('serving', model='a\\nb')")
    event = json.loads(line)
    assert (event["event"], event["model"], event["level"], event["logger"]) == (
        "serving",
        "a\nb",
        "info",
        "guard.stream",
    )
    assert event["timestamp"].endswith("Z")


@pytest.mark.parametrize("name", ["faust.guard", "aiokafka", "kafka.admin", "mode"])
def test_libraries_speak_from_warning_on_only(name: str) -> None:
    code = f"logging.getLogger({name!r}).info('secret'); logging.getLogger({name!r}).warning('trouble %s', 1)"
    assert [json.loads(line)["event"] for line in written(code)] == ["trouble 1"]


def test_a_flood_of_one_message_is_throttled_and_others_pass() -> None:
    code = """
for n in range(1000):
    logging.getLogger("aiokafka").error("cannot connect to %s", n)
logging.getLogger("aiokafka").error("another")
for n in range(20):
    structlog.get_logger("guard.stream").warning("own")
"""
    events = [json.loads(line)["event"] for line in written(code)]
    assert len([event for event in events if event.startswith("cannot")]) == 5
    assert "another" in events
    assert events.count("own") == 20


def test_a_failure_on_purpose_is_told_once_without_a_traceback_and_a_bug_with_one() -> None:
    code = """
try:
    try:
        raise KeyError("x")
    except KeyError as error:
        raise GuardError("the topic is gone. Make it again.") from error
except GuardError as error:
    for name in ("faust.guard", "mode.worker"):
        logging.getLogger(name).exception("Crashed reason=%r", error)
try:
    raise ZeroDivisionError
except ZeroDivisionError:
    structlog.get_logger("guard.stream").exception("bug")
"""
    events = [json.loads(line) for line in written(code)]
    assert [event["event"] for event in events] == ["the topic is gone. Make it again.", "bug"]
    assert "exception" not in events[0]
    assert "ZeroDivisionError" in events[1]["exception"]


@pytest.mark.parametrize("style", ["json", "console"])
def test_a_traceback_shows_no_variables(style: str) -> None:
    code = """
def fails(password):
    raise ZeroDivisionError
try:
    fails("hun" + "ter2")
except ZeroDivisionError:
    structlog.get_logger("guard.stream").exception("bug")
"""
    text = "\n".join(written(code, style))
    assert "ZeroDivisionError" in text
    assert "hunter2" not in text
