from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from training.critic import Critic
from training.mimic import MimicSettings, critic_loss, gradient_penalty, mismatch, separation, train_mimic
from training.rows import Rows

SHORT = MimicSettings(steps=12, label_input="multiply", width=16, checks=6)


class OnSamplesAlone(nn.Module):
    """A critic that looks at z and not at y."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, z: Tensor, y: Tensor) -> Tensor:  # noqa: ARG002 – a critic's arguments
        value: Tensor = self.network(z)
        return value[:, 0]


def rows_of(count: int, columns: int = 3, classes: int = 3) -> Rows:
    generator = torch.Generator().manual_seed(11)
    y = torch.arange(count) % classes
    return Rows(torch.randn(count, columns, generator=generator) + y[:, None], y, classes)


def breast_cancer() -> tuple[Rows, Rows, Rows]:
    x, y = load_breast_cancer(return_X_y=True)
    z = torch.from_numpy(StandardScaler().fit_transform(x)).float()
    rows = Rows(z, torch.from_numpy(y), 2)
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))
    return rows.select(order[:300]), rows.select(order[300:370]), rows.select(order[370:])


@settings(deadline=None)
@given(st.lists(st.floats(-3, 3), min_size=1, max_size=6))
def test_the_penalty_of_a_linear_critic_is_its_slope_less_one_squared(weights: list[float]) -> None:
    w = torch.tensor(weights, dtype=torch.float64)
    z = torch.randn(9, len(w), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    penalty = gradient_penalty(lambda x, _: x @ w, z, torch.zeros(9))  # type: ignore[arg-type]
    assert penalty.item() == pytest.approx((np.linalg.norm(weights) - 1) ** 2, abs=1e-12)


def test_the_gradient_of_the_penalty_is_that_of_finite_differences() -> None:
    generator = torch.Generator().manual_seed(2)
    network = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1)).double()
    parameters = [*network.parameters()]
    for parameter in parameters:
        parameter.data = torch.randn(parameter.shape, dtype=torch.float64, generator=generator)
    z, y = torch.randn(7, 3, dtype=torch.float64, generator=generator), torch.zeros(7)
    critic = OnSamplesAlone(network)
    gradient_penalty(critic, z, y).backward()
    weight, step = parameters[0], 1e-6
    for i, j in ((0, 0), (2, 1), (4, 2)):
        ends = []
        for sign in (1, -1):
            weight.data[i, j] += sign * step
            ends.append(gradient_penalty(critic, z, y).item())
            weight.data[i, j] -= sign * step
        assert weight.grad is not None
        assert float(weight.grad[i, j]) == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-5)


def test_a_trained_critic_measures_how_far_two_gaussians_are_apart() -> None:
    # Wasserstein-1 of N(δ, ½²) against N(0, ½²) is δ. Seed 4, tolerance 15 %.
    shift, generator = 3.0, torch.Generator().manual_seed(4)
    with torch.random.fork_rng():
        torch.manual_seed(4)
        critic = OnSamplesAlone(nn.Sequential(nn.Linear(1, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1)))
        nn.init.zeros_(critic.network[-1].weight)  # a start that slopes the wrong way is a trap in one dimension
        optimiser = torch.optim.Adam(critic.parameters(), lr=5e-3, betas=(0.5, 0.9))
        for _ in range(400):
            real = Rows(shift + 0.5 * torch.randn(128, 1, generator=generator), torch.zeros(128), 0)
            loss, gap, _ = critic_loss(critic, real, 0.5 * torch.randn(128, 1, generator=generator), penalty=10.0)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    assert gap.item() == pytest.approx(shift, rel=0.15)


def test_the_loss_is_penalty_less_gap() -> None:
    rows = rows_of(16)
    critic = OnSamplesAlone(nn.Linear(3, 1))
    fake = torch.zeros(16, 3)
    loss, gap, penalty = critic_loss(critic, rows, fake, penalty=7.0)
    expected = critic(rows.z, rows.y).mean() - critic(fake, rows.y).mean()
    assert gap.item() == pytest.approx(expected.item(), abs=1e-6)
    assert loss.item() == pytest.approx((7 * penalty - gap).item(), rel=1e-5)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 6), st.integers(2, 30), st.integers(0, 1000))
def test_a_mismatched_class_is_never_the_own_one(classes: int, count: int, seed: int) -> None:
    y = torch.randint(classes, (count,), generator=torch.Generator().manual_seed(seed))
    wrong = mismatch(Rows(torch.zeros(count, 1), y, classes), times=2)
    assert len(wrong) == 2 * count
    assert not (wrong.y == y.repeat(2)).any()
    assert ((wrong.y >= 0) & (wrong.y < classes)).all()


def test_a_mismatched_regression_label_is_another_rows() -> None:
    rows = Rows(torch.arange(9.0)[:, None], torch.arange(9.0), 0)
    wrong = mismatch(rows)
    assert not (wrong.y == wrong.z[:, 0]).any()
    assert set(wrong.y.tolist()) <= set(rows.y.tolist())


def test_separation_is_the_area_under_the_curve_and_restores_the_mode() -> None:
    rows = rows_of(30)
    wrong = mismatch(rows)
    critic = Critic(rows)
    critic.train()
    found = separation(critic, rows, wrong)
    assert critic.training
    critic.eval()
    with torch.no_grad():
        scores = torch.cat([-critic(rows.z, rows.y), -critic(wrong.z, wrong.y)])
    assert found == pytest.approx(roc_auc_score([0] * 30 + [1] * 120, scores))


@pytest.mark.parametrize("label_input", ["multiply", "concat"])
def test_other_labels_get_other_values(label_input: str) -> None:
    rows = rows_of(40)
    plan = replace(SHORT, label_input=label_input)  # type: ignore[arg-type]
    critic = train_mimic(rows, plan, torch.Generator().manual_seed(1)).critic
    shuffled = rows.y[torch.randperm(40, generator=torch.Generator().manual_seed(1))]
    moved = critic(rows.z, rows.y) != critic(rows.z, shuffled)
    assert torch.equal(moved, rows.y != shuffled)


def test_a_trained_mimic_notices_wrong_labels() -> None:
    # Breast cancer, 300 rows, 100 steps, seed 1.
    teach, stop, test = breast_cancer()
    plan = MimicSettings(steps=100, label_input="multiply", checks=10)
    mimic = train_mimic(teach, plan, torch.Generator().manual_seed(1), held_out=stop)
    assert separation(mimic.critic, test, mismatch(test)) > 0.7


def test_the_same_seed_gives_the_same_critic_and_leaves_global_randomness_alone() -> None:
    rows = rows_of(40)
    before = torch.get_rng_state()
    first, again, other = (
        train_mimic(rows, SHORT, torch.Generator().manual_seed(seed), held_out=rows_of(12)) for seed in (1, 1, 2)
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.critic(rows.z, rows.y), again.critic(rows.z, rows.y))
    assert not torch.equal(first.critic(rows.z, rows.y), other.critic(rows.z, rows.y))
    assert not first.critic.training


def test_without_held_out_rows_the_whole_budget_is_spent() -> None:
    mimic = train_mimic(rows_of(40), SHORT, torch.Generator().manual_seed(1))
    assert mimic.steps == 12
    assert len(mimic.curves["wasserstein"]) == len(mimic.curves["penalty"]) == 12
    assert "separation" not in mimic.curves


def test_training_stops_once_the_critic_no_longer_improves() -> None:
    still = replace(SHORT, steps=40, checks=20, patience=3, rate=0.0)
    mimic = train_mimic(rows_of(40), still, torch.Generator().manual_seed(1), held_out=rows_of(12))
    assert mimic.steps == 2
    assert len(mimic.curves["separation"]) == 4
    assert len(mimic.curves["wasserstein"]) == 8


def test_the_critic_of_the_best_check_is_kept() -> None:
    long = replace(SHORT, steps=20, checks=10, patience=10)
    held_out = rows_of(12)
    mimic = train_mimic(rows_of(40), long, torch.Generator().manual_seed(3), held_out=held_out)
    assert mimic.steps == 2 * (1 + int(np.argmax(mimic.curves["separation"])))
    until_there = replace(long, steps=mimic.steps, checks=mimic.steps // 2)
    again = train_mimic(rows_of(40), until_there, torch.Generator().manual_seed(3), held_out=held_out)
    assert torch.equal(mimic.critic(held_out.z, held_out.y), again.critic(held_out.z, held_out.y))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_trains_a_mimic_of_the_same_worth() -> None:
    worth = []
    for device in ("cpu", "cuda"):
        teach, stop, test = (Rows(part.z.to(device), part.y.to(device), 2) for part in breast_cancer())
        mimic = train_mimic(teach, MimicSettings(120, "multiply"), torch.Generator().manual_seed(1), held_out=stop)
        worth.append(separation(mimic.critic, test, mismatch(test)))
    assert worth[1] == pytest.approx(worth[0], abs=0.1)
