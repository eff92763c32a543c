"""What the attacks' tests attack: rows of an attacker and clean rows to test on, beside `AttackTester`."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import make_moons

from guard.spec import ClassLabel, InputSpec, NumberColumn, NumberLabel, TableInput
from training.attacks import AttackerRows
from training.attacks.attack import Inputs, Labels
from training.datasets import load_digits_images

DIGITS = load_digits_images()

MOONS = InputSpec(
    input=TableInput(columns=tuple(NumberColumn(name=name, minimum=-2, maximum=3) for name in ("a", "b"))),
    label=ClassLabel(values=("lower", "upper")),
)

_HOUSE_COLUMNS = ("size", "age", "roof:flat", "roof:gable", "roof:hip", "street:paved", "rooms")
HOUSES = InputSpec(
    input=TableInput(columns=tuple(NumberColumn(name=name, minimum=0, maximum=1) for name in _HOUSE_COLUMNS)),
    label=NumberLabel(minimum=-1, maximum=3),
)


def moons(n: int, seed: int) -> tuple[Inputs, Labels]:
    x, y = make_moons(n, noise=0.15, random_state=seed)
    return x.clip(-2, 3), y.astype(np.int64)


def houses(n: int, seed: int) -> tuple[Inputs, Labels]:
    rng = np.random.default_rng(seed)
    size, age, rooms = rng.beta(4, 4, (3, n))
    roof = np.eye(4)[rng.integers(0, 4, n)][:, :3]
    x = np.column_stack([size, age, roof, rng.integers(0, 2, n), rooms])
    y = -1 + 4 * np.clip(0.6 * size - 0.3 * age + 0.1 * roof[:, 2] + 0.3 + rng.normal(0, 0.02, n), 0, 1)
    return x, y


class OnDigits:
    """The first `attackers` digits of scikit-learn are the attacker's, those from `held_back` on are tested on."""

    attackers = 800
    held_back = 800

    @pytest.fixture(scope="class")
    @classmethod
    def rows(cls) -> AttackerRows:
        return AttackerRows(DIGITS.x[: cls.attackers], DIGITS.y[: cls.attackers], DIGITS.spec)

    @pytest.fixture(scope="class")
    @classmethod
    def test(cls) -> tuple[Inputs, Labels]:
        return DIGITS.x[cls.held_back :], DIGITS.y[cls.held_back :]


class OnMoons:
    @pytest.fixture(scope="class")
    @classmethod
    def rows(cls) -> AttackerRows:
        return AttackerRows(*moons(300, 1), MOONS)

    @pytest.fixture(scope="class")
    @classmethod
    def test(cls) -> tuple[Inputs, Labels]:
        return moons(1000, 2)


class OnHouses:
    @pytest.fixture(scope="class")
    @classmethod
    def rows(cls) -> AttackerRows:
        return AttackerRows(*houses(300, 1), HOUSES)

    @pytest.fixture(scope="class")
    @classmethod
    def test(cls) -> tuple[Inputs, Labels]:
        return houses(500, 2)
