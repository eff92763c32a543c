from __future__ import annotations

import numpy as np
import pytest
import torch

from guard.calibration import BoundaryRule, Calibration, Fusion, fuse
from training.attacks.verdict_margin import verdict_margin


def fusion(rows: int, classes: int, alpha: float, rule: BoundaryRule = "conformal", seed: int = 0) -> Fusion:
    """Three members of unlike tails and weights; the classes are of unlike size."""
    rng = np.random.default_rng(seed)
    scores = np.column_stack([rng.normal(size=rows), rng.exponential(3, rows), rng.standard_t(4, rows)])
    labels = np.minimum(rng.geometric(0.4, rows) - 1, classes - 1)
    weights = np.array([1.0, 0.2, 0.1])
    return fuse(Calibration(scores, labels, weights, np.array([0.0, 1.0, -1.96])), alpha, rule=rule, mimic=2)


@pytest.mark.parametrize(
    ("rows", "classes", "alpha", "rule"),
    [
        (150, 2, 0.01, "conformal"),
        (2000, 4, 0.01, "conformal"),
        (60, 3, 0.01, "conformal"),
        (400, 3, 0.2, "conformal"),
        (400, 3, 0.01, "zscore"),
    ],
    ids=["ranks", "groups", "extrapolated", "large alpha", "zscore"],
)
def test_a_sample_is_held_exactly_where_a_margin_is_not_negative(
    rows: int, classes: int, alpha: float, rule: BoundaryRule
) -> None:
    """Against the verdict itself on 20,000 samples; the last place of a score may fall on either side."""
    found = fusion(rows, classes, alpha, rule)
    rng = np.random.default_rng(1)
    scores = np.column_stack([rng.normal(size=20_000), rng.exponential(3, 20_000), rng.standard_t(4, 20_000)]) * 1.5
    y = rng.integers(0, classes, 20_000)
    margins = verdict_margin(found, classes)(torch.from_numpy(scores), torch.from_numpy(y)).amax(1).numpy()
    held = found.judge(scores, y).held
    near = np.abs(margins) < 1e-9
    assert near.mean() < 1e-3
    assert np.array_equal((margins >= 0)[~near], held[~near])
    assert 0.002 < held.mean() < 0.7


def test_in_the_tail_one_step_of_the_margin_is_a_factor_e_in_the_members_p_value() -> None:
    found = fusion(500, 2, 0.01)
    margin = verdict_margin(found, 2)
    high = np.array([ranks.ordered[-1] for ranks in found.members])
    scores = np.stack([high + 1, high + 2])
    p = found.member_p_values(scores)
    steps = margin(torch.from_numpy(scores), torch.zeros(2, dtype=torch.int64)).diff(dim=0).numpy()
    assert np.allclose(np.log(p[0] / p[1]), steps[0])


def test_its_gradient_reaches_scores_that_no_rank_tells_apart() -> None:
    found = fusion(500, 2, 0.01)
    scores = torch.tensor([[-5.0, 0.0, -50.0]], requires_grad=True)
    margin = verdict_margin(found, 2)
    margin(scores, torch.tensor([1])).sum().backward()
    scales = [ranks.scale for ranks in found.members]
    assert torch.allclose(scores.grad, 1 / torch.tensor([scales]), rtol=1e-5)
