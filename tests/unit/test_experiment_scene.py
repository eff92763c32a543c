from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from training.experiments.scene import Encoder, Scene, gather, set_scene
from training.experiments.setting import Ground
from training.experiments.variants import AUGMENTED_BY, MIMICKED_BY, fit_variants, variant_name
from training.presets import PRESETS
from training.progress import Silent


def digits(**changes: object) -> Ground:
    return Ground.model_validate({"data": "digits", "trusted": 0.2, "clean_rows": 400} | changes)


def keys(x: np.ndarray) -> set[bytes]:
    return {row.tobytes() for row in x}


@pytest.fixture(scope="module")
def scene() -> Scene:
    return set_scene(digits(), seed=1)


def test_nobody_shares_a_row(scene: Scene) -> None:
    """Digits hold no twins. 20 % of |So| = 480 are trusted."""
    parts = [keys(x) for x in (scene.trusted[0], scene.outside.x, scene.clean[0])]
    assert [len(part) for part in parts] == [96, 304, 1397]
    assert len(set.union(*parts)) == 1797
    assert scene.clean_rows == 400


def test_the_same_seed_gives_the_same_rows_whatever_else_the_ground_says(scene: Scene) -> None:
    again = set_scene(digits(preset="fast", published="fast"), seed=1)
    assert np.array_equal(again.trusted[0], scene.trusted[0])
    assert np.array_equal(again.clean[1], scene.clean[1])
    assert not np.array_equal(set_scene(digits(), seed=2).trusted[0], scene.trusted[0])


def test_poison_stands_in_the_place_of_its_originals(scene: Scene) -> None:
    crowd = gather(scene, "random-flip", 0.2)
    assert int(crowd.poisoned.sum()) == 80
    assert len(crowd.y) == len(scene.outside.y)
    assert keys(crowd.x) == keys(scene.outside.x)
    base = crowd.poison.base_index
    assert np.array_equal(crowd.x[crowd.poisoned], scene.outside.x[base])
    assert (crowd.y[crowd.poisoned] != scene.outside.y[base]).all()


def test_targets_are_sent_by_nobody_and_what_was_changed_went_through_the_codec(scene: Scene) -> None:
    def codec(x: np.ndarray) -> np.ndarray:
        return x | 1

    crowd = gather(replace(scene, codec=codec), "feature-collision", 0.1)
    targets = crowd.poison.targets
    assert targets is not None
    assert keys(crowd.x).isdisjoint(keys(scene.outside.x[targets.index]))
    assert len(crowd.y) == len(scene.outside.y) - len(targets.index)
    assert (crowd.x[crowd.poisoned] % 2 == 1).all()
    assert not (crowd.x[~crowd.poisoned] % 2 == 1).all()
    flips = gather(replace(scene, codec=codec), "random-flip", 0.1)
    assert keys(flips.x) == keys(scene.outside.x)


def test_more_poison_than_rows_is_as_much_as_there_is() -> None:
    scene = set_scene(digits(trusted=0.7), seed=0)
    crowd = gather(scene, "random-flip", 0.3)
    assert crowd.poisoned.all()
    assert len(crowd.y) == len(scene.outside.y) == 64


def test_dirty_trust_is_poison_among_the_trusted_and_its_originals_are_gone(scene: Scene) -> None:
    dirty = set_scene(digits(dirty=0.25, dirty_by="random-flip"), seed=1)
    changed = (dirty.trusted[0] != scene.trusted[0]).any(axis=(1, 2, 3))
    assert int(changed.sum()) == round(0.25 * 96)
    assert keys(dirty.trusted[0][changed]) <= keys(scene.outside.x)
    assert keys(dirty.trusted[0]).isdisjoint(keys(dirty.outside.x))
    right = {x.tobytes(): y for x, y in zip(scene.outside.x, scene.outside.y, strict=True)}
    assert all(
        right[x.tobytes()] != y for x, y in zip(dirty.trusted[0][changed], dirty.trusted[1][changed], strict=True)
    )


def test_classes_that_are_not_known_are_missing_from_the_trusted_rows_alone() -> None:
    scene = set_scene(digits(known=6), seed=0)
    assert set(scene.trusted[1]) == set(range(6))
    assert set(scene.outside.y) == set(scene.clean[1]) == set(range(10))


def test_chosen_classes_are_renumbered() -> None:
    scene = set_scene(digits(classes=(3, 5), clean_rows=200), seed=0)
    assert scene.spec.label.values == (3, 5)
    assert set(scene.clean[1]) == {0, 1}
    assert scene.clean_rows == 200


def test_variants_share_what_the_same_augmenter_made(scene: Scene) -> None:
    """|S_aug| = |Sc|, but for no augmentation; the gan is a discriminator on the same rows."""
    names = [variant_name("cgan", mimic) for mimic in MIMICKED_BY]
    names += [variant_name(augmenter, "gan") for augmenter in ("none", "real")]
    fitted = fit_variants(names, scene, Encoder(scene), PRESETS["fast"], Silent())
    assert sorted(fitted) == sorted(names)
    assert len(fitted["depois:real/gan"].augmented) == len(fitted["depois:cgan/gan"].augmented) == 400
    assert len(fitted["depois:none/gan"].augmented) == 96
    assert fitted["depois:cgan/gan"].augmented is fitted["depois:cgan/cwgan-gp"].augmented
    assert type(fitted["depois:cgan/gan"].critic).__name__ == "Discriminator"
    assert set(AUGMENTED_BY) > {"cgan", "real", "none"}
