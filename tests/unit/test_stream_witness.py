from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace

import numpy as np
import pytest

from guard.calibration import Calibration, fuse
from guard.drift import Expected
from guard.stream.evidence import Evidence
from guard.stream.witness import Norm, Witness
from guard.suspicion import suspicion_of
from guard.verdict import HoldReason, Status, Verdict

FUSION = fuse(
    Calibration(
        np.random.default_rng(0).exponential(size=(1000, 1)), np.zeros(1000, np.int64), np.ones(1), np.zeros(3)
    ),
    0.01,
)
PLACES = {"cluster/in/0", "cluster/in/1"}


def norm(bundle):
    return Norm(suspicion_of(FUSION, bundle), Expected(bundle, 0.01, 0.005, (0.05, 0.5), (0.1, 0.55, 0.97, 0.55), ()))


class Topic:
    """Remembers in memory; `down` fails to write."""

    def __init__(self):
        self.records, self.down = [], False

    async def news(self):
        return [Evidence.from_bytes(record) for record in self.records]

    async def end_of(self, _topic, _partition):
        return 10**6

    async def write(self, evidence):
        self.records += [] if self.down else evidence.values()
        return not self.down


def records(first, count, partition=0):
    return [SimpleNamespace(topic="in", partition=partition, offset=first + n) for n in range(count)]


def clean(source, count=1, p=0.6):
    return [Verdict(Status.CLEAN, None, p, 0.01, source=source)] * count


def suspect(source, count=1):
    return [Verdict(Status.QUARANTINED, HoldReason.SUSPECT, 1 / 1001, 0.01, source=source)] * count


@pytest.fixture
def witness():
    made = Witness(norm("bundle a"), "cluster", PLACES, hold=True)
    asyncio.run(made.begin("in", 0))
    return made


def test_what_an_accused_source_sends_is_held_and_nothing_else(witness):
    assert witness.held(clean("m")) == clean("m")
    witness.count(records(0, 10), suspect("m", 10), "bundle a")
    assert (witness.accused, witness.followed) == (1, 1)
    passed = clean("x")[0]
    malformed = Verdict(Status.MALFORMED, source="m")
    [held, *others] = witness.held([clean("m")[0], passed, *suspect("m"), malformed])
    assert (held.status, held.reason, held.p_value) == (Status.QUARANTINED, HoldReason.SUSPECT_SOURCE, 0.6)
    assert others == [passed, *suspect("m"), malformed]


def test_what_is_held_for_its_source_serves_the_way_back_and_is_no_offence(witness):
    witness.count(records(0, 10), suspect("m", 10), "bundle a")
    for number in range(200):
        witness.count(records(10 + number, 1), witness.held(clean("m")), "bundle a")
    assert witness.accused == 0
    assert witness.held(clean("m")) == clean("m")
    [told] = json.loads(witness.standings())["sources"]
    assert (told["source"], told["held"], told["times_accused"]) == ("m", 10, 1)


def test_without_the_policy_nothing_is_held(witness):
    only_told = Witness(norm("bundle a"), "cluster", PLACES, hold=False)
    asyncio.run(only_told.begin("in", 0))
    only_told.count(records(0, 10), suspect("m", 10), "bundle a")
    assert only_told.accused == 1
    assert only_told.held(clean("m")) == clean("m")


def test_records_of_a_partition_that_was_given_away_are_not_counted(witness):
    witness.count(records(0, 10, partition=1), suspect("m", 10), "bundle a")
    assert witness.followed == 0


def test_another_bundle_keeps_who_is_accused(witness):
    witness.count(records(0, 10), suspect("m", 10), "bundle a")
    witness.use(norm("bundle b"))
    assert witness.accused == 1


def drifting(count):
    """Each record from a source of its own, with a small p-value that passes."""
    return [Verdict(Status.CLEAN, None, 0.02, 0.01, source=f"s{number}") for number in range(count)]


def remembering(topic, bundle="bundle a"):
    made = Witness(norm(bundle), "cluster", PLACES, hold=True, remembered=topic)
    asyncio.run(made.begin("in", 0))
    return made


def test_drift_is_told_by_what_changed_and_accuses_nobody(witness):
    assert witness.drift()["p_values"] == (0, 0.0)
    witness.count(records(0, 400), drifting(400), "bundle a")
    told = witness.drift()
    assert told["p_values"].alarmed == 1
    assert (told["labels"].alarmed, told["refusals"].alarmed, witness.accused) == (0, 0, 0)


def test_few_records_of_drift_show_as_a_share_of_an_alarm(witness):
    witness.count(records(0, 3), drifting(3), "bundle a")
    assert 0 < witness.drift()["p_values"].strength < 1


def test_a_guard_that_takes_over_goes_on_with_sources_and_drift():
    topic = Topic()
    first = remembering(topic)
    first.count(records(0, 410), [*drifting(400), *suspect("m", 10)], "bundle a")
    assert asyncio.run(first.keep())
    second = remembering(topic)
    assert (second.accused, second.drift()["p_values"].alarmed) == (1, 1)
    second.count(records(0, 410), [*drifting(400), *suspect("m", 10)], "bundle a")
    [told] = [row for row in json.loads(second.standings())["sources"] if row["source"] == "m"]
    assert told["records"] == 10


def test_another_bundle_judges_drift_anew():
    topic = Topic()
    first = remembering(topic)
    first.count(records(0, 400), drifting(400), "bundle a")
    asyncio.run(first.keep())
    assert remembering(topic, "bundle b").drift()["p_values"] == (0, 0.0)
    first.use(norm("bundle b"))
    assert first.drift()["p_values"] == (0, 0.0)


def test_a_list_that_the_bundle_before_judged_is_no_evidence(witness):
    witness.use(norm("bundle b"))
    witness.count(records(0, 10), suspect("m", 10), "bundle a")
    assert witness.followed == 0
    witness.count(records(10, 10), suspect("m", 10), "bundle b")
    assert witness.accused == 1


def test_what_could_not_be_written_is_written_the_next_time():
    topic = Topic()
    first = remembering(topic)
    first.count(records(0, 10), suspect("m", 10), "bundle a")
    topic.down = True
    assert not asyncio.run(first.keep())
    topic.down = False
    assert asyncio.run(first.keep())
    assert remembering(topic).accused == 1


def test_evidence_of_a_place_that_is_not_read_is_passed_over():
    topic = Topic()
    other = Witness(norm("bundle a"), "elsewhere", {"elsewhere/in/0"}, hold=True, remembered=topic)
    asyncio.run(other.begin("in", 0))
    other.count(records(0, 10), suspect("m", 10), "bundle a")
    asyncio.run(other.keep())
    assert topic.records
    assert remembering(topic).accused == 0
