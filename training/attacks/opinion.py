"""The opinion of an undefended model: whether a sample with its claimed label would be learned as something wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_predict
from torch import Tensor

from guard.spec import ImageInput, InputSpec
from training.attacks.attack import AttackerRows, Inputs, Labels, Predict
from training.attacks.domain import (
    class_count,
    is_numeric_classes,
    is_numeric_regression,
    label_range,
    require,
    scaled,
)
from training.attacks.victims import RIDGE_ALPHA, choose_svm, logits_of, pixels, train_network

__all__ = ["Opinion", "claim_margin", "form_opinion", "has_opinion"]

_HONEST = 0.95
"""Of clean rows; a number is contradicted where the model misses it by more than it misses these."""

_UNHEARD = -1e4
"""The score of a class of which the model saw no row."""


@dataclass(frozen=True)
class Opinion:
    """What a model that was trained on clean rows, without any defence, thinks of claimed labels.

    A sample *harms* where this opinion contradicts its label: added to clean rows, it teaches something that they deny.
    `contradiction(x, y)`: float64 (n,), positive where the sample harms. For classes: by how much another class is
    ranked above the claimed one (logits of a network on images, decision values of an RBF machine on tables). For
    numbers: |y − ŷ| less the 95 % quantile of clean rows (ridge regression, 5-fold cross-validation), over the range of
    the label. `predict`: the labels that the model would give.
    """

    predict: Predict
    contradiction: Callable[[Inputs, Labels], NDArray[np.float64]]


def has_opinion(spec: InputSpec) -> bool:
    """True where `form_opinion` knows a model: classes of images, or any label on tables of numbers without gaps."""
    return is_numeric_classes(spec) or is_numeric_regression(spec)


def form_opinion(rows: AttackerRows, seed: int) -> Opinion:
    """Trains the model on `rows`. Raises `WrongUse` for tables with text or gaps, and for numbers of images."""
    require(has_opinion(rows.spec), "classes of images, or tables of numbers without gaps")
    if is_numeric_regression(rows.spec):
        return _of_numbers(rows)
    rank = _rank_by_network(rows, seed) if isinstance(rows.spec.input, ImageInput) else _rank_by_svm(rows, seed)
    return Opinion(
        predict=lambda x: rank(x).argmax(axis=1),
        contradiction=lambda x, y: claim_margin(torch.from_numpy(rank(x)), torch.from_numpy(y)).numpy(),
    )


def claim_margin(ranked: Tensor, y: Tensor) -> Tensor:
    """max_{k ≠ y} r_k − r_y of class scores r (n, classes): (n,), positive where another class is ranked above y."""
    claimed = torch.nn.functional.one_hot(y, ranked.shape[1]).to(torch.bool)
    own = torch.where(claimed, ranked, 0.0).sum(1)
    return torch.where(claimed, -torch.inf, ranked).amax(1) - own


_Rank = Callable[[Inputs], NDArray[np.float64]]


def _rank_by_network(rows: AttackerRows, seed: int) -> _Rank:
    network = train_network(pixels(rows.x), torch.from_numpy(rows.y), seed, class_count(rows.spec))
    return lambda x: logits_of(network, x).astype(np.float64)


def _rank_by_svm(rows: AttackerRows, seed: int) -> _Rank:
    flat, classes = scaled(rows.x, rows.spec), class_count(rows.spec)
    svm = choose_svm(flat, rows.y, seed).fit(flat, rows.y)

    def rank(x: Inputs) -> NDArray[np.float64]:
        decision = svm.decision_function(scaled(x, rows.spec))
        ranked = np.full((len(x), classes), _UNHEARD)
        ranked[:, svm.classes_] = np.column_stack([-decision, decision]) if decision.ndim == 1 else decision
        return ranked

    return rank


def _of_numbers(rows: AttackerRows) -> Opinion:
    low, high = label_range(rows.spec)
    flat = scaled(rows.x, rows.spec)
    ridge = Ridge(alpha=RIDGE_ALPHA)
    missed = np.abs(cross_val_predict(ridge, flat, rows.y, cv=5) - rows.y)
    honest = float(np.quantile(missed, _HONEST))
    ridge.fit(flat, rows.y)

    def predict(x: Inputs) -> Labels:
        return np.asarray(ridge.predict(scaled(x, rows.spec)))

    return Opinion(predict, lambda x, y: (np.abs(y - predict(x)) - honest) / ((high - low) or 1.0))
