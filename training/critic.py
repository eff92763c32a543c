"""The critic D_w(x | y): the discriminator of the conditional WGAN-GP, which becomes the mimic model (§IV-B)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from training.conditional import DROPOUT, SLOPE, glorot, image_trunk, label_width
from training.rows import Rows, encode_labels

__all__ = ["Critic", "LabelInput"]

LabelInput = Literal["concat", "multiply"]
"""How y enters: beside the features ("additional inputs"), or multiplied into x (the public code)."""


class Critic(nn.Module):
    """D_w(x | y), linear output: low where the pair looks poisoned.

    forward: z float32 (n, …) and y (n,) → (n,). Tables: dense 128-64-16-1; images: convolutions, then 64-16-1;
    LeakyReLU .2, dropout .4 after the last two hidden layers. `multiply`: x ⊙ e(y); `concat`: [features of x, e(y)],
    where e is a learned vector as wide as what it meets. Images are scaled to [−1, 1] first, because 0 times anything
    carries no label.

    Differs from the paper:
    * Regression is not described there: here e(y) = w y + b.
    * `concat` feeds a learned vector, not the label itself (one column among hundreds would go unheard within the
      budget), and for images after the convolutions: as planes at the bottom it would cost more than all of them.
    * The public code is dense for images too (784-1024-128-16-1); the text adds convolutions without sizes.
    """

    def __init__(self, like: Rows, label_input: LabelInput = "multiply") -> None:
        super().__init__()
        self.classes = like.classes
        self.images = like.images
        self.multiply = label_input == "multiply"
        trunk, features = image_trunk(like) if like.images else (nn.Flatten(), like.z.shape[1])
        self.trunk = trunk
        self.label = _label_vector(like.classes, like.z[0].numel() if self.multiply else features)
        self.tail = _dense(features if self.multiply else 2 * features, (64, 16) if like.images else (128, 64, 16))
        glorot(self.trunk)
        glorot(self.tail)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        """Critic values (n,): larger for pairs that look like trusted ones."""
        label = self.label(encode_labels(y, self.classes))
        x = 2 * z - 1 if self.images else z
        if self.multiply:
            inputs = self.trunk(x * label.unflatten(1, z.shape[1:]))
        else:
            inputs = torch.cat([self.trunk(x), label], dim=1)
        value: Tensor = self.tail(inputs)
        return value[:, 0]


def _label_vector(classes: int, width: int) -> nn.Linear:
    """Class → an embedding drawn from N(0, 1); regression → w y + b with w from N(0, 1) and b = 1 at first."""
    vector = nn.Linear(label_width(classes), width)
    nn.init.normal_(vector.weight)
    nn.init.constant_(vector.bias, 0.0 if classes else 1.0)
    return vector


def _dense(inputs: int, widths: tuple[int, ...]) -> nn.Sequential:
    """Hidden layers of these widths, dropout after the last two, and one linear output."""
    layers: list[nn.Module] = []
    for left, width in enumerate(widths, start=-len(widths)):
        layers += [nn.Linear(inputs, width), nn.LeakyReLU(SLOPE)]
        layers += [nn.Dropout(DROPOUT)] if left >= -2 else []
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, 1))
