"""The mimic model (§IV-B, Eqs 8 and 9): the critic of a conditional WGAN-GP trained on the augmented data."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from training.conditional import Generator
from training.critic import Critic, LabelInput
from training.networks import descend
from training.progress import Progress, Silent
from training.rows import Rows
from training.seeding import draw_seed, torch_seed

__all__ = ["Mimic", "MimicSettings", "critic_loss", "gradient_penalty", "mismatch", "separation", "train_mimic"]


@dataclass(frozen=True)
class MimicSettings:
    """How the conditional WGAN-GP is trained.

    `steps`: budget in generator steps; `width`: the generator's layers are w-2w-4w; `penalty`: λ; `checks`: how often
    the stop rule looks at held-out rows; `patience`: checks without a better critic after which training ends.
    """

    steps: int
    label_input: LabelInput = "multiply"
    width: int = 64
    critic_steps: int = 5
    penalty: float = 10.0
    batch: int = 32
    rate: float = 5e-5
    checks: int = 20
    patience: int = 15


@dataclass(frozen=True)
class Mimic:
    """A trained critic in evaluation mode.

    `curves`: Wasserstein estimate and penalty per generator step, and the separation of held-out labels per check;
    `steps`: generator steps after which these weights were taken.
    """

    critic: Critic
    steps: int
    curves: dict[str, list[float]] = field(default_factory=dict)


def train_mimic(
    augmented: Rows,
    settings: MimicSettings,
    generator: torch.Generator,
    *,
    held_out: Rows | None = None,
    progress: Progress | None = None,
    name: str = "",
) -> Mimic:
    """Trains D_w and G_w alternately on S_aug and returns D_w.

    D_w minimises E D(G(z|y)|y) − E D(x|y) + λ E (‖∇_x̂ D(x̂|y)‖₂ − 1)²   (Eq. 9), x̂ = u x + (1 − u) G(z|y), u ~ U(0, 1);
    G_w minimises −E D(G(z|y)|y). RMSprop 5e-5, five critic steps for one of the generator, batches of 32.

    Differs from the paper:
    * Stop rule. "When the objective of both parts are converged" cannot be tested: the critic never sees a real x with
      a wrong y, and goes flat in y as G_w gets better. With `held_out` (trusted rows that neither the augmenter nor the
      critic learns from) training keeps the critic that best separates their labels from mismatched ones, and ends
      after `patience` checks without a better one. A mismatched label is what the mimic exists to notice, and is made
      from trusted rows alone. Without `held_out` the budget is spent whole, as in the public code.
    * The penalty is taken with respect to x only, as printed; with `multiply` its bound depends on the class.

    Runs in float32 and uncompiled on every device: torch.compile cannot differentiate twice, as the penalty must, and a
    batch of 32 through networks this small waits for kernel launches, not for arithmetic that bfloat16 would halve.
    """
    with torch_seed(draw_seed(generator), augmented.z.device):
        game = _Game(augmented, settings, held_out)
        what = f"mimic, {name}" if name else "mimic"
        made = game.run(augmented, (progress or Silent()).track(range(settings.steps), what, settings.steps))
    return Mimic(game.critic.eval(), made, game.history())


def critic_loss(critic: nn.Module, real: Rows, fake: Tensor, penalty: float) -> tuple[Tensor, Tensor, Tensor]:
    """Eq. 9 for one batch: (loss, Wasserstein estimate E D(x|y) − E D(x̃|y), gradient penalty), each a scalar."""
    true, false = critic(torch.cat([real.z, fake]), torch.cat([real.y, real.y])).chunk(2)
    share = torch.rand(len(real), *[1] * (real.z.dim() - 1), device=real.z.device)
    between = torch.lerp(fake, real.z, share)
    wasserstein = true.mean() - false.mean()
    excess = gradient_penalty(critic, between, real.y)
    return penalty * excess - wasserstein, wasserstein, excess


def gradient_penalty(critic: nn.Module, z: Tensor, y: Tensor) -> Tensor:
    """E (‖∇_z D(z|y)‖₂ − 1)² over a batch z (n, …), y (n,); differentiable in the critic's parameters."""
    z = z.detach().requires_grad_()
    (slope,) = torch.autograd.grad(critic(z, y).sum(), z, create_graph=True)
    excess: Tensor = slope.flatten(1).norm(dim=1) - 1
    return excess.square().mean()


def mismatch(rows: Rows, times: int = 4) -> Rows:
    """Every row `times` over with a label that is not its own: another class, or another row's regression label."""
    index = torch.arange(len(rows)).repeat(times)
    shift = torch.randint(1, max(rows.classes or len(rows), 2), (len(index),)).to(rows.y.device)
    z = rows.select(index).z
    if rows.classes:
        return Rows(z, (rows.select(index).y + shift) % rows.classes, rows.classes)
    return Rows(z, rows.y[(index.to(shift.device) + shift) % len(rows)], 0)


@torch.no_grad()
def separation(critic: Critic, rows: Rows, wrong: Rows) -> float:
    """AUROC with which low critic values in evaluation mode tell `wrong` from `rows`; .5 is chance."""
    was_training = critic.training
    critic.eval()
    values = torch.cat([critic(rows.z, rows.y), critic(wrong.z, wrong.y)]).cpu().numpy()
    critic.train(was_training)
    return float(roc_auc_score([0] * len(rows) + [1] * len(wrong), -values))


class _Game:
    """Critic and generator with their optimisers, curves and the best critic so far."""

    def __init__(self, augmented: Rows, settings: MimicSettings, held_out: Rows | None) -> None:
        self.settings = settings
        device = augmented.z.device
        self.critic = Critic(augmented, settings.label_input).to(device)
        self.generator = Generator(augmented, settings.width, convolution=True).to(device)
        self.critic_optimiser = torch.optim.RMSprop(self.critic.parameters(), lr=settings.rate, foreach=True)
        self.generator_optimiser = torch.optim.RMSprop(self.generator.parameters(), lr=settings.rate, foreach=True)
        self.held_out = held_out
        self.wrong = mismatch(held_out) if held_out is not None else None
        self.wasserstein: list[Tensor] = []
        self.penalty: list[Tensor] = []
        self.separations: list[float] = []

    def history(self) -> dict[str, list[float]]:
        curves = {"wasserstein": _floats(self.wasserstein), "penalty": _floats(self.penalty)}
        return curves | ({"separation": self.separations} if self.separations else {})

    def run(self, augmented: Rows, steps: Iterable[int]) -> int:
        """Spends the budget or stops early; returns the step after which the critic's weights were taken."""
        every = max(self.settings.steps // self.settings.checks, 1)
        taken, best, weights = 0, -1.0, copy.deepcopy(self.critic.state_dict())
        for made, _ in enumerate(steps, start=1):
            self.step(augmented)
            if self.held_out is None or self.wrong is None:
                taken = made
            elif made % every == 0:
                self.separations.append(separation(self.critic, self.held_out, self.wrong))
                if self.separations[-1] > best:
                    taken, best, weights = made, self.separations[-1], copy.deepcopy(self.critic.state_dict())
                elif made - taken >= self.settings.patience * every:
                    break
        if self.separations:
            self.critic.load_state_dict(weights)
        return taken

    def step(self, augmented: Rows) -> None:
        """Five steps of the critic, one of the generator."""
        for _ in range(self.settings.critic_steps):
            real = augmented.draw(self.settings.batch)
            with torch.no_grad():
                fake = self.generator.sample(real.y)
            loss, wasserstein, penalty = critic_loss(self.critic, real, fake, self.settings.penalty)
            descend(self.critic_optimiser, loss)
        self.wasserstein.append(wasserstein.detach())
        self.penalty.append(penalty.detach())
        y = augmented.draw(self.settings.batch).y
        descend(self.generator_optimiser, -self.critic(self.generator.sample(y), y).mean())


def _floats(values: list[Tensor]) -> list[float]:
    return torch.stack(values).tolist() if values else []
