from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import guard
from guard.bundle import Bundle
from guard.errors import WrongUse
from guard.sample import encode_samples
from guard.spec import InputSpec
from guard.verdict import HoldReason, RejectReason, Status
from tests.support.bundles import IMAGE, NUMBER, TABLE, draw_samples, make_bundle

SPECS = pytest.mark.parametrize("spec", [TABLE, NUMBER, IMAGE], ids=["table", "number", "image"])


def load(tmp_path: Path, spec: InputSpec, *, brittle: bool = False, **options: object) -> Bundle:
    return guard.load_bundle(make_bundle(tmp_path / "bundle", spec, brittle=brittle), threads=1, **options)


def poison(spec: InputSpec, y: np.ndarray) -> np.ndarray:
    return y + 60 if spec.label.kind == "number" else (y + 1) % len(spec.label.values)


@SPECS
def test_clean_samples_pass_and_wrong_labels_are_held(tmp_path: Path, spec: InputSpec) -> None:
    bundle = load(tmp_path, spec)
    x, y = draw_samples(spec, 400, seed=7)
    clean, poisoned = bundle.judge_arrays(x, y), bundle.judge_arrays(x, poison(spec, y))
    assert np.mean([v.status is Status.CLEAN for v in clean]) > 0.96
    held = [v for v in poisoned if v.status is Status.QUARANTINED]
    assert len(held) > 390
    assert {v.reason for v in held} == {HoldReason.SUSPECT}
    assert {v.member for v in held} <= {"distance", "mimic"}
    assert all(v.p_value <= v.threshold == 0.01 for v in held)
    right = [spec.label.values[i] if spec.label.kind == "classes" else i for i in y.tolist()]
    suggested = [v.suggested_label for v in poisoned]
    if spec.label.kind == "classes":
        assert np.mean([s == r for s, r in zip(suggested, right, strict=True)]) > 0.95
    else:
        assert np.median(np.abs(np.array(suggested, float) - y)) < 2


@SPECS
def test_records_are_judged_like_their_arrays(tmp_path: Path, spec: InputSpec) -> None:
    bundle = load(tmp_path, spec)
    x, y = draw_samples(spec, 60, seed=8)
    records = encode_samples(spec, x, y, ["test"] * 60, ids=[f"r{i}" for i in range(60)])
    for i, (one, other) in enumerate(zip(bundle.judge(records), bundle.judge_arrays(x, y), strict=True)):
        assert (one.status, one.p_value, one.member, one.label) == (
            other.status,
            other.p_value,
            other.member,
            other.label,
        )
        assert (one.id, one.source) == (f"r{i}", "test")


def test_every_record_gets_its_own_verdict_in_order(tmp_path: Path) -> None:
    bundle = load(tmp_path, TABLE)
    x, y = draw_samples(TABLE, 1, seed=9)
    good = encode_samples(TABLE, x, y, ["test"])[0]
    unknown = json.dumps({**json.loads(good), "label": "durian", "id": "u"}).encode()
    wrong = json.dumps({**json.loads(good), "label": TABLE.label.values[(y[0] + 1) % 3]}).encode()
    batch = [b"{", good, unknown, b"", wrong, b"\xff\xfe", good.replace(b'"ripe"', b'"rape"')]
    verdicts = bundle.judge(batch)
    assert [v.status for v in verdicts] == [
        Status.MALFORMED,
        Status.CLEAN,
        Status.QUARANTINED,
        Status.MALFORMED,
        Status.QUARANTINED,
        Status.MALFORMED,
        Status.MALFORMED,
    ]
    assert (verdicts[2].reason, verdicts[2].p_value, verdicts[2].id) == (HoldReason.UNKNOWN_LABEL, None, "u")
    assert verdicts[2].label == "durian"
    assert verdicts[6].reason is RejectReason.SCHEMA_VIOLATION
    assert "rape" in (verdicts[6].detail or "")
    assert bundle.judge([]) == []


def test_batches_beyond_one_call_are_judged_like_small_ones(tmp_path: Path) -> None:
    bundle = load(tmp_path, TABLE)
    x, y = draw_samples(TABLE, 2500, seed=10)
    parts = [v for i in range(0, 2500, 100) for v in bundle.judge_arrays(x[i : i + 100], y[i : i + 100])]
    whole = bundle.judge_arrays(x, y)
    assert [v.status for v in whole] == [v.status for v in parts]


def test_a_sample_on_which_the_graph_fails_is_held_alone(tmp_path: Path) -> None:
    bundle = load(tmp_path, TABLE, brittle=True)
    x, y = draw_samples(TABLE, 20, seed=11)
    calm = bundle.judge_arrays(x, y)
    x[13, 0] = 100.0
    verdicts = bundle.judge_arrays(x, y)
    assert verdicts[13].status is Status.QUARANTINED
    assert (verdicts[13].reason, verdicts[13].p_value) == (HoldReason.NOT_SCORED, None)
    assert verdicts[:13] + verdicts[14:] == calm[:13] + calm[14:]


def test_a_graph_that_always_fails_holds_everything(tmp_path: Path) -> None:
    bundle = load(tmp_path, TABLE)
    x, y = draw_samples(TABLE, 3, seed=11)

    def fail(*_: object) -> None:
        raise MemoryError

    bundle.judgement.runtime.run = fail  # type: ignore[method-assign]
    assert {v.reason for v in bundle.judge_arrays(x, y)} == {HoldReason.NOT_SCORED}


@pytest.mark.parametrize(
    "answer",
    [
        (np.zeros((2, 2), np.float32), np.zeros(3, np.int64)),
        (np.zeros((3, 1), np.float32), np.zeros(3, np.int64)),
        (np.zeros((3, 2), np.float32), np.full(3, 99)),
        (np.zeros((3, 2), np.float32), np.full(3, -1)),
        (np.full((3, 2), np.nan, np.float32), np.zeros(3, np.int64)),
        (np.full((3, 2), np.inf, np.float32), np.zeros(3, np.int64)),
    ],
    ids=["rows", "members", "no such class", "negative class", "nan", "inf"],
)
def test_an_answer_that_cannot_be_right_holds_everything(tmp_path: Path, answer: tuple[np.ndarray, ...]) -> None:
    bundle = load(tmp_path, TABLE)
    x, y = draw_samples(TABLE, 3, seed=11)
    bundle.judgement.runtime.run = (
        lambda _outputs, a, _y: [  # type: ignore[method-assign]
            answer[0] if len(a) == 3 else answer[0][:1].repeat(2, axis=0),
            answer[1][: len(a)],
        ]
    )
    assert {v.reason for v in bundle.judge_arrays(x, y)} == {HoldReason.NOT_SCORED}


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        (0, np.inf, RejectReason.NON_FINITE),
        (1, np.nan, RejectReason.NON_FINITE),
        (1, 101.0, RejectReason.OUT_OF_RANGE),
        (2, 3.0, RejectReason.UNKNOWN_CATEGORY),
        (2, 0.5, RejectReason.UNKNOWN_CATEGORY),
        (2, -1.0, RejectReason.UNKNOWN_CATEGORY),
        (3, 2.0, RejectReason.OUT_OF_RANGE),
    ],
)
def test_illegal_rows_of_arrays_are_malformed(tmp_path: Path, column: int, value: float, reason: RejectReason) -> None:
    bundle = load(tmp_path, TABLE)
    x, y = draw_samples(TABLE, 3, seed=12)
    x[1, column] = value
    verdicts = bundle.judge_arrays(x, y)
    assert [v.status for v in verdicts] == [Status.CLEAN, Status.MALFORMED, Status.CLEAN]
    assert verdicts[1].reason is reason
    assert f"x[{column}]" in (verdicts[1].detail or "")


@pytest.mark.parametrize(("label", "reason"), [(np.nan, RejectReason.NON_FINITE), (2e3, RejectReason.OUT_OF_RANGE)])
def test_illegal_numeric_labels_are_malformed(tmp_path: Path, label: float, reason: RejectReason) -> None:
    x, y = draw_samples(NUMBER, 2, seed=12)
    y[0] = label
    verdict = load(tmp_path, NUMBER).judge_arrays(x, y)[0]
    assert (verdict.status, verdict.reason) == (Status.MALFORMED, reason)


@pytest.mark.parametrize("label", [-1, 3, 2**40])
def test_a_class_index_that_is_not_there_never_reaches_the_graph(tmp_path: Path, label: int) -> None:
    x, y = draw_samples(TABLE, 2, seed=12)
    y[0] = label
    bundle = load(tmp_path, TABLE)
    run, seen = bundle.judgement.runtime.run, []

    def watched(outputs: object, a: np.ndarray, b: np.ndarray) -> list[np.ndarray]:
        seen.extend(b.tolist())
        return run(outputs, a, b)

    bundle.judgement.runtime.run = watched  # type: ignore[method-assign]
    verdict = bundle.judge_arrays(x, y)[0]
    assert (verdict.status, verdict.reason) == (Status.QUARANTINED, HoldReason.UNKNOWN_LABEL)
    assert seen == [y[1]]


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (np.zeros((2, 4), np.float32), np.zeros(2, np.int64)),
        (np.zeros((2, 5)), np.zeros(2, np.int64)),
        (np.zeros((2, 4)), np.zeros(2)),
        (np.zeros((2, 4)), np.zeros(3, np.int64)),
        (np.zeros(4), np.zeros(1, np.int64)),
    ],
)
def test_arrays_of_another_kind_are_wrong_use(tmp_path: Path, x: np.ndarray, y: np.ndarray) -> None:
    bundle = load(tmp_path, TABLE)
    with pytest.raises(WrongUse):
        bundle.judge_arrays(x, y)


def test_another_alpha_and_boundary_are_used_and_said(tmp_path: Path) -> None:
    x, y = draw_samples(TABLE, 1000, seed=13)
    path = make_bundle(tmp_path / "bundle")
    strict = guard.load_bundle(path, alpha=0.2, threads=1)
    assert strict.alpha.value == 0.2
    assert strict.manifest.alpha.value == 0.01
    verdicts = strict.judge_arrays(x, y)
    assert {v.threshold for v in verdicts} == {0.2}
    assert np.mean([v.status is Status.QUARANTINED for v in verdicts]) == pytest.approx(0.2, abs=0.08)
    published = guard.load_bundle(path, boundary="zscore", threads=1)
    held = [v for v in published.judge_arrays(x, y) if v.status is Status.QUARANTINED]
    assert {v.member for v in held} == {"mimic"}
    assert {v.detail for v in held} == {"held by the z-score boundary, not by alpha"}
    assert any(v.p_value > v.threshold for v in held)
