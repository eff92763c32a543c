from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from tests.unit.defence_tester import CLASSES, DefenceTester, digits, moons
from training.datasets import load_digits_images
from training.defences.deep_knn import DEEP_KNN
from training.defences.defence import Evidence, Ranking
from training.defences.features import deep_features
from training.defences.neighbours import Bank


class TestDeepKnnOnImages(DefenceTester):
    """k = 101 asks twice as many rows as a class has here: the plurality is wrong of every sixth clean row."""

    defence = DEEP_KNN
    least_auroc = 0.97

    @pytest.fixture(scope="class")
    @classmethod
    def planted(cls) -> tuple[Evidence, np.ndarray]:
        return digits(load_digits_images(), 50, seed=0)


class TestDeepKnnOnTables(DefenceTester):
    defence = DEEP_KNN
    least_auroc = 0.94

    @pytest.fixture(scope="class")
    @classmethod
    def planted(cls) -> tuple[Evidence, np.ndarray]:
        (x, y), truth = moons(400, 1), np.arange(400) < 30
        return Evidence(x, np.where(truth, 1 - y, y), *moons(60, 2), *moons(400, 3), CLASSES, 0), truth

    def test_flags_as_a_classifier_of_scikit_learn_that_never_saw_the_row(
        self, evidence: Evidence, ranking: Ranking
    ) -> None:
        z = deep_features(evidence).rows
        for i in range(0, 400, 7):
            rest = np.arange(400) != i
            voters = KNeighborsClassifier(101, algorithm="brute").fit(z[rest], evidence.y[rest])
            share = voters.predict_proba(z[i : i + 1])[0, evidence.y[i]]
            assert 1 - share <= ranking.suspicion[i] <= 1 - share + 1 / 101
            assert ranking.flagged[i] == (share < 0.5)


def test_no_row_votes_on_itself_but_its_twin_does() -> None:
    z = np.array([[0.0], [0.0], [1.0], [5.0], [5.0], [5.1]])
    bank = Bank(z, np.array([0, 1, 1, 0, 0, 0]), 2, 1)
    assert bank.own.share[[0, 1]].tolist() == [[0, 1], [1, 0]]
    assert bank.own.share[5].tolist() == [1, 0]


def test_a_tie_goes_to_the_nearer_class() -> None:
    bank = Bank(np.array([[0.0], [1.0], [2.0], [9.0], [9.5]]), np.array([0, 1, 1, 2, 2]), 3, 4)
    votes = bank.votes(np.array([[1.2]]))
    assert votes.share.tolist() == [[0.25, 0.5, 0.25]]
    assert np.allclose(votes.distance, [[1.2, 0.5, 7.8]])
    pair = Bank(np.array([[0.0], [0.1], [1.0], [1.1], [50.0]]), np.array([1, 1, 0, 0, 0]), 2, 4)
    assert pair.votes(np.array([[0.3], [0.9]])).winner.tolist() == [1, 0]


def test_features_are_penultimate_and_come_from_trusted_rows_alone() -> None:
    evidence, _ = digits(load_digits_images(), 50, seed=1)
    found = deep_features(evidence)
    assert [part.shape[1] for part in (found.rows, found.trusted, found.clean)] == [64, 64, 64]
    assert (found.rows >= 0).all()
    other = Evidence(**{**vars(evidence), "x": evidence.x[::-1].copy(), "y": np.zeros_like(evidence.y)})
    assert np.allclose(deep_features(other).trusted, found.trusted)
