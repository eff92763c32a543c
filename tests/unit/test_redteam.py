"""The red team end to end, against a small bundle that was really trained, through the command."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import make_moons

from guard.bundle import load_bundle
from guard.cli.main import main
from guard.errors import SnapshotRefused, WrongUse
from guard.spec import ClassLabel, InputSpec, NumberColumn, NumberLabel, TableInput
from guard.verdict import Status
from tests.support.bundles import IMAGE, TABLE, draw_samples, make_bundle
from training.attacks import VARIANTS
from training.datasets import load_digits_images
from training.job import TrainedBundle, train_bundle
from training.redteam.battery import MOST_POISON, choose_attacks
from training.redteam.material import share_out
from training.snapshot import Snapshot, snapshot_from_arrays, write_snapshot

COLUMNS = TableInput(columns=tuple(NumberColumn(name=name, minimum=-2, maximum=3) for name in "ab"))
MOONS = InputSpec(input=COLUMNS, label=ClassLabel(values=("lower", "upper")))
QUICK = "random-flip,adaptive-black-box"


def moons(rows: int, seed: int) -> Snapshot:
    x, y = make_moons(rows, noise=0.15, random_state=seed)
    return snapshot_from_arrays(x.clip(-2, 3), y.astype(np.int64), MOONS)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> TrainedBundle:
    out = tmp_path_factory.mktemp("redteam") / "bundle"
    return train_bundle(moons(150, 0), out, preset="fast", device="cpu", augmenter="none", name="moons")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_snapshot(moons(110, 1), tmp_path / "data")
    return tmp_path / "data"


def attack(bundle: Path, data: Path, out: Path, *more: str) -> int:
    return main(["redteam", str(bundle), str(data), "--out", str(out), *more])


def bytes_of(folder: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}


def test_it_counts_as_the_bundle_judges_and_leaves_the_bundle_as_it_was(
    trained: TrainedBundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = bytes_of(trained.path)
    write_snapshot(moons(300, 1), tmp_path / "data")
    assert attack(trained.path, tmp_path / "data", tmp_path / "out", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert bytes_of(trained.path) == before
    bundle = load_bundle(trained.path, sha256=trained.digest)
    assert told == json.loads((tmp_path / "out/redteam.json").read_text())
    assert told["bundle"]["sha256"] == trained.digest
    assert [one["name"] for one in told["attacks"]] == list(choose_attacks(MOONS, None))
    material = share_out(bundle, moons(300, 1), 0)
    held = sum(v.status is not Status.CLEAN for v in bundle.judge_arrays(material.x, material.y))
    assert told["false_alarms"]["count"] == held
    assert told["false_alarms"]["of"] == told["data"]["honest"] == 150
    recall = {one["name"]: one["held"]["share"] for one in told["attacks"]}
    assert recall["random-flip"] > 0.7
    assert recall["adaptive-black-box"] < recall["random-flip"] - 0.2
    assert all(one["held"]["of"] == min(MOST_POISON, 75) for one in told["attacks"])
    assert all(one["harm_passed"]["count"] + one["held"]["count"] <= one["held"]["of"] for one in told["attacks"])


def test_same_seed_same_bytes_and_attacks_do_not_depend_on_each_other(
    trained: TrainedBundle, data: Path, tmp_path: Path
) -> None:
    for out in ("one", "two"):
        assert attack(trained.path, data, tmp_path / out, "--attacks", QUICK, "--seed", "3") == 0
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "two")
    assert attack(trained.path, data, tmp_path / "alone", "--attacks", "adaptive-black-box", "--seed", "3") == 0
    assert attack(trained.path, data, tmp_path / "other", "--attacks", QUICK, "--seed", "4") == 0
    both, alone, other = (
        json.loads((tmp_path / out / "redteam.json").read_text()) for out in ("one", "alone", "other")
    )
    assert alone["attacks"] == both["attacks"][1:]
    assert other["attacks"] != both["attacks"]


def test_the_page_fetches_nothing_and_links_to_the_training_report(
    trained: TrainedBundle, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "deep" / "er"
    assert attack(trained.path, data, out, "--attacks", QUICK) == 0
    shown = capsys.readouterr().out
    page = (out / "redteam.html").read_text()
    assert "adaptive-black-box" in shown
    assert "default-src 'none'" in page
    assert "<script" not in page
    link = page.split('href="')[1].split('"')[0]
    assert (out / link).resolve() == (trained.path / "report.html").resolve()
    assert trained.digest in page


def test_a_file_is_read_as_the_bundle_reads_samples(trained: TrainedBundle, tmp_path: Path) -> None:
    """A CSV file with its columns in another order, and classes that the bundle counts in another order."""
    found = moons(110, 1)
    rows = (f"{'upper' if y else 'lower'},{b!r},{a!r}\n" for (a, b), y in zip(found.x.tolist(), found.y, strict=True))
    (tmp_path / "own.csv").write_text("which,b,a\n" + "".join(rows))
    assert attack(trained.path, tmp_path / "own.csv", tmp_path / "csv", "--label", "which", "--attacks", QUICK) == 0
    write_snapshot(found, tmp_path / "data")
    assert attack(trained.path, tmp_path / "data", tmp_path / "snapshot", "--attacks", QUICK) == 0
    assert bytes_of(tmp_path / "csv") == bytes_of(tmp_path / "snapshot")


def test_what_it_cannot_mean_is_refused_and_nothing_is_written(
    trained: TrainedBundle, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_snapshot(moons(150, 0), tmp_path / "trusted")
    write_snapshot(moons(60, 2), tmp_path / "few")
    cases = [
        (tmp_path / "trusted", [], 1, "rows that the bundle was trained on"),
        (tmp_path / "few", [], 1, "60 usable rows"),
        (data, ["--attacks", "statistical"], 2, "does not apply"),
        (data, ["--attacks", "nonsense"], 2, "is not there; choose from random-flip"),
        (data, ["--label", "which"], 2, "leave out --label"),
    ]
    for source, more, code, said in cases:
        assert attack(trained.path, source, tmp_path / "out", *more) == code
        assert said in capsys.readouterr().err
        assert not (tmp_path / "out").exists()
    assert attack(trained.path, data, trained.path / "out") == 2
    assert attack(trained.path, data, data) == 1
    assert load_bundle(trained.path, sha256=trained.digest)


def test_rows_of_the_snapshot_under_another_name_are_found_out(trained: TrainedBundle) -> None:
    bundle, trusted, fresh = load_bundle(trained.path), moons(150, 0), moons(300, 1)

    def mixed(known: int) -> Snapshot:
        x, y = np.concatenate([fresh.x, trusted.x[:known]]), np.concatenate([fresh.y, trusted.y[:known]])
        return snapshot_from_arrays(x, y, MOONS)

    assert share_out(bundle, mixed(0), 0).known == 0
    assert share_out(bundle, mixed(8), 0).known == 8
    with pytest.raises(SnapshotRefused, match="about 12% of the rows were trusted rows"):
        share_out(bundle, mixed(40), 0)
    again = snapshot_from_arrays(trusted.x[::-1], trusted.y[::-1], MOONS)
    with pytest.raises(SnapshotRefused, match="about 100% of the rows"):
        share_out(bundle, again, 0)


def test_rows_of_another_kind_are_refused_with_the_reason(trained: TrainedBundle) -> None:
    bundle, fresh = load_bundle(trained.path), moons(300, 1)
    wide = TableInput(columns=(*COLUMNS.columns, NumberColumn(name="c", minimum=0, maximum=1)))
    number = NumberLabel(minimum=-9, maximum=9)
    others = {
        "c": (np.column_stack([fresh.x, fresh.x[:, 0].clip(0, 1)]), fresh.y, InputSpec(input=wide, label=MOONS.label)),
        "label": (fresh.x, fresh.y.astype(np.float64), InputSpec(input=COLUMNS, label=number)),
        "'middle'": (fresh.x, fresh.y, InputSpec(input=COLUMNS, label=ClassLabel(values=("middle", "upper")))),
    }
    for said, (x, y, spec) in others.items():
        with pytest.raises(SnapshotRefused, match=r"cannot read \d+ of 300 rows; row \d+: ") as refused:
            share_out(bundle, snapshot_from_arrays(x, y, spec), 0)
        assert said in str(refused.value)


def test_of_rows_that_reach_beyond_the_legal_range_only_those_are_left_out(trained: TrainedBundle) -> None:
    bundle, fresh = load_bundle(trained.path), moons(300, 1)
    x = fresh.x.copy()
    x[:20, 0] = 50
    spec = InputSpec(
        input=TableInput(columns=(NumberColumn(name="a", minimum=-50, maximum=50), COLUMNS.columns[1])),
        label=MOONS.label,
    )
    material = share_out(bundle, snapshot_from_arrays(x, fresh.y, spec), 0)
    assert material.refused == 20
    assert len(material.y) + len(material.attackers.y) == 280


def test_images_are_attacked_and_an_attack_that_cannot_be_made_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the second class there are 12 rows: too few for poison that takes ten of one class for each target."""
    bundle = make_bundle(tmp_path / "bundle", IMAGE)
    x, y = draw_samples(IMAGE, 300, seed=77)
    rows = np.sort(np.concatenate([np.flatnonzero(y == 0)[:100], np.flatnonzero(y == 1)[:12]]))
    write_snapshot(snapshot_from_arrays(x[rows], y[rows], IMAGE), tmp_path / "data")
    wanted = "random-flip,projected-gradient,feature-collision,adaptive-black-box"
    assert attack(bundle, tmp_path / "data", tmp_path / "out", "--attacks", wanted) == 0
    told = json.loads((tmp_path / "out/redteam.json").read_text())
    found = {one["name"]: one for one in told["attacks"]}
    assert list(found) == ["random-flip", "projected-gradient", "adaptive-black-box"]
    assert found["random-flip"]["held"]["share"] > 0.9
    assert found["adaptive-black-box"]["harm_passed"] is not None
    assert [one["name"] for one in told["unable"]] == ["feature-collision"]
    assert "feature-collision could not be made: the attacker holds too few rows" in capsys.readouterr().out
    assert "<b>feature-collision</b> could not be made" in (tmp_path / "out/redteam.html").read_text()


def test_where_no_model_of_ours_reads_the_rows_harm_is_left_open(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = make_bundle(tmp_path / "bundle", TABLE)
    write_snapshot(snapshot_from_arrays(*draw_samples(TABLE, 110, seed=77), TABLE), tmp_path / "data")
    assert attack(bundle, tmp_path / "data", tmp_path / "out", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in told["attacks"]] == ["random-flip"]
    assert told["attacks"][0]["harm_passed"] is None


def test_variants_are_run_where_all_attacks_are_asked_for() -> None:
    few, everything = (
        choose_attacks(load_digits_images().spec, None),
        choose_attacks(load_digits_images().spec, ["all"]),
    )
    assert set(everything) - set(few) == {one.name for one in VARIANTS}
    assert {"feature-collision", "gradient-matching"} <= set(few)


def test_wanted_attacks_keep_their_order_and_are_run_once() -> None:
    assert choose_attacks(MOONS, ["random-flip", "confident-flip", "random-flip"]) == ("random-flip", "confident-flip")
    with pytest.raises(WrongUse):
        choose_attacks(MOONS, [""])
