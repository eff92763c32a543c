from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import rel_entr
from torch import Tensor, nn

from guard.errors import TrainingFailed, WrongUse
from training.defences.meca.confirmation import (
    Doubt,
    confirm,
    confirmed,
    read_seldom,
    shared_pattern,
    turns_others,
)
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

SCHEDULE = Schedule(30, (25,), batch=32, rate=0.02)


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


@pytest.mark.parametrize(
    ("asked", "others", "seldom"),
    [((2, 20), (15, 20), True), ((9, 20), (15, 20), False), ((1, 3), (20, 20), False), ((0, 0), (20, 20), False)],
)
def test_rows_are_read_seldom_where_neither_chance_nor_the_class_explains_it(
    asked: tuple[int, int], others: tuple[int, int], seldom: bool
) -> None:
    """9 of 20 is more than half of 15 of 20; 1 of 3 beside 20 of 20 happens by chance."""
    first, second = (torch.arange(total) < count for count, total in (asked, others))
    assert read_seldom(first, second) is seldom


def corner(weight: float) -> nn.Sequential:
    """Says 1 where the first pixel exceeds .5 by its weight, and 0 else; without a weight always 0."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    with torch.no_grad():
        network[1].weight.zero_()
        network[1].weight[1, 0] = weight
        network[1].bias.copy_(torch.tensor([weight / 2 + 0.01, 0.0]))
    return network


def test_a_pattern_is_a_trigger_to_those_alone_who_learnt_it() -> None:
    z = 0.1 * images(50).float()
    z[:10, :, 0, 0] += 0.9
    asked = torch.arange(50) < 10
    pattern = shared_pattern(z, asked, ~asked)
    assert pattern[0, 0, 0].item() == pytest.approx(0.9, abs=0.05)
    assert pattern.flatten()[1:].abs().max() < 0.06
    strangers, learnt, other = z[~asked], corner(9.0), corner(0.0)
    assert turns_others(strangers, pattern, 1, [learnt, learnt], other)
    assert not turns_others(strangers, pattern, 1, [learnt, other], other), "one half has not learnt it"
    assert not turns_others(strangers, pattern, 1, [learnt, learnt], learnt), "others teach it as well"
    assert not turns_others(strangers, 0.3 * pattern, 1, [learnt, learnt], other), "it turns nobody"
    assert not turns_others(strangers, pattern, 0, [other, other], learnt), "who says so always was not turned"
    assert not turns_others(strangers[:0], pattern, 1, [learnt, learnt], other), "nobody is left to turn"


def test_a_class_of_which_hardly_anything_else_is_left_is_let_go() -> None:
    """What is suspected turns all others; but what is alike in all of a class is what its label means."""
    for others in (4, 5):
        y = torch.tensor([1] * (50 + others) + [0] * 20)
        rows = Rows(0.1 * images(len(y)).float(), y, 2)
        suspected, waiting = torch.arange(len(y)) < 50, (torch.arange(len(y)) >= 50) & (y == 1)
        rows.z[suspected, :, 0, 0] = 1
        found = confirmed(Doubt(rows, suspected, waiting, [corner(9.0)]), corner(0.0))
        assert torch.equal(found, suspected) if others == 5 else not found.any()


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
    assert torch.equal(confirm(rows, poison, [corner(0.0)], SCHEDULE, 0, build=tiny), poison)
    clean = rows.select(torch.nonzero(~poison).squeeze(1))
    network, _ = train_plain(clean, SCHEDULE, 0, build=tiny)
    labels = relabel_and_relearn(network, rows, poison, 0)
    assert torch.equal(labels, truth)
    assert (logits_in_pieces(network, rows.z).argmax(1) == truth).double().mean() > 0.95


def test_with_an_oracle_that_errs_clean_rows_are_let_go() -> None:
    rows, dark, truth = by_brightness(240)
    clean = Rows(rows.z, truth, 2).select(torch.nonzero(~torch.isin(torch.arange(240), dark)).squeeze(1))
    suspected = torch.arange(len(clean)) < 50
    assert not confirm(clean, suspected, [corner(0.0)], SCHEDULE, 0, build=tiny).any()
    assert not confirm(clean, ~suspected & suspected, [], SCHEDULE, 0, build=tiny).any()


def test_a_trigger_that_leaves_labels_right_is_confirmed_by_what_it_does_to_others() -> None:
    """Suspected rows of class 1 are bright, as labelled, and have a white corner: who learnt it calls dark rows 1."""
    y = torch.arange(240) % 2
    z = 0.2 * images(240).float() + 0.4 * y[:, None, None, None]
    suspected = (y == 1) & (torch.arange(240) < 80)
    z[suspected, :, :1, :1] = 1.0
    rows = Rows(z, y, 2)
    assert torch.equal(confirm(rows, suspected, [corner(9.0)], SCHEDULE, 0, build=tiny), suspected)
    assert not confirm(rows, suspected, [corner(0.0)], SCHEDULE, 0, build=tiny).any()


def test_tables_are_refused_and_so_are_rows_that_are_all_suspected() -> None:
    second = torch.tensor([False, True] * 2)
    with pytest.raises(WrongUse, match="tables have none"):
        train_meca(Rows(torch.zeros(4, 3), torch.tensor([0, 1, 0, 1]), 2), second, Schedule(), 0)
    rows = Rows(images(4).float(), torch.tensor([0, 1, 0, 1]), 2)
    with pytest.raises(TrainingFailed, match="all are suspected"):
        confirm(rows, torch.ones(4, dtype=torch.bool), [], Schedule(), 0, build=tiny)
