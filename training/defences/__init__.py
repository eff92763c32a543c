"""Baseline defences, with which the guard is compared in the experiments."""

from __future__ import annotations

from training.defences.centroid import CENTROID, CENTROID_UNTRUSTED
from training.defences.deep_knn import DEEP_KNN
from training.defences.defence import Defence, Evidence, Ranking
from training.defences.duti import DUTI
from training.defences.label_sanitisation import LABEL_SANITISATION
from training.defences.sever import SEVER
from training.defences.trim import TRIM

__all__ = ["DEFENCES", "Defence", "Evidence", "Ranking"]

DEFENCES: tuple[Defence, ...] = (DEEP_KNN, CENTROID, CENTROID_UNTRUSTED, LABEL_SANITISATION, DUTI, TRIM, SEVER)
"""Every baseline defence; adding one touches its file and this list."""
