"""The one measurement behind all tables: every method on the same rows, against the same poison."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from training.experiments.damage import damage_left, harm_of_rows
from training.experiments.experiment import Case, Row
from training.experiments.methods import Trained, histogram, judge, likeness, train_methods
from training.experiments.metrics import measure
from training.experiments.roster import GUARD, PUBLISHED, find_attack
from training.experiments.scene import gather, set_scene
from training.experiments.setting import Setting
from training.progress import Progress

__all__ = ["compare", "run_settings"]


def compare(settings: Sequence[Setting], seed: int, progress: Progress) -> Iterator[Row]:
    """One row for each of the settings, which all have the same ground: its guard is trained once.

    `trusted`, `poison`, `clean`: numbers of rows. `methods`: the figures of `measure` by method. `harm_left`: the mean
    of `harm_of_rows`, of targeted attacks. `error`: see `damage_left`, for what the guard, and De-Pois, let through at
    their own verdict. `alpha_low`, `alpha_high`, `extrapolated`: the band that the guard prints for α = 1 %.
    `histogram`, `likeness`: see there.
    """
    ground = settings[0].ground
    scene = set_scene(ground, seed)
    trained = train_methods(scene, ground, {name for setting in settings for name in setting.methods}, progress)
    for setting in progress.track(settings, "attacks"):
        yield _row(setting, trained, progress)


def run_settings(cases: Sequence[Case], seed: int, progress: Progress) -> Iterator[Row]:
    """`compare`, for the cases of an experiment."""
    yield from compare([Setting.model_validate(case.settings) for case in cases], seed, progress)


def _row(setting: Setting, trained: Trained, progress: Progress) -> Row:
    scene = trained.scene
    crowd = gather(scene, setting.attack, setting.rate)
    harm = harm_of_rows(scene, crowd)
    judged = {name: judge(name, trained, crowd, progress) for name in setting.methods}
    row: Row = {
        "trusted": len(scene.trusted[1]),
        "poison": int(crowd.poisoned.sum()),
        "clean": len(scene.clean[1]),
        "methods": {name: measure(judgement, crowd.poisoned, harm) for name, judgement in judged.items()},
    }
    if harm is not None:
        row["harm_left"] = float(harm.mean())
    if setting.damage:
        own = {name: ~judged[name].held for name in (GUARD, PUBLISHED) if name in judged}
        row["error"] = damage_left(find_attack(setting.attack), scene, crowd, own)
    if setting.histogram:
        row["histogram"] = histogram(trained.published[PUBLISHED], trained, crowd)
    if setting.likeness:
        row["likeness"] = likeness(trained)
    return row | _band(trained)


def _band(trained: Trained) -> Row:
    if trained.trial is None:
        return {}
    card = trained.trial.fusion.card
    return {"alpha_low": card.band[0], "alpha_high": card.band[1], "extrapolated": card.extrapolated}
