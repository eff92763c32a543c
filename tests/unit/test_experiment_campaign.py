from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta, binom

from training.experiments.campaign import CAMPAIGN, Plan, _most_rejected, boil, share_beneath
from training.progress import Silent

PLAN = Plan(
    data="digits",
    trusted=500,
    rounds=2,
    honest=150,
    drip=70,
    gate="none",
    victim=7,
    claimed=1,
    limit=0.1,
    confidence=0.95,
    sample=100,
    misses=0.1,
    doubts=0.01,
    names=10,
    held_out=200,
    test=300,
)


def test_the_attacker_knows_what_the_audit_forgives() -> None:
    allowed = _most_rejected(PLAN)
    assert beta.ppf(0.95, allowed + 1, 100 - allowed) <= 0.1 < beta.ppf(0.95, allowed + 2, 99 - allowed)
    shares = np.linspace(0, 1, 2001)
    gains = shares * binom.cdf(allowed, 100, 0.9 * shares + 0.01 * (1 - shares))
    assert share_beneath(PLAN) == pytest.approx(shares[gains.argmax()], abs=2e-3)
    assert share_beneath(PLAN.model_copy(update={"limit": 0.001})) == 0.0


def test_dripped_poison_is_learned_without_the_gate_and_not_with_it() -> None:
    """Digits, two rounds: sevens as ones pass ever more freely, unless a reviewer looks at a sample."""
    free = boil(PLAN, 0, Silent())
    gated = boil(PLAN.model_copy(update={"gate": "whole"}), 0, Silent())
    assert free[0]["recall"] == gated[0]["recall"] > 0.6
    assert [row["promoted"] for row in free] == [False, True, True]
    assert free[-1]["poison"] > 0.03
    assert free[-1]["recall"] < 0.8 * free[0]["recall"]
    assert free[-1]["held"] < 0.4 * free[0]["held"]
    assert [row["promoted"] for row in gated] == [False, False, False]
    assert gated[-1]["recall"] >= 0.9 * gated[0]["recall"]


def test_the_experiment_runs_each_kind_of_attacker_with_and_without_the_gate() -> None:
    plans = [Plan.model_validate(case.settings) for case in CAMPAIGN.cases("small")]
    assert [(plan.gate, plan.drip) for plan in plans] == [
        ("none", 100),
        ("whole", 100),
        ("whole", None),
        ("audit", None),
    ]
    assert {plan.rounds for plan in plans} == {10}
