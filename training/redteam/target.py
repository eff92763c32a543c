"""A bundle as its senders meet it: encoded samples become records of the wire format, and verdicts come back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from guard.bundle import Bundle
from guard.sample import encode_samples
from guard.spec import InputSpec
from guard.verdict import Status
from training.attacks.attack import Inputs, Labels

__all__ = ["Target"]


@dataclass(frozen=True)
class Target:
    """The `Guard` that a bundle is, by the whole of decode, score and judge, at the bundle's own α and boundary."""

    bundle: Bundle

    @property
    def spec(self) -> InputSpec:
        """What it accepts as a sample."""
        return self.bundle.manifest.spec

    def passes(self, x: Inputs, y: Labels) -> NDArray[np.bool_]:
        """Which encoded samples are passed as clean, (n,)."""
        verdicts = self.bundle.judge(encode_samples(self.spec, x, y, ["red team"] * len(y)))
        return np.array([verdict.status is Status.CLEAN for verdict in verdicts], np.bool_)
