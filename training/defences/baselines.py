"""All baseline defences, with which the guard is compared in the experiments."""

from __future__ import annotations

from training.defences.abl import ABL
from training.defences.backdoor_defence import BackdoorDefence
from training.defences.centroid import CENTROID, CENTROID_UNTRUSTED
from training.defences.clp import CLP
from training.defences.cutmix import CUTMIX
from training.defences.dbr import DBR
from training.defences.deep_knn import DEEP_KNN
from training.defences.defence import Defence
from training.defences.duti import DUTI
from training.defences.fine_pruning import FINE_PRUNING
from training.defences.fine_tuning import FINE_TUNING
from training.defences.label_sanitisation import LABEL_SANITISATION
from training.defences.meca.train import MECA, MECA_RELABELLED
from training.defences.scan import SCAN_FT
from training.defences.sever import SEVER
from training.defences.trim import TRIM

__all__ = ["BACKDOOR_DEFENCES", "DEFENCES"]

DEFENCES: tuple[Defence, ...] = (DEEP_KNN, CENTROID, CENTROID_UNTRUSTED, LABEL_SANITISATION, DUTI, TRIM, SEVER)
"""Every baseline defence; adding one touches its file and this list."""

BACKDOOR_DEFENCES: tuple[BackdoorDefence, ...] = (
    MECA,
    MECA_RELABELLED,
    FINE_TUNING,
    FINE_PRUNING,
    CUTMIX,
    CLP,
    DBR,
    SCAN_FT,
    ABL,
)
"""Every defence that makes a network without backdoor; adding one touches its file and this list."""
