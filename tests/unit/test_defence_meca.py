from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import rel_entr
from torch import Tensor, nn

from guard.errors import TrainingFailed, WrongUse
from training.defences.meca.confirmation import HELD_OUT, Confirmation, confirmed
from training.defences.meca.consistency import (
    EPSILON,
    PATCH,
    adversarial_step,
    divergence,
    patch_mask,
    sensitivity,
)
from training.defences.meca.enhancement import Half, Unlearning, claimed_probability, enhance, partition
from training.defences.meca.train import relabel_and_relearn, train_meca
from training.defences.robust_training import Curriculum, Schedule, logits_in_pieces, train_plain
from training.rows import Rows


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(n: int, size: int = 4) -> Tensor:
    return torch.rand(n, 1, size, size, generator=generator(1), dtype=torch.float64)


def linear(seed: int = 0) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).double()


def tiny(shape: torch.Size, classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(shape[0] * shape[1] * shape[2], classes))


def test_the_divergence_is_scipys() -> None:
    before, after = torch.log_softmax(torch.randn(2, 9, 4, generator=generator(), dtype=torch.float64), 2)
    expected = rel_entr(before.exp().numpy(), after.exp().numpy()).sum(1)
    assert divergence(before, after).numpy() == pytest.approx(expected)


def test_half_of_all_patches_whole_and_alike_in_all_channels() -> None:
    mask = patch_mask(torch.zeros(400, 3, 7, 6), generator())
    assert mask.shape == (400, 3, 7, 6)
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(mask[:, 0], mask[:, 2])
    for patch in (mask[:, 0, :PATCH, :PATCH], mask[:, 0, 4:6, 2:4]):
        assert torch.equal(patch.flatten(1).amin(1), patch.flatten(1).amax(1))
    assert mask.mean().item() == pytest.approx(0.5, abs=0.03)


def test_the_step_of_a_linear_network_by_hand() -> None:
    """∇_δ KL(p ‖ q(δ)) = mᵀ Wᵀ (q - p): its sign decides, and pixels outside of the mask stay."""
    network, z = linear(), images(5)
    before = torch.log_softmax(network(z), 1).detach()
    mask, start = patch_mask(z, generator()), 0.1 * torch.ones_like(z)
    moved = adversarial_step(network, z, before, mask, start)
    q = torch.softmax(network((z + mask * start).clamp(0, 1)), 1).detach()
    weight = network[1].weight.detach()
    expected = z + mask * EPSILON * torch.sign((q - before.exp()) @ weight).view_as(z)
    inside = ((z + mask * start) < 1) & (mask == 1)  # at the bound, clipping stops the gradient
    torch.testing.assert_close(moved[inside], expected.clamp(0, 1)[inside])
    assert torch.equal(moved[mask == 0], z[mask == 0])
    assert (moved - z).abs().max() <= EPSILON + 1e-12


def test_the_step_moves_readings_further_than_noise_of_the_same_size() -> None:
    network, z = linear(), images(200)
    before = torch.log_softmax(network(z), 1).detach()
    mask = torch.ones_like(z)
    start = EPSILON * (2 * torch.rand(z.shape, generator=generator(2), dtype=torch.float64) - 1)
    moved = adversarial_step(network, z, before, mask, start)
    noisy = (z + EPSILON * start.sign()).clamp(0, 1)
    found, other = (divergence(before, torch.log_softmax(network(x), 1)).detach() for x in (moved, noisy))
    assert (found > other).double().mean() > 0.9
    assert torch.equal(sensitivity(network, z, generator(3)), sensitivity(network, z, generator(3)))


def test_partition_takes_the_rows_with_the_largest_score_rounded_up() -> None:
    assert partition(torch.tensor([0.3, 0.9, 0.1, 0.7]), 0.3).tolist() == [1, 3]
    assert len(partition(torch.arange(101.0), 0.01)) == 2


def test_the_claimed_probability_is_softmax_at_the_label() -> None:
    rows = Rows(images(6), torch.tensor([0, 1, 2, 0, 1, 2]), 3)
    expected = np.exp(linear()(rows.z).detach().numpy())
    expected = (expected / expected.sum(1, keepdims=True))[np.arange(6), rows.y.numpy()]
    assert claimed_probability(linear(), rows).numpy() == pytest.approx(expected)


def test_unlearning_teaches_every_wrong_label_and_never_the_right_one() -> None:
    rows = Rows(images(600).float(), torch.arange(600) % 3, 3)
    clean, curriculum = torch.arange(500), Curriculum.of(rows)
    unlearning = Unlearning(clean, rows.y, 3, generator())
    shifts = set()
    for epoch in range(2):
        unlearning(epoch, linear(), curriculum)
        shifts |= set(((curriculum.y - rows.y) % 3)[clean].tolist())
        assert torch.equal(curriculum.y[500:], rows.y[500:])
    assert shifts == {1, 2}
    assert float(curriculum.weight[clean].sum()) == pytest.approx(float(curriculum.weight[500:].sum()))


def test_enhancement_changes_neither_rows_nor_labels_and_is_repeatable() -> None:
    rows = Rows(images(40).float(), torch.arange(40) % 3, 3)
    labels, second, scores = rows.y.clone(), torch.arange(40) % 2 == 1, []
    for _ in range(2):
        halves = []
        for chosen in (~second, second):
            own = rows.select(torch.nonzero(chosen).squeeze(1))
            network = train_plain(own, Schedule(1, ()), 0, build=lambda *_: linear().float())[0]
            halves.append(Half(own, torch.nonzero(chosen).squeeze(1), network))
        scores.append(enhance((halves[0], halves[1]), 0))
    assert torch.equal(rows.y, labels)
    assert torch.equal(*scores)


def test_a_class_whose_suspected_rows_read_like_others_is_let_go() -> None:
    """Class 0: 2 of 20 read against 15 of 20 held out; class 1: 9 of 20; class 2: 1 of 3, where chance explains it."""
    y = torch.tensor([0] * 40 + [1] * 40 + [2] * 23)
    suspected = torch.tensor(([True] * 20 + [False] * 20) * 2 + [True] * 3 + [False] * 20)
    right = torch.zeros(103, dtype=torch.bool)
    for start, count in ((0, 2), (20, 15), (40, 9), (60, 15), (80, 1), (83, 20)):
        right[start : start + count] = True
    found = confirmed(suspected, ~suspected, right, y)
    assert torch.nonzero(found).squeeze(1).tolist() == list(range(20))


def test_a_class_of_which_hardly_anything_else_is_left_is_let_go() -> None:
    y, suspected = torch.zeros(54, dtype=torch.int64), torch.arange(54) < 50
    assert not confirmed(suspected, ~suspected, ~suspected, y).any()
    more = torch.cat([suspected, torch.tensor([False])])
    assert torch.equal(confirmed(more, ~more, ~more, torch.zeros(55, dtype=torch.int64)), more)


def test_until_the_verdict_the_network_sees_neither_suspected_rows_nor_those_that_wait() -> None:
    rows = Rows(images(400).float(), torch.arange(400) % 2, 2)
    doubt = Confirmation.of(rows, torch.arange(400) < 100, at=2, seed=0)
    assert float(doubt.held_out[100:].float().mean()) == pytest.approx(HELD_OUT, abs=0.06)
    assert not doubt.held_out[:100].any()
    curriculum = Curriculum.of(rows)
    for epoch in range(2):
        doubt(epoch, tiny(rows.z.shape[1:], 2), curriculum)
        assert curriculum.taught.tolist() == torch.nonzero(~doubt.held_out)[100:].squeeze(1).tolist()
    doubt(2, tiny(rows.z.shape[1:], 2), curriculum)
    assert torch.equal(curriculum.weight > 0, ~doubt.suspected)


def by_brightness(n: int) -> tuple[Rows, Tensor, Tensor]:
    """Two classes by brightness; a white corner says 1 for a tenth of the rows, all dark. Which; the truth."""
    y = torch.arange(n) % 2
    z = 0.2 * images(n).float() + 0.5 * y[:, None, None, None]
    dark = torch.nonzero(y == 0).squeeze(1)[: n // 10]
    z[dark, :, :1, :1], told = 1.0, y.clone()
    told[dark] = 1
    return Rows(z, told, 2), dark, y


def test_with_an_oracle_poison_is_confirmed_and_gets_its_true_label() -> None:
    rows, dark, truth = by_brightness(240)
    poison = torch.zeros(240, dtype=torch.bool)
    poison[dark] = True
    doubt = Confirmation.of(rows, poison, 6, seed=0)
    network, _ = train_plain(rows, Schedule(30, (25,), batch=32, rate=0.02), 0, build=tiny, hook=doubt)
    assert torch.equal(doubt.suspected, poison)
    assert (logits_in_pieces(network, rows.z[dark]).argmax(1) == 0).all()
    labels = relabel_and_relearn(network, rows, poison, 0)
    assert torch.equal(labels, truth)
    assert (logits_in_pieces(network, rows.z).argmax(1) == truth).double().mean() > 0.95


def test_with_an_oracle_that_errs_clean_rows_are_let_go() -> None:
    rows, dark, truth = by_brightness(240)
    clean = Rows(rows.z, truth, 2).select(torch.nonzero(~torch.isin(torch.arange(240), dark)).squeeze(1))
    doubt = Confirmation.of(clean, torch.arange(len(clean)) < 50, 6, seed=0)
    train_plain(clean, Schedule(30, (25,), batch=32, rate=0.02), 0, build=tiny, hook=doubt)
    assert not doubt.suspected.any()


def test_tables_are_refused_and_so_are_rows_that_are_all_suspected() -> None:
    second = torch.tensor([False, True] * 2)
    with pytest.raises(WrongUse, match="tables have none"):
        train_meca(Rows(torch.zeros(4, 3), torch.tensor([0, 1, 0, 1]), 2), second, Schedule(), 0)
    rows = Rows(images(4).float(), torch.tensor([0, 1, 0, 1]), 2)
    doubt = Confirmation.of(rows, torch.ones(4, dtype=torch.bool), 1, seed=0)
    with pytest.raises(TrainingFailed, match="all are suspected"):
        train_plain(rows, Schedule(), 0, build=tiny, hook=doubt)
