"""What an operator chooses for one training job, checked before any work begins."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import get_args

from guard.calibration import checked_alpha
from guard.errors import WrongUse
from training.augmenters import AugmenterName
from training.device import DeviceName
from training.learn import AugmenterOption
from training.presets import PRESETS, PresetName

__all__ = ["JobSettings"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class JobSettings:
    """The settings of one job.

    `alpha`: the share of clean samples that may be held, in (0, 1); `seed` in [0, 2³²); `name`, `version`: how verdicts
    name the bundle; `strict` refuses an α that must be extrapolated. Raises WrongUse when a value cannot be meant.
    """

    alpha: float
    preset: PresetName
    device: DeviceName
    seed: int
    augmenter: AugmenterOption
    name: str
    version: str
    strict: bool

    def __post_init__(self) -> None:
        checked_alpha(self.alpha)
        _require_one_of("preset", self.preset, tuple(PRESETS))
        _require_one_of("device", self.device, get_args(DeviceName))
        _require_one_of("augmenter", self.augmenter, ("auto", *get_args(AugmenterName)))
        for what, value in (("name", self.name), ("version", self.version)):
            if not _NAME.fullmatch(value):
                raise WrongUse(
                    f"{what} {value!r} must be 1 to 64 letters, digits, '.', '_' or '-', a letter or digit first"
                )
        if not 0 <= self.seed < 2**32:
            raise WrongUse(f"seed {self.seed} does not lie between 0 and {2**32 - 1}")


def _require_one_of(what: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise WrongUse(f"there is no {what} {value!r}; use one of {', '.join(known)}")
