"""Pictures of encoded images: a sample beside its neighbours as PNG, and one image as blocks on a terminal."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image
    from rich.text import Text

__all__ = ["blocks", "contact_sheet", "png"]

_TILE = 128
_MARGIN = 8
_CAPTION = 14
_MAX_COLUMNS = 48


def contact_sheet(images: Sequence[NDArray[np.uint8]], captions: Sequence[str]) -> bytes:
    """PNG bytes of `images` (height, width, channels) side by side, each enlarged to one size, under its caption."""
    from PIL import Image, ImageDraw

    tiles = [_tile(image) for image in images]
    width = max(_TILE, *(tile.width for tile in tiles)) + 2 * _MARGIN
    height = max(tile.height for tile in tiles) + 2 * _MARGIN + _CAPTION
    sheet = Image.new("RGB", (width * len(tiles), height), "white")
    draw = ImageDraw.Draw(sheet)
    for index, (tile, caption) in enumerate(zip(tiles, captions, strict=True)):
        left = index * width + _MARGIN
        draw.text((left, _MARGIN // 2), caption, fill="black")
        sheet.paste(tile, (left, _MARGIN + _CAPTION))
    return _png(sheet)


def png(image: NDArray[np.uint8]) -> bytes:
    """PNG bytes of one `image` (height, width, channels), pixel for pixel."""
    return _png(_pillow(image))


def blocks(image: NDArray[np.uint8]) -> Text:
    """`image` (height, width, channels) in half blocks, two pixels to a character, at most 48 characters wide."""
    from rich.color import Color
    from rich.style import Style
    from rich.text import Text

    picture = _pillow(image)
    if picture.width > _MAX_COLUMNS:
        picture = picture.resize((_MAX_COLUMNS, max(1, picture.height * _MAX_COLUMNS // picture.width)))
    pixels = np.asarray(picture)
    if len(pixels) % 2:
        pixels = np.concatenate([pixels, pixels[-1:]])
    text = Text()
    for upper, lower in zip(pixels[::2].tolist(), pixels[1::2].tolist(), strict=True):
        for above, below in zip(upper, lower, strict=True):
            text.append("▀", Style(color=Color.from_rgb(*above), bgcolor=Color.from_rgb(*below)))
        text.append("\n")
    return text


def _tile(image: NDArray[np.uint8]) -> Image:
    from PIL import Image

    picture = _pillow(image)
    scale = _TILE / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BOX)


def _pillow(image: NDArray[Any]) -> Image:
    from PIL import Image

    return Image.fromarray(np.broadcast_to(image, (*image.shape[:2], 3)).astype(np.uint8))


def _png(picture: Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()
