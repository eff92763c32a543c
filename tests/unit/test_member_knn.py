from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from tests.support.trusted import cancer, classes_of
from training.members.knn import KNN, NeighbourRatio


def spacing(bank: np.ndarray) -> float:
    """The lower median (torch's) of the distances to the nearest row that is not a twin."""
    rows = np.unique(bank, axis=0)
    nearest = NearestNeighbors(n_neighbors=2).fit(rows).kneighbors(bank)[0]
    return float(np.sort(nearest.max(1))[(len(bank) - 1) // 2])


def reference(bank: np.ndarray, labels: np.ndarray, z: np.ndarray, y: np.ndarray, k: int, near: float) -> np.ndarray:
    """By scikit-learn, one class at a time."""
    per_class = {}
    for label in np.unique(labels):
        rows = bank[labels == label]
        per_class[label] = NearestNeighbors(n_neighbors=min(k, len(rows))).fit(rows).kneighbors(z)[0].mean(1)
    own = np.array([per_class[label][i] for i, label in enumerate(y)])
    other = np.array([min(v[i] for c, v in per_class.items() if c != label) for i, label in enumerate(y)])
    return np.log(own + near) - np.log(other + near)


@pytest.mark.parametrize("k", [1, 3])
def test_equals_scikit_learn(k: int) -> None:
    rng = np.random.default_rng(k)
    bank, labels = rng.normal(size=(90, 5)).astype(np.float32), rng.integers(0, 4, 90)
    labels[labels == 3] = 0
    labels[:2] = 3
    z, y = rng.normal(size=(50, 5)).astype(np.float32), rng.integers(0, 4, 50)
    scorer = NeighbourRatio(torch.from_numpy(bank), torch.from_numpy(labels), 4, k)
    scores = scorer(torch.from_numpy(z), torch.from_numpy(y)).numpy()
    np.testing.assert_allclose(scores, reference(bank, labels, z, y, k, spacing(bank)), atol=1e-4)


def test_a_class_without_rows_is_far_from_everything() -> None:
    bank, labels = torch.randn(30, 3), torch.zeros(30, dtype=torch.int64)
    scorer = NeighbourRatio(bank, labels, 3, 1)
    absent, present = (scorer(torch.randn(20, 3), torch.full((20,), y)) for y in (1, 0))
    assert torch.isfinite(absent).all()
    assert absent.min() > present.max()


@pytest.mark.parametrize("rows", [60, 140])
def test_calibration_leaves_out_the_row_and_its_twins(rows: int) -> None:
    z, y = (part[:rows].copy() for part in cancer())
    z[9] = z[3]
    calibration = KNN.fit(classes_of(z, y)).calibration
    for row in (3, 9, 20):
        rest = ~np.isin(np.arange(rows), [3, 9] if row in (3, 9) else [row])
        expected = reference(z[rest], y[rest], z[[row]], y[[row]], 1 if rows < 100 else 3, spacing(z))
        np.testing.assert_allclose(calibration[row], expected[0], atol=1e-4)


def test_rows_held_out_are_scored_by_the_bank_that_serves() -> None:
    z, y = (part[:150] for part in cancer())
    data = classes_of(z, y, folds=1)
    member, fold = KNN.fit(data), data.plan.folds[0]
    expected = reference(z[fold.train], y[fold.train], z[fold.calibrate], y[fold.calibrate], 3, spacing(z[fold.train]))
    np.testing.assert_allclose(member.calibration, expected, atol=1e-4)
    assert member.fold_scorers == ()
