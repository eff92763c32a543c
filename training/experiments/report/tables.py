"""Tables of the page, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean

from training.experiments.report.claims import CLAIMS, contradictions, verdict
from training.experiments.report.evidence import Evidence, Measured
from training.experiments.report.printed import ATTACKS, METHODS, SHARES, TABLE_III
from training.experiments.roster import GUARDS, PUBLISHED, TAUGHT

__all__ = [
    "attack_table",
    "contradiction_table",
    "markdown",
    "number",
    "table_iii",
    "verdict_table",
    "with_spread",
    "worst_table",
]

_TABLES = ("fourclass", "house", "mnist", "cifar10")


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; empty where there are no rows."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([f"| {' | '.join(header)} |", "|" + "---|" * len(header), *lines]) + "\n" if lines else ""


def number(value: float | None, digits: int = 3) -> str:
    """A share without its leading zero, or a dash."""
    if value is None:
        return "–"
    text = f"{value:.{digits}f}"
    return text.replace("-0.", "−.").replace("0.", ".", 1) if abs(value) < 1 else text.replace("-", "−")


def with_spread(value: float | None, spread: float | None) -> str:
    """A mean and, where there are several seeds, its standard deviation."""
    return number(value) + ("" if spread is None else f" ± {number(spread, 2)}")


def verdict_table(evidence: Evidence) -> str:
    """Every claim with its printed number, ours and the verdict."""
    rows = []
    for claim in CLAIMS:
        measured = claim.measure(evidence)
        cells = (_signed(claim.printed), _signed(measured), verdict(claim, measured))
        rows.append((claim.item, claim.words, *cells))
    return markdown(("item", "what", "printed", "measured", "verdict"), rows)


def attack_table(evidence: Evidence) -> str:
    """Our guard against every attack at the usual rate, with De-Pois and the best baseline beside it."""
    header = (
        "data",
        "attack",
        "trusted",
        "recall, FQR 1 %",
        "FQR 5 %",
        "AUROC",
        "own recall",
        "own FQR",
        "taught by the stream, FQR 1 %",
        "De-Pois, FQR 1 %",
        "AUROC",
        "best baseline, FQR 1 %",
        "error: clean / unguarded / guard",
    )
    return markdown(header, [_attack_row(case) for case in _usual(evidence)])


def worst_table(evidence: Evidence) -> str:
    """The worst row of each method at FQR 1 % where it applies, and the guard's worst on the same rows."""
    cases = list(_usual(evidence))
    methods = dict.fromkeys(method for case in cases for method in case.summary["methods"])
    rows = []
    for method in methods:
        found = [(value, case) for case in cases if (value := case.figure(method, "recall_at_1")) is not None]
        if found:
            value, worst = min(found, key=lambda pair: pair[0])
            ours = [recall for _, case in found if (recall := case.figure("guard", "recall_at_1")) is not None]
            rows.append(
                (
                    method,
                    str(len(found)),
                    number(value),
                    _where(worst),
                    number(min(ours, default=None)),
                    number(fmean(one for one, _ in found)),
                )
            )
    return markdown(("method", "rows", "worst recall, FQR 1 %", "where", "guard's worst on these rows", "mean"), rows)


def table_iii(evidence: Evidence) -> str:
    """Printed cells beside ours, for the shares that were measured."""
    header = (
        "attack",
        "method",
        "trusted",
        "printed A · R · F1",
        "ours A · R · F1",
        "recall, FQR 1 %",
        "FQR 5 %",
        "AUROC",
        "own recall, FQR",
    )
    rows = []
    for (attack, method), cells in TABLE_III.items():
        stand = ATTACKS.get(attack)
        for place, share in enumerate(SHARES):
            case = evidence.at(stand.experiment, stand.attack, share) if stand else None
            if case is not None:
                printed = (cells.accuracy[place], cells.recall[place], cells.f1[place])
                rows.append(
                    (attack, method, f"{share:.0%}", " · ".join(map(number, printed)), *_figures(case, METHODS[method]))
                )
        if method == "De-Pois" and stand:
            rows += [
                (attack, "**guard**", f"{share:.0%}", "–", *_figures(case, "guard"))
                for share in SHARES
                if (case := evidence.at(stand.experiment, stand.attack, share)) is not None
            ]
    return markdown(header, rows)


def contradiction_table() -> str:
    """Which printed rows contradict themselves."""
    rows = [(attack, method, f"{contradictions(attack, method)} of 6") for attack, method in TABLE_III]
    return markdown(("attack", "method", "cells that imply a mix outside 0.1 … 0.4"), rows)


def _figures(case: Measured, method: str) -> tuple[str, ...]:
    paper = " · ".join(number(case.figure(method, f"paper_{name}")) for name in ("accuracy", "recall", "f1"))
    rates = (number(case.figure(method, name)) for name in ("recall_at_1", "recall_at_5", "auroc"))
    own = ", ".join(number(case.figure(method, name)) for name in ("recall", "fqr"))
    return paper, *rates, own


def _usual(evidence: Evidence) -> Iterable[Measured]:
    """Comparisons at the usual rate with our guard among the methods."""
    return [case for case in evidence.cases(*_TABLES) if case.usual and "guard" in case.summary["methods"]]


def _attack_row(case: Measured) -> tuple[str, ...]:
    best = _best_baseline(case)
    error = case.summary.get("error", {})
    errors = " / ".join(
        number(error[name]["mean"] if name in error else None) for name in ("clean", "unguarded", "guard")
    )
    return (
        str(case.ground["data"]),
        case.attack,
        f"{case.ground['trusted']:.0%}",
        with_spread(case.figure("guard", "recall_at_1"), case.spread("guard", "recall_at_1")),
        *(number(case.figure("guard", name)) for name in ("recall_at_5", "auroc", "recall", "fqr")),
        with_spread(case.figure(TAUGHT, "recall_at_1"), case.spread(TAUGHT, "recall_at_1")),
        *(number(case.figure(PUBLISHED, name)) for name in ("recall_at_1", "auroc")),
        f"{number(case.figure(best, 'recall_at_1'))} ({best})" if best else "–",
        errors if error else "–",
    )


def _best_baseline(case: Measured) -> str:
    """The baseline with the largest recall at FQR 1 %."""
    found = {
        name: case.figure(name, "recall_at_1") for name in case.summary["methods"] if name not in (*GUARDS, PUBLISHED)
    }
    known = {name: value for name, value in found.items() if value is not None}
    return max(known, key=known.__getitem__) if known else ""


def _where(case: Measured) -> str:
    return f"{case.ground['data']}, {case.attack}, {case.ground['trusted']:.0%}"


def _signed(value: float | None) -> str:
    if value is None:
        return "–"
    return ("+" if value > 0 else "") + number(value)
