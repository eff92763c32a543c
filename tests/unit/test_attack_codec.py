from __future__ import annotations

import numpy as np

from training.attacks import AttackerRows, Poison
from training.attacks.codec import as_sent
from training.datasets import load_digits_images
from training.jpeg import through_jpeg

SPEC = load_digits_images().spec


def rows_and_poison() -> tuple[AttackerRows, Poison]:
    """Poisoned row 0 is row 4 as it was, row 1 is row 2 with one value changed, row 2 was made up."""
    x = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3)).astype(np.uint8)
    y = np.arange(5)
    moved = x[[4, 2, 0]]
    moved[1, 3, 3, 2] ^= 1
    return AttackerRows(x, y, SPEC), Poison(moved, y[:3], np.array([4, 2, -1]), y[:3])


def test_what_was_changed_or_made_up_is_coded_and_what_was_found_is_left() -> None:
    rows, poison = rows_and_poison()
    before = poison.x.copy()
    sent = as_sent(poison, rows, through_jpeg)
    assert np.array_equal(sent.x[0], rows.x[4])
    assert np.array_equal(sent.x[1:], through_jpeg(before[1:]))
    assert not np.array_equal(sent.x[1:], before[1:])
    assert np.array_equal(poison.x, before)
    assert (sent.y is poison.y, sent.base_index is poison.base_index) == (True, True)


def test_poison_of_whole_images_alone_and_data_without_a_codec_are_left() -> None:
    rows, poison = rows_and_poison()
    assert as_sent(poison, rows, None) is poison
    flips = Poison(rows.x[:2], rows.y[2:4], np.array([0, 1]), rows.y[:2])
    assert np.array_equal(as_sent(flips, rows, through_jpeg).x, rows.x[:2])
