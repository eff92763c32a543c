from __future__ import annotations

import numpy as np
import pytest

from guard.errors import WrongUse
from guard.spec import ClassLabel, InputSpec, NumberColumn, NumberLabel, TableInput
from tests.support.open_guard import outside_rows
from training.attacks.attack import AttackerRows
from training.attacks.opinion import form_opinion, has_opinion

COLUMNS = TableInput(columns=tuple(NumberColumn(name=name, minimum=-1, maximum=1) for name in "ab"))


def line(rows: int, seed: int) -> AttackerRows:
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (rows, 2))
    label = NumberLabel(minimum=-4, maximum=4)
    return AttackerRows(x, x @ [2.0, -1.0] + rng.normal(0, 0.1, rows), InputSpec(input=COLUMNS, label=label))


def test_numbers_are_contradicted_beyond_what_honest_rows_are_missed_by() -> None:
    """Noise of 0.1: the 95 % quantile of what is missed is 1.96 · 0.1, over a range of 8."""
    opinion = form_opinion(line(2000, 0), 0)
    x = np.array([[0.5, 0.5]] * 3)
    assert opinion.contradiction(x, np.array([0.5, 0.9, -0.3])) == pytest.approx(
        [-0.196 / 8, 0.204 / 8, 0.604 / 8], abs=2e-3
    )
    fresh = line(2000, 1)
    assert (opinion.contradiction(fresh.x, fresh.y) > 0).mean() == pytest.approx(0.05, abs=0.015)


@pytest.mark.parametrize("labels", [(0, 1), (0, 1, 2)], ids=["two classes", "three, one of them never seen"])
def test_classes_of_tables_are_contradicted_where_another_is_predicted(labels: tuple[int, ...]) -> None:
    rng = np.random.default_rng(2)
    x = rng.uniform(-1, 1, (200, 2))
    spec = InputSpec(input=COLUMNS, label=ClassLabel(values=labels))
    opinion = form_opinion(AttackerRows(x, (x[:, 0] > 0).astype(np.int64), spec), 0)
    fresh = rng.uniform(-1, 1, (100, 2))
    for label in labels:
        y = np.full(100, label)
        assert np.array_equal(opinion.contradiction(fresh, y) > 0, opinion.predict(fresh) != y)
    assert (opinion.predict(fresh) == (fresh[:, 0] > 0)).mean() > 0.95


def test_classes_of_images_are_contradicted_where_another_is_predicted() -> None:
    rows = outside_rows()
    opinion = form_opinion(AttackerRows(rows.x[:600], rows.y[:600], rows.spec), 0)
    fresh, truth = rows.x[600:], rows.y[600:]
    assert (opinion.contradiction(fresh, truth) > 0).mean() < 0.15
    assert (opinion.contradiction(fresh, (truth + 1) % 10) > 0).mean() > 0.9


def test_what_has_no_model_is_refused() -> None:
    rows = outside_rows()
    number = InputSpec(input=rows.spec.input, label=NumberLabel(minimum=0, maximum=1))
    assert not has_opinion(number)
    with pytest.raises(WrongUse, match="classes of images"):
        form_opinion(AttackerRows(rows.x, rows.y, number), 0)
