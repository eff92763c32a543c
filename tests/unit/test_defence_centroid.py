from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ortho_group

from guard.errors import WrongUse
from tests.unit.defence_tester import CLASSES, DefenceTester, blobs, digits
from training.datasets import load_digits_images
from training.defences.centroid import CENTROID, CENTROID_UNTRUSTED, fit_regions
from training.defences.defence import Evidence, Ranking


def flipped_blobs() -> tuple[Evidence, np.ndarray]:
    (x, y), truth = blobs(400, 1), np.arange(400) < 40
    return Evidence(x, np.where(truth, 1 - y, y), *blobs(80, 2), *blobs(400, 3), CLASSES, 0), truth


class TestCentroid(DefenceTester):
    defence = CENTROID
    least_auroc = 0.99

    @pytest.fixture(scope="class")
    @classmethod
    def planted(cls) -> tuple[Evidence, np.ndarray]:
        return flipped_blobs()

    def test_flags_a_third_to_a_half_of_the_clean_rows_as_published(
        self, planted: tuple[Evidence, np.ndarray], ranking: Ranking
    ) -> None:
        assert 0.3 < ranking.flagged[~planted[1]].mean() < 0.55
        assert ranking.flagged[planted[1]].all()


class TestCentroidOnImages(DefenceTester):
    defence = CENTROID
    least_auroc = 0.95

    @pytest.fixture(scope="class")
    @classmethod
    def planted(cls) -> tuple[Evidence, np.ndarray]:
        return digits(load_digits_images(), 50, seed=0)


class TestCentroidUntrusted(DefenceTester):
    defence = CENTROID_UNTRUSTED
    least_auroc = 0.98

    @pytest.fixture(scope="class")
    @classmethod
    def planted(cls) -> tuple[Evidence, np.ndarray]:
        return flipped_blobs()

    def test_poison_moves_the_region_that_it_is_judged_by(self) -> None:
        """Sixty rows at four times the spread, all in one class; regions of trusted rows stay where they are."""
        x, y = blobs(400, 1)
        added = np.full((60, 2), 3.0)
        poisoned = Evidence(np.concatenate([x, added]), np.concatenate([y, np.ones(60, int)]), x, y, x, y, CLASSES, 0)
        clean = Evidence(x, y, x, y, x, y, CLASSES, 0)
        before, after = (CENTROID_UNTRUSTED.run(each).suspicion[:400] for each in (clean, poisoned))
        upper = y == 1
        assert np.abs(after - before)[upper].mean() > 0.1
        trusted = (CENTROID.run(each).suspicion[:400] for each in (clean, poisoned))
        assert np.allclose(*trusted)


def test_distances_by_hand() -> None:
    """Centroids (0, 0) and (4, 0): the normal is the first axis, so the slab ignores the second."""
    z = np.array([[-1.0, 2], [1, -2], [3, 1], [5, -1]])
    regions = fit_regions(z, np.array([0, 0, 1, 1]), 2)
    assert regions.centre.tolist() == [[0, 0], [4, 0]]
    assert np.abs(regions.normal).tolist() == [[1, 0], [1, 0]]
    sphere, slab = regions.distances(np.array([[0.0, 7], [3, 4], [4, 0]]), np.array([0, 0, 1]))
    assert sphere.tolist() == [7, 5, 0]
    assert slab.tolist() == [0, 3, 0]


def test_radii_hold_seventy_per_cent_of_each_class() -> None:
    x, y = blobs(2000, 5)
    regions = fit_regions(x, y, 2)
    sphere, slab = regions.distances(x, y)
    for label in (0, 1):
        rows = y == label
        assert abs((sphere[rows] <= regions.radius[label]).mean() - 0.7) < 2 / rows.sum()
        assert abs((slab[rows] <= regions.half[label]).mean() - 0.7) < 2 / rows.sum()
    assert np.array_equal(regions.excess(x, y) > 1, (sphere > regions.radius[y]) | (slab > regions.half[y]))


@settings(deadline=None)
@given(st.integers(0, 99), st.integers(2, 5))
def test_a_rotation_and_a_shift_change_nothing(seed: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    z, y = rng.normal(size=(60, 3)), np.arange(60) % classes
    z += y[:, np.newaxis]
    turned = z @ ortho_group.rvs(3, random_state=seed) * 2.5 + [5, -1, 2]
    assert np.allclose(fit_regions(z, y, classes).excess(z, y), fit_regions(turned, y, classes).excess(turned, y))


def test_the_slab_of_many_classes_faces_the_mean_of_the_others() -> None:
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(90, 4)), np.arange(90) % 3
    regions = fit_regions(z, y, 3)
    for label in range(3):
        others = np.mean([z[y == other].mean(axis=0) for other in range(3) if other != label], axis=0)
        direction = z[y == label].mean(axis=0) - others
        assert np.allclose(regions.normal[label], direction / np.linalg.norm(direction))


def test_rows_at_one_point_leave_a_finite_suspicion() -> None:
    z = np.repeat([[0.0, 0], [0, 0]], 5, axis=0)
    found = fit_regions(z, np.arange(10) % 2, 2).excess(np.array([[0.0, 0], [3, 4]]), np.array([0, 1]))
    assert np.isfinite(found).all()
    assert found[0] < 1 < found[1]


def test_a_class_without_trusted_rows_is_named() -> None:
    with pytest.raises(WrongUse, match="class number 2 has 0 rows"):
        fit_regions(np.zeros((4, 1)), np.array([0, 0, 1, 1]), 3)
