"""`depois cleanse`: what it writes, what can be opened with it, and everything that it must refuse by name."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from guard.cli.main import main
from guard.errors import SnapshotRefused, TrainingFailed, WrongUse
from guard.review.decision import Action
from guard.review.desk import Wish
from guard.review.folder import RELEASED, FolderQuarantine
from guard.spec import ClassLabel, InputSpec, NumberColumn, NumberLabel, TableInput
from training.cleanse.cleanse import cleanse_snapshot
from training.cleanse.cleansers import CLEANSERS
from training.cleanse.outcome import cleansed_snapshot
from training.cleanse.report import render_page
from training.cli.cleanse import _show
from training.datasets import load_digits_images
from training.snapshot import Snapshot, read_snapshot, snapshot_from_arrays, write_snapshot

COLUMNS = TableInput(columns=tuple(NumberColumn(name=name, minimum=-9, maximum=9) for name in ("a", "b")))
NAMES = ("<b>red</b>", "green", "blue")
SPEC = InputSpec(input=COLUMNS, label=ClassLabel(values=NAMES))
WRONG = 8


def blobs(sizes: tuple[int, ...] = (60, 60, 60), wrong: int = WRONG) -> Snapshot:
    """Three classes far apart; the first `wrong` rows of the first one say `green`."""
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(3), sizes)
    x = np.array([[-4.0, 0], [4, 0], [0, 4]])[y] + rng.normal(0, 0.5, (len(y), 2))
    y[:wrong] = 1
    return snapshot_from_arrays(x.clip(-9, 9), y, SPEC, {"input": "blobs", "seed": "0"}, origin=np.arange(len(y)) + 101)


def random_labels(n: int) -> Snapshot:
    plain, rng = blobs((n // 3,) * 3, 0), np.random.default_rng(1)
    return snapshot_from_arrays(plain.x, rng.integers(0, 3, len(plain.y)), SPEC)


def unlabelled_digits(n: int) -> Snapshot:
    digits, rng = load_digits_images(), np.random.default_rng(1)
    return snapshot_from_arrays(digits.x[:n], rng.integers(0, 10, n), digits.spec)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cleanse")
    write_snapshot(blobs(), folder / "doubtful")
    assert main(["cleanse", str(folder / "doubtful"), "--out", str(folder / "out")]) == 0
    return folder / "out"


def test_wrong_labels_are_suspected_with_the_right_suggestion_and_honest_rows_stay(out: Path) -> None:
    rows = [json.loads(line) for line in (out / "rows.jsonl").read_text().splitlines()]
    assert [row["row"] for row in rows] == list(range(101, 281))
    suspected = [row for row in rows if row["suspected"]]
    assert [row["row"] for row in suspected] == list(range(101, 101 + WRONG))
    assert {(row["label"], row["suggested_label"]) for row in suspected} == {("green", "<b>red</b>")}
    assert min(row["score"] for row in suspected) > max(row["score"] for row in rows if not row["suspected"])
    assert max(row["share_at_least_as_suspicious"] for row in suspected) <= WRONG / 180


def test_what_is_kept_is_a_snapshot_that_says_how_it_was_cleansed(out: Path) -> None:
    kept, before = read_snapshot(out / "snapshot"), blobs()
    assert np.array_equal(kept.x, before.x[WRONG:])
    assert np.array_equal(kept.origin, before.origin[WRONG:])
    assert kept.provenance["input"] == "blobs"
    assert kept.provenance["cleansed_by"] == "lgm"
    assert kept.provenance["cleansed_from"] == before.digest
    assert kept.provenance["cleansed_suspected"] == f"{WRONG} of 180 rows"


def test_the_suspected_rows_are_reviewed_like_those_of_a_filter(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    quarantine = FolderQuarantine(out / "suspected")
    held = quarantine.desk.queue.take(list(range(WRONG)))
    assert {one.label for one in held} == {"green"}
    assert {one.suggested_label for one in held} == {"<b>red</b>"}
    assert [one.origin for one in held] == [f"file/input/0/{row}" for row in range(101, 101 + WRONG)]
    assert main(["quarantine", "list", "--folder", str(out / "suspected"), "--json"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == WRONG
    asyncio.run(quarantine.settle([Wish(held[0], Action.RELEASED, "ana", "it is green")]))
    sample = json.loads((out / "suspected" / RELEASED).read_text())
    assert sample["label"] == "green"
    assert list(sample["features"].values()) == blobs().x[0].tolist()


def test_the_report_says_what_was_found_and_lets_no_name_be_markup(out: Path) -> None:
    page = (out / "report.html").read_text()
    assert "<b>red</b>" not in page
    assert "&lt;b&gt;red&lt;/b&gt;" in page
    for said in (f"<b>{WRONG}</b>", "lgm finds wrong labels", blobs().digest):
        assert said in page
    assert json.loads((out / "cleanse.json").read_text())["suspected"] == WRONG


def test_images_come_with_pictures(tmp_path: Path) -> None:
    digits = load_digits_images()
    y = digits.y[:200].copy()
    y[:6] = (y[:6] + 1) % 10
    write_snapshot(snapshot_from_arrays(digits.x[:200], y, digits.spec), tmp_path / "digits")
    assert main(["cleanse", str(tmp_path / "digits"), "--method", "lgm", "--out", str(tmp_path / "out")]) == 0
    assert "data:image/png;base64," in (tmp_path / "out" / "report.html").read_text()
    rows = [json.loads(line) for line in (tmp_path / "out" / "rows.jsonl").read_text().splitlines()]
    assert sum(row["suspected"] for row in rows[:6]) >= 4
    assert sum(row["suspected"] for row in rows[6:]) <= 12


def test_epic_suspects_what_it_dropped() -> None:
    """One wrong label is alone among its class's gradients; eight alike would keep each other company."""
    doubtful = blobs(wrong=1)
    found = cleanse_snapshot(doubtful, "epic")
    assert found.suspected[0]
    assert np.array_equal(found.suspected, found.verdict.score > 1)
    assert found.suspected[1:].mean() <= 0.2
    assert np.array_equal(cleanse_snapshot(doubtful, "epic").verdict.score, found.verdict.score)
    with pytest.raises(TrainingFailed, match="every row of class 'blue' is suspected"):
        cleansed_snapshot(replace(found, suspected=found.suspected | (doubtful.y == 2)))


def test_rows_that_stood_out_and_were_let_go_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    found = cleanse_snapshot(blobs(), "lgm")
    told = replace(found, verdict=replace(found.verdict, let_go=found.snapshot.y == 2))
    assert [one.let_go for one in told.classes] == [0, 0, 60]
    _show(told, Path("out"))
    assert "60 rows of blue resemble each other" in capsys.readouterr().out
    assert '<td class="number">60</td></tr>' in render_page(told)
    _show(found, Path("out"))
    assert "resemble" not in capsys.readouterr().out


def test_a_class_that_is_too_small_is_named_and_not_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = blobs((60, 60, 2), 0)
    write_snapshot(small, tmp_path / "small")
    assert main(["cleanse", str(tmp_path / "small"), "--out", str(tmp_path / "out")]) == 0
    assert "Not judged, for they have too few rows: blue." in capsys.readouterr().out
    kept = read_snapshot(tmp_path / "out" / "snapshot")
    assert (kept.y == 2).sum() == 2
    assert kept.provenance["cleansed_not_judged"].startswith("2 rows")


@pytest.mark.parametrize("method", ["auto", *CLEANSERS])
def test_labels_that_do_not_follow_from_rows_are_never_called_clean(method: str) -> None:
    doubtful = unlabelled_digits(180) if method == "meca" else random_labels(180)
    with pytest.raises(TrainingFailed, match="No row can be called clean"):
        cleanse_snapshot(doubtful, method)


@pytest.mark.slow
def test_meca_leaves_images_without_poison_alone() -> None:
    digits = load_digits_images()
    clean = snapshot_from_arrays(digits.x[:600], digits.y[:600], digits.spec)
    found = cleanse_snapshot(clean, "meca")
    assert found.suspected.mean() <= 0.04
    assert found.verdict.let_go is not None
    assert sum(one.let_go for one in found.classes) == found.verdict.let_go.sum() > 0
    assert not (found.verdict.let_go & found.suspected).any()


def test_too_little_to_compare_is_refused_before_any_training() -> None:
    plain = blobs()
    with pytest.raises(SnapshotRefused, match="fewer than two classes have 10 rows"):
        cleanse_snapshot(blobs((60, 3, 3), 0))
    number = InputSpec(input=COLUMNS, label=NumberLabel(minimum=-9, maximum=9))
    with pytest.raises(WrongUse, match="labels are numbers"):
        cleanse_snapshot(snapshot_from_arrays(plain.x, plain.x[:, 0], number))
    with pytest.raises(WrongUse, match="there is no method 'magic'"):
        cleanse_snapshot(plain, "magic")
    with pytest.raises(WrongUse, match="meca cannot judge such data; choose auto or one of lgm, epic"):
        cleanse_snapshot(plain, "meca")
    with pytest.raises(SnapshotRefused, match="no index of the 3 classes"):
        snapshot_from_arrays(plain.x, plain.y + 1, SPEC)


def test_a_single_class_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "one.csv").write_text("a,kind\n" + "".join(f"{k / 7},red\n" for k in range(40)))
    assert main(["cleanse", str(tmp_path / "one.csv"), "--label", "kind", "--out", str(tmp_path / "out")]) == 1
    assert "at least 2 are needed" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_what_is_there_is_not_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    assert main(["cleanse", "nothing", "--out", str(tmp_path / "out")]) == 1
    assert "exists already" in capsys.readouterr().err
