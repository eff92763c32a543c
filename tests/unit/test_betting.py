from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.betting import STAKES, Bets, log_arrival_weight, log_round_weight
from guard.errors import WrongUse

bounds = st.lists(st.floats(0.001, 1.0), min_size=1, max_size=4).map(tuple)


def capital_by_hand(bounds, records):
    """The mean over events and stakes of the product of factors, one record after the other."""
    pots = [
        math.prod(1 - stake + stake * (event in record) / bound for record in records)
        for (event, bound), stake in itertools.product(enumerate(bounds), STAKES)
    ]
    return sum(pots) / len(pots)


@given(bounds, st.lists(st.sets(st.integers(0, 3)), max_size=30))
def test_evidence_of_counts_is_the_product_of_the_factors_of_the_records(bounds, records):
    hits = [[sum(event in record for record in records) for event in range(len(bounds))]]
    found = Bets(bounds).log_evidence([len(records)], hits)
    assert found[0] == pytest.approx(math.log(capital_by_hand(bounds, records)), abs=1e-9)


@settings(max_examples=50)
@given(st.floats(0.001, 1.0), st.floats(0.0, 1.0), st.integers(1, 12))
def test_expected_evidence_is_at_most_one_where_the_bound_holds(bound, share, records):
    """Exactly, over all outcomes: a supermartingale, for every probability up to the bound."""
    probability = bound * share
    hits = np.arange(records + 1)
    ways = np.array([math.comb(records, k) for k in hits])
    chance = ways * probability**hits * (1 - probability) ** (records - hits)
    expected = (chance * np.exp(Bets((bound,)).log_evidence(np.full(records + 1, records), hits[:, None]))).sum()
    assert expected <= 1 + 1e-9
    if share == 1.0:
        assert expected == pytest.approx(1.0)


@given(bounds, st.lists(st.sets(st.integers(0, 3)), max_size=20), st.sets(st.integers(0, 3)))
def test_whatever_came_before_the_next_factor_is_fair(bounds, records, event):
    """One step: the capital after a record, averaged over the null at its bound, is the capital before."""
    bets = Bets(bounds[:1])
    before = [[sum(0 in record for record in records)]]
    now = math.exp(bets.log_evidence([len(records)], before)[0])
    hit = math.exp(bets.log_evidence([len(records) + 1], [[before[0][0] + 1]])[0])
    miss = math.exp(bets.log_evidence([len(records) + 1], before)[0])
    assert bounds[0] * hit + (1 - bounds[0]) * miss == pytest.approx(now, rel=1e-9)


def test_the_weights_of_all_tests_sum_to_at_most_one():
    arrivals = sum(math.exp(log_arrival_weight(number)) for number in range(1, 200_001))
    assert arrivals == pytest.approx(1 - 1 / (1 + math.log1p(20)), rel=1e-9)
    rounds = sum(math.exp(log_round_weight(number)) for number in range(1, 10_001))
    assert rounds == pytest.approx(1 - 1 / 10_001)


def test_a_flood_of_names_costs_a_later_one_little():
    assert log_arrival_weight(1) - log_arrival_weight(10**9) < 20
    assert log_arrival_weight(10**9) > -27


@pytest.mark.parametrize("wrong", [(), (0.0,), (1.1,), (math.nan,)])
def test_bounds_that_are_no_probabilities_are_refused(wrong):
    with pytest.raises(WrongUse, match="probabilities"):
        Bets(wrong)
