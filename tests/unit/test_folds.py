from __future__ import annotations

import numpy as np
import pytest

from guard.spec import ClassLabel, ImageInput, InputSpec, NumberColumn, TableInput
from training.folds import plan_folds
from training.snapshot import Snapshot, snapshot_from_arrays

LABEL = ClassLabel(values=(0, 1))


def snapshot(kind: str, rows: int) -> Snapshot:
    rng, y = np.random.default_rng(rows), np.arange(rows) % 2
    if kind == "image":
        spec = InputSpec(input=ImageInput(height=2, width=2, channels=1), label=LABEL)
        return snapshot_from_arrays(rng.integers(0, 256, (rows, 2, 2, 1), dtype=np.uint8), y, spec)
    spec = InputSpec(input=TableInput(columns=(NumberColumn(name="v", minimum=-9, maximum=9),)), label=LABEL)
    return snapshot_from_arrays(rng.normal(size=(rows, 1)), y, spec)


@pytest.mark.parametrize(
    ("kind", "rows", "held_out"),
    [("image", 499, False), ("image", 500, True), ("table", 1999, False), ("table", 2000, True)],
)
def test_calibration_rows_are_set_aside_where_there_are_enough(kind: str, rows: int, held_out: bool) -> None:
    plan = plan_folds(snapshot(kind, rows), 5)
    assert plan.held_out == held_out
    assert len(plan.folds) == (1 if held_out else 5)
    assert len(plan.calibration) == (rows // 5 if held_out else rows)
    for fold in plan.folds:
        assert sorted([*fold.train, *fold.calibrate]) == list(range(rows))
