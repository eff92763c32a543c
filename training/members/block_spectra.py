"""Traces of tampering in images that were JPEG files: what the spectrum of each coded block says."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812 – PyTorch's own name for it
from torch import Tensor, nn

from training.jpeg import BLOCK

__all__ = ["BlockNetwork", "block_spectra"]

_WIDTH = 64
_LIGHT_AND_COLOURS = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
"""Rows Y, Cb, Cr of the colour transform of JFIF."""


class BlockNetwork(nn.Module):
    """Two layers on the spectrum of each block, mean and maximum over the blocks, one log-odds.

    (batch, c, h, w) in [0, 1], c = 1 or 3, any y → (batch,). In a coded block most coefficients are 0, and how many are
    follows from the others; a perturbation leaves some that fit neither, also behind a second coding. Rows and columns
    beyond the last whole block are not looked at.
    """

    kernel: Tensor
    colours: Tensor

    def __init__(self, channels: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.register_buffer("kernel", _cosines().repeat(channels, 1, 1, 1))
        self.register_buffer("colours", torch.tensor(_LIGHT_AND_COLOURS)[:, :, None, None])
        self.scaled = nn.BatchNorm2d(channels * BLOCK**2)
        self.local = nn.Sequential(
            nn.Conv2d(channels * BLOCK**2, _WIDTH, 1), nn.ReLU(), nn.Conv2d(_WIDTH, _WIDTH, 1), nn.ReLU()
        )
        # Pooling by a kernel of the whole map: as a reduction it costs ONNX Runtime three times as much.
        self.map = tuple(side // BLOCK for side in size)
        self.verdict = nn.Linear(2 * _WIDTH, 1)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:  # noqa: ARG002 – every scorer takes the label
        """Log-odds that the image was tampered with."""
        spectra = block_spectra(z, self.kernel, self.colours)
        local = self.local(self.scaled(torch.log1p(spectra.abs())))
        pooled = torch.cat([F.avg_pool2d(local, self.map), F.max_pool2d(local, self.map)], 1)
        log_odds: Tensor = self.verdict(pooled.flatten(1))
        return log_odds.squeeze(1)


def block_spectra(z: Tensor, kernel: Tensor, colours: Tensor) -> Tensor:
    """DCT-II, orthonormal, of each 8 × 8 block of Y, Cb and Cr, or of grey: (n, 64 c, h // 8, w // 8) in grey levels.

    `z`: (n, c, h, w) in [0, 1]; `kernel`: (64 c, 1, 8, 8), the cosines; `colours`: (3, 3, 1, 1).
    """
    levels = 255 * z - 128
    planes = F.conv2d(levels, colours) if z.shape[1] == len(_LIGHT_AND_COLOURS) else levels
    return F.conv2d(planes, kernel, stride=BLOCK, groups=planes.shape[1])


def _cosines() -> Tensor:
    """(64, 1, 8, 8): cosine u along the height by cosine v along the width, at 8 u + v."""
    at = torch.arange(float(BLOCK))
    basis = torch.cos(math.pi * (2 * at + 1) * at[:, None] / (2 * BLOCK)) * math.sqrt(2 / BLOCK)
    basis[0] /= math.sqrt(2)
    return torch.einsum("ui,vj->uvij", basis, basis).reshape(BLOCK**2, 1, BLOCK, BLOCK)
