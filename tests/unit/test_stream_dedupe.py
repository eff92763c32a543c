"""Each origin once: kills, swaps and releases, against a set that remembers everything."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.stream.dedupe import Deduplicator, Origin, origin_of

CLUSTER = "kB9x-_cluster"


def origin(offset: int, partition: int = 0, topic: str = "samples") -> Origin:
    return Origin(CLUSTER, topic, partition, offset)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 200_000)), max_size=300))
def test_it_says_what_a_set_says(drawn: list[tuple[int, int]]) -> None:
    known: set[Origin] = set()
    deduplicator = Deduplicator()
    for partition, offset in drawn:
        one = origin(offset, partition)
        assert deduplicator.first(one) is (one not in known)
        known.add(one)


@given(st.lists(st.integers(1, 400), min_size=1, max_size=10), st.randoms(use_true_random=False))
def test_a_guard_that_is_killed_again_and_again_is_read_once(runs: list[int], chance) -> None:  # type: ignore[no-untyped-def]
    """Each run goes on from a commit at or before what it has produced."""
    produced: list[int] = []
    committed = 0
    for length in runs:
        produced += range(committed, committed + length)
        committed = chance.randint(committed, committed + length)
    deduplicator = Deduplicator()
    passed = [offset for offset in produced if deduplicator.first(origin(offset))]
    assert passed == list(range(max(produced) + 1))


def test_an_old_record_that_comes_for_the_first_time_is_passed() -> None:
    """Released by a reviewer, or clean under a new bundle: a high-water mark would drop it."""
    deduplicator = Deduplicator()
    for offset in range(0, 1000, 2):
        assert deduplicator.first(origin(offset))
    assert deduplicator.first(origin(501))
    assert not deduplicator.first(origin(501))


def test_topics_partitions_and_clusters_are_told_apart() -> None:
    deduplicator = Deduplicator()
    different = [origin(5), origin(5, 1), origin(5, topic="other"), Origin("other", "samples", 0, 5)]
    assert all(deduplicator.first(one) for one in different)
    assert not any(deduplicator.first(one) for one in different)


def test_what_is_forgotten_is_passed_again_and_never_lost() -> None:
    deduplicator = Deduplicator(pages=2)
    far = [origin(number << 15) for number in range(3)]
    assert all(deduplicator.first(one) for one in far)
    assert deduplicator.first(far[0])
    assert not deduplicator.first(far[2])


def test_the_pages_used_last_are_remembered() -> None:
    deduplicator = Deduplicator(pages=2)
    old, middle, new = (origin(number << 15) for number in range(3))
    for one in (old, middle, old, new):
        deduplicator.first(one)
    assert not deduplicator.first(old)
    assert deduplicator.first(middle)


def test_forged_origins_do_not_fill_memory() -> None:
    deduplicator = Deduplicator(pages=100)
    tracemalloc.start()
    for number in range(5000):
        deduplicator.first(origin(number << 40, topic=f"t{number}"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"\xff/a/0/0",
        b"a/b/c/d",
        b"a/b/0",
        b"a/b/0/0/0",
        b"a/b/-1/0",
        b"a/b/0/1.5",
        "a/b/0/\u0661".encode(),
        b"a/b/0/" + b"9" * 100_000,
    ],
)
def test_what_is_no_origin_is_none(value: bytes | None) -> None:
    assert Origin.parse(value) is None


def test_an_origin_is_read_from_headers() -> None:
    headers = [("content-type", b"x"), ("guard-origin", b"kB9x-_cluster/samples/3/120")]
    assert origin_of(headers) == origin(120, 3)
    assert origin_of([("a", b"b")]) is None
    assert origin_of(()) is None
