"""What the targeted attacks share: who is hit with what, the descent within the ε-ball, their harm."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from guard.errors import WrongUse
from guard.spec import ClassLabel, ImageInput, InputSpec
from training.attacks import ATTACKS, AttackerRows, Poison, Targets
from training.attacks.attack import FitVictim, Inputs, Labels, Predict
from training.attacks.harm import harm_left, measure_target_harm, transfer_victim
from training.attacks.targeting import EPSILON, choose_aims, descend_in_ball, network_without
from training.attacks.victims import penultimate, pixels, train_network
from training.datasets import load_digits_images

SPEC = InputSpec(input=ImageInput(height=1, width=2, channels=1), label=ClassLabel(values=(0, 1, 2)))


def some_rows(n: int, seed: int = 0) -> AttackerRows:
    rng = np.random.default_rng(seed)
    return AttackerRows(rng.integers(0, 256, (n, 1, 2, 1)).astype(np.uint8), rng.integers(0, 3, n), SPEC)


@given(st.integers(20, 60), st.integers(1, 15), st.integers(1, 6), st.integers(0, 99))
@settings(deadline=None, max_examples=50)
def test_aims_use_each_row_once_and_every_target_gets_its_share(n: int, count: int, size: int, seed: int) -> None:
    rows = some_rows(n, seed)
    try:
        aims = choose_aims(rows, count, size, np.random.default_rng(seed))
    except WrongUse:
        assert np.bincount(rows.y).min() < count + -(-count // size)
        return
    assert len(aims.base) == count
    assert len(aims.targets.index) == -(-count // size)
    used = np.concatenate([aims.base, aims.targets.index])
    assert len(np.unique(used)) == len(used)
    for place, (target, wanted) in enumerate(zip(aims.targets.index, aims.targets.wanted, strict=True)):
        served = aims.base[aims.targets.serves == place]
        assert 0 < len(served) <= size
        assert (rows.y[served] == wanted).all()
        assert rows.y[target] != wanted
    places, there = aims.slots
    assert [row[here].tolist() for row, here in zip(places, there, strict=True)] == [
        np.flatnonzero(aims.targets.serves == place).tolist() for place in range(len(aims.targets.index))
    ]


def test_the_wanted_class_and_the_bases_are_those_that_look_most_like_the_target() -> None:
    """One line of grey levels; whichever row is drawn, brute force says what has to be chosen for it."""
    rows = some_rows(40)
    for seed in range(10):
        aims = choose_aims(rows, 3, 3, np.random.default_rng(seed))
        (target,), flat = aims.targets.index, rows.x.reshape(40, 2).astype(float)
        distance = np.linalg.norm(flat - flat[target], axis=1)
        others = [i for i in np.argsort(distance, kind="stable") if rows.y[i] != rows.y[target]]
        assert aims.targets.wanted[0] == rows.y[others[0]]
        expected = [distance[i] for i in others if rows.y[i] == rows.y[others[0]]][:3]
        assert distance[aims.base].tolist() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", ["feature-collision", "bullseye-polytope", "convex-polytope", "gradient-matching"])
def test_a_name_says_by_how_many_grey_levels_pixels_move(name: str) -> None:
    digits = load_digits_images()
    rows = AttackerRows(digits.x[:200], digits.y[:200], digits.spec)
    (attack,) = (attack for attack in ATTACKS if attack.name == f"{name}-16")
    made = attack.run(rows, 3, np.random.default_rng(0))
    assert np.abs(made.x.astype(int) - rows.x[made.base_index]).max() == 16


def test_too_few_rows_of_one_class_are_named() -> None:
    rows = AttackerRows(some_rows(6).x, np.array([0, 0, 1, 1, 2, 2]), SPEC)
    with pytest.raises(WrongUse, match="each target takes 3 of one class"):
        choose_aims(rows, 3, 3, np.random.default_rng(0))


@pytest.mark.parametrize("epsilon", [EPSILON, 0.1, 16 / 255])
def test_the_descent_finds_the_nearest_point_of_the_ball(epsilon: float) -> None:
    generator = torch.Generator().manual_seed(0)
    base, goal = (torch.rand(4, 1, 3, 3, generator=generator) for _ in range(2))
    found = descend_in_ball(base, lambda x: (x - goal).square().sum(), 200, epsilon)
    bound = int(255 * epsilon) / 255
    assert torch.allclose(found, torch.minimum(torch.maximum(goal, base - bound), base + bound), atol=1e-3)
    assert (found - base).abs().max() <= bound + 1e-6


def poisoned_rows() -> tuple[AttackerRows, Poison]:
    """Rows 0 and 8 are targets, rows 3 to 5 are bases; two poisoned rows serve the second target."""
    rows = some_rows(9)
    rows.y[:] = [0, 0, 0, 1, 1, 1, 0, 0, 0]
    targets = Targets(np.array([0, 8]), np.array([1, 2]), np.array([0, 1, 1]))
    return rows, Poison(rows.x[3:6], np.array([2, 2, 2]), np.array([3, 4, 5]), rows.y[3:6], targets)


def says(answer: Labels, without_poison: Labels) -> FitVictim:
    """A victim that answers the one or the other, as its training labels hold a 2 or not."""
    return lambda _x, y, _spec, _seed: lambda _asked: answer if 2 in y else without_poison


def test_target_harm_counts_targets_read_as_wanted_and_hides_them_from_the_victim() -> None:
    rows, poison = poisoned_rows()
    seen: list[NDArray[np.int64]] = []

    def fit(x: Inputs, y: Labels, spec: InputSpec, seed: int) -> Predict:
        seen.append(np.sort(y))
        assert {row.tobytes() for row in x}.isdisjoint({rows.x[0].tobytes(), rows.x[8].tobytes()})
        return says(np.array([1, 2]), np.array([1, 0]))(x, y, spec, seed)

    harm = measure_target_harm(fit, rows, poison)
    assert (harm.clean.tolist(), harm.poisoned.tolist()) == ([True, False], [True, True])
    assert [labels.tolist() for labels in seen] == [[0, 0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 2, 2, 2]]


def test_the_harm_left_is_by_how_many_more_victims_fall_for_the_poison_of_each_row() -> None:
    """First target: 1 of 4 without, 2 with. Second: 2 without, 1 with, which is no harm. The last two rows serve it."""
    rows, poison = poisoned_rows()
    both, first, second, none = np.array([1, 2]), np.array([1, 0]), np.array([0, 2]), np.array([0, 0])
    victims = [says(both, none), says(first, second), says(none, both), says(none, none)]
    assert harm_left(rows, poison, victims).tolist() == [0.25, 0, 0]
    assert harm_left(rows, poison, victims[:1]).tolist() == [1, 1, 1]


def test_poison_after_no_row_in_particular_is_refused() -> None:
    rows, poison = poisoned_rows()
    victim = says(np.array([1, 2]), np.array([1, 0]))
    untargeted = Poison(poison.x, poison.y, poison.base_index, poison.y_true)
    for measure in (measure_target_harm, lambda v, r, p: harm_left(r, p, [v])):
        with pytest.raises(WrongUse, match="measure_harm"):
            measure(victim, rows, untargeted)


def test_the_victim_of_transfer_keeps_features_that_never_saw_a_target() -> None:
    """The same features as a network trained without the targets; its last layer is fitted to what it is given."""
    rows, poison = poisoned_rows()
    assert poison.targets is not None
    known = [1, 2, 3, 4, 5, 6, 7]
    clean = train_network(pixels(rows.x[known]), torch.from_numpy(rows.y[known]), 3, classes=3)
    assert torch.equal(network_without(rows, poison.targets, 3)(pixels(rows.x)), clean(pixels(rows.x)))
    predict = transfer_victim(rows, poison.targets, 3)(rows.x, rows.y, SPEC, 0)
    features = penultimate(clean)(pixels(rows.x)).double().numpy()
    expected = LogisticRegression(max_iter=2000).fit(features, rows.y).predict(features)
    assert np.array_equal(predict(rows.x), expected)
