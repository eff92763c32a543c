from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from torch import nn
from torch.nn import functional

from guard.spec import ClassLabel
from tests.unit.attack_tester import AttackTester
from training import augmenter
from training.attacks import AttackerRows, Poison
from training.attacks.attack import Inputs, Labels
from training.attacks.pgan import PGAN, Balance, Players, classifier_loss, generator_loss, play
from training.augmenter import AugmenterSettings
from training.authenticator import Authenticator
from training.conditional import Discriminator, Generator
from training.datasets import load_digits_images
from training.networks import descend
from training.rows import Rows
from training.seeding import torch_seed

DIGITS = load_digits_images()
PAIR = np.flatnonzero(np.isin(DIGITS.y, (3, 5)))
X, Y = DIGITS.x[PAIR], (DIGITS.y[PAIR] == 5).astype(np.int64)
SPEC = DIGITS.spec.model_copy(update={"label": ClassLabel(values=(3, 5))})
CPU = torch.device("cpu")


class TestPgan(AttackTester):
    attack = PGAN
    count = 40

    @pytest.fixture(scope="class")
    @classmethod
    def rows(cls) -> AttackerRows:
        return AttackerRows(X[:200], Y[:200], SPEC)

    @pytest.fixture(scope="class")
    @classmethod
    def test(cls) -> tuple[Inputs, Labels]:
        return X[200:], Y[200:]

    def test_one_class_is_claimed_and_images_differ(self, rows: AttackerRows, made: Poison) -> None:
        """At least by half as much as honest ones; what a retrained network loses by them is too little to measure."""
        assert len(set(made.y)) == 1
        assert (made.base_index == -1).all()
        honest = rows.x[rows.y == made.y[0]]
        assert made.x.std(axis=0).mean() > honest.std(axis=0).mean() / 2


@pytest.fixture
def three_images() -> Rows:
    z = torch.rand(3, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    return Rows(z, torch.tensor([0, 1, 2]), 3)


class Weighing(nn.Module):
    """A linear discriminator by hand: w · x + b_y."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([1.0, -2.0, 0.5, 3.0]))
        self.offset = nn.Parameter(torch.tensor([-1.0, 0.0, 2.0]))

    def forward(self, z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return z.flatten(1) @ self.weight + self.offset[y]


def linear(weight: np.ndarray) -> nn.Module:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    layer.weight.data = torch.from_numpy(weight).float()
    return nn.Sequential(nn.Flatten(), layer)


CLASSIFIER = np.array([[4.0, -1, 0, 2], [0, 3, -2, 1], [1, 1, 1, 1]])


def costs(rows: Rows) -> np.ndarray:
    return -log_softmax(rows.z.flatten(1).numpy() @ CLASSIFIER.T, axis=1)[np.arange(len(rows)), rows.y]


def test_the_classifiers_loss_by_hand(three_images: Rows) -> None:
    """λ · mean CE of what is made + (1 - λ) · mean CE of clean rows."""
    clean = Rows(three_images.z.flip(3), three_images.y.flip(0), 3)
    found = classifier_loss(linear(CLASSIFIER), three_images, clean, share=0.2)
    assert found.item() == pytest.approx(0.2 * costs(three_images).mean() + 0.8 * costs(clean).mean(), rel=1e-5)


def test_the_discriminators_loss_by_hand(three_images: Rows) -> None:
    """-V = -mean log D(x) - mean log(1 - D(G(z))), D the logistic function of the logit."""
    real, y = three_images.z.flip(2), three_images.y
    discriminator = Weighing()
    found = augmenter.discriminator_loss(discriminator, real, three_images.z, y)
    truth, lie = (1 / (1 + np.exp(-discriminator(z, y).detach().numpy())) for z in (real, three_images.z))
    assert found.item() == pytest.approx(-np.log(truth).mean() - np.log(1 - lie).mean(), rel=1e-5)


@pytest.mark.parametrize("alpha", [0, 0.3, 1])
def test_the_generators_loss_by_hand(three_images: Rows, alpha: float) -> None:
    """-α · mean log D - (1 - α) · λ · mean log(1 - p), p = exp(-CE)."""
    discriminator = Weighing()
    found = generator_loss(discriminator, linear(CLASSIFIER), three_images, Balance(alpha, share=0.2))
    hidden = np.log1p(np.exp(-discriminator(three_images.z, three_images.y).detach().numpy())).mean()
    misread = np.log1p(-np.exp(-costs(three_images))).mean()
    assert found.item() == pytest.approx(alpha * hidden - (1 - alpha) * 0.2 * misread, rel=1e-5)


def test_with_alpha_1_the_generator_learns_as_that_of_a_plain_cgan(three_images: Rows) -> None:
    """The augmenter's rule without its authenticator."""
    with torch_seed(0, CPU):
        generator, discriminator = Generator(three_images, 4), Discriminator(three_images, 4).eval()
        made = Rows(generator.sample(three_images.y), three_images.y, 3)
    plain = augmenter.generator_loss(
        discriminator, Authenticator(three_images), made.z, made.y, AugmenterSettings(steps=1, authenticator=0)
    )
    loss = generator_loss(discriminator, linear(CLASSIFIER), made, Balance(alpha=1, share=0.2))
    weights = list(generator.parameters())
    for ours, expected in zip(
        torch.autograd.grad(loss, weights, retain_graph=True), torch.autograd.grad(plain, weights), strict=True
    ):
        assert ours.abs().max() > 0
        assert torch.allclose(ours, expected)


def test_with_alpha_0_the_generator_learns_nothing_from_the_discriminator(three_images: Rows) -> None:
    """And of the classifier λ ∇log(1 - p)."""
    z = three_images.z.clone().requires_grad_()
    discriminator = Weighing()
    made = replace(three_images, z=z)
    loss = generator_loss(discriminator, linear(CLASSIFIER), made, Balance(alpha=0, share=0.2))
    slope, *others = torch.autograd.grad(loss, [z, *discriminator.parameters()])
    assert all((other == 0).all() for other in others)
    p = torch.softmax(linear(CLASSIFIER)(z), 1)[torch.arange(3), three_images.y]
    assert torch.allclose(slope, torch.autograd.grad(-0.2 * torch.log(1 - p).mean(), z)[0], atol=1e-6)


def gaussians(count: int, seed: int) -> Rows:
    """Two classes of unit variance whose means lie 3 apart along the first column, class 1 at the positive end."""
    y = torch.arange(count) % 2
    z = torch.randn(count, 2, generator=torch.Generator().manual_seed(seed))
    return Rows(z + (3 * y[:, None] - 1.5) * torch.tensor([1.0, 0.0]), y, 2)


def perceptron() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 2))


def retrained_error(rows: Rows, seed: int) -> float:
    test = gaussians(4000, 1)
    with torch_seed(seed, CPU):
        network = perceptron()
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
    for _ in range(200):
        descend(optimiser, functional.cross_entropy(network(rows.z), rows.y))
    return (network(test.z).argmax(1) != test.y).float().mean().item()


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_less_alpha_moves_poison_of_gaussians_into_the_other_class_and_hurts_more(seed: int) -> None:
    """50 labelled 1 among 200 + 50; error .070 -> .068, .075, .107, .154 at α 1, .5, .1, 0 by two seeds."""
    known, middle, error = gaussians(200, 0), [], []
    for alpha in (1, 0.5, 0.1, 0):
        with torch_seed(seed, CPU):
            players = Players(Generator(known, 16), Discriminator(known, 32), perceptron())
            play(players, known, 1, Balance(alpha, share=0.2), 600)
            made = players.generator.sample(torch.ones(50, dtype=torch.int64)).detach()
        middle.append(made[:, 0].mean().item())
        error.append(retrained_error(known.join(Rows(made, torch.ones(50, dtype=torch.int64), 2)), seed))
    assert middle == sorted(middle, reverse=True)
    assert middle[0] > 1
    assert middle[-1] < -1
    clean = retrained_error(known, seed)
    assert abs(error[0] - clean) < 0.015
    assert error[2] > clean + 0.02
    assert error[3] > clean + 0.04
