from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from training.jpeg import decode_jpegs, through_jpeg


def photographs(n: int, side: int = 32, seed: int = 0) -> NDArray[np.uint8]:
    """Smooth in space, as photographs are."""
    noise = np.random.default_rng(seed).normal(size=(n, side, side, 3))
    smooth = gaussian_filter(noise, sigma=(0, 3, 3, 0))
    return np.clip(128 + 400 * smooth, 0, 255).astype(np.uint8)


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
