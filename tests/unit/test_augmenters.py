from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from training.augmenter import AugmenterSettings
from training.augmenters import AUGMENTERS, Augmenter, AugmenterName
from training.augmenters.smote import NEIGHBOURS
from training.progress import Silent
from training.rows import Rows

SLOPES = torch.tensor([2.0, -1.0])


def augmenter(name: AugmenterName) -> Augmenter:
    return AUGMENTERS[name](AugmenterSettings(steps=3, width=8), Silent())


def rows_of(classes: int, count: int = 40, seed: int = 0) -> Rows:
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(count, 2, generator=generator)
    if classes:
        return Rows(z, torch.randint(classes, (count,), generator=generator), classes)
    return Rows(z, z @ SLOPES, 0)


def images() -> Rows:
    return Rows(torch.rand(12, 1, 5, 7, generator=torch.Generator().manual_seed(0)), torch.arange(12) % 3, 3)


@pytest.mark.parametrize("name", AUGMENTERS)
@pytest.mark.parametrize("rows", [rows_of(3), rows_of(0), images()], ids=["classes", "numbers", "images"])
def test_every_augmenter_makes_the_wanted_number_of_rows_of_the_same_kind(name: AugmenterName, rows: Rows) -> None:
    made, again, other = (augmenter(name)(rows, 30, torch.Generator().manual_seed(seed)).rows for seed in (1, 1, 2))
    assert len(made) == (0 if name == "none" else 30)
    assert made.z.shape[1:] == rows.z.shape[1:]
    assert (made.z.dtype, made.y.dtype, made.classes) == (rows.z.dtype, rows.y.dtype, rows.classes)
    assert torch.equal(made.z, again.z)
    assert torch.equal(made.y, again.y)
    assert name == "none" or not torch.equal(made.z, other.z)
    if rows.classes:
        assert set(made.y.tolist()) <= set(rows.y.tolist())
    if rows.images:
        assert made.z.min().item() >= 0 if len(made) else True


def test_no_augmentation_is_the_identity() -> None:
    rows = rows_of(3)
    joined = rows.join(augmenter("none")(rows, 1000, torch.Generator()).rows)
    assert torch.equal(joined.z, rows.z)
    assert torch.equal(joined.y, rows.y)


def on_segment(point: np.ndarray, start: np.ndarray, ends: np.ndarray) -> bool:
    """Whether a point lies between `start` and one of `ends`."""
    legs = np.linalg.norm(point - start) + np.linalg.norm(ends - point, axis=1)
    return bool(np.isclose(legs, np.linalg.norm(ends - start, axis=1), rtol=1e-4, atol=1e-5).any())


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000))
def test_smote_lies_between_a_row_and_one_of_its_nearest_of_the_same_class(seed: int) -> None:
    rows = rows_of(2, count=24, seed=seed)
    made = augmenter("smote")(rows, 20, torch.Generator().manual_seed(seed)).rows
    for label in (0, 1):
        own = rows.z[rows.y == label].numpy()
        if len(own) <= NEIGHBOURS:
            continue
        near = NearestNeighbors(n_neighbors=NEIGHBOURS + 1).fit(own).kneighbors(own, return_distance=False)[:, 1:]
        for point in made.z[made.y == label].numpy():
            assert any(on_segment(point, own[i], own[near[i]]) for i in range(len(own)))


def test_smote_of_a_class_with_one_row_repeats_it() -> None:
    rows = Rows(torch.tensor([[1.0, 2.0], [5.0, 5.0], [6.0, 6.0]]), torch.tensor([0, 1, 1]), 2)
    made = augmenter("smote")(rows, 60, torch.Generator().manual_seed(0)).rows
    alone = made.z[made.y == 0]
    assert len(alone)
    assert (alone == torch.tensor([1.0, 2.0])).all()


def test_smote_reaches_all_neighbours_and_no_other_row() -> None:
    places = torch.cat([torch.arange(6.0), torch.tensor([100.0])])
    rows = Rows(places[:, None], torch.zeros(7, dtype=torch.int64), 1)
    made = augmenter("smote")(rows, 4000, torch.Generator().manual_seed(0)).rows.z[:, 0]
    from_zero = made[(made > 0) & (made < 5)]
    assert from_zero.max() > 4.5
    assert ((made > 5) & (made < 100)).any()  # from the far row inwards: its neighbours are 1 to 5
    assert made.max() < 100.001
    assert not torch.isin(made, places).any()  # a row is not its own neighbour


@pytest.mark.parametrize("name", ["mixup", "smote"])
def test_regression_labels_move_with_their_rows(name: AugmenterName) -> None:
    made = augmenter(name)(rows_of(0), 200, torch.Generator().manual_seed(3)).rows
    torch.testing.assert_close(made.y, made.z @ SLOPES, rtol=1e-4, atol=1e-4)


def test_mixup_draws_a_label_in_proportion_to_its_share() -> None:
    # The rows are the corners (1, 0) and (0, 1) with labels 0 and 1, so z shows the shares. Seed 5, 5 standard errors.
    rows = Rows(torch.eye(2).repeat(10, 1), torch.tensor([0, 1] * 10), 2)
    made = augmenter("mixup")(rows, 20_000, torch.Generator().manual_seed(5)).rows
    share = made.z[:, 0]
    mixed = (share > 0.2) & (share < 0.8)
    assert mixed.sum() > 1000
    assert made.z.sum(dim=1).sub(1).abs().max() < 1e-5
    for part in (mixed, mixed & (share < 0.5), mixed & (share >= 0.5)):
        error = 5 * 0.5 / float(part.sum()) ** 0.5
        assert (made.y[part] == 0).float().mean().item() == pytest.approx(share[part].mean().item(), abs=error)


def test_mixup_shares_follow_the_beta_distribution() -> None:
    rows = Rows(torch.eye(2).repeat(10, 1), torch.tensor([0, 1] * 10), 2)
    made = augmenter("mixup")(rows, 20_000, torch.Generator().manual_seed(5)).rows
    # Half of the pairs are of one corner (variance ¼), half are mixed: variance of Beta(a, a) is 1 / (4 (2a + 1)).
    expected = 0.5 * 0.25 + 0.5 * 0.25 / (2 * 0.4 + 1)
    assert made.z[:, 0].var().item() == pytest.approx(expected, rel=0.03)
