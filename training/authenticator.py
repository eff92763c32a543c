"""The authenticator (§IV-A.2, Eqs 3 and 4): says whether a synthetic sample still carries its label."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from training.conditional import SLOPE, image_trunk
from training.rows import Rows

__all__ = ["SHRINKAGE", "Authenticator"]

SHRINKAGE = 1e-3
"""Weight of the L1 term of the linear regression. The paper names LASSO and gives no weight."""


class Authenticator(nn.Module):
    """A(x): a CNN for images and an MLP for tables in classification, linear with an L1 term (LASSO) in regression.

    forward: z (n, …) → logits (n, classes), or the predicted label (n,) for regression.
    """

    def __init__(self, like: Rows, width: int = 64) -> None:
        super().__init__()
        self.classes = like.classes
        if not like.classes:
            self.layers = nn.Sequential(nn.Flatten(), nn.Linear(like.z[0].numel(), 1))
        elif like.images:
            self.layers = _image_network(like, width)
        else:
            self.layers = _table_network(like.z.shape[1], width, like.classes)

    def forward(self, z: Tensor) -> Tensor:
        """What the sample says about its label."""
        output: Tensor = self.layers(z)
        return output if self.classes else output[:, 0]

    def loss(self, z: Tensor, y: Tensor) -> Tensor:
        """L_A: mean cross-entropy (Eq. 3) or mean squared error (Eq. 4) of the prediction for z against y (n,)."""
        return functional.cross_entropy(self(z), y) if self.classes else functional.mse_loss(self(z), y)

    def penalty(self) -> Tensor | float:
        """The LASSO term on the authenticator's own weights; 0 for classification."""
        linear = self.layers[-1]
        if self.classes or not isinstance(linear, nn.Linear):
            return 0.0
        return SHRINKAGE * linear.weight.abs().sum()


def _image_network(like: Rows, width: int) -> nn.Sequential:
    trunk, features = image_trunk(like)
    return nn.Sequential(trunk, nn.Linear(features, width), nn.LeakyReLU(SLOPE), nn.Linear(width, like.classes))


def _table_network(columns: int, width: int, classes: int) -> nn.Sequential:
    return nn.Sequential(
        *(nn.Linear(columns, width), nn.LeakyReLU(SLOPE)),
        *(nn.Linear(width, width), nn.LeakyReLU(SLOPE), nn.Linear(width, classes)),
    )
