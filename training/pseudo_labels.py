"""Pseudo-labels: rows of the stream under the labels that networks of trusted rows are sure of."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 – PyTorch's own name for it
from torch import Tensor, nn

from training.folds import Fold
from training.members.gp import GP
from training.members.member import PseudoLabelled, StreamGain, TrustedData
from training.members.nll import label_loss
from training.networks import body, recipe_for, seeded, train
from training.rows import Rows

__all__ = ["capped", "label_stream"]

_LABELLERS = 2
_SURE = 0.8
"""Mean probability from which a label is taken; label smoothing leaves a sure network at .91."""
_MOST_OVER_TRUSTED = 2.0
"""A class has at most so many times its trusted share of the sure rows: a flood makes no class of everything."""
_BATCH = 1024
_STRIDE = 1000
"""Between the seeds of two folds: no two networks of a job begin alike."""


def label_stream(data: TrustedData) -> PseudoLabelled | None:
    """Self-training in two rounds (Lee 2013), in each fold by its training rows alone. None without a stream.

    1. Networks learn from trusted rows, 2. label the rows of which their mean probability is sure, 3. other networks
    learn from both, half of each batch trusted, 4. label anew. What comes out of 4 is for the members.
    `gain`: log-loss of the calibration rows by the networks of 1 and of 3. The labels of those rows taught neither, and
    the calibration owes them one choice of two.
    None for small tables, too, where the Gaussian process spreads labels better, and for numbers.
    """
    if data.unlabelled is None or not data.classes or GP.applies(data.spec, len(data.y)):
        return None
    folds = data.plan.folds
    found = [_label_fold(data, data.unlabelled, fold, k) for k, fold in enumerate(folds)]
    weights = torch.tensor([float(len(fold.calibrate)) for fold in folds])
    without, beside = (weights @ torch.tensor([losses for _, losses in found]) / weights.sum()).tolist()
    used = round(sum(len(rows) for rows, _ in found) / len(folds))
    gain = StreamGain(used, "log-loss of labels held out", without, beside)
    return PseudoLabelled(tuple(rows for rows, _ in found), gain)


def _label_fold(data: TrustedData, unlabelled: Tensor, fold: Fold, k: int) -> tuple[Rows, tuple[float, float]]:
    """The rows of one fold, and the log-loss of its calibration rows after each of the two rounds."""
    teach, held = (Rows(data.z[rows], data.y[rows], data.classes) for rows in (fold.train, fold.calibrate))
    name = f"labelling the stream, fold {k + 1}/{len(data.plan.folds)}"
    first = _networks(data, teach, None, _STRIDE * (k + 1), f"{name}, round 1")
    sure = _label(first, unlabelled, teach)
    if not len(sure):
        return sure, (_log_loss(first, held),) * 2
    second = _networks(data, teach, sure, _STRIDE * (k + 1) + _LABELLERS, f"{name}, round 2")
    return _label(second, unlabelled, teach), (_log_loss(first, held), _log_loss(second, held))


def _networks(data: TrustedData, teach: Rows, beside: Rows | None, seed: int, name: str) -> list[nn.Module]:
    networks = []
    for start in range(data.seed + seed, data.seed + seed + _LABELLERS):
        network = seeded(lambda: body(teach.z.shape[1:], data.classes), start).to(data.device)
        recipe = recipe_for(teach.z, data.preset.network, data.preset.batch)
        train(network, label_loss(network, teach.z), teach.z, teach.y, recipe, start, data.progress, name, beside)
        networks.append(network)
    return networks


def _probability(networks: list[nn.Module], z: Tensor) -> Tensor:
    """(n, classes), the mean over the networks."""
    with torch.no_grad():
        parts = [torch.stack([F.softmax(network(part), 1) for network in networks]) for part in torch.split(z, _BATCH)]
    return torch.cat([part.mean(0) for part in parts])


def _label(networks: list[nn.Module], unlabelled: Tensor, teach: Rows) -> Rows:
    confidence, label = _probability(networks, unlabelled).max(1)
    rows = capped(confidence, label, torch.bincount(teach.y, minlength=teach.classes) / len(teach))
    return Rows(unlabelled[rows], label[rows], teach.classes)


def capped(confidence: Tensor, label: Tensor, share: Tensor) -> Tensor:
    """Which rows are used, ascending: the sure ones, of each class no more than twice its `share` (classes,) of them.

    `confidence`, `label`: (n,). The surest of a class stay.
    """
    sure = torch.nonzero(confidence >= _SURE).squeeze(1)
    most = (_MOST_OVER_TRUSTED * share * len(sure)).long()
    order = sure[torch.argsort(confidence[sure], descending=True, stable=True)]
    kept = [order[label[order] == c][: int(most[c])] for c in range(len(share))]
    return torch.cat(kept).sort().values


def _log_loss(networks: list[nn.Module], rows: Rows) -> float:
    return float(F.nll_loss(_probability(networks, rows.z).clamp_min(1e-12).log(), rows.y))
