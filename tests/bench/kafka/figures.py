"""The table of figures: what was asked for, what was found, and in how far it is met."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

__all__ = ["figures"]

Row = dict[str, Any]


def figures(found: Mapping[str, Any]) -> list[Row]:
    """One row for each figure whose measurement is there. `least`, `goal`: limits; `met`: which of them."""
    rows: list[Row] = []
    for kind, runs in found.get("race", {}).items():
        rows += _race(kind, runs)
    for one in found.get("latency", {}).values():
        at = f"at {one['records_per_second']} records/s"
        rows.append(_at_most(f"latency {at}, p50, ms", one["p50_ms"], 50, 10))
        rows.append(_at_most(f"latency {at}, p99, ms", one["p99_ms"], 150, 30))
    rows += _recovery(found.get("recovery", {})) + _memory(found.get("memory")) + _scale(found.get("scale"))
    return rows


def _race(kind: str, runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Row]:
    limits: tuple[tuple[str, str, tuple[str, ...], Any, float | None, float], ...] = (
        ("transport alone against the floor", "transport", ("floor",), _at_most, 1.3, 1.1),
        ("whole guard against the floor with decode and ONNX", "guard", ("floor+model",), _at_most, 1.6, 1.25),
        ("evidence about sources and drift against none", "guard", ("guard, no evidence",), _at_most, 1.10, 1.03),
        ("all members against the mimic alone", "guard", ("guard, mimic alone",), _at_most, None, 2.0),
        ("less than plain Faust", "guard", ("faust events",), _at_least, 8, 15),
        ("less than plain Faust that takes batches", "guard", ("faust take",), _at_least, None, 15),
        ("less than Quix Streams, at its best", "guard", ("quix sink", "quix apply"), _at_least, 1.2, 2),
    )
    rows = []
    for what, subject, others, limit, least, goal in limits:
        known = [_cpu(runs[name]) for name in others if runs.get(name)]
        if runs.get(subject) and known:
            rounds = zip(_cpu(runs[subject]), map(min, zip(*known, strict=True)), strict=True)
            ratios = [own / other if limit is _at_most else other / own for own, other in rounds]
            rows.append(_of_rounds(limit, f"{kind}: {what}, CPU per record, ×", ratios, least, goal))
    return rows


def _cpu(runs: Sequence[Mapping[str, Any]]) -> list[float]:
    return [run["cpu_us_per_record"] for run in runs]


def _of_rounds(limit: Any, what: str, ratios: Sequence[float], least: float | None, goal: float | None) -> Row:
    """The median of ratios within rounds: between rounds the speed of a machine may change by a third."""
    return {**limit(what, round(median(ratios), 3), least, goal), "rounds": [round(ratio, 3) for ratio in ratios]}


def _recovery(found: Mapping[str, Any]) -> list[Row]:
    rows = []
    for name, one in found.items():
        each = one["interruptions"]
        if "stops" in one:
            rows.append(_at_most(f"{name}: stop, seconds, longest", max(s["seconds"] for s in one["stops"]), 3, None))
            rows.append(_at_most(f"{name}: stop, exit codes", max(s["exit_code"] for s in one["stops"]), 0, None))
            rows.append(_at_most(f"{name}: records judged again", one["judged_twice"], 0, None))
        else:
            again = [one["seconds_to_judging"] for one in each]
            rows.append(_at_most(f"{name}: seconds to judging, median", median(again), 5, 2))
            rows.append(_at_most(f"{name}: seconds to judging, longest", max(again), 5, 2))
            worst = max(one["again_ms"] for one in each)
            rows.append(_at_most(f"{name}: age of the oldest record judged again, ms, most", worst, 200, None))
            most = max(one["judged_twice"] for one in each)
            rows.append(_at_most(f"{name}: records judged again per kill, most", most, None, 2000))
        rows.append(_at_most(f"{name}: records lost", one["lost"], 0, 0))
    return rows


def _memory(found: Mapping[str, Any] | None) -> list[Row]:
    if not found:
        return []
    return [
        _at_most("resident memory, MiB, most", found["peak_mib"], 400, 250),
        _at_most("resident memory, change from a tenth of the records to all", abs(found["growth"]), 0.05, None),
    ]


def _scale(found: Mapping[str, Sequence[Mapping[str, Any]]] | None) -> list[Row]:
    if not found:
        return []
    one, two = ([run["records_per_second"] for run in found[workers]] for workers in ("1", "2"))
    ratios = [both / alone for alone, both in zip(one, two, strict=True)]
    return [_of_rounds(_at_least, "2 workers on 2 partitions against 1 on 1, records/s, ×", ratios, 1.6, 1.9)]


def _at_most(what: str, found: float, least: float | None, goal: float | None) -> Row:
    return _row(what, found, least, goal, lambda limit: found <= limit)


def _at_least(what: str, found: float, least: float | None, goal: float | None) -> Row:
    return _row(what, found, least, goal, lambda limit: found >= limit)


def _row(what: str, found: float, least: float | None, goal: float | None, holds: Any) -> Row:
    if goal is not None and holds(goal):
        met = "goal"
    elif least is None:
        met = "printed" if goal is not None else "-"
    else:
        met = "least" if holds(least) else "missed"
    return {"what": what, "found": found, "least": least, "goal": goal, "met": met}
