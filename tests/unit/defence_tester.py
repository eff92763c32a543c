"""What every baseline defence must keep, tested once: a class to inherit from, with defence and rows filled in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import make_moons
from sklearn.metrics import roc_auc_score

from guard.errors import WrongUse
from guard.spec import ClassLabel, InputSpec, NumberColumn, NumberLabel, TableInput
from training.attacks.attack import Inputs, Labels
from training.datasets import Dataset
from training.defences.defence import Defence, Evidence, Ranking
from training.experiments.metrics import recall_at

COLUMNS = TableInput(columns=tuple(NumberColumn(name=name, minimum=-3, maximum=3) for name in ("a", "b")))
CLASSES = InputSpec(input=COLUMNS, label=ClassLabel(values=("lower", "upper")))
NUMBER = InputSpec(input=COLUMNS, label=NumberLabel(minimum=-9, maximum=9))


def moons(n: int, seed: int) -> tuple[Inputs, Labels]:
    """Two classes, hardly overlapping."""
    x, y = make_moons(n, noise=0.15, random_state=seed)
    return x, y.astype(np.int64)


def blobs(n: int, seed: int) -> tuple[Inputs, Labels]:
    """Two classes that a straight line separates."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    return rng.normal(0, 0.5, (n, 2)) + np.where(y, 1, -1)[:, np.newaxis], y


def plane(n: int, seed: int) -> tuple[Inputs, Labels]:
    """y = 2a - b + 1 with noise of standard deviation 0.2."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (n, 2))
    return x, x @ [2, -1] + 1 + rng.normal(0, 0.2, n)


def digits(dataset: Dataset, poison: int, seed: int) -> tuple[Evidence, np.ndarray]:
    """250 trusted images, 500 to be judged of which the first `poison` have another label, and the rest."""
    order = np.random.default_rng(seed).permutation(len(dataset.y))
    trusted, judged, clean = order[:250], order[250:750], order[750:]
    y = dataset.y[judged].copy()
    y[:poison] = (y[:poison] + 1 + np.arange(poison) % 9) % 10
    parts = (dataset.x[judged], y, dataset.x[trusted], dataset.y[trusted], dataset.x[clean], dataset.y[clean])
    return Evidence(*parts, dataset.spec, seed, poison / 500), np.arange(500) < poison


class DefenceTester:
    """Inherit, set `defence` and `least_auroc`, and give the class-wide fixture `planted`.

    `planted`: the evidence, and which rows of So are poison, bool (n,): gross poison, with which none may struggle.
    """

    defence: Defence
    least_auroc: float
    rate = 0.05

    @pytest.fixture(scope="class")
    @classmethod
    def evidence(cls, planted: tuple[Evidence, np.ndarray]) -> Evidence:
        return planted[0]

    @pytest.fixture(scope="class")
    @classmethod
    def ranking(cls, evidence: Evidence) -> Ranking:
        return cls.defence.run(evidence)

    def test_applies_to_its_own_rows(self, evidence: Evidence) -> None:
        assert self.defence.applies(evidence.spec)

    def test_same_seed_same_bytes_and_the_evidence_stays_untouched(self, evidence: Evidence, ranking: Ranking) -> None:
        names = ("x", "y", "trusted_x", "trusted_y", "clean_x", "clean_y")
        before = {name: getattr(evidence, name).copy() for name in names}
        again = self.defence.run(evidence)
        for field in ("suspicion", "clean_suspicion", "flagged"):
            assert getattr(ranking, field).tobytes() == getattr(again, field).tobytes()
        for name in names:
            assert np.array_equal(before[name], getattr(evidence, name))

    def test_shapes_and_types(self, evidence: Evidence, ranking: Ranking) -> None:
        assert ranking.suspicion.shape == ranking.flagged.shape == evidence.y.shape
        assert ranking.clean_suspicion.shape == evidence.clean_y.shape
        assert ranking.suspicion.dtype == ranking.clean_suspicion.dtype == np.float64
        assert ranking.flagged.dtype == np.bool_
        assert np.isfinite(ranking.suspicion).all()
        assert np.isfinite(ranking.clean_suspicion).all()

    def test_rows_in_another_order_get_the_same_suspicion(self, evidence: Evidence, ranking: Ranking) -> None:
        order = np.random.default_rng(0).permutation(len(evidence.y))
        again = self.defence.run(replace(evidence, x=evidence.x[order], y=evidence.y[order]))
        assert np.allclose(again.suspicion, ranking.suspicion[order], rtol=1e-5, atol=1e-7)
        assert np.allclose(again.clean_suspicion, ranking.clean_suspicion, rtol=1e-5, atol=1e-7)
        assert np.array_equal(again.flagged, ranking.flagged[order])

    def test_clean_rows_are_only_scored(self, evidence: Evidence, ranking: Ranking) -> None:
        """Half of them, the last first: nothing else changes."""
        some = np.arange(len(evidence.clean_y))[: len(evidence.clean_y) // 2][::-1]
        again = self.defence.run(replace(evidence, clean_x=evidence.clean_x[some], clean_y=evidence.clean_y[some]))
        assert np.array_equal(again.suspicion, ranking.suspicion)
        assert np.array_equal(again.flagged, ranking.flagged)
        assert np.allclose(again.clean_suspicion, ranking.clean_suspicion[some], rtol=1e-5, atol=1e-7)

    def test_gross_poison_ranks_above_clean_rows(self, planted: tuple[Evidence, np.ndarray], ranking: Ranking) -> None:
        truth = planted[1]
        assert roc_auc_score(truth, ranking.suspicion) >= self.least_auroc
        poison = ranking.suspicion[truth]
        fresh = np.concatenate([poison, ranking.clean_suspicion])
        assert roc_auc_score(np.arange(len(fresh)) < len(poison), fresh) >= self.least_auroc

    def test_flags_more_of_the_poison_than_of_the_clean_rows(
        self, planted: tuple[Evidence, np.ndarray], ranking: Ranking
    ) -> None:
        truth = planted[1]
        assert ranking.flagged[truth].mean() > ranking.flagged[~truth].mean() + 0.3

    def test_a_threshold_from_half_of_the_clean_rows_holds_for_the_other_half(self, ranking: Ranking) -> None:
        """Within four standard errors of both halves together; ties may make it hold less, never more."""
        first, second = ranking.clean_suspicion[::2], ranking.clean_suspicion[1::2]
        error = np.sqrt(self.rate * (1 - self.rate) * (1 / len(first) + 1 / len(second)))
        assert recall_at(self.rate, first, second) <= self.rate + 4 * error

    def test_other_tasks_are_refused(self, evidence: Evidence) -> None:
        for label in (NumberLabel(minimum=0, maximum=1), ClassLabel(values=(0, 1))):
            spec = InputSpec(input=evidence.spec.input, label=label)
            if not self.defence.applies(spec):
                with pytest.raises(WrongUse, match="this method is made for"):
                    self.defence.run(replace(evidence, spec=spec))
