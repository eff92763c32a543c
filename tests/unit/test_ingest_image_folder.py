"""A folder of images per class: one size, one mode; the odd file is named."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from guard.errors import InputUnreadable, SnapshotRefused, WrongUse
from training.create import create_snapshot
from training.ingest.image_folder import read_image_folder
from training.ingest.source import read_source


def file(mode="L", size=(4, 3), kind="png", value=0):
    stream = io.BytesIO()
    Image.new(mode, size, value).save(stream, kind)
    return stream.getvalue()


def test_pixels_labels_and_order():
    rows = read_image_folder(
        {"a/1.png": file(value=7), "b/1.png": file(value=9), "b/2.jpg": file(kind="jpeg", value=3)}, "d"
    )
    np.testing.assert_array_equal(rows.x, np.array([7, 9, 3])[:, None, None, None] * np.ones((3, 3, 4, 1)))
    assert rows.x.dtype == np.uint8
    assert rows.label.values == ("a", "b")
    np.testing.assert_array_equal(rows.label.codes, [0, 1, 1])
    assert rows.findings == ()


@pytest.mark.parametrize(
    ("modes", "channels", "said"),
    [
        (["L", "1"], 1, "images converted to L: 1 1; the bundle will take only 8-bit grey"),
        (["L", "LA"], 1, "1 LA"),
        (["L", "RGB"], 3, "images converted to RGB: 1 L; the bundle will take only 8-bit RGB"),
        (["RGB", "RGBA", "P"], 3, "1 P, 1 RGBA"),
    ],
)
def test_modes_are_converted_and_said(modes, channels, said):
    rows = read_image_folder({f"a/{k}.png": file(mode) for k, mode in enumerate(modes)}, "d")
    assert rows.x.shape == (len(modes), 3, 4, channels)
    assert said in rows.findings[0].message


@pytest.mark.parametrize(
    ("odd", "match"),
    [
        (file(size=(5, 3)), r"'a/odd\.png' has 5 × 3 pixels, most have 4 × 3"),
        (file("I;16"), r"'a/odd\.png' has pixels of kind I;16"),
        (b"", r"'a/odd\.png' cannot be decoded \(no PNG or JPEG\)"),
        (b"GIF89a" + bytes(50), r"'a/odd\.png' cannot be decoded"),
        (file()[:45], r"'a/odd\.png' cannot be decoded"),
        (file(size=(50_000, 50_000), mode="1"), r"'a/odd\.png' "),
    ],
)
def test_the_odd_file_is_named(odd, match):
    with pytest.raises(SnapshotRefused, match=match):
        read_image_folder({"a/1.png": file(), "a/2.png": file(), "a/odd.png": odd}, "d")


def test_too_large_images_are_refused():
    with pytest.raises(SnapshotRefused, match="at most 4096"):
        read_image_folder({"a/1.png": file(size=(4097, 1))}, "d")


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "1.png").write_bytes(file())
    with pytest.raises(SnapshotRefused, match="no PNG or JPEG file in a subfolder"):
        read_source(tmp_path)
    with pytest.raises(WrongUse, match="leave --label"):
        read_source(tmp_path, "y")
    with pytest.raises(InputUnreadable, match="cannot be read"):
        read_source(tmp_path / "absent.csv", "y")
    with pytest.raises(InputUnreadable, match="neither a folder"):
        read_source(tmp_path / "1.png", "y")


def test_digits_from_a_folder_are_the_digits(tmp_path):
    x, y = load_digits(return_X_y=True)
    images = (x[:60] * 15).astype(np.uint8).reshape(-1, 8, 8)
    for index, (image, label) in enumerate(zip(images, y[:60], strict=True)):
        (tmp_path / f"digit {label}").mkdir(exist_ok=True)
        Image.fromarray(image).save(tmp_path / f"digit {label}" / f"{index:03}.png")
    (tmp_path / "digit 0" / ".DS_Store").write_bytes(b"junk")
    snapshot = create_snapshot(tmp_path).snapshot
    order = np.lexsort((np.arange(60), y[:60]))
    np.testing.assert_array_equal(snapshot.x[..., 0], images[order])
    np.testing.assert_array_equal(snapshot.y, y[:60][order])
    assert snapshot.spec.label.values[0] == "digit 0"
    assert snapshot.provenance["input"] == tmp_path.name
