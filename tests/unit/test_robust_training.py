from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from guard.errors import TrainingFailed, WrongUse
from training.defences.robust_training import (
    Curriculum,
    Schedule,
    cross_entropy,
    require_learnt,
    train_plain,
    train_robustly,
)
from training.rows import Rows

BRIEF = Schedule(epochs=3, drops=(2,), batch=16)


def linear(shape: torch.Size, classes: int) -> nn.Module:
    return nn.Linear(shape[0], classes)


def blobs(n: int = 96) -> Rows:
    """Three classes, each about its own unit vector."""
    y = torch.arange(n) % 3
    noise = torch.randn(n, 3, generator=torch.Generator().manual_seed(0))
    return Rows(torch.eye(3)[y] + 0.2 * noise, y, 3)


def weights(rows: Rows, hook=None, seed: int = 0, schedule: Schedule = BRIEF) -> Tensor:
    network, _ = train_plain(rows, schedule, seed, build=linear, hook=hook)
    return torch.cat([part.detach().flatten() for part in network.parameters()])


def test_same_seed_same_bytes_and_neither_rows_nor_the_global_state_change() -> None:
    rows, state = blobs(), torch.get_rng_state()
    before = rows.z.clone(), rows.y.clone()
    assert torch.equal(weights(rows), weights(rows))
    assert not torch.equal(weights(rows), weights(rows, seed=1))
    assert torch.equal(rows.z, before[0])
    assert torch.equal(rows.y, before[1])
    assert torch.equal(torch.get_rng_state(), state)


def test_one_epoch_of_one_batch_is_a_step_of_torchs_adamw() -> None:
    rows, once = blobs(), Schedule(epochs=1, drops=(), batch=96)
    network = linear(rows.z.shape[1:], 3)
    mine = Curriculum.of(rows)
    mine.reweight(torch.arange(10), 3.0)
    twin = linear(rows.z.shape[1:], 3)
    twin.load_state_dict(network.state_dict())
    train_robustly(network, mine, once, 0)
    optimiser = torch.optim.AdamW(twin.parameters(), lr=once.rate, weight_decay=5e-4)
    losses = nn.functional.cross_entropy(twin(rows.z), rows.y, reduction="none")
    torch.autograd.backward((losses.sum() + 2 * losses[:10].sum()) / (96 + 20))
    optimiser.step()
    for ours, theirs in zip(network.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_what_is_dropped_before_the_first_epoch_was_never_there() -> None:
    rows = blobs()
    drop = torch.arange(60, 96)
    by_hook = weights(rows, lambda _, __, curriculum: curriculum.drop(drop), schedule=Schedule(1, (), 200))
    alone = weights(rows.select(torch.arange(60)), schedule=Schedule(1, (), 200))
    torch.testing.assert_close(by_hook, alone)


def test_a_relabelled_row_teaches_its_new_label() -> None:
    rows = blobs()
    turned = (rows.y + 1) % 3

    def relabel(epoch: int, network: nn.Module, curriculum: Curriculum) -> None:
        assert not network.training
        curriculum.relabel(torch.arange(96), turned)

    assert torch.equal(weights(rows, relabel), weights(Rows(rows.z, turned, 3)))


def test_unlearnt_rows_are_read_worse_and_no_worse_than_a_guess_is_asked_for() -> None:
    rows, long = blobs(), Schedule(epochs=60, drops=(50,), batch=96, rate=0.05)
    gone = rows.y == 0
    network, curriculum = train_plain(rows, long, 0, build=linear, hook=lambda _, __, c: c.unlearn(gone, 0.5))
    losses = cross_entropy(network(rows.z), rows.y)
    plain = cross_entropy(train_plain(rows, long, 0, build=linear)[0](rows.z), rows.y)
    assert losses[gone].mean() > np.log(3) > plain[gone].mean()
    assert losses[~gone].mean() < 0.5
    assert float(curriculum.weight[gone].sum()) == pytest.approx(-0.5 * 64)


def test_few_rows_are_seen_more_often() -> None:
    assert Schedule().for_rows(100_000) == Schedule()
    assert Schedule().for_rows(64) == Schedule(600, (360, 510))
    assert Schedule().for_rows(65).epochs == 300


def test_a_class_that_is_always_said_is_no_learning_however_large_it_is() -> None:
    y = torch.tensor([0] * 190 + [1] * 10)
    logits = torch.eye(2)[torch.zeros_like(y)]
    with pytest.raises(TrainingFailed, match=r"50\.0%"):
        require_learnt(logits, y, "it")
    logits[190:197] = torch.tensor([0.0, 1.0])
    assert require_learnt(logits, y, "it") == pytest.approx((1 + 0.7) / 2)


def test_nothing_left_or_nothing_learnt_is_said() -> None:
    rows = blobs()
    with pytest.raises(TrainingFailed, match="no row is left"):
        weights(rows, lambda _, __, curriculum: curriculum.drop(torch.arange(96)))
    with pytest.raises(TrainingFailed, match="no number"):
        weights(Rows(torch.full((96, 3), torch.inf), rows.y, 3))
    y = torch.randint(3, (96,), generator=torch.Generator().manual_seed(1))
    with pytest.raises(TrainingFailed, match="No row can be called clean"):
        require_learnt(torch.zeros(96, 3), y, "it")
    assert require_learnt(torch.eye(3)[rows.y], rows.y, "it") == 1


@pytest.mark.parametrize(("y", "classes", "message"), [(0, 1, "fewer than two"), (3, 3, "outside"), (-1, 3, "outside")])
def test_labels_that_no_network_of_classes_can_learn_are_refused(y: int, classes: int, message: str) -> None:
    rows = Rows(torch.zeros(4, 3), torch.tensor([0, 0, 0, y]), classes)
    with pytest.raises(WrongUse, match=message):
        train_plain(rows, BRIEF, 0, build=linear)
