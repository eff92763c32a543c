"""TaCT: a trigger that works on images of one class alone (Tang et al. 2021)."""

from __future__ import annotations

from training.attacks.backdoor import Backdoor, backdoor_attack
from training.attacks.badnet import draw_square

__all__ = ["SOURCE", "TACT"]

SOURCE = 0
"""The class index whose images shall be misread."""

TACT = backdoor_attack(
    Backdoor(
        "tact",
        "puts a white square into the corner of images and relabels those of one class",
        draw_square,
        source=SOURCE,
        covers=0.2,
    )
)
"""TaCT: of five planted rows there is one cover, MeCa's 5 % and 1 %. Success counts on images of class `SOURCE` alone.

Differs from the paper: covers come from all other classes but the wanted one, not from chosen ones. Recalled, not read
again.
"""
