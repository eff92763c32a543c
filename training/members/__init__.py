"""The members: each is one file that scores how badly a label fits its sample. `MEMBERS` is the one list of them."""

from __future__ import annotations

from training.members.adversarial import ADVERSARIAL
from training.members.gp import GP
from training.members.integrity import INTEGRITY
from training.members.knn import KNN
from training.members.lgm import LGM
from training.members.member import Member
from training.members.mimic import MIMIC
from training.members.nll import NLL
from training.members.residual import RESIDUAL

__all__ = ["MEMBERS"]

MEMBERS: tuple[Member, ...] = (NLL, KNN, GP, LGM, ADVERSARIAL, INTEGRITY, RESIDUAL, MIMIC)
"""Every member that a bundle can have, in the order of the graph's scores."""
