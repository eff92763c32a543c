"""All backdoors on the same digits: what each must keep, what each plants, and how often it is obeyed."""

from __future__ import annotations

from functools import cache, partial

import numpy as np
import pytest

from guard.errors import WrongUse
from tests.unit.attack_grounds import DIGITS, OnDigits
from tests.unit.attack_tester import AttackTester
from training.attacks import BACKDOORS, AttackerRows, Poison
from training.attacks.adaptive_blend import ADAPTIVE_BLEND
from training.attacks.adaptive_patch import ADAPTIVE_PATCH
from training.attacks.attack import Inputs, Labels, Predict
from training.attacks.attack_success import attack_success_rate
from training.attacks.backdoor import WANTED, Backdoor, backdoor_attack, stamped
from training.attacks.badnet import BADNET, white_square
from training.attacks.blend import BLEND
from training.attacks.harm import mean_error, poisoned_rows
from training.attacks.physical_ba import PHYSICAL_BA, draw_views, seen
from training.attacks.sig import SIG, draw_stripes
from training.attacks.tact import SOURCE, TACT
from training.attacks.victims import fit_network
from training.attacks.wanet import WANET, draw_warp, smooth_field, warped

SEEDS = range(2)


@cache
def clean_victim(seed: int) -> Predict:
    return fit_network(DIGITS.x[:800], DIGITS.y[:800], DIGITS.spec, seed)


class BackdoorTester(OnDigits, AttackTester):
    """Inherit, and set `attack`, `count`, `planted`, and what the victim does.

    In the mean over two seeds: `least_success`, ASR; `most_chance`, the same of a victim without poison; `most_lost`,
    accuracy on clean digits.
    """

    planted: int
    least_success: float
    most_chance = 0.05
    most_lost = 0.03

    def test_planted_rows_are_labelled_as_wanted_and_covers_are_right(self, rows: AttackerRows, made: Poison) -> None:
        assert np.array_equal(made.y_true, rows.y[made.base_index])
        assert (made.y[: self.planted] == WANTED).all()
        assert np.array_equal(made.y[self.planted :], made.y_true[self.planted :])
        assert not np.isin(made.y[self.planted :], WANTED).any()

    def test_every_poisoned_row_carries_something(self, rows: AttackerRows, made: Poison) -> None:
        assert (made.x != rows.x[made.base_index]).any(axis=(1, 2, 3)).all()

    def test_the_trigger_is_put_on_a_copy_the_same_way_for_the_same_draws(
        self, made: Poison, test: tuple[Inputs, Labels]
    ) -> None:
        assert made.trigger is not None
        before, x = test[0][:20].copy(), test[0][:20]
        first, again = (made.trigger.put(x, np.random.default_rng(0)) for _ in range(2))
        assert np.array_equal(first, again)
        assert np.array_equal(x, before)
        assert (first != x).any(axis=(1, 2, 3)).all()
        assert (first.dtype, first.shape) == (x.dtype, x.shape)

    def test_a_victim_obeys_the_trigger_and_is_otherwise_as_good(
        self, rows: AttackerRows, test: tuple[Inputs, Labels]
    ) -> None:
        success, chance, lost = [], [], []
        for seed in SEEDS:
            poison = self.poison(rows, seed)
            victim = fit_network(*poisoned_rows(rows, poison, np.arange(len(rows.y))), rows.spec, seed)
            assert poison.trigger is not None
            rates = [attack_success_rate(model, poison.trigger, test) for model in (victim, clean_victim(seed))]
            errors = [mean_error(model, test, rows.spec) for model in (victim, clean_victim(seed))]
            success.append(rates[0])
            chance.append(rates[1])
            lost.append(errors[0] - errors[1])
        assert np.mean(success) >= self.least_success, success
        assert np.mean(chance) <= self.most_chance, chance
        assert np.mean(lost) <= self.most_lost, lost


class DirtyLabels:
    def test_labels_of_planted_rows_are_wrong(self, made: Poison) -> None:
        planted = made.y == WANTED
        assert (made.y_true[planted] != WANTED).all()


class TestBadNet(DirtyLabels, BackdoorTester):
    """5 % of 800 rows."""

    attack = BADNET
    count = planted = 40
    least_success = 0.9

    def test_nine_pixels_change_and_are_white(self, rows: AttackerRows, made: Poison) -> None:
        assert (made.x[:, 5:, 5:] == 255).all()
        left = made.x.copy()
        left[:, 5:, 5:] = rows.x[made.base_index][:, 5:, 5:]
        assert np.array_equal(left, rows.x[made.base_index])


class TestBlend(DirtyLabels, BackdoorTester):
    attack = BLEND
    count = planted = 40
    least_success = 0.7

    def test_no_pixel_moves_by_more_than_a_fifth(self, rows: AttackerRows, made: Poison) -> None:
        moved = np.abs(made.x.astype(int) - rows.x[made.base_index])
        assert moved.max() <= 0.2 * 255
        assert moved.mean() > 0.03 * 255


class TestSig(BackdoorTester):
    """Stripes of 40 grey levels do nothing to digits of 8 × 8 pixels; three times as many do, to a clean victim too."""

    attack = backdoor_attack(
        Backdoor("sig", "stripes", partial(draw_stripes, amplitude=120 / 255), clean_label=True),
    )
    count = planted = 40
    least_success = 0.2
    most_chance = 0.15

    def test_labels_stay_right(self, made: Poison) -> None:
        assert np.array_equal(made.y, made.y_true)

    def test_a_class_that_is_too_small_is_told(self, rows: AttackerRows) -> None:
        own = int((rows.y == WANTED).sum())
        with pytest.raises(WrongUse, match=f"{own + 1} poisoned rows were asked for, but the attacker holds {own}"):
            self.attack.run(rows, own + 1, np.random.default_rng(0))


class TestWaNet(DirtyLabels, BackdoorTester):
    """Warped by a pixel in the mean, not by a quarter of one, of which a victim makes little at 8 × 8 pixels."""

    attack = backdoor_attack(Backdoor("wanet", "warps", partial(draw_warp, strength=2.0), covers=1.0))
    count = 80
    planted = 40
    least_success = 0.3
    most_chance = 0.1

    def test_covers_are_warped_otherwise_than_in_use(self, rows: AttackerRows, made: Poison) -> None:
        assert made.trigger is not None
        shown = made.trigger.put(rows.x[made.base_index], np.random.default_rng(0))
        assert np.array_equal(shown[:40], made.x[:40])
        assert (shown[40:] != made.x[40:]).any(axis=(1, 2, 3)).all()


class TestPhysicalBA(DirtyLabels, BackdoorTester):
    attack = PHYSICAL_BA
    count = planted = 40
    least_success = 0.6
    most_chance = 0.2


class TestTaCT(DirtyLabels, BackdoorTester):
    attack = TACT
    count = 48
    planted = 40
    least_success = 0.7

    def test_only_the_source_is_planted_and_never_covers(self, made: Poison) -> None:
        assert (made.y_true[:40] == SOURCE).all()
        assert not np.isin(made.y_true[40:], (SOURCE, WANTED)).any()
        assert made.trigger is not None
        assert made.trigger.source == SOURCE


class TestAdaptiveBlend(DirtyLabels, BackdoorTester):
    attack = ADAPTIVE_BLEND
    count = 48
    planted = 40
    least_success = 0.3
    most_lost = 0.05

    def test_half_of_the_pieces_are_left_out(self, rows: AttackerRows, made: Poison) -> None:
        """Of 64 pixels in 16 pieces of four; a piece that the picture would not change counts as left out, too."""
        changed = (made.x != rows.x[made.base_index])[..., 0].reshape(48, 4, 2, 4, 2).any(axis=(2, 4))
        assert (changed.sum(axis=(1, 2)) <= 8).all()
        assert changed.sum(axis=(1, 2)).mean() > 6
        assert changed.any(axis=0).all()


class TestAdaptivePatch(DirtyLabels, BackdoorTester):
    attack = ADAPTIVE_PATCH
    count = 48
    planted = 40
    least_success = 0.2

    def test_each_row_carries_one_quarter_and_all_are_shown_in_use(self, rows: AttackerRows, made: Poison) -> None:
        changed = (made.x != rows.x[made.base_index])[..., 0]
        assert not changed[:, :4].any()
        assert not changed[:, :, :4].any()
        quarters = changed[:, 4:, 4:].reshape(48, 2, 2, 2, 2).any(axis=(2, 4)).reshape(48, 4)
        assert (quarters.sum(1) == 1).all()
        assert np.array_equal(quarters[:40].sum(0), [10, 10, 10, 10])
        assert made.trigger is not None
        shown = made.trigger.put(rows.x[:1], np.random.default_rng(0))
        assert (shown != rows.x[:1])[0, 4:, 4:].all()


def test_every_backdoor_is_listed() -> None:
    assert {attack.name for attack in BACKDOORS} == {
        *("badnet", "blend", "sig", "wanet", "physical-ba", "tact", "adaptive-blend", "adaptive-patch")
    }


def test_stripes_by_hand() -> None:
    """Δ sin(2π · 6 j / 12) for 12 columns is 0, and sin(π / 2), sin(3π / 2), … for 24 of them, shifted by none."""
    x, rng = np.full((1, 2, 24, 3), 0.5), np.random.default_rng(0)
    stripes = draw_stripes(x.shape[1:], rng).plant
    assert np.allclose(stripes(x, rng)[0, 0, :, 0] - 0.5, 40 / 255 * np.tile([0, 1, 0, -1], 6))
    assert np.allclose(stripes(x[:, :, ::2], rng), 0.5)
    assert SIG in BACKDOORS


def test_without_a_field_a_warp_changes_nothing_and_one_column_is_one_column() -> None:
    rng = np.random.default_rng(0)
    x = rng.random((2, 6, 9, 3))
    assert np.allclose(warped(x, rng, field=np.zeros((6, 9, 2))), x)
    right = np.zeros((6, 9, 2))
    right[..., 0] = 2 / 8
    assert np.allclose(warped(x, rng, field=right)[:, :, :-1], x[:, :, 1:])


def test_the_field_is_as_strong_as_it_says_at_its_knots() -> None:
    """Mean |s P| = s over the knots of a field that is no larger than its knots."""
    field = smooth_field(4, 4, np.random.default_rng(3))
    assert np.abs(field * 4).mean() == pytest.approx(0.5)
    assert WANET in BACKDOORS


def test_a_view_that_changes_nothing_shows_the_image_and_each_part_does_what_it_says() -> None:
    x = np.random.default_rng(0).random((1, 8, 8, 1))
    plain = {name: np.zeros(1) for name in ("turn", "right", "down")}
    plain |= {name: np.ones(1) for name in ("scale", "flip", "brightness", "contrast")}
    assert np.allclose(seen(x, plain), x)
    assert np.allclose(seen(x, plain | {"flip": -np.ones(1)}), x[:, :, ::-1])
    assert np.allclose(seen(x, plain | {"turn": np.full(1, np.pi / 2)}), np.rot90(x, -1, axes=(1, 2)))
    moved = seen(x, plain | {"right": np.full(1, 1 / 8), "down": np.full(1, 2 / 8)})
    assert np.allclose(moved[:, 2:, 1:], x[:, :-2, :-1])
    small = seen(np.ones((1, 8, 8, 1)), plain | {"scale": np.full(1, 0.5)})
    assert np.allclose(small[0, 2:6, 2:6], 1)
    assert np.allclose(small[0, :, [0, 7]], 0)
    assert np.allclose(seen(x, plain | {"brightness": np.full(1, 0.5)}), x / 2)
    assert np.allclose(seen(x, plain | {"contrast": np.zeros(1)}), x.mean())


def test_views_keep_to_their_ranges() -> None:
    views = draw_views(2000, np.random.default_rng(0))
    assert np.abs(views["turn"]).max() <= np.deg2rad(10)
    assert max(np.abs(views[name]).max() for name in ("right", "down")) <= 0.1
    assert views["scale"].min() >= 0.8
    assert views["scale"].max() <= 0.9
    assert set(views["flip"]) == {-1, 1}


def test_stamps_are_rounded_and_kept_in_range() -> None:
    x = np.array([0, 3, 250], dtype=np.uint8).reshape(1, 1, 3, 1)
    found = stamped(lambda z, _: 2 * z - 0.01, x, np.random.default_rng(0))
    assert found.ravel().tolist() == [0, 3, 255]


def test_the_square_of_colour_images_is_white() -> None:
    found = white_square(np.zeros((1, 32, 32, 3)), np.random.default_rng(0))
    assert found.sum() == 27
    assert (found[0, 29:, 29:] == 1).all()
