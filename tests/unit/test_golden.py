"""Rows that travel with a bundle: of every label, bounded in number and bytes, the same each time."""

from __future__ import annotations

import numpy as np
import pytest

from guard.spec import ClassLabel, ImageInput, InputSpec, NumberColumn, NumberLabel, TableInput
from training.golden import golden_samples, reference_rows
from training.snapshot import Snapshot, snapshot_from_arrays


def _classes(rows: int, classes: int = 3) -> Snapshot:
    rng = np.random.default_rng(0)
    spec = InputSpec(
        input=TableInput(columns=(NumberColumn(name="v", minimum=-9, maximum=9),)),
        label=ClassLabel(values=tuple(range(classes))),
    )
    y = np.zeros(rows, np.int64)
    y[:classes] = np.arange(classes)  # all but the first class have a single row
    return snapshot_from_arrays(rng.normal(size=(rows, 1)), y, spec)


def test_the_first_half_is_trusted_and_the_second_the_same_rows_with_another_label() -> None:
    snapshot = _classes(1000)
    x, y = golden_samples(snapshot, np.random.default_rng(1))
    assert len(x) == 512
    np.testing.assert_array_equal(x[:256], x[256:])
    assert (y[:256] != y[256:]).all()
    known = {(float(a), int(b)) for a, b in zip(snapshot.x[:, 0], snapshot.y, strict=True)}
    assert {(float(a), int(b)) for a, b in zip(x[:256, 0], y[:256], strict=True)} <= known


def test_small_snapshots_travel_whole() -> None:
    snapshot = _classes(40)
    np.testing.assert_array_equal(reference_rows(snapshot, np.random.default_rng(0)), np.arange(40))
    assert len(golden_samples(snapshot, np.random.default_rng(0))[0]) == 80


@pytest.mark.parametrize("rows", [2001, 5000])
def test_reference_rows_are_distinct_bounded_and_spread_over_the_labels(rows: int) -> None:
    rng = np.random.default_rng(2)
    spec = InputSpec(
        input=TableInput(columns=(NumberColumn(name="v", minimum=-9, maximum=9),)),
        label=NumberLabel(minimum=-9, maximum=9),
    )
    snapshot = snapshot_from_arrays(rng.normal(size=(rows, 1)), rng.normal(size=rows), spec)
    chosen = reference_rows(snapshot, np.random.default_rng(0))
    assert len(chosen) == len(set(chosen.tolist())) == 2000
    assert {int(snapshot.y.argmin()), int(snapshot.y.argmax())} <= set(chosen.tolist())
    levels = [0.1, 0.5, 0.9]
    np.testing.assert_allclose(np.quantile(snapshot.y[chosen], levels), np.quantile(snapshot.y, levels), atol=0.02)


def test_large_images_are_few() -> None:
    spec = InputSpec(input=ImageInput(height=512, width=512, channels=3), label=ClassLabel(values=("a", "b")))
    x = np.random.default_rng(3).integers(0, 256, (64, 512, 512, 3), dtype=np.uint8)
    snapshot = snapshot_from_arrays(x, np.arange(64) % 2, spec)
    golden = golden_samples(snapshot, np.random.default_rng(0))[0]
    assert golden.nbytes <= 2 * (8 << 20)
    assert len(golden) == 2 * ((8 << 20) // (512 * 512 * 3))
    assert x[reference_rows(snapshot, np.random.default_rng(0))].nbytes <= 32 << 20


def test_the_choice_follows_from_the_seed() -> None:
    snapshot = _classes(1000)
    first, again, other = (golden_samples(snapshot, np.random.default_rng(seed)) for seed in (4, 4, 5))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])
