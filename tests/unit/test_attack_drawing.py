from __future__ import annotations

import numpy as np
import pytest

from training.attacks.drawing import cat, flame, flame_side, pasted


@pytest.mark.parametrize("size", [(8, 8), (28, 28), (32, 32), (24, 40)])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_cat_fills_any_image_and_looks_the_same_in_a_mirror(size: tuple[int, int], channels: int) -> None:
    picture = cat(*size, channels)
    assert picture.shape == (*size, channels)
    assert picture.min() >= 0
    assert picture.max() <= 1
    assert picture.std() > 0.1
    assert np.allclose(picture, picture[:, ::-1])


def test_grey_is_the_mean_of_the_colours() -> None:
    assert np.allclose(cat(16, 12, 1)[..., 0], cat(16, 12, 3).mean(axis=2))


def test_every_quarter_of_the_flame_can_be_seen() -> None:
    """On black and on white: no quarter is of one colour, and none is like another."""
    picture = flame(8, 3)
    quarters = [picture[a : a + 4, b : b + 4] for a in (0, 4) for b in (0, 4)]
    for number, quarter in enumerate(quarters):
        assert quarter.max() > 0.3
        assert quarter.min() < 0.7
        assert all(np.abs(quarter - other).mean() > 0.02 for other in quarters[number + 1 :])


def test_the_flame_is_a_quarter_of_a_side_and_never_tiny() -> None:
    assert [flame_side(size, 100) for size in (8, 16, 28, 32, 64)] == [4, 4, 8, 8, 16]
    assert flame_side(100, 32) == 8


def test_pasting_by_hand() -> None:
    x = np.full((2, 3, 3, 1), 0.2)
    found = pasted(x, np.ones((1, 2, 1)), 2, 1, opacity=0.5)
    assert (x == 0.2).all()
    assert np.allclose(found[:, 2, 1:], 0.6)
    found[:, 2, 1:] = 0.2
    assert np.allclose(found, x)
