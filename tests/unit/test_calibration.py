from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from guard.calibration import Calibration, Fusion, fuse
from guard.conformal import smooth_ranks
from guard.errors import BundleRefused, WrongUse

NO_BOUNDARY = np.zeros(3)


def calibrate(
    scores: np.ndarray, weights: list[float] | None = None, labels: np.ndarray | None = None, boundary: object = None
) -> Calibration:
    return Calibration(
        scores=scores.astype(np.float64),
        labels=np.zeros(len(scores), np.int64) if labels is None else labels,
        weights=np.ones(scores.shape[1]) if weights is None else np.array(weights),
        boundary=NO_BOUNDARY if boundary is None else np.array(boundary, np.float64),
    )


def correlated(rng: np.random.Generator, rows: int, members: int) -> np.ndarray:
    """Members that share half of their variance and have unlike tails."""
    normal = rng.normal(size=(rows, 1)) * 0.7 + rng.normal(size=(rows, members)) * 0.7
    normal[:, 0] = np.exp(normal[:, 0])
    normal[:, 2::3] = np.abs(normal[:, 2::3])
    return normal


def held_share(fusion: Fusion, scores: np.ndarray, labels: np.ndarray | None = None) -> float:
    found = fusion.judge(scores, np.zeros(len(scores), np.int64) if labels is None else labels)
    return float(found.held.mean())


def labels_like(scores: np.ndarray) -> np.ndarray:
    return np.zeros(len(scores), np.int64)


@pytest.mark.parametrize("members", [1, 2, 5])
@pytest.mark.parametrize("n", [99, 200, 400])
def test_clean_samples_are_held_at_the_stated_rate(n: int, members: int) -> None:
    """Mean over 200 calibrations, seeded: within a tenth of α and three standard errors."""
    rng = np.random.default_rng(n + members)
    rates = np.array(
        [
            held_share(fuse(calibrate(correlated(rng, n, members)), 0.02), correlated(rng, 1000, members))
            for _ in range(200)
        ]
    )
    assert rates.mean() == pytest.approx(0.02, abs=0.1 * 0.02 + 3 * rates.std() / len(rates) ** 0.5)


def test_fused_p_values_of_clean_samples_are_uniform() -> None:
    """1500 splits, one new sample each."""
    rng = np.random.default_rng(21)
    p = np.empty(1500)
    for split in range(len(p)):
        rows = correlated(rng, 201, 3)
        fusion = fuse(calibrate(rows[1:], [1, 0.5, 0.5]), 0.05)
        p[split] = fusion.judge(rows[:1], np.zeros(1, np.int64)).p_values[0]
    assert stats.kstest(p, "uniform").pvalue > 0.01
    assert stats.kstest(p - 0.05, "uniform").pvalue < 0.001


def test_realised_rates_lie_in_the_printed_band() -> None:
    """At least 85 %, less two standard errors of 300 calibrations."""
    rng = np.random.default_rng(8)
    inside = []
    for _ in range(300):
        fusion = fuse(calibrate(correlated(rng, 400, 3)), 0.02)
        rate = held_share(fusion, correlated(rng, 5000, 3))
        inside.append(fusion.band.low <= rate <= fusion.band.high)
    assert np.mean(inside) >= 0.85 - 0.04


def test_extrapolated_rates_lie_in_the_printed_band() -> None:
    rng = np.random.default_rng(9)
    fusions = [fuse(calibrate(rng.exponential(size=(61, 2))), 0.01) for _ in range(150)]
    rates = np.array([held_share(fusion, rng.exponential(size=(4000, 2))) for fusion in fusions])
    found = fusions[0].band
    assert found.extrapolated
    assert np.mean((rates >= found.low) & (rates <= found.high)) > 0.75
    assert 0.004 < rates.mean() < 0.02


@given(arrays(np.float64, (40, 1), elements=st.floats(-1e3, 1e3).map(lambda v: round(v, 2))))
def test_one_member_gives_its_own_ranks(scores: np.ndarray) -> None:
    """At each calibration score p = j/(n + 1), also in the tail: nothing but the order of scores counts."""
    found = fuse(calibrate(scores), 0.3).judge(scores, labels_like(scores)).p_values
    assert found == pytest.approx(smooth_ranks(scores[:, 0]).p_values(scores[:, 0]), abs=1e-9)


def test_duplicated_members_change_nothing() -> None:
    rng = np.random.default_rng(10)
    scores, new = correlated(rng, 300, 3), correlated(rng, 500, 3)
    once = fuse(calibrate(scores, [1, 0.5, 0.2]), 0.01).judge(new, labels_like(new))
    twice = fuse(calibrate(np.tile(scores, 2), [1, 0.5, 0.2] * 2), 0.01).judge(np.tile(new, 2), labels_like(new))
    assert np.array_equal(once.p_values, twice.p_values)
    assert np.array_equal(once.held, twice.held)
    assert np.array_equal(once.fired, twice.fired)


@pytest.mark.parametrize("weight", [1.0, 0.25])
def test_a_noise_member_costs_at_most_its_share(weight: float) -> None:
    """With a second member of weight w the first still finds what it alone finds at α/(1 + w)."""
    rng = np.random.default_rng(12)
    alone, both = [], []
    for _ in range(40):
        scores, poison = rng.normal(size=(999, 2)), rng.normal([2.5, 0], size=(500, 2))
        alone.append(held_share(fuse(calibrate(scores[:, :1]), 0.05 / (1 + weight)), poison[:, :1]))
        both.append(held_share(fuse(calibrate(scores, [1, weight]), 0.05), poison))
    assert np.mean(both) > np.mean(alone) - 0.02


@settings(max_examples=40)
@given(
    arrays(np.float64, (40, 3), elements=st.floats(-100, 100)),
    arrays(np.float64, (3,), elements=st.floats(-100, 100)),
    arrays(np.float64, (3,), elements=st.floats(0, 100)),
    st.sampled_from([0.005, 0.05, 0.3]),
)
def test_a_higher_score_never_has_a_higher_p_value(
    scores: np.ndarray, sample: np.ndarray, rise: np.ndarray, alpha: float
) -> None:
    fusion = fuse(calibrate(scores, [1, 0.5, 0.1]), alpha)
    low, high = fusion.judge(np.stack([sample, sample + rise]), np.zeros(2, np.int64)).p_values
    assert high <= low
    assert 0 < high <= 1


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_held_as_not_scored(bad: float) -> None:
    fusion = fuse(calibrate(correlated(np.random.default_rng(1), 200, 2)), 0.01)
    found = fusion.judge(np.array([[0.0, 0.0], [0.0, bad], [bad, 0.0]], np.float32), np.zeros(3, np.int64))
    assert found.held.tolist() == [False, True, True]
    assert found.scored.tolist() == [True, False, False]
    assert np.isnan(found.p_values).tolist() == [False, True, True]
    for rule_held in (
        fuse(calibrate(np.zeros((50, 1))), 0.5, rule="zscore", mimic=0)
        .judge(np.array([[bad]]), np.zeros(1, np.int64))
        .held
    ):
        assert rule_held


def test_the_largest_32_bit_score_is_judged_without_a_warning() -> None:
    fusion = fuse(calibrate(np.random.default_rng(1).normal(size=(50, 2)) * 1e-30), 0.01)
    found = fusion.judge(np.array([[3.4e38, -3.4e38]], np.float32), np.zeros(1, np.int64))
    assert found.held.tolist() == [True]
    assert 0 < found.p_values[0] < 1e-9


@pytest.mark.parametrize("n", [50, 200])
def test_constant_scores_hold_nothing(n: int) -> None:
    fusion = fuse(calibrate(np.full((n, 2), 7.0)), 0.01)
    assert held_share(fusion, np.full((100, 2), 7.0)) == 0


def test_alpha_moves_the_verdict_and_never_the_order() -> None:
    rng = np.random.default_rng(14)
    calibration, new = calibrate(correlated(rng, 500, 2)), correlated(rng, 2000, 2)
    shares = [held_share(fuse(calibration, alpha), new) for alpha in (0.002, 0.01, 0.05, 0.2)]
    assert shares == sorted(shares)
    for alpha, share in zip((0.002, 0.01, 0.05, 0.2), shares, strict=True):
        found = fuse(calibration, alpha).band
        assert found.low / 2 < share < found.high * 2


def test_large_classes_are_ranked_apart_and_small_ones_together() -> None:
    """Class 1's scores are ten times as large: pooled it would fill the whole budget, apart each class keeps α."""
    rng = np.random.default_rng(15)
    labels = np.repeat([0, 1, 2, 3], [400, 400, 60, 60])
    scale = np.array([1.0, 10.0, 1.0, 1.0])

    def draw(y: np.ndarray) -> np.ndarray:
        return rng.normal(size=(len(y), 1)) * scale[y][:, None]

    fusion = fuse(calibrate(draw(labels), labels=labels), 0.01)
    assert sorted(fusion.group_sizes) == [120, 400, 400]
    assert fusion.group_of[2] == fusion.group_of[3] == 0
    many = [fuse(calibrate(draw(labels), labels=labels), 0.01) for _ in range(60)]
    for label in (0, 1):
        y = np.full(2000, label)
        assert np.mean([held_share(each, draw(y), y) for each in many]) == pytest.approx(0.01, abs=0.002)


def test_a_pool_too_small_for_alpha_takes_in_the_smallest_class() -> None:
    labels = np.repeat([0, 1, 2], [500, 400, 20])
    scores = np.random.default_rng(16).normal(size=(920, 1))
    fusion = fuse(calibrate(scores, labels=labels), 0.01)
    assert sorted(fusion.group_sizes) == [420, 500]
    assert not fusion.band.extrapolated
    assert fusion.judge(np.zeros((1, 1)), np.array([7])).held.tolist() == [False]


def test_zscore_holds_what_the_published_boundary_holds() -> None:
    rng = np.random.default_rng(17)
    scores = rng.normal(size=(200, 2))
    calibration = calibrate(scores, boundary=[0.5, 2.0, -1.96])
    new = rng.normal(size=(1000, 2)) * 3
    published = fuse(calibration, 0.01, rule="zscore", mimic=1).judge(new, labels_like(new))
    assert np.array_equal(published.held, -new[:, 1] < 0.5 - 1.96 * 2.0)
    conformal = fuse(calibration, 0.01, mimic=1).judge(new, labels_like(new))
    assert np.array_equal(published.p_values, conformal.p_values)
    assert not np.array_equal(published.held, conformal.held)


@pytest.mark.parametrize("alpha", [0, 1, -0.1, 1.5, float("nan"), 5e-324, 1e-300])
def test_alpha_outside_its_range_is_wrong_use(alpha: float) -> None:
    with pytest.raises(WrongUse, match="between 0 and 1"):
        fuse(calibrate(np.random.default_rng(0).normal(size=(50, 1))), alpha)


def test_zscore_without_a_mimic_is_wrong_use() -> None:
    with pytest.raises(WrongUse, match="mimic"):
        fuse(calibrate(np.zeros((50, 1))), 0.1, rule="zscore")


@pytest.mark.parametrize(
    "broken",
    [
        {"scores": np.zeros((29, 2))},
        {"scores": np.full((50, 2), np.nan)},
        {"scores": np.full((50, 2), 1e300)},
        {"labels": np.zeros(49, np.int64)},
        {"labels": np.full(50, -1)},
        {"weights": np.array([0.5, 0.5])},
        {"weights": np.array([1.0, 0.0])},
        {"weights": np.array([1.0, np.nan])},
        {"weights": np.ones(3)},
        {"boundary": np.array([0, np.inf, 0])},
    ],
    ids=str,
)
def test_unusable_calibration_is_refused(broken: dict[str, np.ndarray]) -> None:
    sound = {
        "scores": np.zeros((50, 2)),
        "labels": np.zeros(50, np.int64),
        "weights": np.ones(2),
        "boundary": np.zeros(3),
    }
    Calibration(**sound)
    with pytest.raises(BundleRefused, match=r"calibration\.npz.*train the bundle again"):
        Calibration(**{**sound, **broken})


def test_calibration_survives_its_file() -> None:
    calibration = calibrate(np.random.default_rng(0).normal(size=(50, 2)), [1, 0.5], boundary=[1, 2, 3])
    again = Calibration.from_bytes(calibration.to_bytes())
    for name in ("scores", "labels", "weights", "boundary"):
        assert np.array_equal(getattr(calibration, name), getattr(again, name))
    assert again.to_bytes() == calibration.to_bytes()


@pytest.mark.bench
def test_judging_costs_at_most_a_microsecond_per_score() -> None:
    rng = np.random.default_rng(0)
    fusion = fuse(calibrate(correlated(rng, 2400, 5)), 0.01)
    new = correlated(rng, 1024, 5).astype(np.float32)
    labels = labels_like(new)
    best = min(_seconds(lambda: fusion.judge(new, labels)) for _ in range(30))
    assert best / new.size < 1e-6


def _seconds(work: object) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def test_loudness_tells_apart_what_p_values_no_longer_do() -> None:
    rng = np.random.default_rng(5)
    rows = correlated(rng, 300, 2)
    fusion = fuse(calibrate(rows, [1, 0.5]), 0.05)
    far = rows.max(axis=0) + np.array([[5.0, 5.0], [50.0, 50.0]])
    p = fusion.judge(far, labels_like(far)).p_values
    assert p[0] == p[1]
    loud = fusion.loudness(far)
    assert (loud[1] > loud[0] + 1).all()
    assert loud == pytest.approx(-np.log(fusion.member_p_values(far)) + np.log([1, 0.5]))
