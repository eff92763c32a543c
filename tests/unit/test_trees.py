from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.ensemble import ExtraTreesRegressor

from training.trees import Forest


def predict(forest: ExtraTreesRegressor, z: np.ndarray) -> np.ndarray:
    return Forest(forest)(torch.from_numpy(z)).numpy()


@pytest.mark.parametrize(("rows", "depth"), [(3, 12), (60, 1), (60, 4), (400, 12), (400, None)])
def test_equals_scikit_learn(rows: int, depth: int | None) -> None:
    rng = np.random.default_rng(rows)
    z = rng.normal(size=(rows, 6)).astype(np.float32)
    forest = ExtraTreesRegressor(20, max_depth=depth, random_state=0).fit(z, rng.normal(size=rows))
    query = rng.normal(size=(500, 6)).astype(np.float32)
    np.testing.assert_allclose(predict(forest, query), forest.predict(query), rtol=0, atol=1e-6)


def test_constant_labels_make_stumps_without_splits() -> None:
    forest = ExtraTreesRegressor(5, random_state=0).fit(np.zeros((10, 2)), np.full(10, 3.5))
    np.testing.assert_array_equal(predict(forest, np.ones((4, 2), np.float32)), 3.5)


def test_a_value_equal_to_a_threshold_goes_the_way_it_goes_in_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    z = rng.normal(size=(200, 1)).astype(np.float32)
    forest = ExtraTreesRegressor(30, random_state=1).fit(z, rng.normal(size=200))
    at = np.unique(np.concatenate([tree.tree_.threshold for tree in forest.estimators_])).astype(np.float32)
    query = np.concatenate([at, np.nextafter(at, np.float32(9)), np.nextafter(at, np.float32(-9))])[:, None]
    np.testing.assert_allclose(predict(forest, query), forest.predict(query), rtol=0, atol=1e-6)
