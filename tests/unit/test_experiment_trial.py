from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import make_moons

from guard.bundle import load_bundle
from guard.spec import ClassLabel, InputSpec, NumberColumn, TableInput
from guard.verdict import Status
from training.datasets import Dataset
from training.experiments.trial import ALPHA, train_trial
from training.job import train_bundle
from training.progress import Silent
from training.snapshot import snapshot_from_arrays


@pytest.fixture(scope="module")
def moons() -> Dataset:
    x, y = make_moons(400, noise=0.1, random_state=0)
    columns = tuple(NumberColumn(name=name, minimum=-2, maximum=3) for name in ("a", "b"))
    spec = InputSpec(input=TableInput(columns=columns), label=ClassLabel(values=(-1, 1)))
    return Dataset("fourclass", x.clip(-2, 3), y.astype(np.int64), spec)


@pytest.mark.slow
def test_a_trial_says_what_its_bundle_says(moons: Dataset, tmp_path: Path) -> None:
    """Clean and flipped rows: the same verdicts, and p-values alike up to one rank of 120 (float32 arithmetic)."""
    trusted = np.arange(120)
    trial = train_trial(moons.x[trusted], moons.y[trusted], moons.spec, "fast", 3, Silent())
    snapshot = snapshot_from_arrays(moons.x[trusted], moons.y[trusted], moons.spec, seed=3)
    train_bundle(snapshot, tmp_path / "bundle", alpha=ALPHA, preset="fast", device="cpu", seed=3)
    bundle = load_bundle(tmp_path / "bundle")
    x, y = np.concatenate([moons.x[120:]] * 2), np.concatenate([moons.y[120:], 1 - moons.y[120:]])
    verdicts, judged = bundle.judge_arrays(x, y), trial.judge(x, y)
    held = np.array([verdict.status is Status.QUARANTINED for verdict in verdicts])
    assert held.any()
    assert not held.all()
    assert np.array_equal(judged.held, held)
    assert np.allclose(judged.p_values, [verdict.p_value for verdict in verdicts], atol=1 / 121 + 1e-9)
    assert trial.fusion.card == bundle.alpha
