"""All methods of cleansing, and which of them `auto` takes for which data."""

from __future__ import annotations

from guard.errors import WrongUse
from guard.spec import InputSpec
from training.defences.cleansing import Cleanser
from training.defences.epic.train import EPIC_CLEANSER
from training.defences.lgm.train import LGM_CLEANSER
from training.defences.meca.train import MECA_CLEANSER

__all__ = ["CLEANSERS", "choose_cleanser"]

CLEANSERS: dict[str, Cleanser] = {cleanser.name: cleanser for cleanser in (LGM_CLEANSER, EPIC_CLEANSER, MECA_CLEANSER)}
"""Every method of cleansing; adding one touches its folder and this line. `auto` takes the first that applies."""


def choose_cleanser(name: str, spec: InputSpec) -> tuple[Cleanser, str]:
    """The method of that name, or the one that `auto` takes, and why.

    Raises WrongUse for a name that is not there, and where the method, or none, can judge such data.
    """
    applying = [cleanser for cleanser in CLEANSERS.values() if cleanser.applies(spec)]
    if not applying:
        raise WrongUse("the labels are numbers: cleansing asks which class a row belongs to, and here there are none")
    if name == "auto":
        return applying[0], _why(applying)
    if name not in CLEANSERS:
        raise WrongUse(f"there is no method {name!r}; choose auto or one of {', '.join(CLEANSERS)}")
    if CLEANSERS[name] not in applying:
        raise WrongUse(f"{name} cannot judge such data; choose auto or one of {', '.join(c.name for c in applying)}")
    return CLEANSERS[name], "asked for by name"


def _why(applying: list[Cleanser]) -> str:
    first, *others = applying
    text = f"{first.name} finds {first.finds}, and needs no assumption on how many; it does not see {first.blind_to}"
    rest = "".join(f". For {other.finds}, ask for {other.name}" for other in others)
    return text + rest
