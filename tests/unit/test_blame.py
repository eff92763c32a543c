from __future__ import annotations

import itertools
import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.betting import STAKES
from guard.blame import Blame, PlaceState, StateUnreadable, joint
from guard.calibration import Calibration, fuse
from guard.suspicion import FLOOR, suspicion_of
from guard.verdict import HoldReason, Status, Verdict

RNG = np.random.default_rng(0)
FUSION = fuse(
    Calibration(RNG.exponential(size=(2500, 2)), np.zeros(2500, np.int64), np.ones(2), np.zeros(3)), alpha=0.01
)
SUSPICION = suspicion_of(FUSION, "bundle a")


def verdict(source, p):
    if p is None:
        return Verdict(Status.QUARANTINED, HoldReason.UNKNOWN_LABEL, source=source)
    held = p <= FUSION.alpha
    return Verdict(
        Status.QUARANTINED if held else Status.CLEAN,
        HoldReason.SUSPECT if held else None,
        p,
        FUSION.alpha,
        source=source,
    )


def feed(blame, records, place="in/0", size=50):
    """`records`: (source, p) in order; offsets go on from what was counted."""
    start = blame.state(place).through
    for first in range(0, len(records), size):
        part = [verdict(*record) for record in records[first : first + size]]
        offsets = list(range(start + first, start + first + len(part)))
        blame.add(place, part, offsets, offsets)
    return blame


def poison(source, n, share, seed, recall=0.9):
    """p-values of a source with this share of poison; a caught one is as small as ranks can tell."""
    rng = np.random.default_rng(seed)
    p = np.where(rng.random(n) < share * recall, 1 / 2501, rng.random(n))
    return [(source, float(value)) for value in p]


def accused(blame):
    return {row.source for row in blame.standings(100) if row.accused}


def test_a_poisoner_is_accused_and_nobody_else():
    blame = Blame(SUSPICION)
    honest = [record for name in range(50) for record in poison(f"honest {name}", 200, 0, name)]
    records = honest + poison("mallory", 200, 0.3, 99)
    np.random.default_rng(3).shuffle(records)
    feed(blame, [(str(name), float(p)) for name, p in records])
    assert accused(blame) == {"mallory"}
    assert blame.is_accused("mallory")
    assert not blame.is_accused("honest 1")
    assert not blame.is_accused(None)
    top = blame.standings(1)[0]
    assert (top.source, top.records, top.times_accused) == ("mallory", 200, 1)
    assert top.held == sum(p <= 0.01 for name, p in records if name == "mallory")
    assert 0 < top.needed < top.evidence


@pytest.mark.parametrize(("share", "most"), [(0.5, 40), (0.2, 150), (0.05, 1500)])
def test_delay_in_samples(share, most):
    def delay(seed):
        blame = Blame(SUSPICION)
        for number in range(1, 4000):
            feed(blame, poison("m", 1, share, seed * 10_000 + number))
            if blame.is_accused("m"):
                return number
        return math.inf

    assert np.median([delay(seed) for seed in range(9)]) <= most


def test_p_values_at_the_very_bound_accuse_nobody():
    """The worst honest source: as many small p-values as the bounds allow. 400 of them, level 1 %."""
    rng = np.random.default_rng(7)
    edges, shares = (0.0, *SUSPICION.thresholds, 1.0), np.diff([0.0, *SUSPICION.bounds[0], 1.0])
    blame = Blame(SUSPICION)
    for _ in range(15):
        for source in range(400):
            cells = rng.choice(len(shares), 20, p=shares)
            feed(blame, [(f"s{source}", float((edges[cell] + edges[cell + 1]) / 2)) for cell in cells])
    assert accused(blame) == set()
    evidence = 10 ** np.array([row.evidence for row in blame.standings(400)])
    assert 0.05 < evidence.mean() < 5


def test_a_sleeper_gets_no_credit_for_his_past():
    blame = feed(Blame(SUSPICION), poison("s", 20_000, 0, 1))
    records = poison("s", 300, 0.3, 2)
    feed(blame, records)
    assert blame.is_accused("s")


def test_the_way_back_and_more_is_asked_for_the_second_time():
    blame = Blame(SUSPICION)

    def until(state, share, seed):
        for number in range(5000):
            if blame.is_accused("m") is state:
                return number
            feed(blame, poison("m", 1, share, seed + number))
        raise AssertionError("never")

    until(True, 0.5, 0)
    first = until(False, 0, 10_000)
    assert blame.standings(1)[0].times_accused == 1
    until(True, 0.5, 20_000)
    second = until(False, 0, 30_000)
    assert 40 <= first < second


def test_who_goes_on_with_poison_does_not_come_back():
    blame = feed(Blame(SUSPICION), poison("m", 4000, 0.2, 5))
    assert blame.is_accused("m")


def test_records_without_a_p_value_are_no_evidence_for_or_against():
    blame = feed(Blame(SUSPICION), [("m", None)] * 500)
    assert accused(blame) == set()
    before = blame.standings(1)[0]
    assert (before.evidence, before.held) == (0.0, 500)
    feed(blame, poison("m", 100, 0.9, 1))
    assert blame.is_accused("m")
    feed(blame, [("m", None)] * 1000)
    assert blame.is_accused("m")


def test_a_copy_is_counted_once():
    blame = Blame(SUSPICION)
    records = [verdict("m", 1e-4)] * 10
    for _ in range(50):
        blame.add("in/0", records, list(range(10)), [0] * 10)
    assert blame.standings(1)[0].records == 10
    blame.add("in/0", records, list(range(5, 15)), [0] * 10)
    assert blame.standings(1)[0].records == 15


def worth(counts, rounds, bounds):
    """What one partition's bets on each event and stake are worth, by the definition, with all that is reserved."""
    seen, hits = sum(counts[:-1]), np.cumsum(counts[:-2])
    capital = [
        (1 - stake + stake / bound) ** hit * (1 - stake) ** (seen - hit)
        for bound, hit in zip(bounds, hits, strict=True)
        for stake in STAKES
    ]
    return np.array(capital) / (rounds * (rounds + 1)) + 1 / (rounds + 1)


@given(
    st.lists(st.tuples(st.lists(st.integers(0, 6), min_size=6, max_size=6), st.integers(1, 5)), min_size=1, max_size=3)
)
def test_what_all_partitions_say_is_the_product_of_what_each_bet_is_worth(parts):
    counts = [[*part, 0][: SUSPICION.cells] for part, _ in parts]
    rounds = [number for _, number in parts]
    by_hand = min(
        weight * np.prod([worth(*pair, bounds) for pair in zip(counts, rounds, strict=True)], axis=0).mean()
        for weight, bounds in zip(SUSPICION.weights, SUSPICION.bounds, strict=True)
    )
    assert SUSPICION.log_joint(np.array(counts), np.array(rounds)) == pytest.approx(math.log(by_hand), abs=1e-9)


def test_weights_are_worth_a_level_over_all_calibrations():
    """Shares of calibrations that keep below each bound and not the one before, times what is allowed them."""
    misses = np.array([1.0, 0.3, 0.05, 0.008, 0.001])
    allowed = np.array(SUSPICION.weights) * 0.1
    assert (-np.diff(misses) * allowed).sum() <= 1
    assert list(SUSPICION.weights) == sorted(SUSPICION.weights)
    assert all(tight <= loose for tight, loose in itertools.pairwise(SUSPICION.bounds))


@given(st.permutations(range(4)), st.data())
def test_joining_is_the_same_in_any_order(order, data):
    blames = [feed(Blame(SUSPICION), poison("m", 60, 0.1 * k, k), place=f"in/{k}") for k in range(4)]
    entries = [blame._own[f"in/{k}"].sources.entries["m"] for k, blame in enumerate(blames)]
    for entry in entries:
        entry.epoch = data.draw(st.integers(0, 1))
    cut = data.draw(st.integers(1, 3))
    shuffled = [entries[i] for i in order]
    assert joint(shuffled) == joint(entries)
    if len({entry.epoch for entry in entries}) == 1:
        assert joint([joint(shuffled[:cut]), joint(shuffled[cut:])]) == joint(entries)


def test_who_hides_in_many_partitions_is_accused_by_all_together():
    blame = Blame(SUSPICION)
    rng = np.random.default_rng(2)
    for number in range(120):
        feed(blame, poison("m", 1, 0.3, number), place=f"in/{rng.integers(12)}")
    assert blame.is_accused("m")
    alone = feed(Blame(SUSPICION), [("m", 1 / 2501)] * 3 + [("m", 0.5)] * 7)
    assert not alone.is_accused("m")


def test_what_one_process_accuses_another_hears_and_lets_back_with_it():
    here, there = Blame(SUSPICION), Blame(SUSPICION)
    feed(here, [("m", 1 / 2501)] * 10, place="in/0")
    there.hear(PlaceState.from_bytes(here.state("in/0").to_bytes()))
    assert there.is_accused("m")
    feed(there, poison("m", 2, 0, 1), place="in/1")
    assert there.state("in/1").entries[0].epoch == 1
    feed(there, poison("m", 300, 0, 2), place="in/1")
    assert not there.is_accused("m")
    here.hear(there.state("in/1"))
    assert not here.is_accused("m")


def test_state_survives_and_goes_on_byte_for_byte():
    records = [(f"s{k % 37}", float(p)) for k, p in enumerate(np.random.default_rng(1).random(3000))]
    records += poison("m", 200, 0.4, 1)
    whole = feed(Blame(SUSPICION, capacity=20), records)
    first = feed(Blame(SUSPICION, capacity=20), records[:2000])
    resumed = Blame(SUSPICION, capacity=20)
    resumed.keep("in/0", PlaceState.from_bytes(first.state("in/0").to_bytes()))
    feed(resumed, records[2000:])
    assert sorted(map(repr, resumed.state("in/0").entries)) == sorted(map(repr, whole.state("in/0").entries))
    assert resumed.is_accused("m")


def test_an_older_state_does_not_undo_what_was_counted():
    blame = feed(Blame(SUSPICION), poison("m", 100, 0, 1))
    old = blame.state("in/0")
    blame.keep("in/0", msgspec.structs.replace(old, through=10))
    assert blame.state("in/0").through == 100


def test_another_bundle_keeps_the_accusation_and_no_other_evidence():
    blame = feed(Blame(SUSPICION), poison("m", 100, 0.6, 1) + [("x", 1e-4)] * 2)
    small = fuse(Calibration(RNG.exponential(size=(200, 1)), np.zeros(200, np.int64), np.ones(1), np.zeros(3)), 0.01)
    blame.use(suspicion_of(small, "bundle b"))
    assert blame.is_accused("m")
    [x] = [row for row in blame.standings(5) if row.source == "x"]
    assert x.evidence == 0.0
    assert x.records == 2
    blame.hear(feed(Blame(SUSPICION), poison("y", 60, 0.9, 4), place="in/9").state("in/9"))
    assert blame.is_accused("y")


def test_a_flood_of_invented_names_neither_grows_memory_nor_frees_an_accused_source():
    blame = feed(Blame(SUSPICION, capacity=64), poison("m", 100, 0.6, 1))
    feed(blame, [(f"invented {k}", 0.5) for k in range(5000)])
    assert blame.is_accused("m")
    assert blame.followed == 64


def test_who_is_forgotten_within_the_list_that_spoke_against_him_is_passed_over():
    """His evidence is due, and his entry is gone: a crash here would be one that any sender can bring about."""
    blame = Blame(SUSPICION, capacity=1)
    records = [*[("mallory", 1 / 2501)] * 40, ("x", 0.5)]
    assert len(feed(blame, records, size=len(records)).standings(10)) == 1
    assert blame.accused_count == 0


@given(
    st.integers(1, 3),
    st.lists(
        st.tuples(
            st.sampled_from(["in/0", "in/1"]),
            st.lists(
                st.tuples(st.sampled_from([*"abcdef", None, "x" * 300]), st.sampled_from([None, 1e-9, 0.004, 0.9])),
                max_size=40,
            ),
            st.sampled_from(["stay", "leave", "hear", "use"]),
        ),
        max_size=8,
    ),
)
def test_no_order_of_names_and_partitions_ends_it_or_fills_the_memory(capacity, story):
    blame = Blame(SUSPICION, capacity)
    for place, records, then in story:
        feed(blame, records * 3, place=place, size=max(1, len(records)))
        if then == "leave":
            blame.leave(place)
        elif then == "hear":
            blame.hear(msgspec.structs.replace(blame.state(place), place="elsewhere/0"))
        elif then == "use":
            blame.use(suspicion_of(FUSION, "bundle b"))
        assert blame.followed <= 2 * capacity
    assert len(blame.standings(10)) <= 10


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b", None, "ü" * 50]), st.sampled_from([None, 1e-9, 0.004, 0.05, 0.9])),
        min_size=1,
        max_size=60,
    ),
    st.integers(1, 60),
)
def test_counts_are_those_of_one_record_after_the_other(records, size):
    entries = feed(Blame(SUSPICION), records, size=size).state("in/0").entries
    expected = {}
    for at, (name, p) in enumerate(records):
        if name is not None:
            first, _, seen, held, cells = expected.get(name, (at, at, 0, 0, [0] * SUSPICION.cells))
            cells[SUSPICION.cell_of([p])[0]] += 1
            expected[name] = (first, at, seen + 1, held + (p is None or p <= FUSION.alpha), cells)
    found = [(one.first, one.last, one.records, one.held, one.counts) for one in entries if one.rounds == 1]
    assert found == [row for row, one in zip(expected.values(), entries, strict=True) if one.rounds == 1]


def test_a_topic_made_anew_is_counted_from_its_beginning():
    blame = feed(Blame(SUSPICION), poison("m", 100, 0, 1))
    blame.rewind("in/0", 0)
    blame.add("in/0", [verdict("m", 0.5)], [0], [0])
    assert blame.standings(1)[0].records == 101


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff", b'{"format":1}'])
def test_damaged_state_is_refused(data):
    with pytest.raises(StateUnreadable):
        PlaceState.from_bytes(data)


def test_state_of_another_format_or_shape_is_refused():
    state = feed(Blame(SUSPICION), poison("m", 5, 0, 1)).state("in/0")
    with pytest.raises(StateUnreadable, match="format"):
        PlaceState.from_bytes(msgspec.structs.replace(state, format=2).to_bytes())
    state.entries[0].counts = [1]
    with pytest.raises(StateUnreadable):
        PlaceState.from_bytes(state.to_bytes())


def test_an_extrapolated_calibration_does_not_accuse_by_its_fitted_tail():
    """60 rows: below the 80 % quantile nothing is told apart, so that p = 1e-9 says no more than p = .2."""
    tiny = fuse(Calibration(RNG.exponential(size=(60, 1)), np.zeros(60, np.int64), np.ones(1), np.zeros(3)), 0.01)
    suspicion = suspicion_of(tiny, "tiny")
    assert suspicion.cell_of([1e-9, 0.2]).tolist() == [0, 0]
    blame = feed(Blame(suspicion), [("m", 1e-9)] * 3)
    assert not blame.is_accused("m")


def test_another_alpha_with_other_thresholds_begins_the_counts_anew():
    """The same bundle, judged by an α that its calibration only extrapolates: its thresholds are others."""
    few = Calibration(RNG.exponential(size=(400, 1)), np.zeros(400, np.int64), np.ones(1), np.zeros(3))
    usual, extrapolated = (suspicion_of(fuse(few, alpha), "bundle a") for alpha in (0.01, 0.001))
    assert usual.cells != extrapolated.cells
    before = feed(Blame(usual), poison("m", 100, 0.9, 1) + poison("x", 20, 0.1, 2))
    after = Blame(extrapolated)
    after.keep("in/0", PlaceState.from_bytes(before.state("in/0").to_bytes()))
    after.hear(msgspec.structs.replace(before.state("in/0"), place="in/1"))
    feed(after, poison("x", 20, 0.1, 3))
    assert accused(after) == {"m"}
    assert {len(entry.counts) for entry in after.state("in/0").entries} == {extrapolated.cells}


def test_honest_sources_spread_over_partitions_are_worth_no_more_than_they_should():
    """At the very bounds, in six partitions, over many rounds: what all say together stays worth 1 on average."""
    rng = np.random.default_rng(11)
    shares = np.diff([0.0, *SUSPICION.bounds[0], 1.0])
    worths = []
    for _ in range(300):
        counts, rounds = np.zeros((6, SUSPICION.cells), np.int64), np.ones(6, np.int64)
        for _ in range(15):
            for place in range(6):
                counts[place, : len(shares)] += rng.multinomial(60, shares)
                if SUSPICION.log_evidence(counts[[place]])[0] < FLOOR:
                    counts[place], rounds[place] = 0, rounds[place] + 1
        worths.append(math.exp(SUSPICION.log_joint(counts, rounds)))
    assert rounds.max() > 1
    assert np.mean(worths) < 1.5


def test_who_was_forgotten_in_one_partition_stands_alone_there():
    blame = Blame(SUSPICION, capacity=4)
    feed(blame, [(f"invented {k}", 0.5) for k in range(20)], place="in/0")
    hits = [("m", 1 / 2501)] * 3
    feed(blame, [*hits, *hits], place="in/1")
    feed(blame, hits, place="in/0")
    assert blame.state("in/0").entries[-1].missed
    [together] = [row for row in blame.standings(10) if row.source == "m"]
    alone = feed(Blame(SUSPICION), [*hits, *hits], place="in/1").standings(1)[0]
    assert together.evidence == alone.evidence
