"""The battery: every attack that applies, one after the other, each counted against the bundle's verdicts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from guard.bundle import Bundle
from guard.errors import WrongUse
from guard.spec import InputSpec
from training.attacks import ATTACKS, BLACK_BOX_ATTACKS, VARIANTS, AttackerRows, Poison
from training.attacks.opinion import Opinion, form_opinion, has_opinion
from training.progress import Progress
from training.rate import Rate
from training.redteam.material import Material, share_out
from training.redteam.target import Target
from training.snapshot import Snapshot

__all__ = ["ALL", "MOST_POISON", "Battery", "Forge", "Raid", "Unable", "choose_attacks", "run_battery"]

ALL = "all"
"""In place of names: every attack that applies."""

MOST_POISON = 200
"""Samples of one attack: the interval of a recall is then at most ±7 % wide."""


@dataclass(frozen=True)
class Raid:
    """What came of one attack.

    `held`: of the samples sent, those that the bundle did not pass, which is the recall. `harm_passed`: of the samples
    sent, those that passed and that harm (`form_opinion`, trained on the honest rows); None where that cannot tell:
    no model of ours reads the rows, or the attack is after chosen rows or plants a trigger, which no label betrays.
    """

    name: str
    description: str
    needs: str
    held: Rate
    harm_passed: Rate | None


@dataclass(frozen=True)
class Unable:
    """An attack that applies, but could not be made from these rows, and why."""

    name: str
    why: str


@dataclass(frozen=True)
class Battery:
    """A red team's whole report. `false_alarms`: honest rows that were not passed."""

    bundle: Bundle
    material: Material
    seed: int
    false_alarms: Rate
    raids: tuple[Raid, ...]
    unable: tuple[Unable, ...]


@dataclass(frozen=True)
class Forge:
    """Poison that was made already, by attack: what does not depend on a guard is made once for several of them.

    To be shared only by batteries of one seed whose bundles read the same rows. `judges`: the model of harm, once made.
    """

    made: dict[str, Poison | Unable] = field(default_factory=dict)
    judges: list[Opinion | None] = field(default_factory=list)


@dataclass(frozen=True)
class _Weapon:
    """Any attack, with the guard filled in where it `asks` one."""

    name: str
    description: str
    needs: str
    run: Callable[[AttackerRows, int, np.random.Generator], Poison]
    asks: bool = False


def choose_attacks(spec: InputSpec, wanted: Sequence[str] | None) -> tuple[str, ...]:
    """The names of the attacks to run: those `wanted`, `all` for all that apply to `spec`. Raises WrongUse.

    None for all but `VARIANTS`, which cost as much as the attacks that they are variants of.
    """
    known = {one.name: one.applies for one in ATTACKS} | {one.name: one.applies for one in BLACK_BOX_ATTACKS}
    applying = tuple(name for name, applies in known.items() if applies(spec))
    for name in wanted or ():
        if name not in (*applying, ALL):
            why = "does not apply to this bundle" if name in known else "is not there"
            raise WrongUse(f"the attack {name!r} {why}; choose from {', '.join(applying)}, {ALL}")
    if wanted is None:
        return tuple(name for name in applying if name not in {one.name for one in VARIANTS})
    return applying if ALL in wanted else tuple(dict.fromkeys(wanted))


def run_battery(
    bundle: Bundle, data: Snapshot, names: Sequence[str], seed: int, progress: Progress, forge: Forge | None = None
) -> Battery:
    """Runs the attacks `names` with rows of `data` and judges what they send by the bundle itself.

    Each attack draws from a generator of its own, so that what else is run does not matter. Each sends one sample for
    every second row that attackers hold, at most `MOST_POISON`. `forge`: takes the poison that this one makes, and
    gives what another one made. Raises SnapshotRefused as `share_out` does, and WrongUse where none of the attacks can
    be made from the rows.
    """
    forge = forge or Forge()
    material, target = share_out(bundle, data, seed), Target(bundle)
    weapons = [weapon for weapon in _weapons(target) if weapon.name in names]
    if not forge.judges:
        forge.judges.append(_judge(material, seed))
    alarms = Rate(int((~target.passes(material.x, material.y)).sum()), len(material.y))
    ended = [_raid(weapon, target, material, forge, seed) for weapon in progress.track(weapons, "attacks")]
    raids = tuple(one for one in ended if isinstance(one, Raid))
    unable = tuple(one for one in ended if isinstance(one, Unable))
    if not raids:
        raise WrongUse(f"no attack could be made: {unable[0].name}: {unable[0].why}")
    return Battery(bundle, material, seed, alarms, raids, unable)


def _weapons(target: Target) -> list[_Weapon]:
    plain = [_Weapon(one.name, one.description, one.needs, one.run) for one in ATTACKS]
    asking = [
        _Weapon(one.name, one.description, one.needs, partial(one.run, target), asks=True) for one in BLACK_BOX_ATTACKS
    ]
    return [*plain, *asking]


def _judge(material: Material, seed: int) -> Opinion | None:
    spec = material.attackers.spec
    return form_opinion(AttackerRows(material.x, material.y, spec), seed) if has_opinion(spec) else None


def _raid(weapon: _Weapon, target: Target, material: Material, forge: Forge, seed: int) -> Raid | Unable:
    poison = forge.made.get(weapon.name) or _make(weapon, material.attackers, seed)
    if not weapon.asks:
        forge.made[weapon.name] = poison
    if isinstance(poison, Unable):
        return poison
    passed, sent = target.passes(poison.x, poison.y), len(poison.y)
    held = Rate(int((~passed).sum()), sent)
    harm = _harm_passed(poison, passed, forge.judges[0])
    return Raid(weapon.name, weapon.description, weapon.needs, held, harm)


def _make(weapon: _Weapon, rows: AttackerRows, seed: int) -> Poison | Unable:
    rng = np.random.default_rng([seed, *weapon.name.encode()])
    try:
        return weapon.run(rows, min(MOST_POISON, len(rows.y) // 2), rng)
    except WrongUse as refused:
        return Unable(weapon.name, str(refused))


def _harm_passed(poison: Poison, passed: NDArray[np.bool_], judge: Opinion | None) -> Rate | None:
    if judge is None or poison.targets is not None or poison.trigger is not None:
        return None
    return Rate(int((passed & (judge.contradiction(poison.x, poison.y) > 0)).sum()), len(passed))
