"""Experiments: each writes one result file with its settings, seeds and spread."""

from __future__ import annotations

from training.experiments.adaptive import ADAPTIVE
from training.experiments.backdoors import BACKDOOR_TABLES
from training.experiments.blame import BLAME
from training.experiments.campaign import CAMPAIGN
from training.experiments.cifar10 import CIFAR10
from training.experiments.cleansing import CLEANSING
from training.experiments.components import COMPONENTS
from training.experiments.cost import GRAPH_SPEED, TRAIN_TIME
from training.experiments.drift import DRIFT
from training.experiments.experiment import Experiment
from training.experiments.false_quarantine import FALSE_QUARANTINE_RATE
from training.experiments.fourclass import FOURCLASS
from training.experiments.house import HOUSE
from training.experiments.known_classes import KNOWN_CLASSES
from training.experiments.mnist import MNIST
from training.experiments.published_cost import METHOD_SPEED, PUBLISHED_TIME
from training.experiments.trusted_poison import TRUSTED_POISON

__all__ = ["EXPERIMENTS", "Experiment"]

EXPERIMENTS: tuple[Experiment, ...] = (
    GRAPH_SPEED,
    METHOD_SPEED,
    PUBLISHED_TIME,
    TRAIN_TIME,
    HOUSE,
    FOURCLASS,
    MNIST,
    CIFAR10,
    ADAPTIVE,
    COMPONENTS,
    TRUSTED_POISON,
    KNOWN_CLASSES,
    FALSE_QUARANTINE_RATE,
    BLAME,
    DRIFT,
    CAMPAIGN,
    CLEANSING,
    BACKDOOR_TABLES,
)
"""Every experiment; adding one touches its file and this list."""
