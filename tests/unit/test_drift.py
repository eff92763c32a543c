from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.betting import Bets
from guard.blame import StateUnreadable
from guard.bundle import load_bundle
from guard.drift import BASELINE, Drift, DriftState, expected_of
from guard.verdict import HoldReason, Status, Verdict
from tests.support.bundles import make_bundle

LABELS = ("apple", "pear", "plum")


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    bundle = load_bundle(make_bundle(tmp_path_factory.mktemp("drift") / "bundle", rows=1000), threads=1)
    return expected_of(bundle.judgement.fusion, bundle.manifest.spec.label, bundle.digest)


def verdict(p, source="a", label="apple"):
    if p is None:
        return Verdict(Status.QUARANTINED, HoldReason.UNKNOWN_LABEL, source=source)
    held = p <= 0.01
    return Verdict(
        Status.QUARANTINED if held else Status.CLEAN,
        HoldReason.SUSPECT if held else None,
        p_value=p,
        source=source,
        label=label,
    )


def crowd(n, seed, p=lambda rng: rng.random(), sources=100, shares=(1 / 3, 1 / 3, 1 / 3)):
    rng = np.random.default_rng(seed)
    return [verdict(p(rng), f"s{rng.integers(sources)}", LABELS[rng.choice(3, p=shares)]) for _ in range(n)]


def fed(expected, verdicts, size=500):
    drift = Drift(expected)
    for start in range(0, len(verdicts), size):
        drift.add(verdicts[start : start + size])
    return drift


def alarmed(drift):
    return {name for name in ("p_values", "labels", "refusals") if drift.alarms(name)}


@pytest.mark.parametrize("seed", range(5))
def test_a_stream_like_the_trusted_data_is_no_drift(expected, seed):
    drift = fed(expected, crowd(8000, seed))
    assert alarmed(drift) == set()
    assert drift.votes("p_values") > 1500


def test_p_values_of_all_sources_that_fall_are_drift_and_nothing_else_is(expected):
    drift = fed(expected, crowd(2000, 1) + crowd(8000, 2, lambda rng: rng.random() ** 2))
    assert alarmed(drift) == {"p_values"}
    assert drift.is_alarmed("p_values")


def test_p_values_that_rise_are_drift_too(expected):
    assert alarmed(fed(expected, crowd(6000, 2, lambda rng: rng.random() ** 0.3))) == {"p_values"}


def test_few_sources_that_send_most_of_it_are_no_drift(expected):
    """Five of a hundred, half of the records, p-values as small as those of a stealthy attack that passes."""
    rng = np.random.default_rng(3)
    honest = crowd(4000, 3)
    attack = [verdict(0.011 + 0.05 * rng.random(), f"m{rng.integers(5)}") for _ in honest]
    mixed = [one for pair in zip(honest, attack, strict=True) for one in pair]
    assert "p_values" not in alarmed(fed(expected, mixed))


def test_another_mix_of_classes_is_drift_of_labels(expected):
    drift = fed(expected, crowd(7000, 4) + crowd(8000, 5, shares=(0.6, 0.2, 0.2)))
    assert alarmed(drift) == {"labels"}


def test_a_new_class_is_drift_of_refusals(expected):
    new = [verdict(None if k % 5 == 0 else 0.5, f"s{k % 97}") for k in range(5000)]
    drift = fed(expected, crowd(7000, 6) + new)
    assert "refusals" in alarmed(drift)


def test_an_alarm_is_over_some_time_after_the_cause(expected):
    drift = fed(expected, crowd(3000, 7, lambda rng: rng.random() ** 3))
    assert drift.is_alarmed("p_values")
    drift.add(crowd(30_000, 8))
    assert drift.alarms("p_values")
    assert not drift.is_alarmed("p_values")


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 1500), st.integers(0, 5))
def test_one_that_goes_on_is_the_same_as_one_that_never_stopped(expected, cut, seed):
    verdicts = crowd(1600, seed, lambda rng: rng.random() ** 1.5)
    whole, first = Drift(expected), Drift(expected)
    whole.add(verdicts)
    first.add(verdicts[:cut])
    resumed = Drift(expected, DriftState.from_bytes(first.state().to_bytes()))
    resumed.add(verdicts[cut:])
    assert resumed.state() == whole.state()


def test_evidence_is_that_of_the_bets_on_the_votes(expected):
    """One source each: all vote. By hand, until the first round ends."""
    p = np.random.default_rng(1).random(40)
    drift = fed(expected, [verdict(float(value), f"s{k}") for k, value in enumerate(p)])
    low = p[p > 0.01][:, None] <= np.array(expected.thresholds)
    hits = np.concatenate([low, ~low], axis=1).sum(axis=0)
    by_hand = Bets(expected.bounds).log_evidence([int((p > 0.01).sum())], [hits])[0] / np.log(10)
    assert drift.log10_evidence("p_values") == pytest.approx(by_hand)


def test_nothing_is_said_of_labels_before_the_baseline(expected):
    drift = fed(expected, [verdict(0.5, f"s{k}") for k in range(BASELINE - 1)])
    assert drift.log10_evidence("labels") == 0.0
    assert drift.votes("labels") == BASELINE - 1


def test_damaged_state_is_refused(expected):
    for data in (b"", b"{}", b"\xff"):
        with pytest.raises(StateUnreadable):
            DriftState.from_bytes(data)
    state = msgspec.structs.replace(Drift(expected).state(), format=2)
    with pytest.raises(StateUnreadable, match="format"):
        DriftState.from_bytes(state.to_bytes())
