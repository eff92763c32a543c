from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace

import numpy as np
import pytest

from guard.calibration import Calibration, fuse
from guard.stream.sources import Sources
from guard.suspicion import suspicion_of
from guard.verdict import HoldReason, Status, Verdict

FUSION = fuse(
    Calibration(
        np.random.default_rng(0).exponential(size=(1000, 1)), np.zeros(1000, np.int64), np.ones(1), np.zeros(3)
    ),
    0.01,
)
SUSPICION = suspicion_of(FUSION, "bundle a")


def records(first, count, partition=0):
    return [SimpleNamespace(topic="in", partition=partition, offset=first + n) for n in range(count)]


def clean(source, count=1, p=0.6):
    return [Verdict(Status.CLEAN, None, p, 0.01, source=source)] * count


def suspect(source, count=1):
    return [Verdict(Status.QUARANTINED, HoldReason.SUSPECT, 1 / 1001, 0.01, source=source)] * count


@pytest.fixture
def sources():
    made = Sources(SUSPICION, "cluster", hold=True)
    asyncio.run(made.begin("in", 0))
    return made


def test_what_an_accused_source_sends_is_held_and_nothing_else(sources):
    assert sources.held(clean("m")) == clean("m")
    sources.count(records(0, 10), suspect("m", 10))
    assert (sources.accused, sources.followed) == (1, 1)
    passed = clean("x")[0]
    malformed = Verdict(Status.MALFORMED, source="m")
    [held, *others] = sources.held([clean("m")[0], passed, *suspect("m"), malformed])
    assert (held.status, held.reason, held.p_value) == (Status.QUARANTINED, HoldReason.SUSPECT_SOURCE, 0.6)
    assert others == [passed, *suspect("m"), malformed]


def test_what_is_held_for_its_source_serves_the_way_back_and_is_no_offence(sources):
    sources.count(records(0, 10), suspect("m", 10))
    for number in range(200):
        sources.count(records(10 + number, 1), sources.held(clean("m")))
    assert sources.accused == 0
    assert sources.held(clean("m")) == clean("m")
    [told] = json.loads(sources.standings())["sources"]
    assert (told["source"], told["held"], told["times_accused"]) == ("m", 10, 1)


def test_without_the_policy_nothing_is_held(sources):
    only_told = Sources(SUSPICION, "cluster", hold=False)
    asyncio.run(only_told.begin("in", 0))
    only_told.count(records(0, 10), suspect("m", 10))
    assert only_told.accused == 1
    assert only_told.held(clean("m")) == clean("m")


def test_records_of_a_partition_that_was_given_away_are_not_counted(sources):
    sources.count(records(0, 10, partition=1), suspect("m", 10))
    assert sources.followed == 0


def test_another_bundle_keeps_who_is_accused(sources):
    sources.count(records(0, 10), suspect("m", 10))
    sources.use(suspicion_of(FUSION, "bundle b"))
    assert sources.accused == 1
