from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 – PyTorch's own name for it
from numpy.typing import NDArray
from scipy.fft import dctn
from sklearn.metrics import roc_auc_score

from tests.support.photographs import photographs
from tests.support.trusted import classes_of, digits
from training.jitter import jitter
from training.jpeg import Coding, through_jpeg
from training.members.block_spectra import BlockNetwork, block_spectra
from training.members.corruption import CORRUPTIONS, Arrival, corrupt, degrade
from training.members.integrity import INTEGRITY, TamperNetwork
from training.members.out_of_fold import score_rows


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def large_digits(rows: slice) -> tuple[np.ndarray, np.ndarray]:
    z, y = digits()
    large = F.interpolate(torch.from_numpy(z[rows]), size=(16, 16), mode="bilinear", align_corners=False)
    return ((large * 255).round() / 255).numpy(), y[rows]


def test_corrupted_images_are_legal_images_and_changed() -> None:
    z = torch.from_numpy(large_digits(slice(0, 200))[0])
    changed = corrupt(z, generator())
    assert float(changed.min()) >= 0
    assert float(changed.max()) <= 1
    torch.testing.assert_close(changed * 255, (changed * 255).round(), rtol=0, atol=1e-4)
    assert float(((changed - z).abs().amax((1, 2, 3)) > 0).float().mean()) > 0.95


@pytest.mark.parametrize("kind", list(CORRUPTIONS))
def test_a_corruption_has_the_shape_of_the_images_and_is_seeded(kind: str) -> None:
    z = torch.from_numpy(large_digits(slice(0, 30))[0])
    first, second = (CORRUPTIONS[kind](z, generator()) for _ in range(2))
    assert first.shape == z.shape
    assert float(first.abs().max()) > 0.3
    torch.testing.assert_close(first, second, rtol=0, atol=0)


@pytest.mark.parametrize("kind", list(CORRUPTIONS))
def test_an_image_of_one_pixel_is_corrupted_by_a_number(kind: str) -> None:
    assert bool(CORRUPTIONS[kind](torch.full((2, 1, 1, 1), 0.5), generator()).isfinite().all())


def test_noise_on_strokes_spares_the_background() -> None:
    z = torch.from_numpy(large_digits(slice(0, 30))[0])
    assert float(CORRUPTIONS["noise on strokes"](z, generator())[z == 0].abs().max()) == 0


def test_honest_degradation_leaves_half_of_the_images_alone() -> None:
    z = torch.from_numpy(large_digits(slice(0, 400))[0])
    same = (degrade(z, generator()) == z).all(1).all(1).all(1).float().mean()
    assert 0.4 < float(same) < 0.6


def test_jitter_moves_little_and_keeps_the_range() -> None:
    z = torch.from_numpy(large_digits(slice(0, 50))[0])
    moved = jitter(z, generator())
    assert float(moved.min()) >= 0
    assert float(moved.max()) <= 1
    assert not torch.equal(moved, z)
    rows = torch.arange(16.0)

    def centre(images: torch.Tensor) -> torch.Tensor:
        return (images.sum((1, 3)) * rows).sum(1) / images.sum((1, 2, 3))

    assert float((centre(moved) - centre(z)).abs().max()) < 16 * 0.12


def test_it_sees_a_corruption_that_it_was_never_shown() -> None:
    z, y = large_digits(slice(0, 300))
    data = classes_of(z, y, folds=1)
    member = INTEGRITY.fit(replace(data, preset=replace(data.preset, network=250)))
    clean, labels = large_digits(slice(600, 800))
    wave = np.sin(2 * np.pi * 3 * np.arange(16) / 16).astype(np.float32)
    waved = (np.clip(clean + 0.15 * wave, 0, 1) * 255).round() / 255
    scores = [score_rows(member.scorer, torch.as_tensor(x), torch.as_tensor(labels)) for x in (clean, waved)]
    assert roc_auc_score(np.repeat([0, 1], 200), np.concatenate(scores)) > 0.9


def files(n: int, seed: int) -> NDArray[np.uint8]:
    return through_jpeg(photographs(n, seed=seed, grain=4))


def as_members_see(x: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(x).permute(0, 3, 1, 2).to(torch.float32) / 255


@pytest.mark.parametrize("channels", [1, 3])
def test_spectra_are_those_of_scipy(channels: int) -> None:
    z = torch.rand((2, channels, 17, 24), generator=generator())
    network = BlockNetwork(channels, (17, 24))
    found = block_spectra(z, network.kernel, network.colours).numpy().reshape(2, channels, 8, 8, 2, 3)
    light = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
    levels = 255 * z.numpy() - 128
    planes = levels if channels == 1 else np.einsum("pc,nchw->nphw", light, levels)
    blocks = planes[:, :, :16].reshape(2, channels, 2, 8, 3, 8)
    expected = dctn(blocks, axes=(3, 5), norm="ortho").transpose(0, 1, 3, 5, 2, 4)
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_what_is_made_of_coded_images_is_coded_as_they_are() -> None:
    z = as_members_see(files(40, 0))
    arrival = Arrival.of(z)
    assert arrival.coding == Coding()
    for made in (arrival.corrupted(z, generator()), arrival.degraded(z, generator())):
        assert Arrival.of(made) == arrival
        assert (made.shape, made.dtype) == (z.shape, z.dtype)
    plain = Arrival.of(torch.from_numpy(large_digits(slice(0, 64))[0]))
    assert plain == Arrival(None)


def test_it_sees_a_change_behind_the_codec_and_no_second_coding() -> None:
    """A sine of two pixels' period, which was never shown, 20 levels high."""
    x = files(600, 1)
    z, y = as_members_see(x[:300]).numpy(), np.arange(300) % 10
    data = classes_of(z, y, folds=1)
    member = INTEGRITY.fit(replace(data, preset=replace(data.preset, network=150)))
    assert isinstance(member.scorer, BlockNetwork)
    wave = 20 * np.cos(np.pi * np.arange(32))[:, None, None] * np.cos(np.pi * np.arange(32) / 2)[:, None]
    clean = x[300:]
    waved = through_jpeg(np.clip(clean + wave, 0, 255).astype(np.uint8))
    labels = torch.zeros(300, dtype=torch.int64)
    images = clean, waved, through_jpeg(clean), through_jpeg(clean, Coding(90))
    honest, tampered, *again = (score_rows(member.scorer, as_members_see(each), labels) for each in images)
    truth = np.repeat([0, 1], 300)
    assert roc_auc_score(truth, np.concatenate([honest, tampered])) > 0.95
    for coded in again:
        assert roc_auc_score(truth, np.concatenate([honest, coded])) < 0.6
    noise = np.random.default_rng(0).normal(0, 4, clean.shape)
    noisy = as_members_see(np.clip(clean + noise, 0, 255).astype(np.uint8))
    uncoded = score_rows(member.scorer, noisy, labels)
    assert roc_auc_score(truth, np.concatenate([honest, uncoded])) > 0.8, "documented: honest, but never coded since"


def test_images_that_were_never_coded_are_looked_at_as_they_are() -> None:
    z, y = large_digits(slice(0, 200))
    data = classes_of(z, y, folds=1)
    assert isinstance(INTEGRITY.fit(replace(data, preset=replace(data.preset, network=5))).scorer, TamperNetwork)
