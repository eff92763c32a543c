"""Reading the stream beside a snapshot: every format, hostile records, repetition, and the cap."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import training.unlabelled as unlabelled
from guard.errors import InputUnreadable
from guard.spec import CategoryColumn, ClassLabel, ImageInput, InputSpec, NumberColumn, TableInput
from training.snapshot import Snapshot, snapshot_from_arrays
from training.unlabelled import Unlabelled, new_rows, read_unlabelled

SPEC = InputSpec(
    input=TableInput(
        columns=(
            NumberColumn(name="a", minimum=-99, maximum=99, gaps=True),
            CategoryColumn(name="kind", values=("x", "y")),
        )
    ),
    label=ClassLabel(values=("no", "yes")),
)
NUMBERS = InputSpec(
    input=TableInput(columns=tuple(NumberColumn(name=name, minimum=-9, maximum=9) for name in ("a", "b"))),
    label=ClassLabel(values=(0, 1)),
)
PICTURES = InputSpec(input=ImageInput(height=4, width=5, channels=1), label=ClassLabel(values=(0, 1)))
WANTED = [[1.5, 0.0], [None, 1.0], [-2.0, 0.0]]


def table() -> Snapshot:
    x = np.column_stack([np.arange(40.0), np.arange(40) % 2])
    return snapshot_from_arrays(x, np.arange(40) % 2, SPEC)


def numbers() -> Snapshot:
    x = np.random.default_rng(0).normal(size=(40, 2)).clip(-9, 9)
    return snapshot_from_arrays(x, np.arange(40) % 2, NUMBERS)


def pictures() -> Snapshot:
    x = np.random.default_rng(0).integers(0, 256, (40, 4, 5, 1), dtype=np.uint8)
    return snapshot_from_arrays(x, np.arange(40) % 2, PICTURES)


def line(label: Any = "no", **features: Any) -> str:
    return json.dumps({"source": "s", "label": label, "features": features})


def rows(found: Unlabelled) -> list[list[float | None]]:
    """The rows that were kept, gaps as None, sorted: their order says nothing."""
    return wanted([[None if np.isnan(v) else v for v in row] for row in found.x.tolist()])


def wanted(x: list[list[float | None]]) -> list[list[float | None]]:
    return sorted(x, key=str)


def counts(found: Unlabelled) -> tuple[int, ...]:
    return found.records, found.malformed, found.unknown, found.trusted, found.repeated


def test_lines_of_the_wire_format_are_read_and_the_others_named(tmp_path: Path) -> None:
    lines = [
        line(a=1.5, kind="x"),
        "",
        "{",
        line(kind="y"),
        line(a=-2, kind="x", label="maybe"),
        line(a=3, kind="y"),  # a trusted row
        line(a=1.5, kind="x", label="yes"),  # another label makes no other row
        line(a=1e9, kind="x"),
        line(a=-2, kind="x"),
    ]
    path = tmp_path / "stream.jsonl"
    path.write_text("\n".join(lines))
    found = read_unlabelled(path, table())
    assert rows(found) == wanted(WANTED)
    assert counts(found) == (8, 2, 1, 1, 1)
    messages = [finding.message for finding in found.findings]
    assert [int(message.split()[2]) for message in messages] == [2, 7]
    assert "malformed_json" in messages[0]
    assert "out_of_range" in messages[1]
    assert found.name == "stream.jsonl"
    assert len(found.sha256) == 64


def test_a_label_that_the_snapshot_never_held_is_counted_and_left_out(tmp_path: Path) -> None:
    path = tmp_path / "stream.jsonl"
    path.write_text(line("maybe", a=-5, kind="x") + "\n" + line("yes", a=-6, kind="x"))
    found = read_unlabelled(path, table())
    assert rows(found) == [[-6.0, 0.0]]
    assert counts(found) == (2, 0, 1, 0, 0)


@pytest.mark.parametrize("header", ["a,kind", "kind,label,a,source"])
def test_a_csv_file_needs_no_label_and_may_have_more_columns(tmp_path: Path, header: str) -> None:
    path = tmp_path / "stream.csv"
    cells = {"label": "whatever", "source": "me"}
    body = [
        ",".join({**cells, "a": a, "kind": kind}[name] for name in header.split(","))
        for a, kind in (("1.5", "x"), ("", "y"), ("-2", "x"), ("7", "unheard of"))
    ]
    path.write_text("\n".join([header, *body]))
    found = read_unlabelled(path, table())
    assert rows(found) == wanted(WANTED)
    assert counts(found) == (4, 1, 0, 0, 0)
    assert "unknown_category" in found.findings[0].message


def test_a_parquet_file_is_read_likewise(tmp_path: Path) -> None:
    path = tmp_path / "stream.parquet"
    pq.write_table(pa.table({"a": [1.5, None, -2.0], "kind": ["x", "y", "x"], "when": [1, 2, 3]}), path)
    assert rows(read_unlabelled(path, table())) == wanted(WANTED)


def test_an_npz_file_is_read_likewise(tmp_path: Path) -> None:
    x = np.array([[0.25, 1.0], [0.5, -1.0]])
    np.savez(tmp_path / "stream.npz", x=x, y=np.array([0, 1]))
    assert rows(read_unlabelled(tmp_path / "stream.npz", numbers())) == wanted(x.tolist())


def test_a_folder_of_images_is_read_whatever_its_subfolders_are_called(tmp_path: Path) -> None:
    folder, rng = tmp_path / "stream", np.random.default_rng(1)
    x = rng.integers(0, 256, (3, 4, 5), dtype=np.uint8)
    (folder / "not a class").mkdir(parents=True)
    for name, image in zip(("1.png", "not a class/2.png", "not a class/3.PNG"), x, strict=True):
        Image.fromarray(image).save(folder / name, format="PNG")
    (folder / "4.png").write_bytes(b"no image")
    Image.fromarray(x[0, :2]).save(folder / "small.png")
    (folder / "notes.txt").write_text("left aside")
    found = read_unlabelled(folder, pictures())
    assert sorted(found.x[..., 0].tolist()) == sorted(x.tolist())
    assert (found.records, found.malformed) == (5, 2)
    again = read_unlabelled(folder, pictures())
    assert again.sha256 == found.sha256
    (folder / "4.png").unlink()
    assert read_unlabelled(folder, pictures()).sha256 != found.sha256


def test_images_on_lines_are_read_too(tmp_path: Path) -> None:
    image = np.arange(20, dtype=np.uint8).reshape(4, 5)
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG")
    payload = {"encoding": "png", "data": base64.b64encode(buffer.getvalue()).decode()}
    path = tmp_path / "stream.jsonl"
    path.write_text(json.dumps({"source": "s", "label": 1, "image": payload}) + "\n")
    assert read_unlabelled(path, pictures()).x[0, ..., 0].tolist() == image.tolist()


def test_a_line_beyond_every_limit_is_one_malformed_record(tmp_path: Path) -> None:
    path = tmp_path / "stream.jsonl"
    path.write_bytes(b'{"source": "' + b"x" * (3 << 20) + b'"}\n' + line(a=-2, kind="x").encode())
    found = read_unlabelled(path, table())
    assert counts(found) == (2, 1, 0, 0, 0)
    assert "too_large" in found.findings[0].message


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("absent.jsonl", None, "no file"),
        ("stream.pdf", b"%PDF", "which no reader knows"),
        ("stream.csv", b"b,c\n1,2\n", "has no column"),
        ("stream.csv", b"", "is empty"),
        ("stream.parquet", b"PAR1", "no sound Parquet|not a sound Parquet"),
        ("stream.npz", b"PK", "numbers only"),
    ],
)
def test_what_cannot_be_read_as_a_whole_is_refused(tmp_path: Path, name: str, content: bytes | None, says: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputUnreadable, match=says):
        read_unlabelled(tmp_path / name, table())


def test_a_folder_is_no_table_and_an_empty_one_no_stream(tmp_path: Path) -> None:
    with pytest.raises(InputUnreadable, match="holds a table"):
        read_unlabelled(tmp_path, table())
    with pytest.raises(InputUnreadable, match="no PNG or JPEG"):
        read_unlabelled(tmp_path, pictures())


def test_many_malformed_records_are_counted_not_listed(tmp_path: Path) -> None:
    path = tmp_path / "stream.jsonl"
    path.write_text("\n".join(["{"] * 500 + [line(a=-2, kind="x")] + ["]"] * 2000))
    found = read_unlabelled(path, table())
    assert (found.records, found.malformed) == (2501, 2500)
    assert len(found.findings) == 11
    assert "2,490 more" in found.findings[-1].message


def test_what_is_kept_of_a_long_stream_depends_on_no_order_and_no_repetition(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unlabelled, "MOST_ROWS", 50)
    snapshot, rng = numbers(), np.random.default_rng(2)
    x = rng.normal(size=(400, 2)).clip(-9, 9)
    flood = np.concatenate([np.repeat(x[:3], 500, axis=0), snapshot.x, x])
    kept = new_rows(x, snapshot)
    assert kept.shape == (50, 2)
    np.testing.assert_array_equal(new_rows(flood[rng.permutation(len(flood))], snapshot), kept)
    assert not np.array_equal(kept, new_rows(x, pictures_key(snapshot)))


def pictures_key(snapshot: Snapshot) -> Snapshot:
    """The same rows under other trusted ones: another key, hence another sample."""
    return snapshot_from_arrays(snapshot.x[1:], snapshot.y[1:], snapshot.spec)


def test_every_distinct_row_is_as_likely_as_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 40 rows 20 are kept under 200 keys: a share of .5, whose standard deviation is .035."""
    monkeypatch.setattr(unlabelled, "MOST_ROWS", 20)
    rng = np.random.default_rng(3)
    x, held = rng.normal(size=(40, 2)).clip(-9, 9), np.zeros(40)
    for _ in range(200):
        snapshot = snapshot_from_arrays(rng.normal(size=(30, 2)).clip(-9, 9), np.arange(30) % 2, NUMBERS)
        held += (x[:, None] == new_rows(x, snapshot)).all(-1).any(1)
    assert np.abs(held / 200 - 0.5).max() < 0.15
