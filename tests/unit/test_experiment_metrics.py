from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, recall_score

from training.experiments.metrics import Judgement, measure, paper_figures, recall_at, threshold_at

COUNTS = st.integers(1, 60)


def judgement(clean: np.ndarray, poison: np.ndarray, least: float) -> tuple[Judgement, np.ndarray]:
    """So is the poison and as many clean rows of suspicion 0; held is what reaches `least`."""
    so = np.append(poison, np.zeros(len(poison)))
    return Judgement(so, clean, so >= least, clean >= least), np.arange(len(so)) < len(poison)


def test_the_papers_figures_by_hand() -> None:
    """100 clean rows of which 10 are held, 20 poisoned of which 15: TP 90, FN 10, FP 5, TN 15."""
    found = paper_figures(fqr=0.1, recall=0.75)
    assert found["accuracy"] == pytest.approx(105 / 120)
    assert found["recall"] == pytest.approx(90 / 100)
    assert found["f1"] == pytest.approx(2 * 90 / (2 * 90 + 5 + 10))


@settings(deadline=None, max_examples=40)
@given(COUNTS, st.data())
def test_the_papers_figures_are_scikit_learns_with_clean_as_positive(five: int, data: st.DataObject) -> None:
    clean, poison = 5 * five, five
    held_clean, held_poison = data.draw(st.integers(0, clean)), data.draw(st.integers(0, poison))
    truth = np.repeat([1, 0], [clean, poison])
    said = np.concatenate([np.arange(clean) >= held_clean, np.arange(poison) >= held_poison]).astype(int)
    found = paper_figures(held_clean / clean, held_poison / poison)
    assert found["accuracy"] == pytest.approx(accuracy_score(truth, said))
    assert found["recall"] == pytest.approx(recall_score(truth, said))
    assert found["f1"] == pytest.approx(f1_score(truth, said, zero_division=0))


def test_accepting_everything_looks_good_in_the_papers_figures() -> None:
    assert paper_figures(0, 0) == pytest.approx({"accuracy": 1 / 1.2, "recall": 1, "f1": 2 / 2.2})
    assert paper_figures(0, 0, ratio=1) == pytest.approx({"accuracy": 0.5, "recall": 1, "f1": 2 / 3})


def test_a_threshold_by_hand() -> None:
    """One hundredth of 250 rows are two."""
    clean = np.arange(250.0)
    assert threshold_at(0.01, clean) == 247
    assert recall_at(0.01, clean, np.array([246.5, 247, 247.5, 300])) == 0.5
    assert threshold_at(0.01, clean[:99]) is None
    assert threshold_at(0.01, clean[:100]) == 98
    assert recall_at(0.01, clean[:99], clean) is None


@settings(deadline=None, max_examples=60)
@given(st.integers(100, 300), st.integers(0, 1000), st.sampled_from([0.01, 0.05]), st.integers(2, 400))
def test_no_more_clean_rows_exceed_the_threshold_than_the_rate_allows(
    n: int, seed: int, rate: float, levels: int
) -> None:
    clean = np.random.default_rng(seed).integers(0, levels, n).astype(float)
    assert recall_at(rate, clean, clean) <= rate


def test_the_realised_rate_of_further_rows_is_about_the_rate() -> None:
    rng = np.random.default_rng(0)
    rates = [recall_at(0.05, rng.normal(size=400), rng.normal(size=400)) for _ in range(200)]
    assert np.mean(rates) == pytest.approx(0.05, abs=0.004)


def test_what_is_measured_of_a_judgement() -> None:
    clean, poison = np.linspace(0, 1, 400), np.linspace(0.9, 1.9, 100)
    given, truth = judgement(clean, poison, 1.0)
    found = measure(given, truth)
    assert found["recall"] == pytest.approx(np.mean(poison >= 1))
    assert found["fqr"] == pytest.approx(1 / 400)
    assert found["auroc"] == pytest.approx(np.mean([np.mean(clean < p) + np.mean(clean == p) / 2 for p in poison]))
    assert found["paper_recall"] == pytest.approx(1 - 1 / 400)
    assert found["recall_at_1"] == pytest.approx(np.mean(poison > clean[395]))
    assert found["recall_at_5"] == pytest.approx(np.mean(poison > clean[379]))
    assert found["fqr_at_1"] == 0


def test_a_method_that_decides_on_what_arrives_alone_is_counted_there() -> None:
    given, truth = judgement(np.linspace(0, 1, 400), np.ones(10), 1.0)
    alone = Judgement(given.suspicion, given.clean, given.held | (np.arange(20) == 19))
    assert measure(alone, truth)["fqr"] == pytest.approx(0.1)


def test_recall_weighted_by_harm_counts_what_works() -> None:
    """Of four poisoned rows the second and third lie above the threshold, and carry .25 of 1 of the harm."""
    clean = np.arange(200.0)
    poison = np.array([0, 500, 500, 0.0])
    given, truth = judgement(clean, poison, 1000.0)
    found = measure(given, truth, np.array([0.5, 0.25, 0, 0.25]))
    assert found["recall_at_1"] == 0.5
    assert found["harm_recall_at_1"] == 0.25
    assert "harm_recall_at_1" not in measure(given, truth, np.zeros(4))
