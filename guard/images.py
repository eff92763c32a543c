"""PNG and JPEG, header first: only what bears pixels of the right size and mode ever reaches a pixel decoder."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from io import BytesIO

from guard.rejection import Fault
from guard.spec import ImageInput
from guard.verdict import RejectReason

__all__ = ["decode_image"]

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_KEPT = frozenset({b"IHDR", b"IDAT", b"IEND"})
_PNG_COLOURS = {0: 1, 2: 3}
"""PNG colour type → channels. Palettes and alpha are other modes."""

_JPEG_SIGNATURE = b"\xff\xd8"
_SCAN = 0xDA
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_KEPT = frozenset({*range(0xC0, 0xD0), 0xDA, 0xDB, 0xDD, 0xE0, 0xEE})
"""Frames, tables, scans, JFIF (E0) and Adobe (EE), which says how colours are coded. Profiles, EXIF, thumbnails and
comments go: nobody needs them, and they are where a small file hides a large one."""
_JPEG_KNOWN = _JPEG_KEPT | {*range(0xE0, 0xF0), 0xFE}
_FILL = re.compile(rb"\xff+")

_MAX_PARTS = 10_000
"""Chunks of a PNG, or segments of a JPEG before its pixels; 10 MB in the usual chunks of 8 kB are 1,200. Without it, a
file of 700 kB can hold 180,000."""

_MAX_SCANS = 100
"""Scans of one JPEG; encoders write about 10. Each is a pass over the whole image: 700 kB of 20-byte scans would be
35,000 passes."""


def decode_image(encoding: str, data: bytes, image: ImageInput) -> bytes:
    """The pixels of a `png` or `jpeg` file, height × width × channels bytes in C order. Raises `Fault`."""
    # Pillow takes a tenth of a second to import: a guard of tables, or of tensors, need not wait for it.
    from PIL.JpegImagePlugin import JpegImageFile
    from PIL.PngImagePlugin import PngImageFile

    reduced = _reduce_png(data, image) if encoding == "png" else _reduce_jpeg(data, image)
    try:
        with PngImageFile(BytesIO(reduced)) if encoding == "png" else JpegImageFile(BytesIO(reduced)) as file:
            pixels: bytes = file.tobytes()
    except Exception as error:  # noqa: BLE001 - Pillow raises whatever type the hostile bytes provoke
        raise _broken(f"its pixels cannot be decoded ({type(error).__name__})") from None
    if len(pixels) != image.height * image.width * image.channels:
        raise _broken("its header disagrees with its pixels")
    return pixels


def _broken(what: str) -> Fault:
    return Fault(RejectReason.SCHEMA_VIOLATION, f"image.data: {what}; send the whole, undamaged file")


def _check_header(height: int, width: int, channels: int | None, bits: int, image: ImageInput) -> None:
    if (height, width, channels, bits) != (image.height, image.width, image.channels, 8):
        mode = f"{channels} channels" if channels else "another colour mode"
        raise Fault(
            RejectReason.SHAPE_MISMATCH,
            f"image.data: {height} × {width} pixels, {mode}, {bits} bits each; "
            f"send {image.height} × {image.width} pixels, {image.channels} channels, 8 bits each",
        )


def _reduce_png(data: bytes, image: ImageInput) -> bytes:
    """The same PNG without text, profiles, palettes and the like. An animation is refused."""
    if not data.startswith(_PNG_SIGNATURE):
        raise _broken("not a PNG file")
    kept = [_PNG_SIGNATURE]
    for kind, chunk in _png_chunks(data):
        if kind == b"acTL":
            raise Fault(RejectReason.SCHEMA_VIOLATION, "image.data: an animation; send a single image")
        if len(kept) == 1 or kind == b"IHDR":
            _check_png_header(kind, chunk, image)
        if kind in _PNG_KEPT:
            kept.append(chunk)
    return b"".join(kept)


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and bytes of each chunk up to IEND, its checksum verified where the chunk is kept."""
    at = len(_PNG_SIGNATURE)
    for _ in range(_MAX_PARTS):
        if at + 12 > len(data):
            raise _broken(f"the PNG is truncated at byte {at}")
        length, kind = struct.unpack_from(">I4s", data, at)
        chunk = data[at : at + 12 + length]
        if len(chunk) < 12 + length:
            raise _broken(f"the PNG is truncated at byte {at}")
        if kind in _PNG_KEPT and zlib.crc32(chunk[4:-4]) != int.from_bytes(chunk[-4:]):
            raise _broken(f"the checksum at byte {at} is wrong")
        yield kind, chunk
        if kind == b"IEND":
            return
        at += 12 + length
    raise _broken(f"more than {_MAX_PARTS} chunks")


def _check_png_header(kind: bytes, chunk: bytes, image: ImageInput) -> None:
    if kind != b"IHDR" or len(chunk) != 25:
        raise _broken("the PNG does not start with its header")
    width, height, bits, colour = struct.unpack_from(">IIBB", chunk, 8)
    _check_header(height, width, _PNG_COLOURS.get(colour), bits, image)


def _reduce_jpeg(data: bytes, image: ImageInput) -> bytes:
    """The same JPEG without profiles, EXIF, thumbnails and comments."""
    if not data.startswith(_JPEG_SIGNATURE):
        raise _broken("not a JPEG file")
    if data.count(b"\xff\xda") > _MAX_SCANS:
        raise _broken(f"more than {_MAX_SCANS} scans")
    kept, frames = [_JPEG_SIGNATURE], 0
    for marker, segment in _jpeg_segments(data):
        if marker in _FRAMES:
            _check_jpeg_header(segment, image)
            frames += 1
        if marker in _JPEG_KEPT:
            kept.append(segment)
    if frames != 1:
        raise _broken("the JPEG does not have exactly one header")
    return b"".join(kept)


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and bytes of each segment; the first scan comes with all that follows it."""
    at = len(_JPEG_SIGNATURE)
    for _ in range(_MAX_PARTS):
        fill = _FILL.match(data, at)
        if fill is None or fill.end() + 3 > len(data):
            raise _broken(f"the JPEG is truncated or damaged at byte {at}")
        at = fill.end() - 1
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4])
        if marker == _SCAN:
            yield marker, data[at:]
            return
        if marker not in _JPEG_KNOWN or length < 2 or at + 2 + length > len(data):
            raise _broken(f"the JPEG is truncated or damaged at byte {at}")
        yield marker, data[at : at + 2 + length]
        at += 2 + length
    raise _broken(f"more than {_MAX_PARTS} segments")


def _check_jpeg_header(segment: bytes, image: ImageInput) -> None:
    if len(segment) < 10:
        raise _broken("the JPEG's header is truncated")
    bits, height, width, channels = struct.unpack_from(">BHHB", segment, 4)
    _check_header(height, width, channels, bits, image)
