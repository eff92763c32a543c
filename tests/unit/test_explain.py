from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

import guard
from guard.explain import explain_record
from guard.picture import blocks, contact_sheet, png
from guard.sample import encode_samples
from guard.spec import InputSpec
from guard.verdict import HoldReason
from tests.support.bundles import IMAGE, NUMBER, TABLE, draw_samples, make_bundle


@pytest.mark.parametrize("spec", [TABLE, NUMBER, IMAGE], ids=["table", "number", "image"])
def test_an_explanation_agrees_with_the_verdict_and_names_true_neighbours(tmp_path: Path, spec: InputSpec) -> None:
    bundle = guard.load_bundle(make_bundle(tmp_path / "bundle", spec), threads=1)
    x, y = draw_samples(spec, 1, seed=30)
    records = encode_samples(spec, x, y, ["test"])
    found = explain_record(bundle, records[0])
    assert found.verdict == bundle.judge(records)[0]
    assert [member.name for member in found.members] == ["distance", "mimic"]
    scores = bundle.score(x, y).scores[0]
    assert [member.score for member in found.members] == pytest.approx(scores.tolist())
    assert sum(member.fired for member in found.members) == 1
    reference = bundle.reference
    features = bundle.judgement.runtime.run(["features"], x, y)[0][0]
    distances = np.linalg.norm(reference.features - features, axis=1)
    nearest = np.argsort(distances)[:5]
    assert [n.origin for n in found.neighbours] == reference.origin[nearest].tolist()
    assert [n.distance for n in found.neighbours] == pytest.approx(distances[nearest].tolist(), rel=1e-4)
    assert np.array_equal(found.neighbours[0].x, reference.x[nearest[0]], equal_nan=True)


def test_the_member_that_fired_is_the_one_of_the_verdict(tmp_path: Path) -> None:
    bundle = guard.load_bundle(make_bundle(tmp_path / "bundle"), threads=1)
    x, y = draw_samples(TABLE, 1, seed=31)
    found = explain_record(bundle, encode_samples(TABLE, x, (y + 1) % 3, ["test"])[0])
    assert [m.name for m in found.members if m.fired] == [found.verdict.member]
    assert found.suggested_label == found.verdict.suggested_label == TABLE.label.values[y[0]]


def test_what_is_malformed_has_no_grounds(tmp_path: Path) -> None:
    found = explain_record(guard.load_bundle(make_bundle(tmp_path / "bundle"), threads=1), b"{")
    assert found.x is None
    assert found.members == found.neighbours == ()
    assert found.verdict.reason == "malformed_json"


@pytest.mark.parametrize("spec", [TABLE, IMAGE], ids=["table", "image"])
def test_an_unknown_label_hides_neither_the_sample_nor_what_lies_near(tmp_path: Path, spec: InputSpec) -> None:
    bundle = guard.load_bundle(make_bundle(tmp_path / "bundle", spec), threads=1)
    x, y = draw_samples(spec, 1, seed=31)
    own = encode_samples(spec, x, y, ["test"])[0]
    unknown = own.replace(b'"label":"', b'"label":"un') if spec is TABLE else own.replace(b'"label":', b'"label":9')
    known, found = explain_record(bundle, own), explain_record(bundle, unknown)
    assert found.verdict.reason is HoldReason.UNKNOWN_LABEL
    assert (found.members, found.suggested_label) == ((), None)
    assert np.array_equal(found.x, known.x, equal_nan=True)
    assert [near.origin for near in found.neighbours] == [near.origin for near in known.neighbours]


def test_a_sample_on_which_the_graph_fails_is_explained_as_not_scored(tmp_path: Path) -> None:
    bundle = guard.load_bundle(make_bundle(tmp_path / "bundle", brittle=True), threads=1)
    x, y = draw_samples(TABLE, 1, seed=31)
    x[0, 0] = 100.0
    found = explain_record(bundle, encode_samples(TABLE, x, y, ["test"])[0])
    assert found.verdict.reason is HoldReason.NOT_SCORED
    assert found.members == ()
    assert found.x is not None


@pytest.mark.parametrize("shape", [(28, 28, 1), (3, 200, 3), (300, 4, 3), (1, 1, 1)])
def test_a_contact_sheet_shows_every_image(shape: tuple[int, ...]) -> None:
    images = [np.full(shape, level, np.uint8) for level in (0, 120, 250)]
    sheet = Image.open(io.BytesIO(contact_sheet(images, ["a", "b", "ü"])))
    assert sheet.format == "PNG"
    levels = {int(level) for level in np.unique(np.asarray(sheet))}
    assert {0, 120, 250} <= levels


@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_is_the_image_pixel_for_pixel(channels: int) -> None:
    image = np.arange(4 * 5 * channels, dtype=np.uint8).reshape(4, 5, channels)
    found = np.asarray(Image.open(io.BytesIO(png(image))))
    assert np.array_equal(found, np.broadcast_to(image, (4, 5, 3)))


def test_blocks_draw_two_pixels_per_character() -> None:
    image = np.zeros((3, 2, 1), np.uint8)
    image[1, 0] = 255
    text = blocks(image)
    assert text.plain == "▀▀\n▀▀\n"
    assert str(text.spans[0].style) == "#000000 on #ffffff"
    wide = blocks(np.zeros((100, 400, 3), np.uint8)).plain.splitlines()
    assert (len(wide), len(wide[0])) == (6, 48)
    Console(file=io.StringIO()).print(text)
