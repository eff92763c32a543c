"""What baseline defences measure distances in: columns of a table, pixels, or what a network makes of an image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from guard.spec import ImageInput
from training.attacks.attack import Inputs
from training.attacks.domain import is_numeric, scaled
from training.attacks.victims import pixels, train_network
from training.defences.defence import Evidence
from training.preprocess import ImagePreprocess, Preprocess

__all__ = ["Features", "deep_features", "flat_inputs"]

_BATCH = 1024


@dataclass(frozen=True)
class Features:
    """float64 (n, d), (t, d) and (m, d): the rows of So, the trusted rows and the further clean rows."""

    rows: NDArray[np.float64]
    trusted: NDArray[np.float64]
    clean: NDArray[np.float64]


def flat_inputs(evidence: Evidence) -> Features:
    """Tables of numbers and images: every number in [0, 1] over its legal range, as in the papers of the defences.

    Other tables: columns standardised by the trusted rows, text one-hot, gaps filled and marked. Neither lets the rows
    of So stretch a scale.
    """
    if is_numeric(evidence.spec):
        return Features(*(scaled(x, evidence.spec) for x in (evidence.x, evidence.trusted_x, evidence.clean_x)))
    preprocess = Preprocess.fit(evidence.spec, evidence.trusted_x, np.arange(len(evidence.trusted_x)))
    return _each(evidence, preprocess)


def deep_features(evidence: Evidence) -> Features:
    """φ. Images with classes: 64 penultimate outputs of a network trained on the trusted rows. Else `flat_inputs`.

    The network is `train_network` of the attacks' victims, with the evidence's seed.
    """
    if not isinstance(evidence.spec.input, ImageInput) or evidence.spec.task == "regression":
        return flat_inputs(evidence)
    y = torch.from_numpy(evidence.trusted_y)
    network = train_network(pixels(evidence.trusted_x), y, evidence.seed)
    return _each(evidence, nn.Sequential(ImagePreprocess(), *list(network.children())[:-1]))


def _each(evidence: Evidence, transform: nn.Module) -> Features:
    """`transform`, tensor to tensor, on the three sets, a batch at a time."""
    return Features(*(_flat(x, transform) for x in (evidence.x, evidence.trusted_x, evidence.clean_x)))


@torch.no_grad()
def _flat(x: Inputs, transform: nn.Module) -> NDArray[np.float64]:
    parts = [transform(part).flatten(1) for part in torch.split(torch.from_numpy(x), _BATCH)]
    return torch.cat(parts).double().numpy()
