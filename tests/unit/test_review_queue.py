"""The queue against a plain search over a list, and its speed at a hundred thousand records."""

from __future__ import annotations

import math
import time
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.errors import WrongUse
from guard.review.decision import Action
from guard.review.filters import Filter, parse_duration, parse_time
from guard.review.held import Held
from guard.review.queue import GROUPS, Queue
from tests.support.held import held_at

P = st.one_of(st.just(math.nan), st.sampled_from([0.0, 0.001, 0.01, 1.0]))
RECORDS = st.lists(
    st.tuples(
        P,
        st.sampled_from(["suspect", "not_scored"]),
        st.sampled_from(["alice", "bob", ""]),
        st.sampled_from([None, Action.RELEASED, Action.REJECTED]),
        st.sampled_from([-1, 0, 1_700_000_000_000]),
    ),
    max_size=40,
)
BOUND = st.one_of(st.none(), st.sampled_from([0.0, 0.001, 0.5]))
FILTERS = st.builds(
    Filter,
    reason=st.sampled_from([None, "suspect", "else"]),
    source=st.sampled_from([None, "alice", ""]),
    min_p=BOUND,
    max_p=BOUND,
    expiring=st.sampled_from([None, 1.0]),
    state=st.sampled_from(["undecided", "released", "rejected", "all"]),
)
EXPIRE_BEFORE = 1_000_000_000.0


def filled(records: list[tuple[float, str, str, Action | None, int]]) -> tuple[Queue, list[tuple[Held, Action | None]]]:
    queue, plain = Queue(), []
    for number, (p, reason, source, state, timestamp) in enumerate(records):
        held = held_at(number, p_value=p, reason=reason, source=source, timestamp=timestamp)
        queue.add(held)
        queue.mark(held.origin, state)
        plain.append((held, state))
    return queue, plain


def chosen_by(held: Held, state: Action | None, chosen: Filter) -> bool:
    return (
        chosen.state in ("all", str(state or "undecided"))
        and chosen.reason in (None, held.reason)
        and chosen.source in (None, held.source)
        and (chosen.min_p is None or held.p_value >= chosen.min_p)
        and (chosen.max_p is None or held.p_value <= chosen.max_p)
        and (chosen.expiring is None or 0 <= held.timestamp < EXPIRE_BEFORE * 1000)
    )


@settings(deadline=None)
@given(RECORDS, FILTERS)
def test_a_filter_chooses_what_a_plain_search_chooses(records: Any, chosen: Filter) -> None:
    queue, plain = filled(records)
    expected = [held for held, state in plain if chosen_by(held, state, chosen)]
    numbers = queue.find(chosen, expire_before=EXPIRE_BEFORE)
    assert queue.take(numbers) == expected
    by_p = queue.take(queue.find(chosen, "suspicion", expire_before=EXPIRE_BEFORE))
    assert by_p == sorted(expected, key=lambda held: -1 if math.isnan(held.p_value) else held.p_value)


@settings(deadline=None)
@given(RECORDS)
def test_groups_and_counts_add_up(records: Any) -> None:
    queue, plain = filled(records)
    numbers = queue.find(Filter(state="all"))
    states = Counter(str(state or "undecided") for _, state in plain)
    assert queue.counts(numbers).total() == len(plain)
    assert {name: count for name, count in queue.counts(numbers).items() if count} == states
    for by in GROUPS:
        groups = queue.groups(by, numbers)
        assert {group.name: group.records for group in groups} == Counter(getattr(held, by) for held, _ in plain)
        for group in groups:
            known = [held.p_value for held, _ in plain if getattr(held, by) == group.name and held.scored]
            assert group.smallest_p == min(known, default=None)


def test_a_copy_is_counted_and_another_record_of_the_same_origin_disputes_it() -> None:
    queue = Queue()
    for held in (held_at(1), held_at(1), held_at(2), held_at(2, value_sha256="1" * 64)):
        queue.add(held)
    assert (len(queue), queue.copies, queue.disputed) == (2, 2, {held_at(2).origin})


def test_what_is_gone_undecided_is_expired_and_waits_no_more() -> None:
    queue = Queue()
    for number in range(6):
        queue.add(held_at(number, partition=number % 2))
    queue.mark(held_at(1, 1).origin, Action.REJECTED)
    queue.expire({0: 3, 1: 4})
    assert [held.place.offset for held in queue.take(queue.find(Filter()))] == [4, 5]
    assert [held.place.offset for held in queue.take(queue.find(Filter(state="expired")))] == [0, 2, 3]
    assert [held.place.offset for held in queue.take(queue.find(Filter(state="rejected")))] == [1]


def test_a_hundred_thousand_records_are_searched_within_a_tenth_of_a_second() -> None:
    queue, rng = Queue(), np.random.default_rng(1)
    p, sources = rng.random(100_000), rng.integers(0, 5000, 100_000)
    for number in range(100_000):
        queue.add(held_at(number, p_value=float(p[number]), source=f"s{sources[number]}"))
    chosen = Filter(max_p=0.5, source="s7")
    best = min(_seconds(queue, chosen) for _ in range(5))
    assert len(queue.find(chosen)) == int(((p <= 0.5) & (sources == 7)).sum())
    assert best < 0.1


def _seconds(queue: Queue, chosen: Filter) -> float:
    began = time.process_time()
    queue.find(chosen, "suspicion")
    queue.groups("source", queue.find(Filter()))
    return time.process_time() - began


@pytest.mark.parametrize("fields", [{"min_p": 2.0}, {"max_p": math.nan}, {"since": math.inf}, {"state": "held"}])
def test_a_filter_that_cannot_be_meant_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(WrongUse):
        Filter(**fields)


def test_times_and_durations() -> None:
    assert parse_duration("1.5h") == 5400
    assert parse_time("3d", 1e6) == 1e6 - 3 * 86_400
    assert parse_time("1970-01-01T01:00:00+01:00", 0) == 0
    for wrong in ("", "3", "d", "-1d", "3 d", "1e9d", "soon"):
        with pytest.raises(WrongUse):
            parse_duration(wrong)
    with pytest.raises(WrongUse):
        parse_time("2026-01-31", 0)
