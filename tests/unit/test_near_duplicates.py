from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.spec import BooleanColumn, CategoryColumn, ClassLabel, ImageInput, InputSpec, NumberColumn, TableInput
from training.retrain.near_duplicates import flatten, near_twins

LABEL = ClassLabel(values=("a", "b"))
MIXED = InputSpec(
    input=TableInput(
        columns=(
            NumberColumn(name="x", minimum=-100, maximum=100, gaps=True),
            CategoryColumn(name="c", values=("red", "green", "blue"), gaps=True),
            BooleanColumn(name="b"),
        )
    ),
    label=LABEL,
)


def greedily(trusted: np.ndarray, new: np.ndarray, radius: float) -> list[int]:
    """The definition, in 64 bits: each row against all that were kept before it."""
    kept = list(enumerate(trusted.astype(np.float64)))
    found = []
    for number, row in enumerate(new.astype(np.float64)):
        twin = next((index for index, other in kept if np.sqrt(((other - row) ** 2).sum()) <= radius), -1)
        found.append(twin)
        if twin < 0:
            kept.append((len(trusted) + number, row))
    return found


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), radius=st.sampled_from([0.0, 0.05, 0.3]), new=st.integers(1, 700))
def test_twins_are_those_of_the_definition(seed: int, radius: float, new: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, 40, (new + 20, 2)).astype(np.float32) / 40
    assert near_twins(rows[:20], rows[20:], radius).tolist() == greedily(rows[:20], rows[20:], radius)


def test_a_distance_is_the_root_mean_square_over_columns() -> None:
    trusted = np.array([[0.0, 0, 0], [4.0, 1, 1]])  # standard deviation 2
    x = np.array([[0.0, 0, 0], [2.0, 0, 0], [0.0, 1, 0], [0.0, 0, 1], [0.0, np.nan, 0], [np.nan, 0, 0], [2.0, 2, 1]])
    flat = flatten(MIXED, trusted, x)
    apart = np.sqrt(3 * ((flat - flat[0]) ** 2).sum(axis=1))
    assert apart[:5] == pytest.approx([0, 1, 1, 1, 1], abs=1e-6)
    assert apart[5] == pytest.approx(np.sqrt(2), abs=1e-6)  # the gap, and where the middle is one deviation away
    assert apart[6] == pytest.approx(np.sqrt(3), abs=1e-6)


def test_pixels_count_as_a_share_of_white() -> None:
    spec = InputSpec(input=ImageInput(height=2, width=2, channels=1), label=LABEL)
    x = np.zeros((3, 2, 2, 1), np.uint8)
    x[1], x[2, 0, 0] = 255, 51
    flat = flatten(spec, x, x)
    assert np.sqrt(((flat - flat[0]) ** 2).sum(axis=1)) == pytest.approx([0, 1, 0.1], abs=1e-6)
    assert near_twins(flat[:1], flat[1:], 0.11).tolist() == [-1, 0]
