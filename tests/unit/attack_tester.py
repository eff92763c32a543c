"""What every attack must keep, tested once: a class to inherit from, with the attack and its rows filled in."""

from __future__ import annotations

import numpy as np
import pytest

from guard.errors import WrongUse
from guard.spec import ClassLabel, InputSpec, NumberColumn, NumberLabel, TableInput
from training.attacks import Attack, AttackerRows, Poison
from training.attacks.attack import FitVictim, Inputs, Labels
from training.attacks.harm import measure_harm, measure_target_harm, transfer_victim


def legal(x: Inputs, y: Labels, spec: InputSpec) -> bool:
    """Independent of the attacks' own arithmetic: every value within the bounds that the specification prints."""
    if isinstance(spec.input, TableInput):
        columns = zip(spec.input.columns, x.T, strict=True)
        inputs = all(
            isinstance(c, NumberColumn) and (v >= c.minimum).all() and (v <= c.maximum).all() for c, v in columns
        )
    else:
        inputs = x.dtype == np.uint8 and x.shape[1:] == (spec.input.height, spec.input.width, spec.input.channels)
    if isinstance(spec.label, ClassLabel):
        return inputs and y.dtype == np.int64 and np.isin(y, np.arange(len(spec.label.values))).all()
    return inputs and (y >= spec.label.minimum).all() and (y <= spec.label.maximum).all()


class AttackTester:
    """Inherit, set `attack` and `count`, and give the class-wide fixtures `rows` and `test` (clean x, y)."""

    attack: Attack
    count: int
    seeds = range(2)

    @classmethod
    def poison(cls, rows: AttackerRows, seed: int = 0) -> Poison:
        return cls.attack.run(rows, cls.count, np.random.default_rng(seed))

    @pytest.fixture(scope="class")
    @classmethod
    def made(cls, rows: AttackerRows) -> Poison:
        return cls.poison(rows)

    def test_applies_to_its_own_rows(self, rows: AttackerRows) -> None:
        assert self.attack.applies(rows.spec)

    def test_same_seed_same_bytes_and_clean_rows_stay_untouched(self, rows: AttackerRows, made: Poison) -> None:
        before = rows.x.copy(), rows.y.copy()
        again = self.poison(rows)
        for field in ("x", "y", "base_index", "y_true"):
            assert getattr(made, field).tobytes() == getattr(again, field).tobytes()
        assert np.array_equal(rows.x, before[0])
        assert np.array_equal(rows.y, before[1])

    def test_shapes_and_types_are_those_of_the_rows(self, rows: AttackerRows, made: Poison) -> None:
        assert made.x.shape == (self.count, *rows.x.shape[1:])
        assert (made.x.dtype, made.y.dtype, made.y_true.dtype) == (rows.x.dtype, rows.y.dtype, rows.y.dtype)
        assert made.base_index.dtype == np.int64
        assert made.y.shape == made.y_true.shape == made.base_index.shape == (self.count,)

    def test_is_legal_also_after_a_round_trip_through_float32(self, rows: AttackerRows, made: Poison) -> None:
        assert legal(made.x, made.y, rows.spec)
        assert legal(made.x.astype(np.float32).astype(made.x.dtype), made.y, rows.spec)

    def test_each_base_row_is_used_once(self, made: Poison) -> None:
        used = made.base_index
        used = used[used >= 0]
        assert len(np.unique(used)) == len(used)

    def test_impossible_counts_are_refused(self, rows: AttackerRows) -> None:
        for count in (0, -1, len(rows.y) + 1):
            with pytest.raises(WrongUse, match="the attacker holds"):
                self.attack.run(rows, count, np.random.default_rng(0))

    def test_other_tasks_are_refused(self, rows: AttackerRows) -> None:
        other = NumberLabel(minimum=0, maximum=1) if rows.spec.task == "classification" else ClassLabel(values=(0, 1))
        spec = InputSpec(input=rows.spec.input, label=other)
        assert not self.attack.applies(spec)
        with pytest.raises(WrongUse, match="this method is made for"):
            self.attack.run(AttackerRows(rows.x, rows.y, spec), self.count, np.random.default_rng(0))

    def hurts(self, rows: AttackerRows, test: tuple[Inputs, Labels], by: float) -> None:
        """The retrained victim's error on clean rows, averaged over `seeds`, grows by at least `by`."""
        harm = [measure_harm(self.attack, rows, self.poison(rows, seed), test, seed) for seed in self.seeds]
        rise = np.mean([h.poisoned - h.clean for h in harm])
        assert rise >= by, f"mean rise of the error {rise:.4f} in {harm}"


class TargetedTester(AttackTester):
    """The same, for attacks on chosen rows."""

    def test_no_target_is_poisoned_and_each_shall_be_read_as_another_class(
        self, rows: AttackerRows, made: Poison
    ) -> None:
        targets = made.targets
        assert targets is not None
        assert targets.index.dtype == targets.wanted.dtype == np.int64
        assert len(np.unique(targets.index)) == len(targets.index) == len(targets.wanted)
        assert not np.isin(targets.index, made.base_index).any()
        assert (targets.wanted != rows.y[targets.index]).all()

    def test_every_target_is_served_by_poison_of_the_class_that_it_shall_be_read_as(self, made: Poison) -> None:
        assert made.targets is not None
        assert made.targets.serves.dtype == np.int64
        assert set(made.targets.serves) == set(range(len(made.targets.index)))
        assert np.array_equal(made.y, made.targets.wanted[made.targets.serves])

    def test_labels_stay_right(self, rows: AttackerRows, made: Poison) -> None:
        assert np.array_equal(made.y, rows.y[made.base_index])
        assert np.array_equal(made.y, made.y_true)

    def reaches(self, rows: AttackerRows, by: float) -> None:
        """The share of targets that the victim reads as wanted, averaged over `seeds`, grows by at least `by`."""
        made = [(seed, self.poison(rows, seed)) for seed in self.seeds]
        harm = [measure_target_harm(self.victim_of(rows, poison, seed), rows, poison, seed) for seed, poison in made]
        rise = np.mean([h.poisoned.mean() - h.clean.mean() for h in harm])
        assert rise >= by, f"mean rise of the share {rise:.3f} in {harm}"

    def victim_of(self, rows: AttackerRows, poison: Poison, seed: int) -> FitVictim:  # noqa: ARG002 – see below
        return self.attack.victim


class TransferTester(TargetedTester):
    """The victim trains its last layer anew, on features that were learnt without poison and the attacker never saw."""

    def victim_of(self, rows: AttackerRows, poison: Poison, seed: int) -> FitVictim:
        assert poison.targets is not None
        return transfer_victim(rows, poison.targets, 1000 + seed)
