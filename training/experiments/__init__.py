"""Experiments: each writes one result file with its settings, seeds and spread."""

from __future__ import annotations

from training.experiments.attacks import CONFIDENT_FLIPS_FOURCLASS, RANDOM_FLIPS_MNIST, STATP_HOUSE
from training.experiments.cost import GRAPH_SPEED, TRAIN_TIME
from training.experiments.experiment import Experiment
from training.experiments.false_quarantine import FALSE_QUARANTINE_RATE

__all__ = ["EXPERIMENTS", "Experiment"]

EXPERIMENTS: tuple[Experiment, ...] = (
    GRAPH_SPEED,
    STATP_HOUSE,
    CONFIDENT_FLIPS_FOURCLASS,
    FALSE_QUARANTINE_RATE,
    RANDOM_FLIPS_MNIST,
    TRAIN_TIME,
)
"""Every experiment, the quick ones first; adding one touches its file and this list."""
