"""The augmenter (§IV-A, Eqs 1–7): a conditional GAN supervised by an authenticator makes St larger."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.authenticator import Authenticator
from training.conditional import Discriminator, Generator
from training.networks import descend
from training.progress import Progress, Silent
from training.rows import Rows
from training.seeding import draw_seed, torch_seed

__all__ = ["AugmenterSettings", "Cgan", "discriminator_loss", "generator_loss", "train_augmenter"]

_CHUNK = 4096
"""Rows that are generated at once: bounds memory."""


@dataclass(frozen=True)
class AugmenterSettings:
    """How the conditional GAN is trained.

    `steps`: budget in optimiser steps; `width`: hidden units, w in G's w-2w-4w and 2w in each layer of D;
    `authenticator`: λ_A, 0 leaves the plain cGAN; `literal_sign`: G *maximises* L_A, as printed;
    `label_noise`: standard deviation of z_r in units of the (standardised) regression label;
    `tolerance`: training stops once ‖θ_{i+w} − θ_i‖ / ‖θ_i‖ of G falls below it, w = `window` steps.
    """

    steps: int
    width: int = 64
    authenticator: float = 1.0
    literal_sign: bool = False
    label_noise: float = 0.1
    batch: int = 128
    rate: float = 1e-3
    tolerance: float = 0.03
    window: int = 50


@dataclass(frozen=True)
class Cgan:
    """A trained augmenter. `curves`: losses per step and parameter change per window; `steps` that were made.

    `discriminator`: D_c in evaluation mode; the augmenter has no use for it, a plain GAN as mimic has.
    """

    generator: Generator
    discriminator: Discriminator
    labels: Tensor
    classes: int
    label_noise: float
    steps: int
    curves: dict[str, list[float]] = field(default_factory=dict)

    @torch.no_grad()
    def sample(self, count: int, generator: torch.Generator) -> Rows:
        """`count` synthetic rows Ss'; their labels are drawn from the trusted ones, plus z_r for regression."""
        with torch_seed(draw_seed(generator), self.labels.device):
            y = self.labels[torch.randint(len(self.labels), (count,))]
            y = _with_noise(y, self.classes, self.label_noise)
            z = torch.cat([self.generator.sample(part) for part in torch.split(y, _CHUNK)])
            return Rows(z, y, self.classes)


def train_augmenter(
    rows: Rows, settings: AugmenterSettings, generator: torch.Generator, progress: Progress | None = None
) -> Cgan:
    """Trains G_c, D_c and the authenticator A together on the trusted rows.

    V(G, D) = E log D(x|y) + E log(1 − D(G(z|y)|y))   (Eq. 2), with y + z_r for regression.
    D minimises −V; G minimises −E log D(G(z|y)|y) + λ_A · L_A; A minimises L_A (Eqs 3, 4) on real and synthetic rows.
    One step of MCEM (Eqs 5–7): draw synthetic rows (E), one optimiser step of each network on real and synthetic (M).

    Differs from the paper:
    * Signs. Printed are L_cGAN + L_A for D and L_cGAN − L_A for G. L_A has no gradient into D, and −L_A rewards G for
      samples that are read as another label. `literal_sign` does the latter.
    * L_A reaches G here. In the public code it is only added to a number that is printed.
    * Stop. A single step is never small under Adam, so the change is taken over a window of steps and relative to ‖θ‖;
      the budget ends training in any case.
      The generator and the discriminator circle each other, so in practice it is mostly the budget that ends it.
    * Adam at 1e-3 (β1 .5) and smaller layers: the public code's 2e-4 (the text gives no rate) needs its 2000 steps.
      The published settings keep 2e-4 and the layers of 256-512-1024.
    """
    with torch_seed(draw_seed(generator), rows.z.device):
        game = _Game(rows, settings)
        steps = (progress or Silent()).track(range(settings.steps), "augmenter", settings.steps)
        made = game.run(rows, steps)
    networks = game.generator.eval(), game.discriminator.eval()
    return Cgan(*networks, rows.y, rows.classes, settings.label_noise, made, game.curves)


class _Game:
    """The three networks with their optimisers and curves."""

    def __init__(self, rows: Rows, settings: AugmenterSettings) -> None:
        self.settings = settings
        device = rows.z.device
        self.generator = Generator(rows, settings.width).to(device)
        self.discriminator = Discriminator(rows, 2 * settings.width).to(device)
        self.authenticator = Authenticator(rows).to(device)
        self.optimisers = {
            name: torch.optim.Adam(network.parameters(), lr=settings.rate, betas=(0.5, 0.999), fused=True)
            for name, network in self.networks().items()
        }
        self.curves: dict[str, list[float]] = {name: [] for name in (*self.networks(), "change")}

    def networks(self) -> dict[str, nn.Module]:
        return {
            "generator": self.generator,
            "discriminator": self.discriminator,
            "authenticator": self.authenticator,
        }

    def run(self, rows: Rows, steps: Iterable[int]) -> int:
        before = _parameters(self.generator)
        made = 0
        for made, step in enumerate(steps, start=1):  # noqa: B007 – `made` is read after the loop
            self.step(rows.draw(min(self.settings.batch, len(rows))))
            if (step + 1) % self.settings.window == 0:
                after = _parameters(self.generator)
                self.curves["change"].append(float((after - before).norm() / before.norm()))
                before = after
                if self.curves["change"][-1] < self.settings.tolerance:
                    break
        return made

    def step(self, real: Rows) -> None:
        y = _with_noise(real.y, real.classes, self.settings.label_noise)
        fake = self.generator.sample(y)
        still = fake.detach()
        self.descend("discriminator", discriminator_loss(self.discriminator, real.z, still, y))
        authenticator = self.authenticator
        both = authenticator.loss(torch.cat([real.z, still]), torch.cat([real.y, y]))
        self.descend("authenticator", both + authenticator.penalty())
        self.descend("generator", generator_loss(self.discriminator, authenticator, fake, y, self.settings))

    def descend(self, name: str, loss: Tensor) -> None:
        descend(self.optimisers[name], loss)
        self.curves[name].append(float(loss.detach()))


def discriminator_loss(discriminator: nn.Module, real: Tensor, fake: Tensor, y: Tensor) -> Tensor:
    """−V of Eq. 2 for one batch: real and fake (n, …) under the same labels y (n,)."""
    truth, lie = discriminator(torch.cat([real, fake]), torch.cat([y, y])).chunk(2)
    return functional.softplus(-truth).mean() + functional.softplus(lie).mean()


def generator_loss(
    discriminator: nn.Module, authenticator: Authenticator, fake: Tensor, y: Tensor, settings: AugmenterSettings
) -> Tensor:
    """−E log D(G(z|y)|y) + λ_A · L_A for one batch of synthetic samples (n, …) with their labels (n,)."""
    loss = functional.softplus(-discriminator(fake, y)).mean()
    sign = -1.0 if settings.literal_sign else 1.0
    if settings.authenticator:
        loss = loss + sign * settings.authenticator * authenticator.loss(fake, y)
    return loss


def _with_noise(y: Tensor, classes: int, scale: float) -> Tensor:
    return y if classes else y + scale * torch.randn_like(y)


def _parameters(network: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])
