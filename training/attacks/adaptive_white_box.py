"""The adaptive white-box attack: gradient steps through every member of the guard, and through models like the victim.

The attacker knows the guard: its weights, its thresholds and how it decides. What he does not know is the model that
will learn from his samples, because it is not trained yet; he trains some of its kind himself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.attacks.attack import AttackerRows, Labels, Poison, pick
from training.attacks.domain import class_count, is_image_classes, require
from training.attacks.epsilon_ball import project, radius
from training.attacks.guarded_attack import GuardedAttack, OpenGuard
from training.attacks.opinion import claim_margin, form_opinion
from training.attacks.verdict_margin import VerdictMargin, verdict_margin
from training.attacks.victims import own_network, pixels
from training.preprocess import grey_images

__all__ = [
    "ADAPTIVE_WHITE_BOX",
    "EPSILON",
    "RESTARTS",
    "STEPS",
    "WEIGHTINGS",
    "Claim",
    "Passed",
    "Weighting",
    "attack_white_box",
    "measure_white_box",
]

EPSILON = 0.2
"""Largest change of a pixel, in units of the whole range from 0 to 255."""

STEPS = 100
RESTARTS = 3
"""Starts of every image: the image itself, then random points of the ball."""

Claim = Literal["kept", "chosen"]
"""`kept`: the image goes with its right label. `chosen`: with a wrong one, at the r-th start the r-th least suspicious
to the guard."""

_SURROGATES = 3
_SLACK = 0.1
"""Left between a sample and each threshold, in tail scales: another runtime rounds apart by about 1e-4 of them."""
_SURE = 5.0
"""Logits by which every surrogate shall contradict the label: a victim that was not seen shall do so, too."""
_MOMENTUM = 0.75
_BATCH = 512


@dataclass(frozen=True)
class Weighting:
    """One way to weigh the guard against harm.

    `press(m)`: from margins m (n, members) to the loss (n,) that the guard is passed by; `harm`: the weight of the step
    towards harm beside the step past the guard, each divided by its own length.
    """

    name: str
    press: Callable[[Tensor], Tensor]
    harm: float


def _on_each_member(margins: Tensor) -> Tensor:
    return torch.relu(margins + _SLACK).sum(1)


def _on_fused_statistic(margins: Tensor) -> Tensor:
    return torch.relu(margins.amax(1) + _SLACK)


WEIGHTINGS = (
    Weighting("each member", _on_each_member, 1.0),
    Weighting("each member, harm first", _on_each_member, 3.0),
    Weighting("fused statistic", _on_fused_statistic, 1.0),
)
"""Hinges on the margin of every member, or on the largest of them alone, which is the fused statistic."""


def attack_white_box(
    guard: OpenGuard,
    rows: AttackerRows,
    count: int,
    rng: np.random.Generator,
    *,
    epsilon: float = EPSILON,
    claim: Claim = "chosen",
) -> Poison:
    """`count` images drawn without replacement, each moved to where the guard passes it and yet its label is wrong.

    With m_k the margins of `VerdictMargin` (held where max_k m_k ≥ 0) and h the least contradiction of three surrogates
    (`claim_margin`; harmful where h > 0), 100 steps from each of three starts:

        x ← Π(x − η_t sign(v)),  v ← .75 v + ∇L_guard/|∇L_guard|₁ + w ∇L_harm/|∇L_harm|₁,
        L_guard = Σ_k max(0, m_k + .1) or max(0, max_k m_k + .1),  L_harm = Σ_s max(0, 5 − h_s),

    for each of `WEIGHTINGS`; Π projects into |x' − x|∞ ≤ ε in whole grey levels, and η_t falls evenly from ε/4 to one
    level. Every image is rounded to grey levels before it is scored, and the gradient passed through the rounding
    unchanged (straight-through estimate); ranks are smoothed as `VerdictMargin` says. Members that are flat in x get
    no gradient and are merely watched. Of all images on the way, the most harmful one that passes is sent.

    Raises `WrongUse` for tables and regression, and when `count` is not in 1 … len(rows.y).

    Differs from the papers (Carlini and Wagner 2017; Tramèr et al. 2020; recalled, not read again): there detector and
    classifier are one target, and the label is the classifier's; here it is the label that is sent, and the model that
    must be misled is trained afterwards. Gradients of both losses are normalised, so that no constant has to be sought.
    """
    found = _search(guard, rows, count, rng, epsilon, claim)
    return found.poison(_strongest(list(found.tries.values())))


@dataclass(frozen=True)
class Passed:
    """Shares of the attacked images that pass the guard and harm: of all tries together, and by weighting."""

    strongest: float
    by_weighting: dict[str, float]


def measure_white_box(
    guard: OpenGuard, rows: AttackerRows, count: int, epsilon: float, seed: int, claim: Claim = "chosen"
) -> Passed:
    """What share of `count` of the rows the attack brings past the guard (p > α), harmfully.

    Harm is judged by an undefended network of another seed, trained on the rows that the attack did not move
    (`form_opinion`): it must contradict the label that is sent. The attacker never sees that network; of all his tries
    he sends the one that he believes in, so `strongest` may lie below the best of `by_weighting`, rarely.
    `rows`: outside the trusted set, more than `count` of them. Raises as `attack_white_box` does.
    """
    rng = np.random.default_rng([seed, 2])
    found = _search(guard, rows, count, rng, epsilon, claim)
    rest = np.setdiff1d(np.arange(len(rows.y)), found.base)
    judge = form_opinion(AttackerRows(rows.x[rest], rows.y[rest], rows.spec), int(rng.integers(2**31)))

    def share(tried: _Tried) -> float:
        sent = found.poison(tried)
        return float(np.mean(guard.passes(sent.x, sent.y) & (judge.contradiction(sent.x, sent.y) > 0)))

    return Passed(share(_strongest(list(found.tries.values()))), {name: share(t) for name, t in found.tries.items()})


@dataclass(frozen=True)
class _Tried:
    """The best try of each image: pixels (n, channels, height, width), claimed class (n,), and how good it is (n,)."""

    z: Tensor
    y: Tensor
    worth: Tensor


@dataclass(frozen=True)
class _Found:
    """The rows that were moved, (n,), what an honest label of theirs is, and the best try of each by weighting."""

    base: NDArray[np.int64]
    y_true: Labels
    tries: dict[str, _Tried]

    def poison(self, tried: _Tried) -> Poison:
        """What is sent."""
        return Poison(grey_images(tried.z), tried.y.numpy(), self.base, self.y_true)


@dataclass(frozen=True)
class _Knowledge:
    """All that the attacker computes with."""

    guard: OpenGuard
    margin: VerdictMargin
    surrogates: tuple[nn.Module, ...]
    classes: int

    def margins(self, z: Tensor, y: Tensor) -> Tensor:
        """The margins m, (n, members)."""
        return self.margin(self.guard.member_scores(z, y), y)

    def contradictions(self, z: Tensor, y: Tensor) -> Tensor:
        """The contradictions h, (n, surrogates)."""
        return torch.stack([claim_margin(surrogate(z), y) for surrogate in self.surrogates], dim=1)


def _search(
    guard: OpenGuard, rows: AttackerRows, count: int, rng: np.random.Generator, epsilon: float, claim: Claim
) -> _Found:
    require(is_image_classes(rows.spec), "classes of images")
    base = pick(rng.permutation(len(rows.y)), count)
    surrogates = tuple(own_network(rows, rng) for _ in range(_SURROGATES))
    classes = class_count(rows.spec)
    known = _Knowledge(guard, verdict_margin(guard.fusion, classes), surrogates, classes)
    centre, truth = pixels(rows.x[base]), torch.from_numpy(rows.y[base])
    claims = truth[:, None].expand(-1, RESTARTS) if claim == "kept" else _least_suspicious(known, centre, truth)
    starts = torch.cat([centre, *(_random_start(centre, epsilon, rng) for _ in range(RESTARTS - 1))])
    tries = {w.name: _best_restart(known, w, starts, centre, claims.T.flatten(), epsilon) for w in WEIGHTINGS}
    return _Found(base, rows.y[base], tries)


def _random_start(centre: Tensor, epsilon: float, rng: np.random.Generator) -> Tensor:
    noise = torch.from_numpy(rng.uniform(-1, 1, tuple(centre.shape))).float() * radius(epsilon)
    return project(centre + noise, centre, epsilon)


def _least_suspicious(known: _Knowledge, z: Tensor, truth: Tensor) -> Tensor:
    """(n, restarts): the wrong classes of each image in the order of the guard's largest margin, repeated if few."""
    with torch.no_grad():
        every = [known.margins(z, torch.full_like(truth, label)).amax(1) for label in range(known.classes)]
    suspicion = torch.stack(every, dim=1)
    suspicion[torch.arange(len(truth)), truth] = torch.inf
    order = suspicion.argsort(dim=1, stable=True)[:, : known.classes - 1]
    return order[:, torch.arange(RESTARTS) % (known.classes - 1)]


def _best_restart(
    known: _Knowledge, weighting: Weighting, starts: Tensor, centre: Tensor, claims: Tensor, epsilon: float
) -> _Tried:
    """Of each image the best end of all its ways; `starts` and `claims` are (RESTARTS · n, …), start by start."""
    n, centres = len(centre), centre.repeat(RESTARTS, 1, 1, 1)
    parts = zip(*(torch.split(each, _BATCH) for each in (starts, centres, claims)), strict=True)
    ends = [_descend(known, weighting, z, middle, y, epsilon) for z, middle, y in parts]
    z, worth = torch.cat([end.z for end in ends]), torch.cat([end.worth for end in ends])
    return _strongest([_Tried(z[i : i + n], claims[i : i + n], worth[i : i + n]) for i in range(0, len(z), n)])


def _descend(
    known: _Knowledge, weighting: Weighting, start: Tensor, centre: Tensor, y: Tensor, epsilon: float
) -> _Tried:
    """The best image on a way of `STEPS` steps, its ends among them; a ball of radius 0 has no way."""
    z, velocity, best = start, torch.zeros_like(start), None
    steps = STEPS if radius(epsilon) else 0
    for step in range(steps + 1):
        grid = ((255 * z).round() / 255).requires_grad_()
        margins, harm = known.margins(grid, y), known.contradictions(grid, y)
        tried = _Tried(grid.detach(), y, _worth(margins.detach(), harm.detach()))
        best = tried if best is None else _strongest([best, tried])
        if step < steps:
            past = _unit_gradient(weighting.press(margins), grid)
            towards = _unit_gradient(torch.relu(_SURE - harm).sum(1), grid)
            velocity = _MOMENTUM * velocity + past + weighting.harm * towards
            size = max(epsilon / 4 * (1 - step / steps), 1 / 255)
            z = project(z - size * velocity.sign(), centre, epsilon)
    assert best is not None  # noqa: S101 – the way has at least one end
    return best


def _worth(margins: Tensor, harm: Tensor) -> Tensor:
    """Of what passes, the least contradiction by a surrogate; below all that, how near to passing the others are."""
    worst, least = margins.amax(1), harm.amin(1).double()
    passes = worst < -_SLACK / 10
    return torch.where(passes, torch.atan(least), -4 - torch.relu(worst))


def _unit_gradient(loss: Tensor, z: Tensor) -> Tensor:
    """∇_z Σ loss, of each image divided by its mean absolute value; zero where the loss is flat."""
    (gradient,) = torch.autograd.grad(loss.sum(), z, retain_graph=True)
    size = gradient.abs().mean(dim=(1, 2, 3), keepdim=True)
    return torch.where(size > 0, gradient / size.clamp_min(1e-30), 0.0)


def _strongest(tries: Sequence[_Tried]) -> _Tried:
    """Of each image the try that is worth most, the first of equals."""
    worth = torch.stack([one.worth for one in tries])
    chosen, image = worth.argmax(0), torch.arange(worth.shape[1])
    return _Tried(
        torch.stack([one.z for one in tries])[chosen, image],
        torch.stack([one.y for one in tries])[chosen, image],
        worth[chosen, image],
    )


ADAPTIVE_WHITE_BOX: GuardedAttack[OpenGuard] = GuardedAttack(
    name="adaptive-white-box",
    description="moves pixels along the gradient of every member until the guard passes a wrong label",
    needs="the guard itself, open, and rows to train models on like the one that will learn from the samples",
    applies=is_image_classes,
    run=attack_white_box,
)
"""ε = 0.2, wrong labels."""
