"""Synthetic beside real samples: pictures of images, distributions of tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from torch import Tensor

from training.preprocess import Preprocess, TablePreprocess
from training.quality import Quality
from training.report.figure import overlay_figure, picture, scatter_figure
from training.samples import Samples

__all__ = ["SampleStory", "tell_samples"]

_PICTURES = (4, 16)
_LARGEST_SIDE = 64
_MARGINALS = 6
_POINTS = 200


@dataclass(frozen=True)
class SampleStory:
    """What the report shows of an augmenter: `pictures` of images, or `scatter` and named `marginals` of tables."""

    name: str
    quality: Quality
    pictures: tuple[str, str] | None
    scatter: Markup | None
    marginals: tuple[tuple[str, Markup], ...]


def tell_samples(samples: Samples, preprocess: Preprocess) -> SampleStory:
    """Pictures or distributions of the samples, real first."""
    if samples.real.images:
        pictures = (_picture(samples.real.z), _picture(samples.synthetic.z))
        return SampleStory(samples.name, samples.quality, pictures, None, ())
    real, synthetic = (rows.z.double().cpu().numpy() for rows in (samples.real, samples.synthetic))
    names = preprocess.names if isinstance(preprocess, TablePreprocess) else ()
    chosen = np.argsort(-real.std(axis=0), kind="stable")[:_MARGINALS]
    marginals = tuple((names[i], overlay_figure(real[:, i], synthetic[:, i])) for i in chosen)
    return SampleStory(samples.name, samples.quality, None, _scatter(real, synthetic), marginals)


def _picture(z: Tensor) -> str:
    """The first images (n, channels, height, width) in [0, 1] as one picture, large ones thinned out."""
    rows, columns = _PICTURES
    step = max(1, -(-max(z.shape[2:]) // _LARGEST_SIDE))
    pixels = (z[: rows * columns, :, ::step, ::step].clamp(0, 1) * 255).round().byte().cpu().numpy()
    filled = np.zeros((rows * columns, *pixels.shape[1:]), np.uint8)
    filled[: len(pixels)] = pixels
    return picture(filled.transpose(0, 2, 3, 1).reshape(rows, columns, *pixels.shape[2:], pixels.shape[1]))


def _scatter(real: NDArray[np.float64], synthetic: NDArray[np.float64]) -> Markup | None:
    """Both in the plane of the real rows' first two principal components; None where there is only one column."""
    if real.shape[1] < 2:
        return None
    centre = real.mean(axis=0)
    axes = np.linalg.svd(real - centre, full_matrices=False)[2][:2]
    return scatter_figure((real[:_POINTS] - centre) @ axes.T, (synthetic[:_POINTS] - centre) @ axes.T)
