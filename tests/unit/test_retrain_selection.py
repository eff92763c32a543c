from __future__ import annotations

import json
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.sample import encode_samples
from guard.spec import InputSpec, NumberColumn, NumberLabel, TableInput
from tests.support.bundles import TABLE, draw_samples
from tests.support.retraining import intake_of, records_of, trusted_table
from training.retrain.intake import Intake, Record, take_in
from training.retrain.policy import Caps, Policy, Records
from training.retrain.selection import BANDS, Left, label_groups, select
from training.snapshot import snapshot_from_arrays

TRUSTED = trusted_table()
DAY = 86_400.0
OPEN = Policy(caps=Caps(new_share=0.99, per_source=10**6, class_growth=1e6), records=Records(near_duplicate=0.0))


def reasons(intake: Intake, policy: Policy = OPEN, *, now: float = 0.0, seed: int = 0) -> list[Left | None]:
    return select(intake, TRUSTED, policy, now=now, seed=seed).left


def samples(count: int, seed: int = 1) -> list[bytes]:
    x, y = draw_samples(TABLE, count, seed)
    return encode_samples(TABLE, x, y, ["ann"] * count)


def told(*records: Record) -> Intake:
    return take_in(TABLE, [("test", records)])


class OneAccused:
    def is_accused(self, source: str | None) -> bool:
        return source == "sender 0"


def test_what_is_no_sample_of_the_snapshot_is_told_why() -> None:
    (line,) = samples(1)
    strange = json.dumps(json.loads(line) | {"label": "never seen"}).encode()
    intake = told(Record("a", b"{"), Record("b", line.replace(b"{", b'{"x":1,', 1)), Record("c", strange))
    assert reasons(intake) == [Left.MALFORMED, Left.MALFORMED, Left.UNKNOWN_LABEL]
    assert all(one.fault for one in intake.told[:2])


def test_age_counts_from_when_the_guard_judged_else_from_the_samples_own_time() -> None:
    lines = samples(5)
    own = lines[2].replace(b"{", b'{"event_time":"1970-01-01T00:00:01Z",', 1)
    intake = told(
        Record("new", lines[0], judged=9 * DAY),
        Record("old", lines[1], judged=1 * DAY),
        Record("own", own),
        Record("judged", own.replace(b"00:00:01", b"00:00:02"), judged=9 * DAY),
        Record("undated", lines[3]),
    )
    aged = OPEN.model_copy(update={"records": Records(max_age="7d", near_duplicate=0.0)})
    assert reasons(intake, aged, now=10 * DAY) == [None, Left.TOO_OLD, Left.TOO_OLD, None, Left.UNDATED]
    kept = aged.model_copy(update={"records": Records(max_age="7d", undated="take", near_duplicate=0.0)})
    assert reasons(intake, kept, now=10 * DAY)[4] is None
    assert math.isnan(intake.told[4].time)
    assert intake.told[2].time == 1.0


@pytest.mark.parametrize(
    ("rule", "left"),
    [("take", [None, None]), ("leave", [Left.RELEASED, None]), ("only", [None, Left.NOT_RELEASED])],
)
def test_what_a_reviewer_released_is_ruled_apart(rule: str, left: list[Left | None]) -> None:
    first, second = samples(2)
    policy = OPEN.model_copy(update={"records": Records(released=rule, near_duplicate=0.0)})
    assert reasons(told(Record("a", first, released=True), Record("b", second)), policy) == left


def test_records_of_accused_sources_are_left() -> None:
    intake = intake_of(TRUSTED, 20)
    intake.blames.append(OneAccused())
    expected = [Left.ACCUSED_SOURCE if one.source == "sender 0" else None for one in intake.told]
    assert reasons(intake) == expected
    assert set(reasons(intake, OPEN.model_copy(update={"records": Records(accused="take", near_duplicate=0.0)}))) <= {
        None
    }


def test_a_near_twin_says_nothing_new_or_contradicts() -> None:
    """The second and third equal trusted rows, one with another label; the fourth repeats the first."""
    fresh = draw_samples(TABLE, 1, 5)
    x = np.concatenate([fresh[0], TRUSTED.x[:2], fresh[0]])
    y = np.concatenate([fresh[1], [TRUSTED.y[0], (TRUSTED.y[1] + 1) % 3], fresh[1]])
    intake = take_in(TABLE, [("test", records_of(TABLE, x, y, ["ann"] * 4))])
    left = reasons(intake)
    assert left[1:3] == [Left.NEAR_DUPLICATE, Left.CONTRADICTS]
    assert sorted(map(str, (left[0], left[3]))) == ["None", "near_duplicate"]


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 1000),
    count=st.integers(1, 300),
    share=st.floats(0.05, 0.9),
    per_source=st.integers(1, 60),
    growth=st.floats(0.05, 3),
)
def test_no_cap_is_exceeded_and_none_cuts_without_need(
    seed: int, count: int, share: float, per_source: int, growth: float
) -> None:
    intake = intake_of(TRUSTED, count, seed + 1)
    caps = Caps(new_share=share, per_source=per_source, class_growth=growth)
    found = select(intake, TRUSTED, Policy(caps=caps, records=Records(near_duplicate=0.0)), now=0.0, seed=seed)
    taken = found.taken
    assert [intake.told[place] for place, why in enumerate(found.left) if why is None] == [
        intake.told[place] for place in intake.sound[taken]
    ]
    assert len(taken) <= share * (len(taken) + len(TRUSTED.y)) + 1e-6
    by_source = Counter(intake.told[place].source for place in intake.sound[taken])
    by_class, own = np.bincount(intake.y[taken], minlength=3), np.bincount(TRUSTED.y, minlength=3)
    assert max(by_source.values(), default=0) <= per_source
    assert (by_class <= growth * own + 1e-9).all()
    for place, why in enumerate(found.left):
        label = intake.y[place]
        if why is Left.SOURCE_CAP:
            assert by_source[intake.told[place].source] == per_source
        if why is Left.CLASS_CAP:
            assert by_class[label] + 1 > growth * own[label]
        if why is Left.NEW_SHARE_CAP:
            assert len(taken) + 1 > share / (1 - share) * len(TRUSTED.y)


def test_who_comes_first_does_not_get_ahead_but_what_was_released_does() -> None:
    """300 records for 30 places: the first 30 get about three of them, the five released ones all of theirs."""
    policy = Policy(caps=Caps(new_share=0.2, per_source=1000, class_growth=100), records=Records(near_duplicate=0.0))
    intake = intake_of(TRUSTED, 300)
    intake.told[-5:] = [one._replace(released=True) for one in intake.told[-5:]]
    early = []
    for seed in range(20):
        left = reasons(intake, policy, seed=seed)
        assert left[-5:] == [None] * 5
        early.append(left[:30].count(None))
    assert 1 < np.mean(early) < 4.5
    assert reasons(intake, policy, seed=3) == reasons(intake, policy, seed=3)


def test_numbers_are_counted_by_bands_with_equally_many_trusted_rows() -> None:
    spec = InputSpec(
        input=TableInput(columns=(NumberColumn(name="x", minimum=-9, maximum=9),)),
        label=NumberLabel(minimum=-100, maximum=100),
    )
    rng = np.random.default_rng(0)
    trusted = snapshot_from_arrays(rng.normal(size=(200, 1)), rng.normal(size=200), spec)
    assert np.bincount(label_groups(spec, trusted.y, trusted.y)).tolist() == [200 // BANDS] * BANDS
    x, y = rng.normal(size=(100, 1)), np.full(100, 50.0)
    intake = take_in(spec, [("test", records_of(spec, x, y, ["ann"] * 100))])
    policy = Policy(caps=Caps(class_growth=0.5), records=Records(near_duplicate=0.0))
    left = select(intake, trusted, policy, now=0.0, seed=0).left
    assert Counter(left) == {None: 10, Left.CLASS_CAP: 90}
