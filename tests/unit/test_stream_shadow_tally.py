from __future__ import annotations

from collections import Counter

from guard.stream.shadow_tally import ShadowTally

OLD, NEW = ("a" * 64, "b" * 64), ("b" * 64, "c" * 64)


def test_counts_add_up_for_one_pair_and_begin_anew_for_another() -> None:
    times = iter(f"2026-01-01T00:00:0{second}Z" for second in range(9))
    tally = ShadowTally(lambda: next(times))
    assert tally.agreement() is None
    tally.add(OLD, Counter(both_held=2, both_passed=7))
    tally.add(OLD, Counter(both_held=1, challenger_only_held=3))
    found = tally.agreement()
    assert found is not None
    assert (found.records, found.both_held, found.overlap) == (13, 3, 0.5)
    assert (found.champion_digest, found.challenger_digest) == OLD
    assert (found.since, found.until) == ("2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z")
    tally.add(NEW, Counter(both_passed=1))
    found = tally.agreement()
    assert found is not None
    assert (found.records, found.overlap, found.champion_digest) == (1, None, NEW[0])
    assert found.since == "2026-01-01T00:00:02Z"


def test_what_was_not_judged_is_counted_apart() -> None:
    tally = ShadowTally()
    tally.add(OLD, Counter(skipped_records=20))
    tally.add(OLD, Counter(failed_batches=1))
    found = tally.agreement()
    assert found is not None
    assert (found.records, found.skipped_records, found.failed_batches) == (0, 20, 1)
    assert (found.since, found.until) == (None, None)


def test_a_clock_that_jumps_back_does_not_end_before_it_began() -> None:
    times = iter(["2026-01-01T12:00:00Z", "1970-01-01T00:00:00Z"])
    tally = ShadowTally(lambda: next(times))
    tally.add(OLD, Counter(both_passed=1))
    tally.add(OLD, Counter(both_passed=1))
    found = tally.agreement()
    assert found is not None
    assert (found.since, found.until) == ("2026-01-01T12:00:00Z", "2026-01-01T12:00:00Z")
