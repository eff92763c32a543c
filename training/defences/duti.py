"""DUTI: the fewest changes of labels that make the model agree with trusted items (Zhang, Zhu, Wright 2018)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from guard.errors import WrongUse
from guard.spec import InputSpec
from training.attacks.attack import Labels
from training.attacks.domain import class_count
from training.defences.bilevel import Bilevel, SoftmaxLoss, Solution, SquaredLoss
from training.defences.defence import Defence, Evidence, Ranking, assumed_share
from training.defences.features import deep_features
from training.defences.kernel_features import choose_kernel

__all__ = [
    "DUTI",
    "MOST_ROWS",
    "Step",
    "debug_with_trusted_items",
    "follow_path",
    "project_to_simplex",
    "reassign_labels",
    "shift_labels",
]

MOST_ROWS = 4000
"""The kernel matrix of more rows would take more than 128 MB, and its eigenvectors minutes."""

_HALVINGS = 20
_LEAST_GAMMA = 1e-6
_SHIFT_ITERATIONS = 3000
_DESCENT_STEPS = 12
_RANK = 40
_WEIGHTS = 200

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Step:
    """One point of the path: γ, and the labels that are best at this price for a change."""

    gamma: float
    solution: Solution


def debug_with_trusted_items(evidence: Evidence) -> Ranking:
    """Looks for cheap changes of labels, after which the model predicts the trusted labels.

    Regression, labels y + δ:     min_δ F(y + δ) + (γ/n) ‖δ‖₁
    Classification, t_i ∈ simplex: min_t F(t) + (γ/n) Σ (1 - t_{i,y_i})

    with F of `Bilevel`: the trusted rows' loss, weighed c = 100, and the rows' own, both at the model that the changed
    labels make: kernel ridge or kernel softmax regression, Gaussian kernel. γ starts where no change pays, and is
    halved until more than b = |Sp| rows are flagged: δ_i ≠ 0, or t_{i,y_i} < ½. flagged = the first b rows, by the step
    at which they were flagged, then by |δ_i| or 1 - t_{i,y_i}.

    suspicion = -s + g / γ: s is the first step at which the row leaves its label, g ≤ γ the gain that leaving would
    have brought at the step before; rows that never leave count as leaving after the last. A further clean row is
    asked for the same two numbers as if it alone had joined So at each step (`Solution.corrected_if_added`).

    It finds labels that are wrong together in one region. Trusted rows are weighed so heavily that a wrong label among
    many right ones is hardly told from its neighbours; with c = 1 it is.

    Labels of regression are standardised by the trusted rows. φ, to which the kernel is applied: as for Deep-kNN.
    Width and λ: those by which ridge regression on So errs least on the trusted rows. A defender who is not told |Sp|
    reckons with `ASSUMED_SHARE`. Raises `WrongUse` for more than `MOST_ROWS` rows.

    Differs from the paper (recalled, not read again): squared loss is halved; the kernel is cut to its leading 40 to
    200 eigenvectors; classification is solved by at most 12 projected gradient steps at each γ, regression to
    convergence by accelerated proximal gradient; the tie-break of the suspicion, so that rows outside So have it too.
    """
    if len(evidence.y) > MOST_ROWS:
        raise WrongUse(f"DUTI weighs all rows against each other: draw {MOST_ROWS} of the {len(evidence.y)} rows")
    features = deep_features(evidence)
    own, trusted, clean = (_targets(y, evidence) for y in (evidence.y, evidence.trusted_y, evidence.clean_y))
    rank = max(_RANK, _WEIGHTS // own.shape[1])
    kernel = choose_kernel(features.rows, own, features.trusted, trusted, rank)
    coordinates = kernel.coordinates
    loss = SquaredLoss() if evidence.spec.task == "regression" else SoftmaxLoss()
    problem = Bilevel(coordinates(features.rows), coordinates(features.trusted), trusted, kernel.weight, loss)
    budget = round(assumed_share(evidence) * len(own))
    path = follow_path(problem, own, budget)
    return Ranking(
        _of_judged(path, own), _of_added(path, coordinates(features.clean), clean), _first(path, own, budget)
    )


def follow_path(problem: Bilevel, own: Array, budget: int) -> list[Step]:
    """From the least γ at which no label of `own` (n, c) changes, halved until more than `budget` rows are flagged."""
    solution = problem.solve(own, np.zeros((problem.rows.shape[1], own.shape[1])))
    path = [Step(max(float(problem.loss.gain(solution.corrected, own).max()), _LEAST_GAMMA), solution)]
    while len(path) <= _HALVINGS and _change(path[-1], own)[1].sum() <= budget:
        gamma, before = path[-1].gamma / 2, path[-1].solution
        move = shift_labels if own.shape[1] == 1 else reassign_labels
        path.append(Step(gamma, move(before, own, gamma)))
    return path


def shift_labels(before: Solution, own: Array, gamma: float) -> Solution:
    """Regression: the labels that are best at this γ, by FISTA with restarts from those `before`.

    n ∂F/∂t = t - corrected(t) is linear in t, so that the model need not be fitted anew at each iteration.
    """
    matrix = before.sensitivity
    length = 1 / (1 - min(0.0, float(np.linalg.eigvalsh((matrix + matrix.T) / 2)[0])))
    delta = ahead = before.t - own
    constant = own - before.corrected + matrix @ delta
    momentum = 1.0
    for _ in range(_SHIFT_ITERATIONS):
        moved = ahead - length * (ahead - matrix @ ahead + constant)
        reached = np.sign(moved) * np.maximum(np.abs(moved) - length * gamma, 0)
        if ((ahead - reached) * (reached - delta)).sum() > 0:
            momentum = 1.0
        grown = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = reached + (momentum - 1) / grown * (reached - delta)
        change, delta, momentum = np.abs(reached - delta).max(), reached, grown
        if change <= 1e-9 * (gamma + np.abs(delta).max()):
            break
    return before.problem.solve(own + delta, before.weights)


def reassign_labels(before: Solution, own: Array, gamma: float) -> Solution:
    """Classification: better labels at this γ, by projected gradient from those `before`; the price never rises."""
    solution, length = before, 1.0
    price = _price(solution, own, gamma)
    for _ in range(_DESCENT_STEPS):
        labels = project_to_simplex(solution.t - length * (solution.label_gradient - gamma * own))
        if np.abs(labels - solution.t).max() < 1e-6:
            break
        reached = solution.problem.solve(labels, solution.weights)
        if (lower := _price(reached, own, gamma)) < price:
            solution, price, length = reached, lower, length * 2
        else:
            length /= 4
    return solution


def project_to_simplex(v: Array) -> Array:
    """The nearest point, for each row of v (n, c), with entries ≥ 0 that sum to 1."""
    falling = -np.sort(-v, axis=1)
    excess = (np.cumsum(falling, axis=1) - 1) / np.arange(1, v.shape[1] + 1)
    size = (falling > excess).sum(axis=1)
    return np.asarray(np.maximum(v - excess[np.arange(len(v)), size - 1, np.newaxis], 0))


def _price(solution: Solution, own: Array, gamma: float) -> float:
    return solution.objective + gamma / len(own) * float((own * (1 - solution.t)).sum())


def _targets(y: Labels, evidence: Evidence) -> Array:
    """Labels as (n, 1) standardised numbers, or (n, classes) one-hot."""
    if evidence.spec.task == "classification":
        return np.asarray(np.eye(class_count(evidence.spec))[y])
    trusted = evidence.trusted_y
    return np.asarray((y - trusted.mean()) / max(float(trusted.std()), 1e-12))[:, np.newaxis]


def _change(step: Step, own: Array) -> tuple[Array, NDArray[np.bool_]]:
    """How far each label has moved (n,), and which rows are flagged for it."""
    if own.shape[1] == 1:
        shift = np.abs(step.solution.t - own)[:, 0]
        return shift, shift > 0
    lost = (own * (own - step.solution.t)).sum(axis=1)
    return lost, lost > 0.5


def _first(path: list[Step], own: Array, budget: int) -> NDArray[np.bool_]:
    """The first `budget` rows that were flagged along the path."""
    changes = [_change(step, own) for step in path]
    at, ever = _first_step(np.stack([flagged for _, flagged in changes]))
    size = np.stack([moved for moved, _ in changes] + [np.zeros(len(own))])[at, np.arange(len(own))]
    chosen = np.lexsort([-size, at])[:budget]
    found = np.zeros(len(own), np.bool_)
    found[chosen[ever[chosen]]] = True
    return found


def _of_judged(path: list[Step], own: Array) -> Array:
    """Suspicion of the rows of So; at the first step no label has changed, by the choice of γ."""
    gains = _gains(path, [step.solution.corrected for step in path], own)
    left = np.stack([(np.abs(step.solution.t - own).max(axis=1) > 1e-9) for step in path])
    return _suspicion(gains, (left | (gains > 1)) & (np.arange(len(path)) > 0)[:, np.newaxis])


def _of_added(path: list[Step], added: Array, own: Array) -> Array:
    """Suspicion of rows (k, r) outside So, each as if it had joined with its label `own` (k, c)."""
    gains = _gains(path, [step.solution.corrected_if_added(added, own) for step in path], own)
    return _suspicion(gains, gains > 1)


def _gains(path: list[Step], corrected: list[Array], own: Array) -> Array:
    """(steps, n): what leaving its own label would bring each row at each step, over γ."""
    loss = path[0].solution.problem.loss
    return np.stack([loss.gain(c, own) / step.gamma for c, step in zip(corrected, path, strict=True)])


def _suspicion(gains: Array, left: NDArray[np.bool_]) -> Array:
    """-s + min(1, gain at the step before), s the first step at which a row `left`; before the first, its own gain."""
    at, _ = _first_step(left)
    before = gains[np.maximum(at - 1, 0), np.arange(gains.shape[1])]
    return np.asarray(np.where(at > 0, np.minimum(before, 1) - at, before))


def _first_step(happened: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The first of the steps (s, n) at which it happened, s where it never did; and whether it ever did, (n,)."""
    ever = happened.any(axis=0)
    return np.asarray(np.where(ever, happened.argmax(axis=0), len(happened))), np.asarray(ever)


def _applies(spec: InputSpec) -> bool:  # noqa: ARG001 – the interface
    return True


DUTI = Defence(
    name="duti",
    description="flags the rows whose labels must change before a kernel machine predicts the trusted labels",
    needs="trusted rows, and how many rows to look for; at most 4000 rows at once",
    applies=_applies,
    run=debug_with_trusted_items,
)
"""DUTI."""
