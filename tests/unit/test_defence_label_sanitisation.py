from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from guard.spec import ClassLabel, InputSpec
from tests.unit.defence_tester import CLASSES, COLUMNS, DefenceTester, digits, moons
from training.datasets import load_digits_images
from training.defences.defence import Evidence
from training.defences.features import flat_inputs
from training.defences.label_sanitisation import LABEL_SANITISATION, choose_bank, sanitise_labels


class TestLabelSanitisation(DefenceTester):
    defence = LABEL_SANITISATION
    least_auroc = 0.97

    @pytest.fixture(scope="class")
    @classmethod
    def planted(cls) -> tuple[Evidence, np.ndarray]:
        (x, y), truth = moons(400, 1), np.arange(400) < 40
        return Evidence(x, np.where(truth, 1 - y, y), *moons(60, 2), *moons(400, 3), CLASSES, 0), truth


class TestLabelSanitisationOnImages(DefenceTester):
    defence = LABEL_SANITISATION
    least_auroc = 0.97

    @pytest.fixture(scope="class")
    @classmethod
    def planted(cls) -> tuple[Evidence, np.ndarray]:
        return digits(load_digits_images(), 50, seed=0)


def test_relabels_as_a_count_by_hand() -> None:
    """Labels drawn from six: a plurality that is no half of the neighbours relabels nobody."""
    rng = np.random.default_rng(3)
    (x, y), (tx, ty) = ((rng.normal(size=(n, 2)), rng.integers(0, 6, n)) for n in (200, 300))
    spec = InputSpec(input=COLUMNS, label=ClassLabel(values=tuple(range(6))))
    evidence = Evidence(x, y, tx, ty, tx, ty, spec, 0)
    inputs, ranking = flat_inputs(evidence), sanitise_labels(evidence)
    k = choose_bank(inputs.rows, y, inputs.trusted, ty, 6).k
    distance = cdist(inputs.rows, inputs.rows)
    np.fill_diagonal(distance, np.inf)
    share = np.stack([np.bincount(y[row], minlength=6) for row in np.argsort(distance, axis=1)[:, :k]]) / k
    own, most = share[np.arange(200), y], share.max(axis=1)
    share[np.arange(200), y] = 0
    others = share.max(axis=1)
    assert ((others <= ranking.suspicion) & (ranking.suspicion <= others + 1 / k)).all()
    untied = others != own
    assert np.array_equal(ranking.flagged[untied], ((others > own) & (others >= 0.5))[untied])
    assert ((others > own) & (most < 0.5)).sum() > 20


def test_the_number_of_neighbours_is_the_one_that_trusted_rows_agree_with() -> None:
    """Two rows in every eight on a line are mislabelled, side by side: three neighbours are misled, more are not."""
    z = np.arange(200.0)[:, np.newaxis]
    y = (np.arange(200) >= 100) ^ (np.arange(200) % 8 < 2)
    trusted = np.arange(0, 200, 8.0)[:, np.newaxis] + 0.4
    bank = choose_bank(z, y.astype(np.int64), trusted, (trusted[:, 0] >= 100).astype(np.int64), 2)
    assert bank.k > 3
