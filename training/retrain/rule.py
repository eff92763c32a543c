"""The rule that decides between champion and challenger: a table of figures, and what of it must hold."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from guard.gate import Comparison, Figure, Outcome
from guard.rfc3339 import now_text
from training.redteam.battery import Battery
from training.retrain.measures import Measured, Pair
from training.retrain.policy import Promotion

__all__ = ["RULE", "decide"]

RULE = (
    "Of the held-out rows the challenger holds no more than 99 of 100 sound bundles of its α and calibration would.",
    "Mean recall over all attacks falls by at most {mean_recall_loss:.0%}, recall of one attack by at most "
    "{recall_loss:.0%}.",
    "Known bad samples that the champion holds and the challenger passes: at most {lost_canaries}.",
    "Of recent records at most {disagreement:.0%} pass with only one of the two.",
    "A record takes at most {slowdown:g} times as much processor time.",
)
"""The rule in words, with the fields of `Promotion` to be filled in."""


def decide(pair: Pair, measured: Measured, rule: Promotion) -> Comparison:
    """The figures, which of them are better or worse, and whether the challenger may take the champion's place.

    A figure is worse where it changes for the worse by more than the rule allows, better where it does so for the
    better, and else the same.
    """
    figures = tuple(_figures(measured, rule))
    reasons = tuple(_reason(figure) for figure in figures if figure.must_hold and figure.outcome == "worse")
    return Comparison(
        champion_digest=pair[0].digest,
        challenger_digest=pair[1].digest,
        held_out_digest=measured.held_out.data.digest,
        figures=figures,
        passed=not reasons,
        reasons=reasons,
        time=now_text(),
    )


def _figures(measured: Measured, rule: Promotion) -> Iterator[Figure]:
    yield _alarms(measured)
    recalls = [_recalls(battery) for battery in measured.batteries]
    shared = [name for name in recalls[0] if name in recalls[1]]
    means = [float(np.mean([recall[name] for name in shared])) for recall in recalls]
    yield _compared("recall, mean over attacks", means[0], means[1], rule.mean_recall_loss)
    for name in shared:
        yield _compared(f"recall, {name}", recalls[0][name], recalls[1][name], rule.recall_loss)
    if measured.canaries is not None and measured.canaries.held[0].total:
        mine, theirs = (rate.value for rate in measured.canaries.held)
        lost = measured.canaries.lost
        outcome: Outcome = "worse" if lost > rule.lost_canaries else "better" if theirs > mine and not lost else "same"
        yield _figure("known bad samples held", mine, theirs, outcome)
    if measured.recent is not None and measured.recent.records:
        yield from _recent(measured, rule)
    slow = measured.slowdown
    outcome = "worse" if slow > rule.slowdown else "better" if slow < 1 / rule.slowdown else "same"
    yield _figure("processor seconds per record", *measured.seconds, outcome)


def _alarms(measured: Measured) -> Figure:
    beyond = [rate.count > most for rate, most in zip(measured.alarms, measured.most_held, strict=True)]
    outcome: Outcome = "worse" if beyond[1] else "better" if beyond[0] else "same"
    return _figure("held-out rows held", measured.alarms[0].value, measured.alarms[1].value, outcome)


def _recent(measured: Measured, rule: Promotion) -> Iterator[Figure]:
    found = measured.recent
    assert found is not None  # noqa: S101 – the caller has looked
    mine, theirs = found.champion_only_held, found.challenger_only_held
    apart = (mine + theirs + found.malformed_for_one) / found.records
    yield _figure("recent records judged apart", None, apart, "worse" if apart > rule.disagreement else "same")
    held = [(found.both_held + only) / found.records for only in (mine, theirs)]
    yield Figure(name="recent records held", champion=held[0], challenger=held[1], outcome="same", must_hold=False)


def _recalls(battery: Battery) -> dict[str, float]:
    return {raid.name: raid.held.value for raid in battery.raids}


def _compared(name: str, champion: float, challenger: float, allowed: float) -> Figure:
    gain = challenger - champion
    outcome: Outcome = "worse" if gain < -allowed - 1e-12 else "better" if gain > allowed + 1e-12 else "same"
    return _figure(name, champion, challenger, outcome)


def _figure(name: str, champion: float | None, challenger: float, outcome: Outcome) -> Figure:
    return Figure(name=name, champion=champion, challenger=challenger, outcome=outcome, must_hold=True)


def _reason(figure: Figure) -> str:
    beside = "" if figure.champion is None else f"{figure.champion:.4g} with the champion, "
    return f"{figure.name}: {beside}{figure.challenger:.4g} with the challenger"
