from __future__ import annotations

import numpy as np

from tests.support.trusted import cancer, classes_of
from training.gaussian_process import choose_kernel, leave_out
from training.members.gp import GP


def test_calibration_is_the_margin_in_deviations_under_a_kernel_that_the_fold_chose() -> None:
    z, y = (part[:80] for part in cancer())
    data = classes_of(z, y)
    member = GP.fit(data)
    targets, fold = np.eye(2)[y] - 0.5, data.plan.folds[1]
    kernel = choose_kernel(z[fold.train].astype(np.float64), targets[fold.train], data.seed)
    for row in fold.calibrate[:4]:
        mean, variance = leave_out(z.astype(np.float64), targets, kernel)
        expected = (mean[row, 1 - y[row]] - mean[row, y[row]]) / np.sqrt(variance[row])
        np.testing.assert_allclose(member.calibration[row], expected, rtol=1e-9)


def test_it_leaves_large_and_image_tasks_to_networks() -> None:
    spec = classes_of(*(part[:40] for part in cancer())).spec
    assert GP.applies(spec, 999)
    assert not GP.applies(spec, 1000)
