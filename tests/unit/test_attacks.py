from __future__ import annotations

import numpy as np
import pytest

from guard.errors import WrongUse
from guard.spec import CategoryColumn, ClassLabel, InputSpec, NumberColumn, NumberLabel, TableInput
from training.attacks import ATTACKS, BACKDOORS
from training.attacks.domain import is_numeric, scaled, unscaled
from training.datasets import DATASETS, load_digits_images


def test_names_are_unique_and_every_attack_says_what_it_needs() -> None:
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS)
    assert all(attack.needs and attack.description for attack in ATTACKS)


def test_which_attack_applies_where() -> None:
    digits = load_digits_images().spec
    numbers = TableInput(columns=(NumberColumn(name="a", minimum=0, maximum=1),))
    text = TableInput(columns=(CategoryColumn(name="a", values=("x", "y")),))
    classes, number = ClassLabel(values=(0, 1)), NumberLabel(minimum=0, maximum=1)
    flips = {"random-flip", "confident-flip", "adversarial-flip", "boundary-flip", "runner-up-flip"}
    kinds = ("feature-collision", "bullseye-polytope", "convex-polytope", "gradient-matching", "metapoison")
    targeted = {kind + levels for kind in kinds for levels in ("", "-25", "-16")}
    backdoors = {attack.name for attack in BACKDOORS} | {"sleeper-agent"}
    expected = {
        "digits": (
            digits,
            flips
            | targeted
            | backdoors
            | {"gradient-sign", "projected-gradient", "direct-gradient", "generative", "pgan"},
        ),
        "numbers": (InputSpec(input=numbers, label=classes), flips),
        "text": (InputSpec(input=text, label=classes), {"random-flip"}),
        "regression": (
            InputSpec(input=numbers, label=number),
            {"statistical", "optimal-ridge", "optimal-lasso", "stealthy-ridge"},
        ),
        "text regression": (InputSpec(input=text, label=number), set()),
    }
    for spec, names in expected.values():
        assert {attack.name for attack in ATTACKS if attack.applies(spec)} == names


def test_scaling_there_and_back_stays_legal() -> None:
    columns = (
        NumberColumn(name="a", minimum=-3, maximum=5),
        NumberColumn(name="b", minimum=0.1, maximum=0.3),
        NumberColumn(name="constant", minimum=2, maximum=2),
    )
    spec = InputSpec(input=TableInput(columns=columns), label=ClassLabel(values=(0, 1)))
    x = np.array([[-3, 0.1, 2], [5, 0.3, 2], [1, 0.2, 2]])
    z = scaled(x, spec)
    assert np.allclose(z, [[0, 0, 0], [1, 1, 0], [0.5, 0.5, 0]])
    assert np.allclose(unscaled(z, spec), x)
    assert unscaled(np.ones((1, 3)), spec).tolist() == [[5, 0.3, 2]]


def test_text_and_gaps_are_no_numbers() -> None:
    gappy = InputSpec(
        input=TableInput(columns=(NumberColumn(name="a", minimum=0, maximum=1, gaps=True),)),
        label=ClassLabel(values=(0, 1)),
    )
    assert not is_numeric(gappy)
    with pytest.raises(WrongUse, match="numbers without gaps"):
        scaled(np.zeros((1, 1)), gappy)


def test_every_named_data_set_can_be_loaded_by_a_function() -> None:
    assert set(DATASETS) == {"digits", "mnist", "cifar10", "fourclass", "house"}
