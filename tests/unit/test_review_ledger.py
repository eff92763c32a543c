"""The ledger against the steps written out; and what compaction may leave of them."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.review.decision import Action, Decision, Disbelieved
from guard.review.desk import Desk, Wish
from guard.review.ledger import Ledger
from tests.support.held import decision_about, held_at

POSSIBLE = {
    None: {Action.RELEASED, Action.REJECTED},
    Action.REJECTED: {Action.REOPENED},
    Action.RELEASED: set(),
}


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(list(Action))), max_size=30))
def test_only_possible_steps_are_taken_and_a_release_happens_once(asked: list[tuple[int, Action]]) -> None:
    desk, expected = Desk(), dict.fromkeys(range(3))
    held = [held_at(number) for number in range(3)]
    for one in held:
        desk.hold(one)
    for number, action in asked:
        drafts, outcomes = desk.plan([Wish(held[number], action, "ana", "why")])
        assert bool(drafts) == (action in POSSIBLE[expected[number]]) != bool(outcomes)
        for _, draft in drafts:
            desk.settle(draft)
            expected[number] = None if action is Action.REOPENED else action
    for number, state in expected.items():
        assert desk.ledger.state(held[number].origin) is state
    released = [decision.origin for decision in desk.ledger.log if decision.action is Action.RELEASED]
    assert len(set(released)) == len(released)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.sampled_from(list(Action))), max_size=20))
def test_compaction_changes_no_state(asked: list[tuple[int, Action]]) -> None:
    whole, held = Desk(), [held_at(0), held_at(1)]
    for number, action in asked:
        for _, draft in whole.plan([Wish(held[number], action, "ana", "why")])[0]:
            whole.settle(_with_place(draft))
    last = {decision.origin: decision for decision in whole.ledger.log}
    compacted = Ledger()
    for decision in last.values():
        compacted.add(decision)
    for one in held:
        assert compacted.state(one.origin) is whole.ledger.state(one.origin)


def _with_place(draft: Decision) -> Decision:
    return draft


def test_a_decision_read_twice_counts_once() -> None:
    ledger, decision = Ledger(), decision_about(held_at(1), Action.REJECTED)
    assert ledger.add(decision)
    assert not ledger.add(decision)
    assert len(ledger) == 1


def test_nothing_follows_a_release_and_each_decision_names_the_one_before() -> None:
    ledger, held = Ledger(), held_at(1)
    released = decision_about(held, Action.RELEASED)
    ledger.add(released)
    for action in Action:
        with pytest.raises(Disbelieved):
            ledger.add(decision_about(held, action, supersedes=released.id))
    other = held_at(2)
    ledger.add(decision_about(other, Action.REJECTED))
    with contextlib.suppress(Disbelieved):
        ledger.add(decision_about(other, Action.REOPENED, supersedes="f" * 32))
    assert ledger.state(other.origin) is Action.REJECTED


def test_objections_name_who_decided() -> None:
    desk, held = Desk(), held_at(1)
    desk.hold(held)
    desk.settle(decision_about(held, Action.RELEASED, reviewer="bo"))
    _, (outcome,) = desk.plan([Wish(held, Action.REJECTED, "ana", "why")])
    assert outcome.objection is not None
    assert "released by bo at " in outcome.objection
    assert "final" in outcome.objection


def test_the_same_wish_again_is_found_done_and_two_at_once_are_one() -> None:
    desk, held = Desk(), held_at(1)
    desk.hold(held)
    wish, twin = Wish(held, Action.REJECTED, "ana", "why"), Wish(held, Action.REJECTED, "ana", "why")
    drafts, outcomes = desk.plan([wish, twin])
    assert [draft.id for _, draft in drafts] == [wish.id]
    assert [outcome.objection for outcome in outcomes] == ["it was asked for twice"]
    desk.settle(drafts[0][1])
    drafts, (outcome,) = desk.plan([wish])
    assert drafts == []
    assert outcome.decision is not None
