"""A setting: what is trained on, who attacks how much, and which methods judge. All tables are lists of settings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydantic import BaseModel, ConfigDict, Field

from training.datasets import POISON_RATIO, DatasetName
from training.device import DeviceName
from training.experiments.experiment import Case, Row, Scale
from training.experiments.roster import TAUGHT, attack_module, method_module
from training.presets import PresetName

__all__ = ["DEVICES", "Ground", "Setting", "as_case", "as_cases", "by_share_and_rate"]


DEVICES: dict[Scale, DeviceName] = {"small": "cpu", "paper": "auto"}
"""Where images are learned from: the paper's sizes take a GPU where there is one."""

_RATES = (0.05, 0.10, 0.15, 0.25, 0.30)


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Ground(_Frozen):
    """What is trained: settings on one ground share one guard, and one De-Pois as published.

    `trusted`: |St| as a share of |So| = 1.2 · |Sc|, whatever the attack sends. `clean_rows`: |Sc|; None: as the data
    set says. `classes`: the class indices that are kept; None: all. `known`: how many of them, the first ones, St
    holds; None: all. `dirty`: share of St that is poison of the attack `dirty_by`. `preset`: the guard's budget;
    `published`: De-Pois's.
    """

    data: DatasetName
    trusted: float = Field(gt=0, lt=1)
    clean_rows: int | None = None
    classes: tuple[int, ...] | None = None
    known: int | None = None
    dirty: float = Field(0.0, ge=0, lt=1)
    dirty_by: str | None = None
    preset: PresetName = "standard"
    published: PresetName = "paper"
    device: DeviceName = "cpu"


class Setting(_Frozen):
    """One comparison: `attack` by name, `rate` |Sp| / |Sc|, and the `methods` by name.

    `damage`: whether the attack's victim is retrained on what passes. `histogram`: whether the distribution of the
    published critic's values is kept. `likeness`: whether synthetic rows are compared with real ones.
    """

    ground: Ground
    attack: str
    methods: tuple[str, ...]
    rate: float = Field(POISON_RATIO, gt=0, le=1)
    damage: bool = True
    histogram: bool = False
    likeness: bool = False


def by_share_and_rate(
    data: DatasetName, attacks: Sequence[str], methods: tuple[str, ...], shares: Sequence[float]
) -> list[Setting]:
    """Table III and Fig. 7 for a table of data: each attack at each trusted share, the first one also at each rate.

    At other rates than the usual one the guard is not trained anew for what arrives, as `TAUGHT` asks.
    """
    grounds = [Ground(data=data, trusted=share) for share in shares]
    table = [Setting(ground=ground, attack=attack, methods=methods) for ground in grounds for attack in attacks]
    fixed = Ground(data=data, trusted=0.20)
    once = tuple(method for method in methods if method != TAUGHT)
    rates = [Setting(ground=fixed, attack=attacks[0], methods=once, rate=rate, damage=False) for rate in _RATES]
    return [*table, *rates]


def as_case(name: str, setting: Setting) -> Case:
    """The setting as a case of an experiment; the case's group is its ground."""
    dirty = (setting.ground.dirty_by,) if setting.ground.dirty_by else ()
    modules = {attack_module(attack) for attack in (setting.attack, *dirty)} | {
        module for method in setting.methods if (module := method_module(method))
    }
    settings: Row = setting.model_dump(mode="json")
    sources = ("training.experiments.compare", *sorted(modules))
    return Case(name, settings, sources, group=setting.ground.model_dump_json())


def as_cases(settings: Iterable[Setting]) -> tuple[Case, ...]:
    """Cases named after attack, share and what is unusual about them; the settings of one ground stand together."""
    cases = [as_case(_name(setting), setting) for setting in settings]
    place = {group: index for index, group in enumerate(dict.fromkeys(case.group for case in cases))}
    return tuple(sorted(cases, key=lambda case: place[case.group]))


def _name(setting: Setting) -> str:
    ground = setting.ground
    words = [setting.attack, f"{100 * ground.trusted:g} %"]
    words += [f"Rp {100 * setting.rate:g} %"] if setting.rate != POISON_RATIO else []
    words += [f"{100 * ground.dirty:g} % of St poisoned"] if ground.dirty else []
    words += [f"classes {'/'.join(map(str, ground.classes))}"] if ground.classes else []
    words += [f"{ground.known} classes known"] if ground.known else []
    return ", ".join(words)
