from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from PIL import Image

from guard.cli.main import main
from guard.sample import encode_samples
from tests.support.bundles import IMAGE, TABLE, draw_samples, make_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_bundle(tmp_path_factory.mktemp("explain") / "bundle"))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_bundle(tmp_path_factory.mktemp("explain") / "images", IMAGE))


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    """Line 1 is clean, line 2 has a wrong label, line 3 is no JSON and longer than any record."""
    x, y = draw_samples(TABLE, 2, seed=40)
    path = tmp_path / "samples.jsonl"
    y[1] = (y[1] + 1) % 3
    lines = [*encode_samples(TABLE, x, y, ["test"] * 2), b"x" * 3_000_000, b"{}"]
    path.write_bytes(b"\r\n".join(lines))
    return path


def explained(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("line", "code", "status"), [(1, 0, "clean"), (2, 0, "quarantined"), (3, 3, "malformed"), (4, 3, "malformed")]
)
def test_each_line_is_explained(
    bundle: str, samples: Path, capsys: pytest.CaptureFixture[str], line: int, code: int, status: str
) -> None:
    assert main(["explain", str(samples), "--bundle", bundle, "--line", str(line), "--json"]) == code
    found = explained(capsys)
    assert found["verdict"]["status"] == status
    assert len(found["members"]) == (2 if code == 0 else 0)
    assert len(found["neighbours"]) == (5 if code == 0 else 0)
    assert found["model"] == "test:1"


def test_the_tables_show_members_and_neighbours(bundle: str, samples: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", str(samples), "--bundle", bundle, "--line", "2", "--neighbours", "3"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("quarantined (suspect) p = ")
    assert "the trusted data speak for" in text
    for part in ("distance", "mimic", "p alone", "trusted neighbour"):
        assert part in text
    assert text.count("row ") == 3


def test_one_line_needs_no_number_and_may_come_from_a_pipe(
    bundle: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    x, y = draw_samples(TABLE, 1, seed=41)
    record = encode_samples(TABLE, x, y, ["test"])[0]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\n" + record + b"\n\n")))
    assert main(["explain", "-", "--bundle", bundle, "--json"]) == 0
    assert explained(capsys)["verdict"]["status"] == "clean"


def test_unclear_or_absent_samples_end_with_advice(
    bundle: str, samples: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").write_bytes(b"\n\n")
    for arguments, code, advice in (
        ([str(samples)], 2, "--line"),
        ([str(samples), "--line", "9"], 1, "fewer than 9 lines"),
        ([str(tmp_path / "nowhere")], 1, "name a file"),
        ([str(tmp_path)], 1, "name a file"),
        ([str(tmp_path / "empty")], 1, "it is empty"),
        ([str(samples), "--line", "1", "--picture", str(tmp_path / "p.png")], 2, "no image to draw"),
    ):
        assert main(["explain", *arguments, "--bundle", bundle]) == code
        assert advice in capsys.readouterr().err


def test_images_come_with_a_picture(images: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x, y = draw_samples(IMAGE, 1, seed=42)
    (tmp_path / "one.jsonl").write_bytes(encode_samples(IMAGE, x, y, ["test"])[0])
    picture = tmp_path / "picture.png"
    assert main(["explain", str(tmp_path / "one.jsonl"), "--bundle", images, "--picture", str(picture)]) == 0
    with Image.open(picture) as drawn:
        assert drawn.width > 5 * drawn.height
    unwritable = str(tmp_path / "no" / "picture.png")
    assert main(["explain", str(tmp_path / "one.jsonl"), "--bundle", images, "--picture", unwritable]) == 1
    assert "cannot be written" in capsys.readouterr().err


def test_alpha_may_be_tried_out(bundle: str, samples: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["explain", str(samples), "--bundle", bundle, "--line", "1", "--json", "--alpha"]
    assert main([*arguments, "0.9999"]) == 0
    assert explained(capsys)["verdict"]["status"] == "quarantined"
    assert main([*arguments, "7"]) == 2
