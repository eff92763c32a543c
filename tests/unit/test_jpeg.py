from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.support.photographs import photographs
from training.jpeg import Coding, decode_jpegs, find_coding, through_jpeg


def encoded(image: NDArray[np.uint8], **settings: object) -> bytes:
    file = BytesIO()
    Image.fromarray(image).save(file, "JPEG", **settings)
    return file.getvalue()


def test_files_end_to_end_are_decoded_each_to_its_own_image() -> None:
    files = [encoded(image, quality=quality) for image, quality in zip(photographs(3), (30, 75, 95), strict=True)]
    offsets = np.cumsum([0, *map(len, files)])
    found = decode_jpegs(np.frombuffer(b"".join(files), dtype=np.uint8), offsets, 32)
    assert found.flags.writeable
    for image, file in zip(found, files, strict=True):
        assert np.array_equal(image, np.asarray(Image.open(BytesIO(file))))


def test_no_file_gives_no_image_and_other_sizes_are_refused() -> None:
    file = np.frombuffer(encoded(photographs(1)[0]), dtype=np.uint8)
    assert decode_jpegs(file, np.array([0]), 32).shape == (0, 32, 32, 3)
    with pytest.raises(ValueError, match="reshape"):
        decode_jpegs(file, np.array([0, len(file)]), 16)
    with pytest.raises(OSError, match="identify"):
        decode_jpegs(np.zeros(9, dtype=np.uint8), np.array([0, 9]), 32)


def test_the_codec_is_quality_75_with_colour_at_half_resolution() -> None:
    """Pillow's defaults are those settings; two by two checks of pure colour lose their colour, not their light."""
    image = photographs(1)[0]
    assert np.array_equal(through_jpeg(image[None])[0], np.asarray(Image.open(BytesIO(encoded(image)))))
    red, grey = np.zeros((32, 32, 3), np.uint8), np.zeros((32, 32, 3), np.uint8)
    red[::2, ::2, 0] = red[1::2, 1::2, 0] = 255
    grey[::2, ::2] = grey[1::2, 1::2] = 255
    coded = through_jpeg(np.stack([red, grey])).astype(int)
    colour = coded[..., 0] - coded[..., 1]
    assert (red[..., 0].std(), colour[0].std() < 30) == (127.5, True)
    assert coded[1].std() > 120


@pytest.mark.parametrize("side", [8, 16, 33])
def test_each_image_is_coded_alone_and_comes_back_in_its_size(side: int) -> None:
    x = photographs(3, side)
    coded = through_jpeg(x)
    assert (coded.dtype, coded.shape, coded.flags.writeable) == (x.dtype, x.shape, True)
    assert np.abs(coded.astype(int) - x).mean() < 10
    assert np.array_equal(coded[1:2], through_jpeg(x[1:2]))


def test_noise_that_is_finer_than_the_codecs_steps_is_mostly_gone() -> None:
    x = through_jpeg(np.repeat(photographs(8)[..., :1], 3, axis=3))
    noise = np.random.default_rng(0).choice([-4, 4], x.shape[:3])[..., None]
    noisy = np.clip(x + noise, 0, 255).astype(np.uint8)
    assert np.abs(through_jpeg(noisy).astype(int) - x).mean() < 2.5 < np.abs(noisy.astype(int) - x).mean()


@pytest.mark.parametrize("quality", [50, 60, 75, 85, 92])
@pytest.mark.parametrize("subsampling", ["4:2:0", "4:4:4"])
def test_the_coding_of_images_is_found_again(quality: int, subsampling: str) -> None:
    coding = Coding(quality, subsampling)  # type: ignore[arg-type]
    assert find_coding(through_jpeg(photographs(40), coding)) == coding


def test_a_change_behind_the_coding_is_coded_again_and_leaves_the_coding_as_it_was() -> None:
    coded = through_jpeg(photographs(40))
    noise = np.random.default_rng(0).integers(-9, 10, coded.shape)
    assert find_coding(through_jpeg(np.clip(coded + noise, 0, 255).astype(np.uint8))) == Coding()


def test_grey_images_have_a_coding_too() -> None:
    grey = through_jpeg(photographs(40)[..., :1], Coding(80, "4:4:4"))
    assert find_coding(grey) == Coding(80, "4:4:4")


def test_no_coding_is_found_where_there_was_none_or_more_than_one_or_the_blocks_moved() -> None:
    raw = photographs(64)
    mixed = np.concatenate([through_jpeg(raw[:32], Coding(60)), through_jpeg(raw[32:], Coding(90))])
    shifted = np.roll(through_jpeg(raw), (3, 2), (1, 2))
    noise = np.random.default_rng(0).integers(0, 256, (20, 16, 16, 3), dtype=np.uint8)
    assert [find_coding(x) for x in (raw, mixed, shifted, noise, raw[:, :7], raw[:, :, :7])] == [None] * 6
