from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 – PyTorch's own name for it
from torch import nn

from tests.support.trusted import digits
from training.members.adversarial import RadiusCurriculum, worst_case_noise
from training.networks import Recipe, body, seeded, train
from training.progress import Silent


def images(rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    z, y = digits()
    return torch.from_numpy(z[:rows]), torch.from_numpy(y[:rows])


@pytest.mark.parametrize("radius", [0.0, 0.05, 0.3])
def test_noise_stays_within_radius_and_image(radius: float) -> None:
    (z, y), network = images(40), seeded(lambda: body((1, 8, 8), 10), 0)
    moved = worst_case_noise(network, z, y, radius, torch.Generator().manual_seed(0))
    assert float((moved - z).abs().max()) <= radius + 1e-6
    assert float(moved.min()) >= 0
    assert float(moved.max()) <= 1
    assert not moved.requires_grad


def test_noise_is_worse_than_chance_and_the_worst_of_a_linear_network() -> None:
    (z, y), generator = images(60), torch.Generator().manual_seed(0)
    z = 0.3 + 0.4 * z  # no pixel within the radius of a bound
    network = seeded(lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), 0)
    y = y % 2
    moved = worst_case_noise(network, z, y, 0.1, generator)
    weight = network[1].weight.detach()
    worst = z + 0.1 * torch.where((y == 0)[:, None], weight[1] - weight[0], weight[0] - weight[1]).sign().view_as(z)
    torch.testing.assert_close(
        F.cross_entropy(network(moved), y, reduction="none"),
        F.cross_entropy(network(worst), y, reduction="none"),
        rtol=1e-3,
        atol=1e-4,
    )


def test_the_radius_grows_only_while_the_network_keeps_up() -> None:
    z, y = images(200)
    network = seeded(lambda: body((1, 8, 8), 10), 0)
    loss = RadiusCurriculum(network, 10, 150)
    train(network, loss, z, y, Recipe(150, 64, 5e-3), 0, Silent(), "digits")
    assert 0.03 < loss.radius <= 0.3
    blind = RadiusCurriculum(network, 10, 300)
    wrong = (y + torch.randint(0, 10, y.shape, generator=torch.Generator().manual_seed(1))) % 10
    for _ in range(20):
        blind(z[:64], wrong[:64], torch.Generator().manual_seed(2))
    assert blind.radius == 0.0
