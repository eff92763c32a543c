from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from guard.space_saving import SpaceSaving, name_key

streams = st.lists(st.integers(0, 30).map(str), max_size=300)


def counted(names, capacity):
    kept = SpaceSaving(capacity)
    for at, name in enumerate(names):
        entry = kept.follow(name, at, 1)
        entry.records += 1
    return kept


def by_the_book(names, capacity):
    """The published algorithm with a list: who has the smallest count goes, the earliest of them first."""
    table = {}
    arrivals = 0
    for name in names:
        if name not in table:
            missed = 0
            arrivals += 1
            if len(table) == capacity:
                gone = min(table, key=lambda key: (sum(table[key][:2]), table[key][2]))
                missed = sum(table.pop(gone)[:2])
            table[name] = [missed, 0, arrivals]
        table[name][1] += 1
    return table


@given(streams, st.integers(1, 8))
def test_it_keeps_what_the_published_algorithm_keeps(names, capacity):
    kept = counted(names, capacity)
    assert {e.name: [e.missed, e.records, e.number] for e in kept.entries.values()} == by_the_book(names, capacity)


@given(streams, st.integers(1, 8))
def test_the_stated_error_holds(names, capacity):
    kept, true = counted(names, capacity), Counter(names)
    for entry in kept.entries.values():
        assert entry.records <= true[entry.name] <= entry.missed + entry.records
        assert entry.missed <= len(names) / capacity
    assert {name for name, count in true.items() if count > len(names) / capacity} <= set(kept.entries)


@given(streams, st.integers(2, 8), st.integers(0, 300))
def test_one_that_goes_on_from_kept_entries_goes_on_alike(names, capacity, cut):
    first = counted(names[:cut], capacity)
    resumed = SpaceSaving(capacity, first.entries.values(), first.arrivals)
    for at, name in enumerate(names[cut:], cut):
        resumed.follow(name, at, 1).records += 1
    whole = counted(names, capacity)
    assert resumed.entries == whole.entries


@given(streams, st.sets(st.integers(0, 30).map(str), max_size=2))
def test_pinned_names_stay(names, pinned):
    kept = SpaceSaving(6)
    for at, name in enumerate([*pinned, *names]):
        entry = kept.follow(name, at, 1)
        entry.records += 1
        if name in pinned and entry.records == 1:
            kept.pin(entry)
    assert pinned <= set(kept.entries)
    assert len(kept.entries) <= 6


def test_pins_never_take_more_than_half_of_the_places():
    kept = SpaceSaving(4)
    for at in range(100):
        entry = kept.follow(str(at), at, 1)
        entry.records += 1
        kept.pin(entry)
    assert len(kept.entries) == 4
    assert kept.follow("another", 100, 1) is not None


def test_a_long_name_is_kept_short_and_apart_from_others():
    assert name_key("crowd-17") == "crowd-17"
    long = ["é" * 200 + tail for tail in "ab"]
    keys = [name_key(name) for name in long]
    assert keys[0] != keys[1]
    assert all(len(key.encode()) <= 64 for key in keys)
    assert name_key("\ud800") == "?"
