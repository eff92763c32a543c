from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss, mean_squared_error
from torch import Tensor
from torch.nn import functional

from training.augmenter import AugmenterSettings, discriminator_loss, generator_loss, train_augmenter
from training.authenticator import SHRINKAGE, Authenticator
from training.conditional import Discriminator, Generator
from training.rows import Rows

SHORT = AugmenterSettings(steps=12, width=8, window=5, tolerance=0.0)
PLAIN = replace(SHORT, authenticator=0.0)
LITERAL = replace(SHORT, literal_sign=True)


def classes_apart(count: int = 60) -> Rows:
    """Two classes around (−2, 0) and (2, 0)."""
    y = torch.arange(count) % 2
    z = 0.3 * torch.randn(count, 2, generator=torch.Generator().manual_seed(6))
    z[:, 0] += 4 * y - 2
    return Rows(z, y, 2)


def numbers(count: int = 60) -> Rows:
    z = torch.randn(count, 3, generator=torch.Generator().manual_seed(6))
    return Rows(z, z @ torch.tensor([1.0, -1.0, 0.5]), 0)


ROWS = {"classification": classes_apart(), "regression": numbers()}


def gradients(loss: Tensor, generator: Generator) -> Tensor:
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(generator.parameters()), retain_graph=True)])


@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
def test_the_loss_of_the_authenticator_reaches_the_generator_with_the_sign_that_was_asked_for(rows: Rows) -> None:
    generator, discriminator, authenticator = Generator(rows, 8), Discriminator(rows, 8).eval(), Authenticator(rows)
    fake = generator(torch.randn(len(rows), 100), rows.y)
    losses = [generator_loss(discriminator, authenticator, fake, rows.y, kind) for kind in (PLAIN, SHORT, LITERAL)]
    plain, ours, literal = (gradients(loss, generator) for loss in losses)
    alone = gradients(authenticator.loss(fake, rows.y), generator)
    assert alone.norm() > 1e-4
    torch.testing.assert_close(ours - plain, alone, rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(literal - plain, -alone, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
def test_detached_as_in_the_public_code_nothing_reaches_the_generator(rows: Rows) -> None:
    generator, authenticator = Generator(rows, 8), Authenticator(rows)
    fake = generator(torch.randn(len(rows), 100), rows.y).detach()
    generator_loss(Discriminator(rows, 8), authenticator, fake, rows.y, SHORT).backward()
    assert all(parameter.grad is None for parameter in generator.parameters())


def test_the_authenticator_keeps_synthetic_rows_true_to_their_label() -> None:
    # 250 steps, seed 8: printed sign against ours, judged by which side of 0 the class lies on.
    rows, right = classes_apart(), {}
    for literal in (False, True):
        settings = AugmenterSettings(steps=250, width=16, literal_sign=literal, authenticator=3.0)
        made = train_augmenter(rows, settings, torch.Generator().manual_seed(8)).sample(
            400, torch.Generator().manual_seed(1)
        )
        right[literal] = ((made.z[:, 0] > 0) == (made.y == 1)).float().mean().item()
    assert right[False] > 0.95
    assert right[True] < right[False] - 0.2


def test_cross_entropy_is_that_of_scikit_learn() -> None:
    rows = classes_apart()
    authenticator = Authenticator(rows)
    with torch.no_grad():
        found = authenticator.loss(rows.z, rows.y).item()
        probabilities = authenticator(rows.z).softmax(dim=1).double().numpy()
    assert found == pytest.approx(
        log_loss(rows.y.numpy(), probabilities / probabilities.sum(1, keepdims=True)), rel=1e-5
    )
    assert authenticator.penalty() == 0.0


def test_squared_error_and_lasso_term_of_the_linear_authenticator() -> None:
    rows = numbers()
    authenticator = Authenticator(rows)
    weights = authenticator.layers[-1].weight.detach().numpy()
    with torch.no_grad():
        found = authenticator.loss(rows.z, rows.y).item()
        predicted = authenticator(rows.z).numpy()
        penalty = torch.as_tensor(authenticator.penalty()).item()
    assert found == pytest.approx(mean_squared_error(rows.y.numpy(), predicted), rel=1e-5)
    assert penalty == pytest.approx(SHRINKAGE * np.abs(weights).sum(), rel=1e-5)


def test_the_discriminator_maximises_equation_two() -> None:
    rows = classes_apart()
    discriminator = Discriminator(rows, 8).eval()
    fake = torch.randn_like(rows.z)
    with torch.no_grad():
        real, made = discriminator(rows.z, rows.y).sigmoid(), discriminator(fake, rows.y).sigmoid()
        found = discriminator_loss(discriminator, rows.z, fake, rows.y).item()
    assert found == pytest.approx(-(real.log().mean() + (1 - made).log().mean()).item(), rel=1e-5)


def test_the_generator_loss_without_authenticator_does_not_saturate() -> None:
    rows = classes_apart()
    discriminator = Discriminator(rows, 8).eval()
    with torch.no_grad():
        logit = discriminator(rows.z, rows.y)
        found = generator_loss(discriminator, Authenticator(rows), rows.z, rows.y, PLAIN).item()
    expected = functional.binary_cross_entropy_with_logits(logit, torch.ones_like(logit)).item()
    assert found == pytest.approx(expected, rel=1e-5)


def test_training_stops_when_the_parameters_hardly_move_over_a_window() -> None:
    still = replace(SHORT, rate=1e-9, tolerance=1e-3)
    trained = train_augmenter(classes_apart(), still, torch.Generator().manual_seed(1))
    assert trained.steps == 5
    assert 0 < trained.curves["change"][0] < 1e-3
    assert len(trained.curves["generator"]) == 5


def test_training_spends_its_budget_while_the_parameters_move() -> None:
    trained = train_augmenter(classes_apart(), SHORT, torch.Generator().manual_seed(1))
    assert trained.steps == 12
    assert len(trained.curves["change"]) == 2


@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
def test_the_same_seed_gives_the_same_rows_and_leaves_global_randomness_alone(rows: Rows) -> None:
    before = torch.get_rng_state()
    made = []
    for seed in (3, 3, 4):
        generator = torch.Generator().manual_seed(seed)
        made.append(train_augmenter(rows, SHORT, generator).sample(5, generator))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(made[0].z, made[1].z)
    assert not torch.equal(made[0].z, made[2].z)


def test_synthetic_classes_are_drawn_from_the_trusted_ones() -> None:
    rows = Rows(torch.randn(30, 2), torch.tensor([0] * 20 + [2] * 10), 3)
    made = train_augmenter(rows, SHORT, torch.Generator()).sample(3000, torch.Generator().manual_seed(1))
    assert made.y.dtype == torch.int64
    assert (made.y == 0).float().mean().item() == pytest.approx(2 / 3, abs=0.04)
    assert not (made.y == 1).any()


def test_synthetic_regression_labels_are_trusted_ones_plus_noise() -> None:
    rows = Rows(torch.randn(30, 2), torch.full((30,), 7.0), 0)
    made = train_augmenter(rows, SHORT, torch.Generator()).sample(3000, torch.Generator().manual_seed(1))
    assert made.y.mean().item() == pytest.approx(7.0, abs=0.01)
    assert made.y.std().item() == pytest.approx(SHORT.label_noise, rel=0.08)
