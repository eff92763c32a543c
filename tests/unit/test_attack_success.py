from __future__ import annotations

import numpy as np
import pytest

from guard.errors import WrongUse
from tests.unit.attack_grounds import DIGITS
from training.attacks import AttackerRows
from training.attacks.attack import Inputs, Labels, Predict
from training.attacks.attack_success import attack_success_rate, measure_trigger_harm
from training.attacks.backdoor import WANTED
from training.attacks.badnet import BADNET
from training.attacks.random_flip import RANDOM_FLIP
from training.attacks.tact import SOURCE, TACT
from training.attacks.victims import fit_network


def test_success_is_counted_on_rows_that_the_backdoor_is_for() -> None:
    """A model that reads by the corner alone obeys always; about rows of other classes it is not asked."""
    asked: list[int] = []

    def corner(x: Inputs) -> Labels:
        asked.append(len(x))
        return np.where(x[:, -1, -1, 0] == 255, WANTED, 7)

    all_rows = AttackerRows(DIGITS.x, DIGITS.y, DIGITS.spec)
    for attack, attacked in ((BADNET, DIGITS.y != WANTED), (TACT, DIGITS.y == SOURCE)):
        trigger = attack.run(all_rows, 10, np.random.default_rng(0)).trigger
        assert trigger is not None
        assert attack_success_rate(corner, trigger, (DIGITS.x, DIGITS.y)) == 1
        assert asked[-1] == attacked.sum()
        with pytest.raises(WrongUse, match="no test row"):
            attack_success_rate(corner, trigger, (DIGITS.x[~attacked], DIGITS.y[~attacked]))


def test_poison_without_a_trigger_has_no_success_rate() -> None:
    rows = AttackerRows(DIGITS.x[:100], DIGITS.y[:100], DIGITS.spec)
    poison = RANDOM_FLIP.run(rows, 10, np.random.default_rng(0))
    with pytest.raises(WrongUse, match="plants no trigger"):
        measure_trigger_harm(fit_network, rows, poison, (DIGITS.x, DIGITS.y))


def test_harm_is_measured_with_the_poison_in_the_place_of_its_rows() -> None:
    rows = AttackerRows(DIGITS.x[:100], DIGITS.y[:100], DIGITS.spec)
    poison = BADNET.run(rows, 10, np.random.default_rng(0))
    seen_rows: list[tuple[Inputs, Labels]] = []

    def victim(x: Inputs, y: Labels, spec: object, seed: int) -> Predict:
        seen_rows.append((x, y))
        poisoned = (x[:, -1, -1, 0] == 255).any()
        return lambda z: np.full(len(z), WANTED if poisoned else 3)

    harm = measure_trigger_harm(victim, rows, poison, (DIGITS.x[100:], DIGITS.y[100:]))  # type: ignore[arg-type]
    assert [len(y) for _, y in seen_rows] == [100, 100]
    assert (harm.clean.success, harm.poisoned.success) == (0, 1)
    assert harm.clean.error == pytest.approx(np.mean(DIGITS.y[100:] != 3))
