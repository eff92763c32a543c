from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from guard.errors import WrongUse
from guard.spec import CategoryColumn, ClassLabel, InputSpec, NumberColumn, NumberLabel, TableInput
from tests.support.open_guard import digits_guard, outside_rows
from tests.unit.attack_tester import legal
from training.attacks import AttackerRows, Poison
from training.attacks.adaptive_black_box import ADAPTIVE_BLACK_BOX, QUERIES, attack_black_box
from training.attacks.attack import Inputs, Labels
from training.attacks.opinion import form_opinion

COLUMNS = TableInput(columns=tuple(NumberColumn(name=name, minimum=-1, maximum=1) for name in "ab"))
SIDES = InputSpec(input=COLUMNS, label=ClassLabel(values=("left", "right")))
SLOPE = InputSpec(input=COLUMNS, label=NumberLabel(minimum=-2, maximum=2))
COUNT = 60


@dataclass(frozen=True)
class Region:
    """A guard that passes what lies in a region, and remembers how much it was asked."""

    spec: InputSpec
    holds: Callable[[Inputs, Labels], np.ndarray]
    asked: list[int] = field(default_factory=list)

    def passes(self, x: Inputs, y: Labels) -> np.ndarray:
        self.asked.append(len(y))
        return ~self.holds(x, y)


def sides() -> AttackerRows:
    """Left of 0 and right of 0, no row within 0.1 of it."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (300, 2))
    x = x[np.abs(x[:, 0]) > 0.1]
    return AttackerRows(x, (x[:, 0] > 0).astype(np.int64), SIDES)


def lenient(x: Inputs, y: Labels) -> np.ndarray:
    """Holds `left` to the right of 0.3, and every `right` to the left of 0.1: there is a way only for `left`."""
    return np.where(y == 0, x[:, 0] > 0.3, x[:, 0] < 0.1)


def slope() -> AttackerRows:
    """y = a + b / 2, missed by 0.02 or so."""
    rng = np.random.default_rng(1)
    x = rng.uniform(-1, 1, (300, 2))
    return AttackerRows(x, x @ [1, 0.5] + rng.normal(0, 0.02, 300), SLOPE)


def tolerant(x: Inputs, y: Labels) -> np.ndarray:
    """Holds what is wrong by more than 0.3."""
    return np.abs(y - x @ [1, 0.5]) > 0.3


def everything(x: Inputs, y: Labels) -> np.ndarray:
    return np.ones(len(x), np.bool_)


def nothing(x: Inputs, y: Labels) -> np.ndarray:
    return np.zeros(len(x), np.bool_)


def attacked(guard: Region, rows: AttackerRows, seed: int = 0, **options: int) -> Poison:
    return attack_black_box(guard, rows, COUNT, np.random.default_rng(seed), **options)


def test_classes_are_moved_into_what_a_lenient_guard_passes() -> None:
    """Right rows with the label `left` pass between 0 and 0.3, which honest rows deny; the others have no way out."""
    rows, guard = sides(), Region(SIDES, lenient)
    plain = ~lenient(rows.x, 1 - rows.y)
    poison = attacked(guard, rows)
    passed = ~lenient(poison.x, poison.y)
    wrong = poison.y != (poison.x[:, 0] > 0)
    was_right = rows.y[poison.base_index] == 1
    assert plain[rows.y == 1].mean() < 0.3
    assert (passed & wrong)[was_right].mean() > 0.95
    assert not (passed & wrong)[~was_right].any()


def test_numbers_are_moved_as_far_as_a_tolerant_guard_passes() -> None:
    """Nearly all of the 0.3 that nobody holds is used, where a label at the end of its range never passes."""
    rows, guard = slope(), Region(SLOPE, tolerant)
    poison = attacked(guard, rows)
    assert not tolerant(poison.x, poison.y).any()
    error = np.abs(poison.y - poison.x @ [1, 0.5])
    assert np.median(error) > 0.28
    assert (form_opinion(slope(), 5).contradiction(poison.x, poison.y) > 0).mean() > 0.95


@pytest.mark.parametrize("queries", [0, 1, 7, QUERIES])
@pytest.mark.parametrize(("rows", "holds"), [(sides, lenient), (slope, tolerant)], ids=["classes", "numbers"])
def test_no_more_is_asked_than_the_budget(
    queries: int, rows: Callable[[], AttackerRows], holds: Callable[[Inputs, Labels], np.ndarray]
) -> None:
    held = rows()
    guard = Region(held.spec, holds)
    attacked(guard, held, queries=queries)
    assert max(guard.asked, default=0) <= COUNT
    assert sum(guard.asked) <= COUNT * queries
    assert len(guard.asked) <= 2 * queries


def test_more_queries_never_do_less_harm() -> None:
    rows = sides()
    shares = []
    for queries in (1, 10, 40, QUERIES):
        poison = attacked(Region(SIDES, lenient), rows, queries=queries)
        shares.append((~lenient(poison.x, poison.y) & (poison.y != (poison.x[:, 0] > 0))).mean())
    assert shares == sorted(shares)
    assert shares[-1] > shares[0] + 0.2


def test_a_guard_that_passes_everything_is_asked_once_and_gets_plain_flips() -> None:
    rows, guard = sides(), Region(SIDES, nothing)
    poison = attacked(guard, rows)
    assert sum(guard.asked) == COUNT
    assert np.array_equal(poison.x, rows.x[poison.base_index])
    assert np.array_equal(poison.y, 1 - rows.y[poison.base_index])


def test_against_a_guard_that_holds_everything_the_goals_are_sent() -> None:
    for rows in (sides(), slope()):
        poison = attacked(Region(rows.spec, everything), rows)
        assert np.allclose(poison.x, rows.x[poison.base_index])
        assert (form_opinion(rows, 5).contradiction(poison.x, poison.y) > 0).all()


@pytest.mark.parametrize(("rows", "holds"), [(sides, lenient), (slope, tolerant)], ids=["classes", "numbers"])
def test_same_seed_same_bytes_legal_and_clean_rows_stay_untouched(
    rows: Callable[[], AttackerRows], holds: Callable[[Inputs, Labels], np.ndarray]
) -> None:
    held = rows()
    one, again = (attacked(Region(held.spec, holds), held, seed=3) for _ in range(2))
    for name in ("x", "y", "base_index", "y_true"):
        assert getattr(one, name).tobytes() == getattr(again, name).tobytes()
    assert np.array_equal(held.x, rows().x)
    assert legal(one.x, one.y, held.spec)
    assert legal(one.x, one.y_true, held.spec)
    assert (one.x.dtype, one.y.dtype, one.y_true.dtype) == (held.x.dtype, held.y.dtype, held.y.dtype)
    assert len(np.unique(one.base_index)) == COUNT


@pytest.mark.slow
def test_of_images_more_pass_and_harm_than_of_plain_flips() -> None:
    """The same 60 digits, 40 queries each; harm is judged by a network that the attacker does not know."""
    guard, rows = digits_guard(), outside_rows()
    poison = attack_black_box(guard, rows, COUNT, np.random.default_rng(0), queries=40)
    assert legal(poison.x, poison.y, rows.spec)
    judge = form_opinion(rows, 99)

    def share(x: Inputs, y: Labels) -> float:
        return float(np.mean(guard.passes(x, y) & (judge.contradiction(x, y) > 0)))

    flipped = (rows.y[poison.base_index] + 1 + np.arange(COUNT) % 9) % 10
    assert share(poison.x, poison.y) > share(rows.x[poison.base_index], flipped) + 0.02


def test_impossible_counts_and_other_tasks_are_refused() -> None:
    rows, guard = sides(), Region(SIDES, lenient)
    for count in (0, len(rows.y) + 1):
        with pytest.raises(WrongUse, match="the attacker holds"):
            attack_black_box(guard, rows, count, np.random.default_rng(0))
    text = InputSpec(input=TableInput(columns=(CategoryColumn(name="a", values=("x", "y")),)), label=SIDES.label)
    assert not ADAPTIVE_BLACK_BOX.applies(text)
    with pytest.raises(WrongUse, match="numbers without gaps"):
        attack_black_box(guard, AttackerRows(rows.x[:, :1], rows.y, text), 1, np.random.default_rng(0))
    assert ADAPTIVE_BLACK_BOX.applies(SIDES)
    assert ADAPTIVE_BLACK_BOX.applies(SLOPE)
