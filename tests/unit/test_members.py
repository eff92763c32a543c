"""What every member must keep, tested once over the one list of members."""

from __future__ import annotations

import logging
import warnings
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from tests.support.trusted import cancer, diabetes, digits, fitted, task, with_label
from training.members import MEMBERS
from training.members.gp import GP
from training.members.member import Member
from training.members.nll import NLL
from training.members.out_of_fold import score_rows

CASES = [
    (member, name)
    for member, name in product(MEMBERS, ("images", "classes", "numbers"))
    if member.applies(task(name).spec, len(task(name).y))
]
EVERY = pytest.mark.parametrize(("member", "name"), CASES, ids=[f"{m.name}-{n}" for m, n in CASES])
BLIND_TO_LABELS = {"integrity"}
OWN_FOLD_IS_THE_ROW = {"knn", "gp"}


def probe(name: str, rows: int) -> tuple[Tensor, Tensor]:
    data = task(name)
    return data.z[:rows], data.y[:rows]


def test_names_are_unique_and_weights_lie_in_the_budget() -> None:
    assert len({member.name for member in MEMBERS}) == len(MEMBERS)
    for name, rows in product(("images", "classes", "numbers"), (40, 60_000)):
        spec = task(name).spec
        weights = [member.weight(spec, rows) for member in MEMBERS if member.applies(spec, rows)]
        assert all(0 < weight <= 1 for weight in weights)
        assert max(weights) == 1


def test_nll_gives_way_to_the_gaussian_process_where_that_applies() -> None:
    spec = task("classes").spec
    assert GP.applies(spec, 40)
    assert not GP.applies(spec, 60_000)
    assert NLL.weight(spec, 40) < 1 == NLL.weight(spec, 60_000)
    assert NLL.weight(task("images").spec, 40) == 1


def test_every_task_has_a_member_that_suggests_labels() -> None:
    for name in ("images", "classes", "numbers"):
        suggesting = [m for m, n in CASES if n == name and fitted(m, n).suggest is not None]
        assert suggesting, name


@EVERY
def test_scores_are_finite_float32_for_any_batch(member: Member, name: str) -> None:
    scorer = fitted(member, name).scorer
    assert not scorer.training
    for rows in (1, 7):
        with torch.no_grad():
            scores = scorer(*probe(name, rows))
        assert scores.shape == (rows,)
        assert scores.dtype == torch.float32
        assert torch.isfinite(scores).all()


@EVERY
def test_a_score_depends_on_its_own_sample_alone(member: Member, name: str) -> None:
    scorer, (z, y) = fitted(member, name).scorer, probe(name, 40)
    order = torch.randperm(40)
    with torch.no_grad():
        torch.testing.assert_close(scorer(z[order], y[order]), scorer(z, y)[order], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(scorer(z[3:4], y[3:4]), scorer(z, y)[3:4], rtol=1e-4, atol=1e-4)


@EVERY
def test_every_calibration_row_has_a_finite_score(member: Member, name: str) -> None:
    data, member_fitted = task(name), fitted(member, name)
    assert member_fitted.calibration.dtype == np.float64
    assert member_fitted.calibration.shape == data.plan.calibration.shape
    assert np.isfinite(member_fitted.calibration).all()
    assert len(member_fitted.fold_scorers) == len(data.plan.folds)
    assert all(member_fitted.curves.values())  # the report draws every curve


@EVERY
def test_calibration_is_scored_by_the_fold_that_never_saw_the_row(member: Member, name: str) -> None:
    if member.name in OWN_FOLD_IS_THE_ROW:
        pytest.skip("leaves out one row, not a fold: see the tests of that member")
    data, member_fitted = task(name), fitted(member, name)
    for fold, scorer in zip(data.plan.folds, member_fitted.fold_scorers, strict=True):
        scores = score_rows(scorer, data.z[fold.calibrate], data.y[fold.calibrate])
        np.testing.assert_allclose(member_fitted.calibration[fold.calibrate], scores, rtol=1e-5, atol=1e-6)


@EVERY
def test_a_label_changes_its_own_score_but_not_the_model_that_scores_it(member: Member, name: str) -> None:
    data = task(name)
    row = int(data.plan.folds[0].calibrate[5])
    changed = with_label(data, row, float(1 - data.y[row]) if data.classes != 10 else float((data.y[row] + 3) % 10))
    fold = replace(data.plan, folds=data.plan.folds[:1])
    before, after = (member.fit(replace(d, plan=replace(fold))) for d in (data, changed))
    position = int(np.searchsorted(fold.calibration, row))
    others = np.arange(len(before.calibration)) != position
    np.testing.assert_array_equal(after.calibration[others], before.calibration[others])
    assert (after.calibration[position] == before.calibration[position]) == (member.name in BLIND_TO_LABELS)
    expected = score_rows(before.scorer, changed.z[[row]], changed.y[[row]])
    np.testing.assert_allclose(after.calibration[position], expected[0], rtol=1e-4, atol=1e-5)


@EVERY
def test_the_same_seed_gives_the_same_scores_and_another_seed_others(member: Member, name: str) -> None:
    data = task(name)
    first = fitted(member, name).calibration
    np.testing.assert_array_equal(member.fit(data).calibration, first)
    if member.name not in OWN_FOLD_IS_THE_ROW:
        assert (member.fit(replace(data, seed=data.seed + 1)).calibration != first).any()


@EVERY
def test_exports_and_serves_the_same_scores(member: Member, name: str, tmp_path: Path) -> None:
    scorer, graph = fitted(member, name).scorer, str(tmp_path / "member.onnx")
    logging.disable()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        torch.onnx.export(
            scorer,
            probe(name, 3),
            graph,
            dynamo=True,
            external_data=False,
            opset_version=20,
            input_names=["z", "y"],
            dynamic_shapes=({0: "batch"}, {0: "batch"}),
            verbose=False,
        )
    logging.disable(logging.NOTSET)
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    used = {node.name for node in session.get_inputs()}
    for rows in (1, 7):
        z, y = probe(name, rows)
        with torch.no_grad():
            expected = scorer(z, y).numpy()
        feed = {key: value.numpy() for key, value in (("z", z), ("y", y)) if key in used}
        np.testing.assert_allclose(session.run(None, feed)[0], expected, rtol=1e-4, atol=1e-4)


FLOORS = {"nll": 0.95, "knn": 0.93, "gp": 0.95, "lgm": 0.93, "adversarial": 0.9, "residual": 0.9}


@EVERY
def test_wrong_labels_of_unseen_rows_score_higher(member: Member, name: str) -> None:
    if member.name not in FLOORS:
        pytest.skip("does not look at labels, or is weak and says so")
    z, y = {"images": digits, "classes": cancer, "numbers": diabetes}[name]()
    z, y, rng = z[300:560], y[300:560], np.random.default_rng(1)
    if name == "numbers":
        wrong = y + rng.choice([-3.0, 3.0], len(y)).astype(np.float32)
    else:
        classes = int(y.max()) + 1
        wrong = (y + rng.integers(1, classes, len(y))) % classes
    scorer = fitted(member, name).scorer
    clean, flipped = (score_rows(scorer, torch.as_tensor(z), torch.as_tensor(label)) for label in (y, wrong))
    auroc = roc_auc_score(np.repeat([0, 1], len(z)), np.concatenate([clean, flipped]))
    assert auroc >= FLOORS[member.name]
