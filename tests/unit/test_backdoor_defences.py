"""All defences against backdoors on the same digits, 5 % of which carry BadNet's square: what each must keep and do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np
import pytest
import torch
from torch import nn

from tests.unit.attack_grounds import DIGITS
from training.attacks import AttackerRows, Trigger
from training.attacks.attack import Inputs, Labels
from training.attacks.attack_success import attack_success_rate
from training.attacks.badnet import BADNET
from training.attacks.harm import mean_error, poisoned_rows
from training.attacks.victims import logits_of, pixels
from training.defences.backdoor_defence import BackdoorDefence, Doubtful, new_network
from training.defences.baselines import BACKDOOR_DEFENCES
from training.defences.clp import DEVIATIONS, silenced
from training.defences.robust_training import Curriculum, Schedule, train_robustly
from training.defences.unlearning import unlearned
from training.residual_network import ImageMean, residual_network
from training.rows import Rows

TEST = DIGITS.x[950:], DIGITS.y[950:]


@dataclass(frozen=True)
class Grounds:
    doubtful: Doubtful
    trigger: Trigger
    poisoned: torch.Tensor

    def asked(self, network: nn.Module) -> tuple[float, float]:
        """Accuracy on 847 clean digits, and attack success rate."""

        def predict(x: Inputs) -> Labels:
            return logits_of(network, np.asarray(x, dtype=np.uint8)).argmax(axis=1)

        return 1 - mean_error(predict, TEST, DIGITS.spec), attack_success_rate(predict, self.trigger, TEST)


def grounds(rows: int, widths: tuple[int, ...], schedule: Schedule) -> Grounds:
    """The first digits are poisoned, 150 further ones are reserved; a network is trained plainly on the former."""
    clean = AttackerRows(DIGITS.x[:rows], DIGITS.y[:rows], DIGITS.spec)
    poison = BADNET.run(clean, rows // 20, np.random.default_rng(0))
    assert poison.trigger is not None
    x, y = poisoned_rows(clean, poison, np.arange(rows))
    doubtful, reserved = (
        Rows(pixels(np.asarray(z, dtype=np.uint8)), torch.from_numpy(labels), 10)
        for z, labels in ((x, y), (DIGITS.x[800:950], DIGITS.y[800:950]))
    )
    build = partial(residual_network, widths=widths)
    start = Doubtful(doubtful, reserved, nn.Sequential(), build, schedule, seed=0)
    network = new_network(start)
    train_robustly(network, Curriculum.of(doubtful), schedule, 0)
    poisoned = torch.arange(rows) >= rows - rows // 20
    return Grounds(Doubtful(doubtful, reserved, network, build, schedule, seed=0), poison.trigger, poisoned)


@cache
def digits() -> Grounds:
    return grounds(800, (16, 32), Schedule(epochs=8, drops=(6,)))


@cache
def few() -> Grounds:
    # At widths (2, 4) training aborted twice in torch's backward pass ("free(): invalid next size"), never at these.
    return grounds(100, (16, 32), Schedule(epochs=1, drops=()))


def test_the_network_that_is_handed_over_has_learnt_the_digits_and_the_backdoor() -> None:
    accuracy, success = digits().asked(digits().doubtful.network)
    assert accuracy >= 0.9
    assert success >= 0.9


def test_names_are_unique_and_every_defence_says_what_it_needs() -> None:
    assert len({defence.name for defence in BACKDOOR_DEFENCES}) == len(BACKDOOR_DEFENCES) == 9
    assert all(defence.needs and defence.description for defence in BACKDOOR_DEFENCES)


WHOLE = [
    pytest.param(defence, id=defence.name, marks=[pytest.mark.slow] if defence.name == "meca-relabelled" else [])
    for defence in BACKDOOR_DEFENCES
    if defence.name != "meca"
]
"""MeCa with relabelling is all of MeCa, and one step more; its steps are asked twice in `test_defence_meca`."""


@pytest.mark.parametrize("defence", WHOLE)
def test_same_input_same_weights_and_nothing_that_was_given_changes(defence: BackdoorDefence) -> None:
    given = few().doubtful
    before = [value.clone() for value in (*given.network.state_dict().values(), given.rows.z, given.rows.y)]
    state = torch.random.get_rng_state()
    first, again = (defence.run(one) for one in (given, replace(given)))
    for one, other in zip(first.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(one, other)
    after = [*given.network.state_dict().values(), given.rows.z, given.rows.y]
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    assert torch.equal(state, torch.random.get_rng_state())
    assert not first.training
    assert first(given.rows.z).shape == (100, 10)


@pytest.mark.parametrize(
    ("name", "most_success", "least_accuracy"),
    [("fine-pruning", 0.3, 0.88), ("scan-ft", 0.05, 0.93)],
)
def test_a_defence_lowers_the_success_of_the_attack(name: str, most_success: float, least_accuracy: float) -> None:
    (defence,) = (defence for defence in BACKDOOR_DEFENCES if defence.name == name)
    accuracy, success = digits().asked(defence.run(digits().doubtful))
    assert success <= most_success
    assert accuracy >= least_accuracy


def test_a_backdoor_that_sits_in_one_loud_channel_is_silenced_and_nothing_else_changes() -> None:
    """Built by hand: channel 5 answers to nine white pixels alone, and what it says decides for class 1."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = nn.Conv2d(1, 32, 3, bias=False), nn.BatchNorm2d(32), nn.ReLU(), ImageMean(), nn.Linear(32, 10)
    network = nn.Sequential(*layers).eval()
    with torch.no_grad():
        layers[0].weight[5] = 1.0
        layers[1].running_mean[5] = 8.99  # type: ignore[index]
        layers[1].weight[5] = 1e3
        layers[4].weight[1, 5] = 1e3
    assert digits().asked(network)[1] == 1
    found = silenced(network, DEVIATIONS)
    assert digits().asked(found)[1] <= 0.5
    z = pixels(TEST[0])
    assert torch.allclose(found(z), network(z), atol=1e-5)


def test_unlearning_the_poison_itself_removes_the_backdoor() -> None:
    given = digits().doubtful
    schedule = Schedule(epochs=2, drops=(), rate=5e-4)
    found = unlearned(given.network, given.rows, digits().poisoned, ~digits().poisoned, schedule, 0)
    accuracy, success = digits().asked(found)
    assert success <= 0.05
    assert accuracy >= 0.9
