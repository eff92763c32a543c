from __future__ import annotations

import numpy as np
import torch
from sklearn.linear_model import RidgeCV

from tests.support.trusted import diabetes, fitted, numbers_of, task
from training.members.out_of_fold import score_rows
from training.members.residual import RESIDUAL


def test_the_suggestion_is_as_good_as_ridge() -> None:
    z, y = diabetes()
    trusted, rest = slice(0, 120), slice(120, 442)
    suggest = fitted(RESIDUAL, "numbers").suggest
    assert suggest is not None
    with torch.no_grad():
        found = suggest(torch.from_numpy(z[rest])).numpy()
    ridge = RidgeCV(np.logspace(-1, 5, 13)).fit(z[trusted], y[trusted]).predict(z[rest])
    assert ((found - y[rest]) ** 2).mean() <= 1.05 * ((ridge - y[rest]) ** 2).mean()


def test_a_linear_task_without_noise_leaves_no_residual_at_the_truth() -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=(200, 4)).astype(np.float32)
    y = (z @ np.array([1.0, 2.0, 0.0, -1.0], np.float32)) / np.sqrt(6)
    member = RESIDUAL.fit(numbers_of(z, y))
    scores = score_rows(member.scorer, torch.from_numpy(z), torch.as_tensor(y) + 2.0)
    assert np.median(scores) > 5 * np.median(member.calibration)


def test_the_expected_error_follows_where_labels_scatter() -> None:
    rng = np.random.default_rng(1)
    z = rng.normal(size=(600, 3)).astype(np.float32)
    mean = z[:, 0]
    y = mean + rng.normal(size=600) * np.exp(0.8 * mean) * 0.3
    member = RESIDUAL.fit(numbers_of(z, ((y - y.mean()) / y.std()).astype(np.float32)))
    quiet, loud = mean < -0.7, mean > 0.7
    # Raw residuals differ by a factor of about 4 between the two groups.
    assert 0.5 < member.calibration[loud].mean() / member.calibration[quiet].mean() < 2


def test_it_applies_to_tables_of_numbers_alone() -> None:
    assert RESIDUAL.applies(task("numbers").spec, 61)
    assert not RESIDUAL.applies(task("classes").spec, 61)
