from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from torch import Tensor, nn

from training.networks import ClaimedLabelLoss, MeanScore, Recipe, body, seeded, train
from training.progress import Silent


@pytest.mark.parametrize("shape", [(2,), (274,), (1, 28, 28), (3, 32, 32), (1, 8, 8), (1, 5, 9), (3, 17, 40)])
def test_a_body_takes_any_shape(shape: tuple[int, ...]) -> None:
    assert body(shape, 7)(torch.zeros(3, *shape)).shape == (3, 7)


def test_seeding_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(4)
    expected = torch.rand(3)
    torch.manual_seed(4)
    first, second = (seeded(lambda: nn.Linear(5, 5), 1) for _ in range(2))
    torch.testing.assert_close(torch.rand(3), expected, rtol=0, atol=0)
    torch.testing.assert_close(first.state_dict(), second.state_dict(), rtol=0, atol=0)


def test_claimed_label_loss_is_the_negative_log_softmax() -> None:
    z, y = torch.randn(20, 4) * 5, torch.randint(0, 4, (20,))
    expected = -log_softmax(z.double().numpy(), axis=1)[np.arange(20), y.numpy()]
    np.testing.assert_allclose(ClaimedLabelLoss(nn.Identity())(z, y).numpy(), expected, rtol=1e-5, atol=1e-6)


def test_mean_of_scorers() -> None:
    class Times(nn.Module):
        def __init__(self, factor: float) -> None:
            super().__init__()
            self.factor = factor

        def forward(self, z: Tensor, y: Tensor) -> Tensor:
            return self.factor * z + y

    torch.testing.assert_close(
        MeanScore([Times(1), Times(2), Times(6)])(torch.ones(2), torch.ones(2)), torch.full((2,), 4.0)
    )


def test_training_finds_the_least_squares_line() -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=(400, 3)).astype(np.float32)
    y = (z @ [1.0, -2.0, 0.5] + 0.3 + 0.1 * rng.normal(size=400)).astype(np.float32)
    network = seeded(lambda: nn.Linear(3, 1), 0)

    def loss(z: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        return ((network(z)[:, 0] - y) ** 2).mean()

    recipe = Recipe(steps=600, batch=64, rate=0.05, decay=0.0)
    curve = train(network, loss, torch.from_numpy(z), torch.from_numpy(y), recipe, 0, Silent(), "line")
    expected = np.linalg.lstsq(np.c_[z, np.ones(400)], y, rcond=None)[0]
    found = np.append(network.weight.detach().numpy()[0], network.bias.detach().numpy())
    np.testing.assert_allclose(found, expected, atol=0.01)
    assert len(curve) <= 50
    assert curve[-1] < curve[0] / 10
    assert not network.training


def test_training_is_a_function_of_its_seed() -> None:
    z, y = torch.randn(30, 2), torch.randint(0, 2, (30,))

    def run(seed: int) -> dict[str, Tensor]:
        network = seeded(lambda: nn.Linear(2, 2), 0)
        train(
            network,
            lambda a, b, g: nn.functional.cross_entropy(network(a + torch.rand(a.shape, generator=g)), b),
            z,
            y,
            Recipe(5, 8, 0.01),
            seed,
            Silent(),
            "",
        )
        return network.state_dict()

    torch.testing.assert_close(run(1), run(1), rtol=0, atol=0)
    with pytest.raises(AssertionError):
        torch.testing.assert_close(run(1), run(2), rtol=0, atol=0)
