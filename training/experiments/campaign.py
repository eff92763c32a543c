"""Boiling the frog: an attacker who knows guard, policy and audit drips poison over ten rounds of retraining.

In each round honest contributors send clean rows and the attacker sends his; what the guard passes and the policy takes
becomes a candidate; a guard is trained on it, and judges the next round. With the gate a reviewer first looks at a
random sample, and a candidate whose bound is above the limit is dropped; he is an oracle who errs at stated rates. Then
the new guard is compared with the one that serves, on held-out rows and on random label flips of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from scipy.stats import binom
from sklearn.neighbors import NearestNeighbors

from guard.clopper_pearson import upper_bound
from guard.sample import encode_samples
from training.assemble import calibrate
from training.attacks.attack import Inputs, Labels
from training.attacks.domain import scaled
from training.datasets import DatasetName, load_dataset
from training.device import deterministic
from training.experiments.experiment import Case, Experiment, Row, Scale, one_by_one
from training.experiments.metrics import recall_at
from training.experiments.summary import mean_and_spread
from training.experiments.trial import ALPHA, Trial
from training.folds import plan_folds
from training.learn import Stages, learn
from training.presets import Preset
from training.progress import Progress, Silent
from training.retrain.audit import draw_order
from training.retrain.candidate import join_rows
from training.retrain.intake import Record, take_in
from training.retrain.measures import most_held
from training.retrain.policy import Caps, Policy, Records
from training.retrain.selection import select
from training.snapshot import Snapshot, snapshot_from_arrays

__all__ = ["CAMPAIGN", "Plan", "boil", "share_beneath"]

_FQR = 0.01
_PRESET = Preset("fast", augment=5, mimic=20, network=150, adversarial=80, folds=3, batch=64)
"""Four campaigns take up to forty guards: smaller ones than in production, without an augmenter."""

_STEPS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)
"""How far the attacker goes from an honest row of the claimed class to his own; the farthest that passes is sent."""


class Plan(BaseModel):
    """One campaign.

    `victim` labelled `claimed` (class indices) is what the attacker wants to pass. `honest`: clean rows per round;
    `drip`: poisoned rows per round, None: as many as pass the audit to the greatest effect. `gate`: none, the audit
    alone, or audit and comparison. `limit`, `confidence`, `sample`: the audit; `misses`: share of poison that its
    reviewer takes for clean, `doubts`: of clean rows that he rejects. `names`: contributors that the honest rows, and
    the attacker's, are sent as. `held_out`, `test`: rows for the comparison, and for the figures.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: DatasetName
    trusted: int
    rounds: int
    honest: int
    drip: int | None
    gate: Literal["none", "audit", "whole"]
    victim: int
    claimed: int
    limit: float
    confidence: float
    sample: int
    misses: float
    doubts: float
    names: int
    held_out: int
    test: int


@dataclass(frozen=True)
class _World:
    """Rows by who holds them: the attacker's `frogs` are of the victim class, his `homes` of the claimed one."""

    start: Snapshot
    honest: tuple[Inputs, Labels]
    frogs: Inputs
    homes: Inputs
    held_out: tuple[Inputs, Labels]
    held_out_flips: tuple[Inputs, Labels]
    clean: tuple[Inputs, Labels]
    poison: tuple[Inputs, Labels]
    flips: tuple[Inputs, Labels]


@dataclass(frozen=True)
class _Standing:
    """What serves: a snapshot, the guard trained on it, and how many of the snapshot's rows are poison."""

    snapshot: Snapshot
    trial: Trial
    poison: int


_POLICY = Policy(records=Records(near_duplicate=0.02), caps=Caps(new_share=0.5, per_source=40, class_growth=0.6))


def boil(plan: Plan, seed: int, progress: Progress) -> list[Row]:
    """One row of figures for the state before round 1 and after each round. The same seed begins with the same guard.

    `recall`: share of unseen rows of the victim class, labelled as the claimed one, above the threshold that 1 % of
    clean unseen rows exceed; `recall_flips`: the same for random labels of all classes. `held`: the guard's own verdict
    at α = 1 % on the former. `poison`: share of the snapshot in force. `promoted`: whether the candidate took over.
    """
    world, rng = _draw_world(plan, seed), np.random.default_rng([seed, 1])
    now = _Standing(world.start, _train(world.start, seed), 0)
    rows = [_figures(now, world, 0, promoted=False)]
    for number in progress.track(range(1, plan.rounds + 1), "rounds"):
        after = _round(now, world, plan, number, seed, rng)
        rows.append(_figures(after or now, world, number, promoted=after is not None))
        now = after or now
    return rows


def share_beneath(plan: Plan) -> float:
    """The share of poison q among the new rows that brings most past the audit: the largest q · P(passes | q)."""
    allowed = _most_rejected(plan)
    shares = np.linspace(0, 0.5, 501)
    seen = shares * (1 - plan.misses) + (1 - shares) * plan.doubts
    return float(shares[np.argmax(shares * binom.cdf(allowed, plan.sample, seen))])


def _most_rejected(plan: Plan) -> int:
    """How many rejected rows the limit forgives; −1 where not even none of them is enough."""
    counts = range(plan.sample)
    bounds = (upper_bound(count, plan.sample, 1 - plan.confidence) for count in counts)
    return next((count - 1 for count, bound in zip(counts, bounds, strict=True) if bound > plan.limit), plan.sample)


def _round(
    now: _Standing, world: _World, plan: Plan, number: int, seed: int, rng: np.random.Generator
) -> _Standing | None:
    """The state after one round; None where nothing is promoted."""
    honest = slice((number - 1) * plan.honest, number * plan.honest)
    x, y = world.honest[0][honest], world.honest[1][honest]
    drip = plan.drip if plan.drip is not None else round(share_beneath(plan) / (1 - share_beneath(plan)) * len(y))
    poison = _send_frogs(now.trial, world, plan, drip, rng)
    x, y = np.concatenate([x, poison]), np.concatenate([y, np.full(len(poison), plan.claimed)])
    truth = np.arange(len(y)) >= len(y) - len(poison)
    passed = now.trial.passes(x, y)
    x, y, truth = x[passed], y[passed], truth[passed]
    names = [f"{'mallory' if bad else 'honest'} {rng.integers(plan.names)}" for bad in truth.tolist()]
    lines = encode_samples(now.snapshot.spec, x, y, names)
    records = [Record(f"round {number}/{place}", line) for place, line in enumerate(lines)]
    intake = take_in(now.snapshot.spec, [(f"round {number}", records)])
    selection = select(intake, now.snapshot, _POLICY, now=0.0, seed=seed)
    taken = truth[intake.sound[selection.taken]]
    candidate = join_rows(now.snapshot, intake, selection, "0" * 64)
    if plan.gate != "none" and not _passes_audit(candidate, taken, plan, rng):
        return None
    after = _Standing(candidate, _train(candidate, seed), now.poison + int(taken.sum()))
    return after if plan.gate != "whole" or _passes_comparison(now.trial, after.trial, world) else None


def _passes_comparison(champion: Trial, challenger: Trial, world: _World) -> bool:
    """The rule of `training.retrain.rule`, with one attack: random flips of the held-out rows."""
    recalls = [float(trial.judge(*world.held_out_flips).held.mean()) for trial in (champion, challenger)]
    held = int(challenger.judge(*world.held_out).held.sum())
    sound = held <= most_held(challenger.fusion, len(world.held_out[1]))
    return sound and recalls[1] >= recalls[0] - _POLICY.promotion.mean_recall_loss


def _passes_audit(candidate: Snapshot, truth: NDArray[np.bool_], plan: Plan, rng: np.random.Generator) -> bool:
    """Whether the bound stays beneath the limit; `truth`: which of the new rows are poison, (new,)."""
    drawn = truth[draw_order(candidate.digest, len(truth))[: plan.sample]]
    rejected = rng.random(len(drawn)) < np.where(drawn, 1 - plan.misses, plan.doubts)
    return upper_bound(int(rejected.sum()), len(drawn), 1 - plan.confidence) <= plan.limit


def _send_frogs(trial: Trial, world: _World, plan: Plan, count: int, rng: np.random.Generator) -> Inputs:
    """Rows on the way from the claimed class to the victim's, each as far as the guard lets pass; others are not sent.

    The attacker asks the guard as often as he likes.
    """
    base = world.frogs[rng.permutation(len(world.frogs))[: 4 * count]]
    spec = trial.spec
    near = NearestNeighbors(n_neighbors=1).fit(scaled(world.homes, spec))
    home = world.homes[near.kneighbors(scaled(base, spec), return_distance=False)[:, 0]]
    sent, done = home.copy(), np.zeros(len(base), np.bool_)
    for step in _STEPS:
        mixed = (1 - step) * home.astype(np.float64) + step * base
        there = np.rint(mixed).astype(base.dtype) if base.dtype == np.uint8 else mixed
        passes = trial.passes(there, np.full(len(base), plan.claimed)) & ~done
        sent[passes], done = there[passes], done | passes
        if done.sum() >= count:
            break
    found: Inputs = sent[done][:count]
    return found


def _train(snapshot: Snapshot, seed: int) -> Trial:
    with deterministic():
        plan = plan_folds(snapshot, _PRESET.folds)
        learned = learn(snapshot, plan, _PRESET, seed, torch.device("cpu"), Silent(), Stages(), "none")
    return Trial(learned, calibrate(learned, snapshot, ALPHA)[1])


def _figures(now: _Standing, world: _World, number: int, *, promoted: bool) -> Row:
    clean = now.trial.surprise(*world.clean)
    return {
        "round": number,
        "promoted": promoted,
        "rows": len(now.snapshot.y),
        "poison": now.poison / len(now.snapshot.y),
        "recall": recall_at(_FQR, clean, now.trial.surprise(*world.poison)),
        "recall_flips": recall_at(_FQR, clean, now.trial.surprise(*world.flips)),
        "held": float(now.trial.judge(*world.poison).held.mean()),
        "clean_held": float(now.trial.judge(*world.clean).held.mean()),
    }


def _draw_world(plan: Plan, seed: int) -> _World:
    data, rng = load_dataset(plan.data), np.random.default_rng(seed)
    order = rng.permutation(len(data.y))
    sizes = np.cumsum([plan.trusted, plan.rounds * plan.honest, plan.held_out, plan.test])
    trusted, honest, held_out, clean, rest = np.split(order, sizes)
    victims = rest[data.y[rest] == plan.victim]
    half = len(victims) // 2
    unseen, frogs = victims[:half][: plan.test], victims[half:]
    homes = rest[data.y[rest] == plan.claimed]
    classes = int(data.y.max()) + 1
    flipped = (data.y + rng.integers(1, classes, len(data.y))) % classes
    return _World(
        start=snapshot_from_arrays(data.x[trusted], data.y[trusted], data.spec, seed=seed),
        honest=(data.x[honest], data.y[honest]),
        frogs=data.x[frogs],
        homes=data.x[homes],
        held_out=(data.x[held_out], data.y[held_out]),
        held_out_flips=(data.x[held_out], flipped[held_out]),
        clean=(data.x[clean], data.y[clean]),
        poison=(data.x[unseen], np.full(len(unseen), plan.claimed)),
        flips=(data.x[clean], flipped[clean]),
    )


def _run(case: Case, seed: int, progress: Progress) -> Row:
    """`kept`: recall after the last round over that before the first."""
    plan = Plan.model_validate(case.settings)
    rounds = boil(plan, seed, progress)
    before, after = (float(str(rounds[place]["recall"])) for place in (0, -1))
    return {
        "recall_before": before,
        "recall_after": after,
        "kept": after / before if before else None,
        "promotions": sum(bool(row["promoted"]) for row in rounds),
        "share_sent": share_beneath(plan) if plan.drip is None else plan.drip / (plan.drip + plan.honest),
        "rounds": {str(row.pop("round")): row for row in rounds},
    }


def _cases(scale: Scale) -> tuple[Case, ...]:
    campaigns: dict[str, Row] = {
        "no gate": {"gate": "none", "drip": 100},
        "gate, the same attacker": {"gate": "whole", "drip": 100},
        "gate, beneath the audit": {"gate": "whole", "drip": None},
        "audit alone, beneath it": {"gate": "audit", "drip": None},
    }
    more: Row = {"rounds": 10, "honest": 300, "trusted": 1000 if scale == "small" else 3000}
    shared: Row = {
        **_AUDIT,
        **more,
        "data": "mnist",
        "victim": 7,
        "claimed": 1,
        "names": 10,
        "held_out": 1000,
        "test": 2000,
    }
    return tuple(
        Case(f"mnist, 7 as 1, {name}", {**shared, **one}, sources=(__name__,)) for name, one in campaigns.items()
    )


_AUDIT: Row = {"limit": 0.05, "confidence": 0.95, "sample": 200, "misses": 0.1, "doubts": 0.01}
"""Up to four of 200 rows may be rejected; with a doubt in a hundred clean rows, a clean candidate mostly passes."""

CAMPAIGN = Experiment(
    name="campaign",
    figure="recall round by round while poison is dripped over ten retrainings, without and with the audit gate",
    cases=_cases,
    seeds={"small": 1, "paper": 5},
    run=one_by_one(_run),
    summarise=mean_and_spread,
)
"""The attacker knows guard, policy and audit, and asks the guard as often as he likes."""
