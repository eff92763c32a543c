from __future__ import annotations

import numpy as np
import pytest
import torch

from guard.errors import WrongUse
from guard.spec import InputSpec, NumberLabel
from tests.support.open_guard import digits_guard, outside_rows
from tests.unit.attack_tester import legal
from training.attacks import Poison
from training.attacks.adaptive_white_box import (
    ADAPTIVE_WHITE_BOX,
    WEIGHTINGS,
    Claim,
    attack_white_box,
    measure_white_box,
)
from training.attacks.attack import AttackerRows
from training.attacks.opinion import claim_margin, form_opinion
from training.attacks.projected_gradient import EPSILON as PGD_EPSILON
from training.attacks.projected_gradient import PROJECTED_GRADIENT

COUNT = 16


@pytest.fixture(scope="module")
def rows() -> AttackerRows:
    return outside_rows()


def attacked(rows: AttackerRows, claim: Claim, epsilon: float, count: int = COUNT) -> Poison:
    rng = np.random.default_rng(0)
    return attack_white_box(digits_guard(), rows, count, rng, epsilon=epsilon, claim=claim)


@pytest.fixture(scope="module")
def kept(rows: AttackerRows) -> Poison:
    return attacked(rows, "kept", PGD_EPSILON)


def share(poison: Poison) -> float:
    """What passes and harms; harm is judged by a network that no attacker knows."""
    judge = form_opinion(outside_rows(), 99)
    return float(np.mean(digits_guard().passes(poison.x, poison.y) & (judge.contradiction(poison.x, poison.y) > 0)))


def test_it_stays_in_the_ball_and_on_grey_levels(rows: AttackerRows, kept: Poison) -> None:
    assert legal(kept.x, kept.y, rows.spec)
    assert (kept.x.shape, kept.x.dtype) == ((COUNT, *rows.x.shape[1:]), np.uint8)
    assert np.abs(kept.x.astype(int) - rows.x[kept.base_index]).max() <= int(255 * PGD_EPSILON)
    assert np.array_equal(kept.y, rows.y[kept.base_index])
    assert np.array_equal(kept.y_true, kept.y)
    assert len(np.unique(kept.base_index)) == COUNT


def test_at_the_same_radius_strictly_more_passes_and_harms_than_plain_projected_gradient(
    rows: AttackerRows, kept: Poison
) -> None:
    plain = PROJECTED_GRADIENT.run(rows, COUNT, np.random.default_rng(0))
    assert share(kept) > share(plain) + 0.2


def test_same_seed_same_bytes_and_clean_rows_stay_untouched(rows: AttackerRows, kept: Poison) -> None:
    before = rows.x.copy()
    again = attacked(rows, "kept", PGD_EPSILON)
    for name in ("x", "y", "base_index", "y_true"):
        assert getattr(kept, name).tobytes() == getattr(again, name).tobytes()
    assert np.array_equal(rows.x, before)


@pytest.mark.slow
def test_a_wrong_label_is_brought_past_the_guard_where_a_plain_flip_is_held(rows: AttackerRows) -> None:
    chosen = attacked(rows, "chosen", 0.1)
    assert (chosen.y != chosen.y_true).all()
    flips = Poison(rows.x[chosen.base_index], chosen.y, chosen.base_index, chosen.y_true)
    assert share(chosen) > share(flips) + 0.3


def test_without_a_radius_nothing_passes_but_what_the_guard_misses_anyway(rows: AttackerRows) -> None:
    """Every wrong class of every image that is attacked is tried: an image counts as missed if one of them passes."""
    found = measure_white_box(digits_guard(), rows, 200, 0, seed=0)
    base = np.random.default_rng([0, 2]).permutation(len(rows.y))[:200]
    missed = np.zeros(200, np.bool_)
    for step in range(1, 10):
        missed |= digits_guard().passes(rows.x[base], (rows.y[base] + step) % 10)
    assert found.strongest <= missed.mean()
    assert set(found.by_weighting.values()) == {found.strongest}


@pytest.mark.slow
def test_a_wider_ball_lets_more_through_and_every_weighting_is_told(rows: AttackerRows) -> None:
    narrow, wide = (measure_white_box(digits_guard(), rows, 60, epsilon, 0, "kept") for epsilon in (0.03, 0.3))
    assert wide.strongest > narrow.strongest + 0.1
    assert set(wide.by_weighting) == {weighting.name for weighting in WEIGHTINGS}
    assert wide.strongest >= max(wide.by_weighting.values()) - 0.05


def test_other_tasks_and_impossible_counts_are_refused(rows: AttackerRows) -> None:
    number = InputSpec(input=rows.spec.input, label=NumberLabel(minimum=0, maximum=1))
    assert ADAPTIVE_WHITE_BOX.applies(rows.spec)
    assert not ADAPTIVE_WHITE_BOX.applies(number)
    with pytest.raises(WrongUse, match="made for classes of images"):
        attack_white_box(digits_guard(), AttackerRows(rows.x, rows.y, number), 1, np.random.default_rng(0))
    for count in (0, len(rows.y) + 1):
        with pytest.raises(WrongUse, match="the attacker holds"):
            attack_white_box(digits_guard(), rows, count, np.random.default_rng(0))


def test_the_margin_of_a_claim_is_how_far_another_class_is_ahead() -> None:
    ranked = torch.tensor([[1.0, 4.0, 2.0], [1.0, 4.0, 2.0]])
    assert claim_margin(ranked, torch.tensor([1, 2])).tolist() == [-2, 2]
