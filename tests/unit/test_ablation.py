"""Which columns made a sample suspicious, against samples of which columns were spoilt on purpose."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from guard.ablation import ablate
from guard.bundle import Bundle, load_bundle
from tests.support.bundles import NUMBER, TABLE, draw_samples, make_bundle


@pytest.fixture(scope="module")
def bundle(fruit: Path) -> Bundle:
    return load_bundle(fruit, threads=1)


@pytest.mark.parametrize("spoilt", [[0], [1], [0, 1]])
def test_the_columns_that_were_spoilt_are_blamed_and_no_others(bundle: Bundle, spoilt: list[int]) -> None:
    x, y = draw_samples(TABLE, 20, 60)
    x = np.nan_to_num(x)
    x[:, spoilt] += 40.0
    for row in range(len(x)):
        found = ablate(bundle, x[row : row + 1], y[row : row + 1])
        assert np.flatnonzero(found.blamed).tolist() == spoilt
        assert found.shares[spoilt].sum() > 0.9
        assert found.shares.sum() == pytest.approx(1)


def test_a_weight_is_the_loudness_that_one_trusted_value_takes_away(bundle: Bundle) -> None:
    x, y = draw_samples(TABLE, 1, 61)
    wrong = (y + 1) % 3
    found = ablate(bundle, x, wrong)
    trusted = bundle.reference.y == wrong[0]
    assert (bundle.reference.x == found.baseline).all(axis=1)[trusted].any()
    fusion = bundle.judgement.fusion
    loud = fusion.loudness(bundle.score(x, wrong).scores)[0]
    for column in range(x.shape[1]):
        changed = x.copy()
        changed[0, column] = found.baseline[column]
        less = fusion.loudness(bundle.score(changed, wrong).scores)[0, loud.argmax()]
        assert found.weights[column] == pytest.approx(max(0.0, loud.max() - less), rel=1e-4, abs=1e-4)


def test_the_trusted_sample_itself_has_nothing_to_blame(bundle: Bundle) -> None:
    found = ablate(bundle, bundle.reference.x[:1], bundle.reference.y[:1])
    assert not found.blamed.any()
    assert found.shares.tolist() == [0.0] * 4


def test_a_number_as_label_is_compared_with_the_nearest_of_all(tmp_path: Path) -> None:
    bundle = load_bundle(make_bundle(tmp_path / "bundle", NUMBER), threads=1)
    x, y = draw_samples(NUMBER, 1, 62)
    x = np.nan_to_num(x)
    x[0, 1] = 90.0
    assert ablate(bundle, x, y).weights.argmax() == 1


def test_what_the_graph_cannot_score_has_nothing_to_blame(tmp_path: Path) -> None:
    bundle = load_bundle(make_bundle(tmp_path / "bundle", brittle=True), threads=1)
    x, y = draw_samples(TABLE, 1, 31)
    x[0, 1] = 90.0
    x[0, 0] = 99.0
    assert ablate(bundle, x, y).blamed.any()
