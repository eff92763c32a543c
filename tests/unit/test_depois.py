from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from training.depois import augmenter_settings, fit_published, mimic_settings, synthetic_rows
from training.presets import PRESETS
from training.rows import Rows

TINY = replace(PRESETS["paper"], augment=2, mimic=2)


def rows_of(classes: int, count: int = 20) -> Rows:
    z = torch.randn(count, 3, generator=torch.Generator().manual_seed(0))
    return Rows(z, torch.arange(count) % classes if classes else z[:, 0], classes)


@pytest.mark.parametrize("classes", [2, 0])
def test_the_published_pipeline_augments_trains_and_sets_the_boundary_on_the_augmented_rows(classes: int) -> None:
    rows = rows_of(classes)
    fitted = fit_published(rows, torch.Generator().manual_seed(1), preset=TINY)
    assert len(fitted.augmented) == 5 * len(rows)
    assert torch.equal(fitted.augmented.z[: len(rows)], rows.z)
    with torch.no_grad():
        values = fitted.critic(fitted.augmented.z, fitted.augmented.y).numpy()
    assert fitted.boundary.threshold == pytest.approx(values.mean() - 1.96 * values.std(), abs=1e-5)
    assert np.array_equal(fitted.poisoned(fitted.augmented), values < fitted.boundary.threshold)
    assert {"augmenter generator", "mimic wasserstein"} <= set(fitted.curves)


def test_the_number_of_synthetic_rows_can_be_set() -> None:
    fitted = fit_published(rows_of(2), torch.Generator().manual_seed(1), preset=TINY, synthetic=7)
    assert len(fitted.augmented) == 27


def test_the_published_settings_spend_the_printed_budget_whole() -> None:
    augment, mimic = augmenter_settings(PRESETS["paper"], folds=5), mimic_settings(PRESETS["paper"], 2, folds=5)
    assert (augment.steps, augment.tolerance, augment.batch) == (2000, 0.0, 128)
    assert (mimic.steps, mimic.critic_steps, mimic.batch, mimic.rate, mimic.penalty) == (2000, 5, 32, 5e-5, 10.0)


def test_other_presets_share_their_budget_among_the_folds() -> None:
    preset = PRESETS["standard"]
    assert augmenter_settings(preset, folds=5).steps == preset.augment // 5
    assert mimic_settings(preset, 2, folds=5).steps == preset.mimic // 5
    assert mimic_settings(preset, 2).steps == preset.mimic


def test_classes_are_multiplied_in_and_numbers_concatenated_unless_asked_otherwise() -> None:
    assert mimic_settings(TINY, 3).label_input == "multiply"
    assert mimic_settings(TINY, 0).label_input == "concat"
    ours, asked = (
        fit_published(rows_of(2), torch.Generator().manual_seed(1), preset=TINY, label_input=kind)
        for kind in (None, "concat")
    )
    assert (ours.critic.multiply, asked.critic.multiply) == (True, False)


def test_synthetic_rows_follow_the_trusted_ones_up_to_a_limit() -> None:
    assert synthetic_rows(PRESETS["standard"], rows_of(2)) == 80
    assert synthetic_rows(replace(TINY, synthetic=0.5), rows_of(2)) == 10
    assert synthetic_rows(replace(TINY, synthetic=1e6), rows_of(2)) == 50_000
