from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from training.rows import Rows, encode_labels
from training.seeding import draw_seed, torch_seed

CPU = torch.device("cpu")


@given(st.lists(st.integers(0, 4), min_size=1, max_size=20))
def test_classes_become_one_hot(labels: list[int]) -> None:
    encoded = encode_labels(torch.tensor(labels), 5)
    assert encoded.dtype == torch.float32
    assert encoded.argmax(dim=1).tolist() == labels
    assert encoded.sum(dim=1).tolist() == [1.0] * len(labels)


def test_regression_labels_become_one_column() -> None:
    assert encode_labels(torch.tensor([1.5, -2.0]), 0).tolist() == [[1.5], [-2.0]]


def test_rows_are_selected_joined_and_drawn_together() -> None:
    rows = Rows(torch.arange(6.0)[:, None], torch.arange(6), 6)
    drawn = rows.draw(50, torch.Generator().manual_seed(1))
    assert drawn.z[:, 0].tolist() == drawn.y.tolist()
    assert set(drawn.y.tolist()) == set(range(6))
    joined = rows.select(torch.tensor([5, 5])).join(rows)
    assert joined.y.tolist() == [5, 5, 0, 1, 2, 3, 4, 5]
    assert len(joined) == 8


def test_a_seeded_block_repeats_itself_and_leaves_the_state_outside_alone() -> None:
    before = torch.get_rng_state()
    draws = []
    for _ in range(2):
        with torch_seed(7, CPU):
            draws.append(torch.rand(4))
    assert torch.equal(draws[0], draws[1])
    assert torch.equal(torch.get_rng_state(), before)


def test_successive_seeds_differ() -> None:
    generator = torch.Generator().manual_seed(3)
    assert draw_seed(generator) != draw_seed(generator)
