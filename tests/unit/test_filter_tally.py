from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from guard.filter.tally import KEPT_GROUPS, Groups, GroupsState, Tally, TallyState
from guard.verdict import HoldReason, RejectReason, Status, Verdict

CLEAN = Verdict(Status.CLEAN, source="a", label=1)
HELD = Verdict(Status.QUARANTINED, HoldReason.SUSPECT, source="a", label="1")
MALFORMED = Verdict(Status.MALFORMED, RejectReason.NON_FINITE)


def test_a_batch_is_counted_by_verdict_reason_source_and_label():
    tally = Tally(classes=True)
    tally.add([CLEAN, HELD, MALFORMED, CLEAN], 40)
    state = tally.state()
    assert (state.records, state.bytes) == (4, 40)
    assert state.verdicts == {"clean": 2, "quarantined": 1, "malformed": 1}
    assert state.reasons == {"suspect": 1, "non_finite": 1}
    assert state.held_share() == 1 / 3
    found = {group.name: (group.records, group.quarantined, group.rejected) for group in state.sources.kept}
    assert found == {"a": (3, 1, 0), None: (1, 0, 1)}
    assert {(group.name, group.records) for group in state.labels.kept} == {(1, 2), ("1", 1), (None, 1)}


def test_labels_of_a_regression_are_not_counted():
    tally = Tally(classes=False)
    tally.add([Verdict(Status.CLEAN, source="a", label=0.1)], 1)
    assert tally.state().labels.kept == []


def test_the_share_of_nothing_is_none():
    assert Tally(classes=True).state().held_share() is None


@given(st.lists(st.lists(st.sampled_from([CLEAN, HELD, MALFORMED]))), st.integers(0, 5))
def test_counting_goes_on_from_a_kept_state(batches, cut):
    whole, first = Tally(classes=True), Tally(classes=True)
    for batch in batches:
        whole.add(batch, len(batch))
    for batch in batches[:cut]:
        first.add(batch, len(batch))
    kept = TallyState.model_validate_json(first.state().model_dump_json())
    second = Tally(kept, classes=True)
    for batch in batches[cut:]:
        second.add(batch, len(batch))
    assert second.state() == whole.state()


def test_any_number_of_sources_is_counted_in_bounded_memory():
    groups, sent = Groups(), Counter()
    for batch in range(60):
        names = [f"one-off {batch} {index}" for index in range(500)] + ["steady"] * 20
        sent.update(names)
        groups.add(names, names[:10], names[-5:])
    state = groups.state()
    assert len(state.kept) <= 4 * KEPT_GROUPS
    assert len(state.cut().kept) == KEPT_GROUPS
    for shown in (state, state.cut()):
        assert _sums(shown) == (sent.total(), 600, 300)
    assert state.kept[0].name == "steady"
    assert state.kept[0].records == sent["steady"]


def _sums(state: GroupsState):
    groups = [*state.kept, state.rest]
    return tuple(sum(getattr(group, field) for group in groups) for field in ("records", "quarantined", "rejected"))
