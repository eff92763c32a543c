"""Attacks for the demo and the experiments. None of them ever reaches a training job."""

from __future__ import annotations

from training.attacks.adaptive_black_box import ADAPTIVE_BLACK_BOX
from training.attacks.adaptive_blend import ADAPTIVE_BLEND
from training.attacks.adaptive_patch import ADAPTIVE_PATCH
from training.attacks.adaptive_white_box import ADAPTIVE_WHITE_BOX
from training.attacks.adversarial_flip import ADVERSARIAL_FLIP
from training.attacks.attack import Attack, AttackerRows, Poison, Targets, Trigger
from training.attacks.badnet import BADNET
from training.attacks.blend import BLEND
from training.attacks.boundary_flip import BOUNDARY_FLIP
from training.attacks.bullseye_polytope import BULLSEYE_POLYTOPE, bullseye_polytope
from training.attacks.confident_flip import CONFIDENT_FLIP
from training.attacks.convex_polytope import CONVEX_POLYTOPE, convex_polytope
from training.attacks.direct_gradient import DIRECT_GRADIENT
from training.attacks.feature_collision import FEATURE_COLLISION, feature_collision
from training.attacks.generative import GENERATIVE
from training.attacks.gradient_matching import GRADIENT_MATCHING, gradient_matching
from training.attacks.gradient_sign import GRADIENT_SIGN
from training.attacks.guarded_attack import Guard, GuardedAttack, OpenGuard
from training.attacks.metapoison import METAPOISON, metapoison
from training.attacks.optimal_regression import OPTIMAL_LASSO, OPTIMAL_RIDGE, STEALTHY_RIDGE
from training.attacks.pgan import PGAN
from training.attacks.physical_ba import PHYSICAL_BA
from training.attacks.projected_gradient import PROJECTED_GRADIENT
from training.attacks.random_flip import RANDOM_FLIP
from training.attacks.runner_up_flip import RUNNER_UP_FLIP
from training.attacks.sig import SIG
from training.attacks.sleeper_agent import SLEEPER_AGENT
from training.attacks.statistical import STATISTICAL
from training.attacks.tact import TACT
from training.attacks.targeting import SMALLER
from training.attacks.wanet import WANET

__all__ = [
    "ATTACKS",
    "BACKDOORS",
    "BLACK_BOX_ATTACKS",
    "VARIANTS",
    "WHITE_BOX_ATTACKS",
    "Attack",
    "AttackerRows",
    "Guard",
    "GuardedAttack",
    "OpenGuard",
    "Poison",
    "Targets",
    "Trigger",
]

_TARGETED = (feature_collision, bullseye_polytope, convex_polytope, gradient_matching, metapoison)

VARIANTS: tuple[Attack, ...] = tuple(make(epsilon) for make in _TARGETED for epsilon in SMALLER)
"""Attacks that differ from another one of the list by how far a pixel may move, and by nothing else."""

BACKDOORS: tuple[Attack, ...] = (BADNET, BLEND, SIG, WANET, PHYSICAL_BA, TACT, ADAPTIVE_BLEND, ADAPTIVE_PATCH)
"""The attacks of MeCa's Table I, whose poison carries a trigger."""

ATTACKS: tuple[Attack, ...] = (
    RANDOM_FLIP,
    CONFIDENT_FLIP,
    ADVERSARIAL_FLIP,
    BOUNDARY_FLIP,
    RUNNER_UP_FLIP,
    GRADIENT_SIGN,
    PROJECTED_GRADIENT,
    DIRECT_GRADIENT,
    GENERATIVE,
    PGAN,
    FEATURE_COLLISION,
    BULLSEYE_POLYTOPE,
    CONVEX_POLYTOPE,
    GRADIENT_MATCHING,
    METAPOISON,
    *VARIANTS,
    *BACKDOORS,
    SLEEPER_AGENT,
    STATISTICAL,
    OPTIMAL_RIDGE,
    OPTIMAL_LASSO,
    STEALTHY_RIDGE,
)
"""Every attack; adding one touches its file and this list."""

BLACK_BOX_ATTACKS: tuple[GuardedAttack[Guard], ...] = (ADAPTIVE_BLACK_BOX,)
"""Every attack on a trained guard of which only the verdicts are known."""

WHITE_BOX_ATTACKS: tuple[GuardedAttack[OpenGuard], ...] = (ADAPTIVE_WHITE_BOX,)
"""Every attack on a trained guard whose inside is known."""
