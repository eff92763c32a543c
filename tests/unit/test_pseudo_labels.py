from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.support.trusted import cancer, classes_of, diabetes, digits, numbers_of
from training.members.lgm import LGM
from training.members.member import PseudoLabelled, StreamGain, TrustedData
from training.members.nll import NLL
from training.presets import Preset
from training.pseudo_labels import capped, label_stream
from training.rows import Rows

PRESET = Preset("fast", augment=5, mimic=5, network=250, adversarial=40, folds=2, batch=64)


def beside(trusted: int, stream: int) -> tuple[TrustedData, np.ndarray]:
    """Digits, one fold that holds a fifth of the trusted rows out; and the labels that nobody is told."""
    z, y = digits()
    data = classes_of(z[:trusted], y[:trusted], folds=1)
    unlabelled = torch.as_tensor(z[trusted : trusted + stream])
    return replace(data, preset=PRESET, unlabelled=unlabelled), y[trusted : trusted + stream]


def test_the_sure_rows_get_the_right_labels_and_what_that_is_worth_is_told() -> None:
    data, truth = beside(200, 600)
    pseudo = label_stream(data)
    assert pseudo is not None
    (rows,) = pseudo.rows
    place = {row.numpy().tobytes(): label for row, label in zip(data.unlabelled, truth, strict=True)}
    right = [place[z.numpy().tobytes()] == label for z, label in zip(rows.z, rows.y.tolist(), strict=True)]
    assert len(rows) > 150
    assert np.mean(right) > 0.95
    assert pseudo.gain.rows == len(rows)
    assert pseudo.gain.kept
    again = label_stream(data)
    assert again is not None
    assert torch.equal(again.rows[0].y, rows.y)
    assert again.gain == pseudo.gain


def test_the_labels_of_calibration_rows_teach_nobody() -> None:
    """Every calibration label is wrong: the rows that are used, and their labels, stay what they were."""
    data, _ = beside(120, 200)
    data = replace(data, preset=replace(PRESET, network=40))
    wrong = data.y.clone()
    held = torch.from_numpy(data.plan.calibration)
    wrong[held] = (wrong[held] + 1) % 10
    first, second = label_stream(data), label_stream(replace(data, y=wrong))
    assert first is not None
    assert second is not None
    assert torch.equal(first.rows[0].z, second.rows[0].z)
    assert torch.equal(first.rows[0].y, second.rows[0].y)


def test_a_class_is_cut_to_twice_its_trusted_share_the_surest_kept() -> None:
    confidence = torch.cat([torch.linspace(0.81, 0.99, 90), torch.full((10,), 0.9), torch.full((30,), 0.5)])
    label = torch.cat([torch.zeros(90), torch.ones(10), torch.ones(30)]).long()
    rows = capped(confidence, label, torch.tensor([0.2, 0.8]))
    assert rows.tolist() == [*range(50, 90), *range(90, 100)]


def test_nothing_is_used_where_nothing_is_sure() -> None:
    assert capped(torch.full((5,), 0.4), torch.zeros(5, dtype=torch.int64), torch.tensor([0.5, 0.5])).tolist() == []
    data, _ = beside(120, 50)
    noise = torch.full_like(data.unlabelled, 0.5) if data.unlabelled is not None else None
    pseudo = label_stream(replace(data, unlabelled=noise, preset=replace(PRESET, network=5)))
    assert pseudo is not None
    assert not pseudo.gain.kept
    assert pseudo.beside(0) is None


def test_only_networks_learn_from_pseudo_labels() -> None:
    z, y = digits()
    assert label_stream(classes_of(z[:100], y[:100])) is None
    rows = torch.zeros(5, 30)
    assert label_stream(replace(classes_of(*(part[:100] for part in cancer())), unlabelled=rows)) is None
    numbers = numbers_of(*(part[:100] for part in diabetes()))
    assert label_stream(replace(numbers, unlabelled=torch.zeros(5, 10))) is None


@pytest.mark.parametrize("member", [NLL, LGM], ids=lambda member: member.name)
def test_members_learn_from_them_where_they_help_and_only_there(member: object) -> None:
    """With true labels as pseudo-labels a member of 60 digits reads new ones better; without gain nothing changes."""
    z, y = digits()
    data = replace(classes_of(z[:75], y[:75], folds=1), preset=PRESET)
    rows = (Rows(torch.as_tensor(z[75:800]), torch.as_tensor(y[75:800]), 10),)
    good = PseudoLabelled(rows, StreamGain(725, "log-loss", without=1.0, beside=0.5))
    useless = replace(good, gain=replace(good.gain, beside=1.5))
    assert member in (NLL, LGM)
    fits = [member.fit(replace(data, pseudo=pseudo)) for pseudo in (None, useless, good)]  # type: ignore[attr-defined]
    plain, refused, helped = fits
    np.testing.assert_array_equal(plain.calibration, refused.calibration)
    assert (plain.stream, refused.stream, helped.stream) == (None, useless.gain, good.gain)
    at, labels = torch.as_tensor(z[800:1200]), torch.as_tensor(y[800:1200])
    with torch.no_grad():
        scores = [fitted.scorer(at, labels).mean() for fitted in (plain, helped)]
    assert scores[1] < scores[0]
