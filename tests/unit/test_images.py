from __future__ import annotations

import io
import struct
import time
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from guard.images import decode_image
from guard.rejection import Fault
from guard.spec import ImageInput
from guard.verdict import RejectReason
from tests.support.records import picture_file

RNG = np.random.default_rng(5)
GREY = ImageInput(height=8, width=6, channels=1)
RGB = ImageInput(height=8, width=6, channels=3)
GREY_PIXELS = RNG.integers(0, 256, (8, 6), np.uint8)
RGB_PIXELS = RNG.integers(0, 256, (8, 6, 3), np.uint8)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, bits: int = 8, colour: int = 0, *, rows: bytes, extra: bytes = b"") -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def segment(marker: int, data: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(data) + 2) + data


def refused(encoding: str, data: bytes, image: ImageInput = GREY) -> tuple[RejectReason, str]:
    with pytest.raises(Fault) as fault:
        decode_image(encoding, data, image)
    return fault.value.reason, fault.value.detail


@pytest.mark.parametrize(("image", "pixels"), [(GREY, GREY_PIXELS), (RGB, RGB_PIXELS)])
@pytest.mark.parametrize(
    ("encoding", "options"),
    [
        ("png", {}),
        ("png", {"compress_level": 0}),
        ("jpeg", {}),
        ("jpeg", {"progressive": True, "quality": 90}),
        ("jpeg", {"subsampling": 0, "comment": b"c" * 999, "icc_profile": b"p" * 99999}),
        ("jpeg", {"exif": b"Exif\0\0" + b"x" * 999}),
    ],
)
def test_pixels_are_those_that_pillow_reads(
    image: ImageInput, pixels: np.ndarray[Any, Any], encoding: str, options: dict[str, Any]
) -> None:
    data = picture_file(pixels, encoding, **options)
    expected = np.asarray(Image.open(io.BytesIO(data)))
    assert decode_image(encoding, data, image) == expected.tobytes()
    if encoding == "png":
        assert expected.tobytes() == pixels.tobytes()


def test_text_and_profiles_are_skipped() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("k", "v" * 10_000, zip=True)
    data = picture_file(GREY_PIXELS, "png", pnginfo=info, icc_profile=b"p" * 1000)
    assert decode_image("png", data, GREY) == GREY_PIXELS.tobytes()


def test_interlaced_png() -> None:
    rows = b"".join(b"\0" * (1 + width) for width in (1, 1, 2, 1, 1, 3, 3, 3, 3, 3, 3, 6, 6, 6, 6))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 6, 8, 8, 0, 0, 0, 1))
    data = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    assert decode_image("png", data, GREY) == bytes(48)


@pytest.mark.parametrize(
    ("encoding", "pixels", "image"),
    [
        ("png", GREY_PIXELS.T, GREY),
        ("png", GREY_PIXELS[:7], GREY),
        ("png", RGB_PIXELS, GREY),
        ("png", GREY_PIXELS, RGB),
        ("png", RNG.integers(0, 256, (8, 6, 4), np.uint8), RGB),
        ("png", RNG.integers(0, 256, (8, 6, 2), np.uint8), GREY),
        ("png", GREY_PIXELS.astype(np.uint16), GREY),
        ("png", GREY_PIXELS > 9, GREY),
        ("jpeg", GREY_PIXELS.T, GREY),
        ("jpeg", RGB_PIXELS, GREY),
        ("jpeg", GREY_PIXELS, RGB),
    ],
)
def test_size_and_mode_must_be_those_of_the_specification(
    encoding: str, pixels: np.ndarray[Any, Any], image: ImageInput
) -> None:
    reason, detail = refused(encoding, picture_file(pixels, encoding), image)
    assert reason is RejectReason.SHAPE_MISMATCH
    assert f"{image.height} × {image.width}" in detail


def test_palettes_and_cmyk_are_other_modes() -> None:
    for mode, encoding in (("P", "png"), ("CMYK", "jpeg")):
        file = io.BytesIO()
        Image.new(mode, (6, 8)).save(file, encoding.upper())
        assert refused(encoding, file.getvalue(), RGB)[0] is RejectReason.SHAPE_MISMATCH


def test_format_must_be_what_the_encoding_says() -> None:
    for says, data in (("png", picture_file(GREY_PIXELS, "jpeg")), ("jpeg", picture_file(GREY_PIXELS, "png"))):
        reason, detail = refused(says, data)
        assert reason is RejectReason.SCHEMA_VIOLATION
        assert f"not a {says.upper()} file" in detail


def test_animations_are_refused() -> None:
    frames = [Image.fromarray(GREY_PIXELS), Image.fromarray(255 - GREY_PIXELS)]
    file = io.BytesIO()
    frames[0].save(file, "PNG", save_all=True, append_images=frames[1:])
    assert "animation" in refused("png", file.getvalue())[1]


@pytest.mark.parametrize("encoding", ["png", "jpeg"])
def test_no_truncation_is_accepted(encoding: str) -> None:
    data = picture_file(RGB_PIXELS, encoding)
    for length in range(len(data) - 2):
        reason, _ = refused(encoding, data[:length], RGB)
        assert reason in (RejectReason.SCHEMA_VIOLATION, RejectReason.SHAPE_MISMATCH)


@pytest.mark.parametrize("encoding", ["png", "jpeg"])
def test_damage_is_refused_or_gives_pixels_of_the_right_size(encoding: str) -> None:
    rng = np.random.default_rng(7)
    data = np.frombuffer(
        picture_file(RGB_PIXELS, encoding, **({"progressive": True} if encoding == "jpeg" else {})), "u1"
    )
    outcomes = set()
    for _ in range(1500):
        damaged = data.copy()
        at = rng.integers(0, len(data), rng.integers(1, 4))
        damaged[at] = rng.integers(0, 256, len(at))
        try:
            pixels = decode_image(encoding, damaged.tobytes(), RGB)
            outcomes.add("accepted")
            assert len(pixels) == RGB_PIXELS.size
        except Fault as fault:
            outcomes.add(fault.reason)
    # The checksum of a PNG's header fails before its size is looked at.
    shape = {RejectReason.SHAPE_MISMATCH} if encoding == "jpeg" else set()
    assert outcomes == {"accepted", RejectReason.SCHEMA_VIOLATION} | shape


BOMB = zlib.compress(bytes(20_000_000))
MEGABYTE = zlib.compress(bytes(1_000_000))


def cheaply(data: bytes) -> bytes | None:
    """The pixels, or None if refused; inflating 200 MB would take about .3 s, 60 MB of text about .1 s."""
    assert len(data) < 1 << 20
    started = time.process_time()
    try:
        return decode_image("png", data, GREY)
    except Fault:
        return None
    finally:
        assert time.process_time() - started < 0.08


@pytest.mark.parametrize(("width", "height"), [(60_000, 60_000), (2**31, 2**31), (0, 0), (6, 2**32 - 1)])
def test_a_huge_header_costs_nothing(width: int, height: int) -> None:
    assert cheaply(png(width, height, rows=bytes(9))) is None


def test_pixels_that_never_end_cost_nothing() -> None:
    assert cheaply(png(6, 8, rows=bytes(200_000_000))) in (None, bytes(48))


@pytest.mark.parametrize(
    "extra",
    [
        pytest.param(chunk(b"zTXt", b"k\0\0" + BOMB), id="text"),
        pytest.param(chunk(b"zTXt", b"k\0\0" + MEGABYTE) * 60, id="much text"),
        pytest.param(chunk(b"iTXt", b"k\0\1\0\0\0" + BOMB), id="international text"),
        pytest.param(chunk(b"iCCP", b"p\0\0" + BOMB), id="profile"),
        pytest.param(chunk(b"tEXt", b"k\0v") * 9_000, id="many chunks"),
    ],
)
def test_what_bears_no_pixels_is_never_inflated(extra: bytes) -> None:
    assert cheaply(png(6, 8, rows=bytes(56), extra=extra)) == bytes(48)


def test_corrupt_exif_is_never_read() -> None:
    file = picture_file(GREY_PIXELS, "jpeg")
    exif = segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0\x09\0\x1a\x01\x05\0")
    with pytest.warns(UserWarning, match="Corrupt EXIF"):
        Image.open(io.BytesIO(file[:2] + exif + file[2:]))
    assert decode_image("jpeg", file[:2] + exif + file[2:], GREY) == decode_image("jpeg", file, GREY)


def test_jpeg_of_many_scans_is_refused() -> None:
    file = picture_file(GREY_PIXELS, "jpeg", progressive=True)
    scan = file.rindex(b"\xff\xda")
    data = file[:-2] + file[scan:-2] * 200 + file[-2:]
    assert "scans" in refused("jpeg", data)[1]


def test_jpeg_of_two_headers_is_refused() -> None:
    file = picture_file(GREY_PIXELS, "jpeg")
    at = file.index(b"\xff\xc0")
    header = file[at : at + 13]
    assert "header" in refused("jpeg", file[:at] + header + file[at:])[1]
    huge = segment(0xC0, struct.pack(">BHHB", 8, 65_000, 65_000, 1) + b"\1\x11\0")
    assert refused("jpeg", file[:at] + huge + file[at:])[0] is RejectReason.SHAPE_MISMATCH


def test_jpeg_of_an_unknown_segment_is_refused_not_mended() -> None:
    file = picture_file(GREY_PIXELS, "jpeg")
    tables = file.rindex(b"\xff\xc4")
    assert "damaged" in refused("jpeg", file[:tables] + b"\xff\x44" + file[tables + 2 :])[1]


def test_png_of_two_headers_is_refused() -> None:
    second = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0))
    assert refused("png", png(6, 8, rows=bytes(56), extra=second))[0] is RejectReason.SHAPE_MISMATCH


def test_fill_bytes_between_jpeg_segments_are_legal() -> None:
    file = picture_file(GREY_PIXELS, "jpeg")
    at = file.index(b"\xff\xc0")
    assert decode_image("jpeg", file[:at] + b"\xff\xff" + file[at:], GREY) == decode_image("jpeg", file, GREY)
