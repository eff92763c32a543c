"""Attacks, baseline defences and the methods of the tables, by name."""

from __future__ import annotations

from functools import partial

from guard.errors import WrongUse
from training.attacks import ATTACKS
from training.attacks.attack import Attack
from training.defences.baselines import DEFENCES
from training.defences.defence import Defence

__all__ = ["GUARD", "GUARDS", "PUBLISHED", "TAUGHT", "attack_module", "find_attack", "find_defence", "method_module"]

GUARD = "guard"
"""Our guard, at α = 1 %."""

TAUGHT = "guard-taught"
"""The same, which also learned from what arrives, poison and all, its labels looked at by nobody (`--unlabelled`)."""

GUARDS = (GUARD, TAUGHT)

PUBLISHED = "depois"
"""De-Pois as published. A name that begins with it and a colon is a variant (`training.experiments.variants`)."""


def find_attack(name: str) -> Attack:
    """The attack called `name`. Raises WrongUse."""
    for attack in ATTACKS:
        if attack.name == name:
            return attack
    raise WrongUse(f"there is no attack {name!r}; choose one of: {', '.join(attack.name for attack in ATTACKS)}")


def find_defence(name: str) -> Defence:
    """The baseline defence called `name`. Raises WrongUse."""
    for defence in DEFENCES:
        if defence.name == name:
            return defence
    raise WrongUse(f"there is no method {name!r}; baselines are: {', '.join(each.name for each in DEFENCES)}")


def attack_module(name: str) -> str:
    """The module that makes the attack's poison."""
    run: object = find_attack(name).run
    while isinstance(run, partial):
        run = run.func
    return str(run.__module__)


def method_module(name: str) -> str | None:
    """The module of a baseline defence; None for the guards and De-Pois, which every comparison depends on."""
    return None if name in GUARDS or name.split(":")[0] == PUBLISHED else find_defence(name).run.__module__
