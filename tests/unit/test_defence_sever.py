from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from guard.spec import ClassLabel, InputSpec
from tests.unit.defence_tester import CLASSES, COLUMNS, NUMBER, DefenceTester, blobs, digits, plane
from training.datasets import load_digits_images
from training.defences.defence import Evidence, Ranking
from training.defences.sever import SEVER, Gradients, fit_spectrum, top_direction


class TestSeverOnClasses(DefenceTester):
    """Poison of one class only, far beyond the other: what pulls a linear model."""

    defence = SEVER
    least_auroc = 0.99

    @pytest.fixture(scope="class")
    @classmethod
    def planted(cls) -> tuple[Evidence, np.ndarray]:
        (x, y), truth = blobs(400, 1), np.arange(400) < 30
        x[truth], y[truth] = [-2.5, -2.5], 1
        x[truth] += np.random.default_rng(0).normal(0, 0.1, (30, 2))
        return Evidence(x, y, *blobs(60, 2), *blobs(400, 3), CLASSES, 0, 30 / 400), truth

    def test_drops_the_same_share_of_both_classes_in_two_rounds(self, evidence: Evidence, ranking: Ranking) -> None:
        count = np.bincount(evidence.y)
        share = 400 / count.min() * (30 / 400) / 2
        for label in (0, 1):
            first = round(share * count[label])
            expected = first + round(share * (count[label] - first))
            assert ranking.flagged[evidence.y == label].sum() == expected


class TestSeverOnImages(DefenceTester):
    defence = SEVER
    least_auroc = 0.9

    @pytest.fixture(scope="class")
    @classmethod
    def planted(cls) -> tuple[Evidence, np.ndarray]:
        return digits(load_digits_images(), 50, seed=0)


class TestSeverOnNumbers(DefenceTester):
    defence = SEVER
    least_auroc = 0.97

    @pytest.fixture(scope="class")
    @classmethod
    def planted(cls) -> tuple[Evidence, np.ndarray]:
        (x, y), truth = plane(300, 1), np.arange(300) < 30
        x[truth], y[truth] = [1, -1], -6
        x[truth] += np.random.default_rng(0).normal(0, 0.05, (30, 2))
        return Evidence(x, y, *plane(30, 2), *plane(400, 3), NUMBER, 0, 0.1), truth

    def test_drops_half_of_the_share_in_each_of_eight_rounds(self, ranking: Ranking) -> None:
        left = 300
        for _ in range(8):
            left -= round(0.05 * left)
        assert ranking.flagged.sum() == 300 - left

    def test_the_scale_of_the_labels_does_not_matter(self, evidence: Evidence, ranking: Ranking) -> None:
        bigger = replace(
            evidence, y=evidence.y * 100, trusted_y=evidence.trusted_y * 100, clean_y=evidence.clean_y * 100
        )
        assert np.allclose(SEVER.run(bigger).suspicion, ranking.suspicion)


@settings(deadline=None)
@given(st.integers(0, 999), st.integers(3, 30), st.integers(1, 8))
def test_the_direction_is_that_of_a_singular_value_decomposition(seed: int, n: int, p: int) -> None:
    matrix = np.random.default_rng(seed).normal(size=(n, p))
    centred = matrix - matrix.mean(axis=0)
    found, (_, values, vectors) = top_direction(centred), np.linalg.svd(centred, full_matrices=False)
    assert np.isclose(np.linalg.norm(found), 1)
    assert np.isclose(np.linalg.norm(centred @ found), values[0])
    if len(values) > 1 and values[1] < 0.99 * values[0]:
        assert np.isclose(abs(found @ vectors[0]), 1)


@settings(deadline=None)
@given(st.integers(0, 999))
def test_outlyingness_is_the_squared_projection_over_its_mean(seed: int) -> None:
    rng = np.random.default_rng(seed)
    gradients = Gradients(rng.normal(size=(20, 3)), rng.normal(size=(20, 4)))
    written = np.stack([np.outer(r, x).ravel() for r, x in zip(gradients.residual, gradients.inputs, strict=True)])
    some = np.arange(20) < 15
    centred = written - written[some].mean(axis=0)
    vector = np.linalg.svd(centred[some])[2][0]
    tau = (centred @ vector) ** 2
    assert np.allclose(gradients.of(np.ones(20, bool)), written)
    found = fit_spectrum(gradients, some).outlyingness(gradients)
    assert np.allclose(found, tau / tau[some].mean())
    bigger = Gradients(gradients.residual * 7, gradients.inputs)
    assert np.allclose(fit_spectrum(bigger, some).outlyingness(bigger), found)


def test_a_planted_direction_is_farthest_out() -> None:
    rng = np.random.default_rng(0)
    residual, inputs = rng.normal(size=(200, 1)), rng.normal(size=(200, 5))
    residual[:10], inputs[:10] = 5, [0, 0, 4, 0, 0]
    gradients = Gradients(residual, inputs)
    found = fit_spectrum(gradients, np.ones(200, bool)).outlyingness(gradients)
    assert set(np.argsort(found)[-10:]) == set(range(10))


def test_gradients_of_cross_entropy_are_those_of_autograd() -> None:
    """∇ of one row's loss by the weights and biases of a linear layer: (softmax - onehot) ⊗ (x, 1)."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    y = torch.tensor([0, 2, 1, 1])
    layer = nn.Linear(3, 3).double()
    residual = torch.softmax(layer(x), 1) - nn.functional.one_hot(y, 3)
    ours = Gradients(residual.detach().numpy(), np.column_stack([x.numpy(), np.ones(4)])).of(np.ones(4, bool))
    for row in range(4):
        loss = nn.functional.cross_entropy(layer(x[row : row + 1]), y[row : row + 1])
        weight, bias = torch.autograd.grad(loss, (layer.weight, layer.bias))
        assert np.allclose(ours[row].reshape(3, 4), np.column_stack([weight.numpy(), bias.numpy()]))


def test_a_class_that_the_judged_rows_lack_has_a_finite_suspicion() -> None:
    spec = InputSpec(input=COLUMNS, label=ClassLabel(values=(0, 1, 2)))
    (x, y), clean = blobs(100, 1), blobs(30, 2)
    found = SEVER.run(Evidence(x, y, x, y, clean[0], np.full(30, 2), spec, 0))
    assert np.isfinite(found.clean_suspicion).all()
