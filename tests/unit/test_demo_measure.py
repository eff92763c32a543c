from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from guard.filter.verdicts import VerdictLine
from guard.spec import ClassLabel, InputSpec
from guard.verdict import HoldReason, RejectReason, Status
from training.attacks.random_flip import RANDOM_FLIP
from training.datasets import load_digits_images
from training.demo.measure import join_truth, measure
from training.demo.scenario import HONEST, JUNK, Contributor, Entry, Scenario
from training.rate import Rate

DIGITS = load_digits_images()
FLIP = RANDOM_FLIP.name


def said(line: int, status: Status, reason: str, suggested: int | None = None) -> VerdictLine:
    return VerdictLine(
        line=line,
        id=None,
        verdict=status,
        reason=reason,
        p_value=0.001,
        threshold=0.01,
        member="nll",
        suggested_label=suggested,
        source="x",
        label=1,
        detail=None,
        observed=False,
        model="m:1",
        model_sha256="0" * 64,
    )


def entry(source: str, kind: str, y: int, y_true: int) -> Entry:
    return Entry(b"{}", source, kind, DIGITS.x[0], y, y_true)


STREAM = (
    entry("ada", HONEST, 1, 1),
    entry("ada", HONEST, 2, 2),
    entry("mallory", FLIP, 3, 4),
    entry("mallory", FLIP, 5, 6),
    entry("mallory", FLIP, 7, 8),
    entry("mallory", HONEST, 9, 9),
    Entry(b"", "zed", JUNK, expected=RejectReason.MALFORMED_JSON),
    Entry(b"", "zed", JUNK, expected=RejectReason.MALFORMED_JSON),
    Entry(b"", "zed", JUNK, expected=HoldReason.UNKNOWN_LABEL),
)
VERDICTS = [
    said(2, Status.QUARANTINED, "suspect", 7),
    said(3, Status.QUARANTINED, "suspect", 4),
    said(4, Status.QUARANTINED, "suspect", 0),
    said(7, Status.MALFORMED, "malformed_json"),
    said(8, Status.MALFORMED, "schema_violation"),
    said(9, Status.QUARANTINED, "unknown_label"),
]
SCENARIO = Scenario(
    DIGITS,
    DIGITS.x[:5],
    DIGITS.y[:5],
    STREAM,
    (Contributor("ada", HONEST), Contributor("mallory", FLIP), Contributor("zed", JUNK)),
    (RANDOM_FLIP,),
)


def test_counts_by_hand() -> None:
    figures = measure(SCENARIO, join_truth(STREAM, VERDICTS))
    assert (figures.false_alarms.count, figures.false_alarms.total) == (1, 3)
    assert figures.recall == {FLIP: Rate(2, 3)}
    assert figures.corrected == {FLIP: Rate(1, 2)}
    assert [(row.reason, row.sent, row.named) for row in figures.junk] == [
        ("malformed_json", 2, 1),
        ("unknown_label", 1, 1),
    ]
    ada, mallory, zed = figures.contributors
    assert (ada.sent, ada.poisoned, ada.passed, ada.held, ada.malformed) == (2, 0, 1, 1, 0)
    assert (mallory.sent, mallory.poisoned, mallory.passed, mallory.held, mallory.malformed) == (4, 3, 2, 2, 0)
    assert (zed.sent, zed.poisoned, zed.passed, zed.held, zed.malformed) == (3, 0, 0, 1, 2)


def test_a_line_without_a_verdict_was_passed() -> None:
    told = join_truth(STREAM, VERDICTS)
    assert [t.line for t in told if t.verdict is None] == [1, 5, 6]
    assert [t.line for t in told if t.held] == [2, 3, 4, 9]


@given(st.integers(0, 60), st.integers(1, 60))
def test_the_interval_is_the_exact_binomial_one(count: int, total: int) -> None:
    count = min(count, total)
    exact = binomtest(count, total).proportion_ci(confidence_level=0.95, method="exact")
    assert Rate(count, total).interval == pytest.approx((exact.low, exact.high), abs=1e-9)


def test_nothing_counted_is_no_rate() -> None:
    assert math.isnan(Rate(0, 0).value)
    assert Rate(0, 0).interval == (0.0, 1.0)


def test_a_class_is_compared_as_the_wire_spells_it() -> None:
    """Encoded 0 and 1 of Fourclass are -1 and 1 on the wire: an index must not be taken for a label."""
    spec = InputSpec(input=DIGITS.spec.input, label=ClassLabel(values=tuple(range(10, 20))))
    scenario = replace(SCENARIO, dataset=replace(DIGITS, spec=spec))
    told = join_truth(STREAM, [said(3, Status.QUARANTINED, "suspect", 14), said(4, Status.QUARANTINED, "suspect", 6)])
    assert measure(scenario, told).corrected == {FLIP: Rate(1, 2)}
