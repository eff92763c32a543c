"""The models that attacks are built for: trained on rows that may hold poison, asked for labels of clean rows."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import Lasso, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.svm import SVC
from torch import Tensor, nn

from guard.spec import InputSpec
from training.attacks.attack import AttackerRows, FitVictim, Inputs, Labels, Predict
from training.attacks.domain import class_count, label_range, scaled, scaled_labels
from training.networks import descend
from training.seeding import torch_seed

__all__ = [
    "LASSO_ALPHA",
    "ONLINE_RATE",
    "RIDGE_ALPHA",
    "choose_svm",
    "fit_lasso",
    "fit_last_layer",
    "fit_network",
    "fit_online",
    "fit_ridge",
    "fit_svm",
    "logits_of",
    "own_network",
    "penultimate",
    "pixels",
    "small_network",
    "train_network",
]

RIDGE_ALPHA = 0.01
"""scikit-learn's `alpha`: it weighs ‖w‖² against the sum, not the mean, of squared errors."""

LASSO_ALPHA = 2e-4
"""scikit-learn's `alpha`, for x and y in [0, 1]: near the best by 5-fold cross-validation on 1000 rows of House."""

ONLINE_RATE = 0.05
"""η, the rate at which `fit_online` goes on learning."""

_CROSS_VALIDATED_ROWS = 600
_NETWORK_STEPS = 300
_NETWORK_BATCH = 64
_BATCH = 1024


def choose_svm(flat: NDArray[np.float64], y: Labels, seed: int) -> SVC:
    """An untrained RBF support vector machine with γ and C by 5-fold cross-validation on at most 600 rows."""
    rows = np.random.default_rng(seed).permutation(len(flat))[:_CROSS_VALIDATED_ROWS]
    width = flat.shape[1] * flat[rows].var()
    grid = {"gamma": [g / width for g in (0.3, 1, 3, 10, 30)], "C": [1, 10, 100]}
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    found = GridSearchCV(SVC(), grid, cv=folds, refit=False).fit(flat[rows], y[rows])
    return SVC(**found.best_params_)


def fit_svm(x: Inputs, y: Labels, spec: InputSpec, seed: int) -> Predict:
    """An RBF support vector machine on flat, scaled x."""
    flat = scaled(x, spec)
    model = choose_svm(flat, y, seed).fit(flat, y)
    return lambda rows: np.asarray(model.predict(scaled(rows, spec)))


def fit_ridge(x: Inputs, y: Labels, spec: InputSpec, seed: int) -> Predict:  # noqa: ARG001 – ridge draws nothing
    """Ridge regression with an intercept on scaled x."""
    model = Ridge(alpha=RIDGE_ALPHA).fit(scaled(x, spec), y)
    return lambda rows: np.asarray(model.predict(scaled(rows, spec)))


def fit_lasso(x: Inputs, y: Labels, spec: InputSpec, seed: int) -> Predict:  # noqa: ARG001 – the lasso draws nothing
    """The lasso with an intercept on scaled x and scaled y."""
    low, high = label_range(spec)
    model = Lasso(alpha=LASSO_ALPHA, max_iter=100_000).fit(scaled(x, spec), scaled_labels(y, spec))
    return lambda rows: np.asarray(low + (high - low) * model.predict(scaled(rows, spec)))


def fit_network(x: Inputs, y: Labels, spec: InputSpec, seed: int) -> Predict:
    """A small convolutional network on images."""
    network = train_network(pixels(x), torch.from_numpy(y), seed, class_count(spec))
    return lambda rows: logits_of(network, rows).argmax(axis=1)


def fit_online(x: Inputs, y: Labels, spec: InputSpec, seed: int) -> Predict:
    """The same network in service: trained on the first half of the rows, then one step on each later one, in order.

    θ ← θ - η ∇_θ CE(f_θ(x), y), η = `ONLINE_RATE`.
    """
    half = len(y) // 2
    z, labels = pixels(x), torch.from_numpy(y)
    network = train_network(z[:half], labels[:half], seed, class_count(spec))
    optimiser = torch.optim.SGD(network.parameters(), lr=ONLINE_RATE)
    for row in range(half, len(y)):
        descend(optimiser, nn.functional.cross_entropy(network(z[row, None]), labels[row, None]))
    return lambda rows: logits_of(network, rows).argmax(axis=1)


def own_network(rows: AttackerRows, rng: np.random.Generator) -> nn.Module:
    """The network that an attacker trains on his own images, its seed drawn from `rng`."""
    return train_network(pixels(rows.x), torch.from_numpy(rows.y), int(rng.integers(2**31)), class_count(rows.spec))


@torch.no_grad()
def logits_of(network: nn.Module, x: Inputs) -> NDArray[np.float32]:
    """What `network` makes of images, a batch at a time: float32 (n, outputs)."""
    return np.asarray(torch.cat([network(part) for part in torch.split(pixels(x), _BATCH)]).numpy())


def fit_last_layer(features: nn.Module) -> FitVictim:
    """A victim of transfer learning: logistic regression on `features` of images, (n, h), which are never retrained."""

    def embed(x: Inputs) -> NDArray[np.float64]:
        return logits_of(features, x).astype(np.float64)

    def fit(x: Inputs, y: Labels, spec: InputSpec, seed: int) -> Predict:  # noqa: ARG001 – its optimum is unique
        model = LogisticRegression(max_iter=2000).fit(embed(x), y)
        return lambda rows: np.asarray(model.predict(embed(rows)))

    return fit


def pixels(x: Inputs) -> Tensor:
    """Images uint8 (n, height, width, channels) as float32 (n, channels, height, width) in [0, 1]."""
    return torch.from_numpy(x).permute(0, 3, 1, 2).float() / 255


def train_network(z: Tensor, y: Tensor, seed: int, classes: int = 0) -> nn.Sequential:
    """Two convolutions of stride 2 and two dense layers; Adam 2e-3, 300 steps of 64. Returned in evaluation mode.

    `z`: float32 (n, channels, height, width) in [0, 1]; `y`: int64 (n,). Output: logits of `classes`, and at least of
    those in y: (n, max(classes, 1 + max y)).
    """
    with torch_seed(seed, z.device):
        network = small_network(z.shape[1:], max(classes, int(y.max()) + 1))
        optimiser = torch.optim.Adam(network.parameters(), lr=2e-3)
        for _ in range(_NETWORK_STEPS):
            rows = torch.randint(len(z), (_NETWORK_BATCH,))
            descend(optimiser, nn.functional.cross_entropy(network(z[rows]), y[rows]))
    return network.eval()


def penultimate(network: nn.Sequential) -> nn.Sequential:
    """All of `network` but its last layer, frozen: φ, float32 (n, h)."""
    return network[:-1].requires_grad_(requires_grad=False)


def small_network(shape: torch.Size, classes: int) -> nn.Sequential:
    """What `train_network` trains, untrained: images of `shape` (channels, height, width) to `classes` logits."""
    channels, height, width = shape
    flat = 32 * -(-height // 4) * -(-width // 4)
    return nn.Sequential(
        nn.Conv2d(channels, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(flat, 64),
        nn.ReLU(),
        nn.Linear(64, classes),
    )
