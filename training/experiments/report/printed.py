"""The figures that the paper prints (Chen et al. 2021, §VI), and what they stand for here."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ATTACKS", "METHODS", "SHARES", "TABLE_III", "TABLE_IV", "TABLE_V", "PrintedCells", "Stand", "implied_mix"]

SHARES = (0.05, 0.10, 0.15, 0.20, 0.25, 0.30)
"""|St| / |So|, the columns of Table III."""


@dataclass(frozen=True)
class Stand:
    """Which of our results stands for a printed attack: an experiment, the attack there, and how they differ."""

    experiment: str
    attack: str
    words: str


ATTACKS = {
    "TCL": Stand("cifar10", "convex-polytope-25", "TCL on CIFAR-10, as convex polytope within 25 grey levels"),
    "pGAN": Stand("cifar10", "pgan", "pGAN on CIFAR-10, all classes; the paper does not say which it used"),
    "LF": Stand("fourclass", "adversarial-flip", "LF on Fourclass"),
    "R": Stand(
        "house", "statistical", "R on House; the paper does not say which regression poison, StatP stands for it"
    ),
}

METHODS = {
    "De-Pois": "depois",
    "Deep-kNN": "deep-knn",
    "CD": "centroid",
    "DUTI": "duti",
    "Sever": "sever",
    "TRIM": "trim",
}
"""Printed name → ours."""


@dataclass(frozen=True)
class PrintedCells:
    """One method against one attack, by `SHARES`; standard deviations are .05 at most."""

    accuracy: tuple[float, ...]
    recall: tuple[float, ...]
    f1: tuple[float, ...]


TABLE_III = {
    ("TCL", "De-Pois"): PrintedCells(
        (0.756, 0.843, 0.848, 0.869, 0.851, 0.927),
        (0.744, 0.887, 0.867, 0.938, 0.873, 0.967),
        (0.851, 0.904, 0.903, 0.923, 0.892, 0.956),
    ),
    ("TCL", "Deep-kNN"): PrintedCells(
        (0.915, 0.905, 0.910, 0.909, 0.918, 0.912),
        (0.927, 0.913, 0.925, 0.925, 0.935, 0.930),
        (0.948, 0.933, 0.943, 0.939, 0.952, 0.945),
    ),
    ("pGAN", "De-Pois"): PrintedCells(
        (0.756, 0.767, 0.781, 0.783, 0.790, 0.828),
        (0.674, 0.688, 0.702, 0.711, 0.722, 0.735),
        (0.678, 0.685, 0.700, 0.703, 0.713, 0.722),
    ),
    ("pGAN", "CD"): PrintedCells(
        (0.635, 0.631, 0.626, 0.636, 0.631, 0.632),
        (0.638, 0.641, 0.638, 0.636, 0.631, 0.640),
        (0.725, 0.713, 0.721, 0.718, 0.711, 0.724),
    ),
    ("LF", "De-Pois"): PrintedCells(
        (0.889, 0.919, 0.922, 0.929, 0.933, 0.931),
        (0.930, 0.943, 0.950, 0.954, 0.961, 0.958),
        (0.930, 0.943, 0.950, 0.954, 0.961, 0.958),
    ),
    ("LF", "CD"): PrintedCells(
        (0.736, 0.745, 0.762, 0.769, 0.771, 0.782),
        (0.926, 0.931, 0.932, 0.937, 0.916, 0.922),
        (0.826, 0.828, 0.832, 0.837, 0.842, 0.844),
    ),
    ("LF", "DUTI"): PrintedCells(
        (0.766, 0.785, 0.809, 0.821, 0.853, 0.873),
        (0.916, 0.922, 0.934, 0.938, 0.947, 0.953),
        (0.871, 0.883, 0.898, 0.911, 0.924, 0.935),
    ),
    ("LF", "Sever"): PrintedCells(
        (0.845, 0.857, 0.852, 0.840, 0.848, 0.837),
        (0.941, 0.955, 0.950, 0.939, 0.947, 0.936),
        (0.885, 0.905, 0.897, 0.876, 0.882, 0.869),
    ),
    ("R", "De-Pois"): PrintedCells(
        (0.832, 0.836, 0.839, 0.838, 0.836, 0.840),
        (0.992, 0.985, 0.967, 0.980, 0.988, 0.973),
        (0.907, 0.907, 0.908, 0.910, 0.908, 0.906),
    ),
    ("R", "TRIM"): PrintedCells(
        (0.772, 0.775, 0.771, 0.768, 0.772, 0.775),
        (0.857, 0.863, 0.855, 0.861, 0.864, 0.885),
        (0.858, 0.880, 0.882, 0.885, 0.886, 0.885),
    ),
    ("R", "DUTI"): PrintedCells(
        (0.885, 0.890, 0.890, 0.886, 0.885, 0.890),
        (0.953, 0.960, 0.960, 0.957, 0.955, 0.955),
        (0.895, 0.899, 0.895, 0.900, 0.897, 0.900),
    ),
    ("R", "Sever"): PrintedCells(
        (0.856, 0.865, 0.860, 0.863, 0.848, 0.852),
        (0.893, 0.912, 0.903, 0.908, 0.889, 0.890),
        (0.912, 0.923, 0.915, 0.918, 0.901, 0.906),
    ),
}
"""(attack, method) → the printed cells; the poison rate is 20 %."""

TABLE_IV = {
    "mnist": "CIFAR-10: De-Pois .108, CD .05",
    "fourclass": "De-Pois .306, DUTI .069",
    "house": "De-Pois .068, TRIM .007, Sever .027",
}
"""Seconds per 1000 samples on a GTX 1060, by the data set that stands for them here; some cells are not legible."""

TABLE_V = {"mnist": (544.0, 654.0), "fourclass": (27.1, 30.75), "house": (32.3, 179.5)}
"""Seconds to train augmenter and mimic from 500 samples; MNIST stands for CIFAR-10."""


def implied_mix(accuracy: float, recall: float, f1: float) -> float:
    """|poison| / |clean| that the three figures imply together, if clean is positive: r = (A − 2R + 2R/F − 1)/(1 − A).

    The text says 0.2. Far from it no experiment can have all three.
    """
    return (accuracy - 2 * recall + 2 * recall / f1 - 1) / (1 - accuracy)
