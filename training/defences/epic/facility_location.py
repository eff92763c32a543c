"""Greedy facility location: the medoids that represent a set of points best, in memory linear in the points."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from guard.errors import WrongUse

__all__ = ["Medoids", "choose_medoids"]

_BLOCK = 1 << 22
"""Distances that are held at once: 16 MiB. 50,000 points would need 10 GB for all of them."""

_TRIED = 32
"""Stale candidates that are tried together: one call for each would cost more than the arithmetic."""

_SAME = 2e-3
"""Points nearer than this coincide. The product's rounding reaches 1e-6 of squares of length 2, and its root that."""


@dataclass(frozen=True)
class Medoids:
    """Chosen points and who is nearest to them.

    `rows`: int64 (k,), in the order in which they were chosen. `assigned`: int64 (n,), the place in `rows` of each
    point's nearest medoid; of equally near ones the one chosen first. A medoid is its own.
    """

    rows: Tensor
    assigned: Tensor

    @property
    def sizes(self) -> Tensor:
        """Points of each cluster, its medoid among them: int64 (k,), never 0."""
        return torch.bincount(self.assigned, minlength=len(self.rows))


def choose_medoids(points: Tensor, count: int) -> Medoids:
    """At most `count` medoids S of `points`, float32 (n, d), that greedily maximise Σ_i max_{j ∈ S} (c - ‖p_i - p_j‖).

    c is any constant that no distance exceeds. It leaves the choice alone: the first medoid is that with the smallest
    sum of distances, and the gain of each later candidate j is Σ_i max(0, nearest_i - ‖p_i - p_j‖). The value reached
    is at least 1 - 1/e of the largest possible one, for the smallest such c.

    Points nearer to each other than .002 count as one; `points` have a length of about 1, as gradients of logits have.

    Lazy: gains only shrink as S grows (submodularity), so an old gain is a bound, and a candidate is tried again only
    while its bound is the largest. Distances are computed a block at a time. Of equal candidates the first row wins.
    Fewer medoids than `count` come back where all points coincide with one: a twin of a medoid represents nobody.
    Raises WrongUse unless 1 ≤ `count` ≤ n.
    """
    if not 1 <= count <= len(points):
        raise WrongUse(f"{count} medoids of {len(points)} points")
    first = int(torch.argmin(_reduced(points, None)))
    nearest = _distances(points[first, None], points)[0]
    rows, assigned = [first], torch.zeros(len(points), dtype=torch.int64, device=points.device)
    bound = _reduced(points, nearest)
    bound[nearest == 0] = 0.0
    while len(rows) < count:
        chosen = _next(points, nearest, bound)
        if bound[chosen] <= 0:
            break
        distance = _distances(points[chosen, None], points)[0]
        assigned[distance < nearest] = len(rows)
        nearest = torch.minimum(nearest, distance)
        bound[nearest == 0] = 0.0
        rows.append(chosen)
    return Medoids(torch.tensor(rows, device=points.device), assigned)


def _next(points: Tensor, nearest: Tensor, bound: Tensor) -> int:
    """The candidate with the largest gain; `bound` is tightened on the way to it."""
    fresh = torch.zeros_like(bound, dtype=torch.bool)
    while True:
        best = int(bound.argmax())
        if fresh[best]:
            return int(torch.nonzero(fresh & (bound == bound[best]))[0])
        stale = torch.zeros_like(fresh)
        stale[bound.topk(min(_TRIED, len(bound))).indices] = True
        stale[best] = True  # among equal bounds the largest ones need not hold it
        tried = torch.nonzero(stale & ~fresh).squeeze(1)
        bound[tried] = torch.minimum(bound[tried], _gains(points[tried], points, nearest))
        fresh[tried] = True


def _reduced(points: Tensor, nearest: Tensor | None) -> Tensor:
    """For each point as a candidate its gain over `nearest`; without it the sum of its distances. float32 (n,)."""
    step = max(1, _BLOCK // len(points))
    # Sums kept apart until the end would each hold a freed block's place in the heap: 9 GB for 50,000 points.
    found = torch.empty(len(points), dtype=points.dtype, device=points.device)
    for start in range(0, len(points), step):
        block = points[start : start + step]
        summed = _distances(block, points).sum(1) if nearest is None else _gains(block, points, nearest)
        found[start : start + step] = summed
    return found


def _gains(candidates: Tensor, points: Tensor, nearest: Tensor) -> Tensor:
    return (nearest - _distances(candidates, points)).clamp_(min=0).sum(1)


def _distances(candidates: Tensor, points: Tensor) -> Tensor:
    """Euclidean, (m, n), through one matrix product; what is nearer than `_SAME` lies at 0."""
    square = (candidates**2).sum(1, keepdim=True) - 2 * candidates @ points.T + (points**2).sum(1)
    return torch.where(square < _SAME**2, 0.0, square).sqrt_()
