"""The table that `make bench-kafka` writes: ratios the right way round, limits that are met or not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.bench.kafka.figures import figures


def cpu(*values: float) -> list[dict[str, Any]]:
    return [{"cpu_us_per_record": value} for value in values]


def row(found: dict[str, Any], part: str) -> dict[str, Any]:
    [only] = [one for one in figures(found) if part in one["what"]]
    return only


def race(**runs: list[dict[str, Any]]) -> dict[str, Any]:
    return {"race": {"rows": {name.replace("_", " "): many for name, many in runs.items()}}}


def test_a_ratio_is_the_median_of_those_within_rounds() -> None:
    one = row(race(transport=cpu(6, 10, 90), floor=cpu(5, 20, 60)), "transport")
    assert one["rounds"] == [1.2, 0.5, 1.5]
    assert one["found"] == 1.2


@pytest.mark.parametrize(("subject", "met"), [(5.4, "goal"), (6.4, "least"), (6.6, "missed")])
def test_what_must_be_low_is_held_against_both_limits(subject: float, met: str) -> None:
    assert row(race(transport=cpu(subject), floor=cpu(5)), "transport")["met"] == met


def test_less_than_another_is_told_as_how_many_times_less() -> None:
    one = row(race(guard=cpu(10), faust_events=cpu(90)), "plain Faust")
    assert (one["found"], one["met"]) == (9, "least")


def test_what_evidence_costs_is_a_ratio_of_two_guards() -> None:
    found = {"race": {"rows": {"guard": cpu(10.6, 10.7), "guard, no evidence": cpu(10, 10)}}}
    one = row(found, "evidence")
    assert (one["rounds"], one["met"]) == ([1.06, 1.07], "least")


def test_quix_is_taken_at_its_best() -> None:
    found = race(guard=cpu(10, 10), quix_sink=cpu(15, 90), quix_apply=cpu(90, 20))
    assert row(found, "Quix")["rounds"] == [1.5, 2.0]


def test_without_quix_there_is_no_figure_for_it() -> None:
    assert not [one for one in figures(race(guard=cpu(10), floor=cpu(5))) if "Quix" in one["what"]]


def test_one_lost_record_is_missed() -> None:
    kill = {"seconds_to_judging": 1.5, "judged_twice": 900, "again_ms": 120.0}
    found = {"recovery": {"kill -9": {"lost": 1, "judged_twice": 900, "interruptions": [kill]}}}
    assert row(found, "lost")["met"] == "missed"
    assert row(found, "longest")["met"] == "goal"
    assert row(found, "oldest")["met"] == "least"


def test_memory_that_shrinks_is_no_more_flat_than_memory_that_grows() -> None:
    found = {"memory": {"peak_mib": 200, "growth": -0.2}}
    assert row(found, "change")["met"] == "missed"
