"""Reads a folder of PNG and JPEG files, one subfolder per class."""

from __future__ import annotations

import io
import warnings
from collections import Counter
from collections.abc import Mapping

import numpy as np
from PIL import Image, UnidentifiedImageError

from guard.errors import SnapshotRefused
from training.findings import Finding
from training.ingest.raw import RawImages, text_column

__all__ = ["IMAGE_SUFFIXES", "MAX_SIDE", "read_image_folder"]

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg"})
MAX_SIDE = 4096
"""Pixels of the longer side: what `guard.spec.ImageInput` allows."""

_GREY = frozenset({"1", "L", "LA"})
_COLOUR = frozenset({"RGB", "RGBA", "P", "PA", "CMYK", "YCbCr"})


def read_image_folder(files: Mapping[str, bytes], title: str) -> RawImages:
    """The images in `files`, which maps `class/name.png` to a file's bytes; row k is the k-th name in order.

    All images are converted to 8-bit grey when every one is grey, to RGB otherwise. Raises SnapshotRefused naming the
    file when one is damaged, has 16-bit pixels, or another size than most.
    """
    if not files:
        raise SnapshotRefused(
            f"{title} holds no PNG or JPEG file in a subfolder; put the images of a class into a folder"
        )
    modes = _headers(files)
    target = "L" if set(modes.values()) <= _GREY else "RGB"
    x = np.stack([_pixels(data, name, target) for name, data in files.items()])
    label = text_column("folder", [name.partition("/")[0] for name in files])
    return RawImages(x, label, np.arange(1, len(x) + 1), _converted(modes, target))


def _headers(files: Mapping[str, bytes]) -> dict[str, str]:
    """The colour mode of each file; all have the same size, and none is too large to decode."""
    headers = {name: _header(data, name) for name, data in files.items()}
    usual = Counter(size for size, _ in headers.values()).most_common(1)[0][0]
    for name, (size, mode) in headers.items():
        if size != usual:
            raise SnapshotRefused(
                f"{name!r} has {size[0]} × {size[1]} pixels, most have {usual[0]} × {usual[1]}; all must have one size"
            )
        if mode not in _GREY | _COLOUR:
            raise SnapshotRefused(f"{name!r} has pixels of kind {mode}; save it as 8-bit grey or RGB")
    if max(usual) > MAX_SIDE:
        raise SnapshotRefused(f"images have {usual[0]} × {usual[1]} pixels; make them at most {MAX_SIDE} on a side")
    return {name: mode for name, (_, mode) in headers.items()}


def _header(data: bytes, name: str) -> tuple[tuple[int, int], str]:
    with _open(data, name) as image:
        return image.size, image.mode


def _pixels(data: bytes, name: str, target: str) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    with _open(data, name) as image:
        try:
            pixels = np.asarray(image.convert(target), np.uint8)
        except Exception as broken:  # Pillow raises whatever type the hostile bytes provoke
            raise _damaged(name, broken) from broken
    return pixels[..., np.newaxis] if target == "L" else pixels


def _open(data: bytes, name: str) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the side is checked before any pixel is read
        try:
            return Image.open(io.BytesIO(data), formats=("PNG", "JPEG"))
        except Exception as broken:
            raise _damaged(name, broken) from broken


def _damaged(name: str, broken: Exception) -> SnapshotRefused:
    reason = "no PNG or JPEG" if isinstance(broken, UnidentifiedImageError) else str(broken)
    return SnapshotRefused(f"{name!r} cannot be decoded ({reason}); replace the file or remove it")


def _converted(modes: Mapping[str, str], target: str) -> tuple[Finding, ...]:
    plain = Counter(mode for mode in modes.values() if mode != target)
    if not plain:
        return ()
    kinds = ", ".join(f"{count} {mode}" for mode, count in sorted(plain.items()))
    rule = "the bundle will take only 8-bit grey" if target == "L" else "the bundle will take only 8-bit RGB"
    return (Finding("note", "image_converted", f"images converted to {target}: {kinds}; {rule}"),)
