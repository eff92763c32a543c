from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from guard.cli.main import main
from guard.decode import Decoder
from guard.spec import ClassLabel, InputSpec, NumberColumn, NumberLabel, TableInput
from training.attacks import ATTACKS
from training.datasets import load_digits_images
from training.snapshot import Snapshot, read_snapshot, snapshot_from_arrays, write_snapshot

COLUMNS = TableInput(columns=tuple(NumberColumn(name=name, minimum=-9, maximum=9) for name in "ab"))


def two_moons(rows: int = 200) -> Snapshot:
    rng = np.random.default_rng(5)
    y = np.arange(rows) % 2
    x = rng.normal(size=(rows, 2)) * 0.3 + np.stack([2.0 * y, -1.0 * y], axis=1)
    return snapshot_from_arrays(x, y, InputSpec(input=COLUMNS, label=ClassLabel(values=("low", "high"))))


def slope(rows: int = 200) -> Snapshot:
    rng = np.random.default_rng(6)
    x = rng.uniform(-3, 3, size=(rows, 2))
    y = x @ [1.0, 0.5] + rng.normal(size=rows) * 0.1
    return snapshot_from_arrays(x, y, InputSpec(input=COLUMNS, label=NumberLabel(minimum=-9, maximum=9)))


@pytest.fixture(params=[two_moons, slope], ids=["classes", "numbers"])
def snapshot(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    write_snapshot(request.param(), tmp_path / "snapshot")
    return tmp_path / "snapshot"


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_attack_that_applies_writes_legal_samples_and_the_truth_apart(snapshot: Path, tmp_path: Path) -> None:
    known = read_snapshot(snapshot)
    applied = [attack.name for attack in ATTACKS if attack.applies(known.spec)]
    assert applied
    for name in applied:
        out = tmp_path / name
        assert main(["attack", name, str(snapshot), "--share", "0.1", "--out", str(out)]) == 0
        samples, truth = lines(out / "poison.jsonl"), lines(out / "truth.jsonl")
        assert len(samples) == len(truth) == 20
        assert [one["id"] for one in samples] == [one["id"] for one in truth]
        assert [one["label"] for one in samples] == [one["label"] for one in truth]
        assert {one["source"] for one in samples} == {"attacker"}
        assert len(Decoder(known.spec).decode((out / "poison.jsonl").read_bytes().splitlines()).index) == 20


def test_flips_name_the_row_that_they_were_made_from_and_its_right_label(tmp_path: Path) -> None:
    found = two_moons()
    write_snapshot(found, tmp_path / "snapshot")
    assert main(["attack", "random-flip", str(tmp_path / "snapshot"), "--out", str(tmp_path / "out")]) == 0
    by_row = {int(origin): ("low", "high")[label] for origin, label in zip(found.origin, found.y, strict=True)}
    for one in lines(tmp_path / "out/truth.jsonl"):
        assert one["right_label"] == by_row[one["row"]] != one["label"]  # type: ignore[index]


def test_targeted_poison_names_the_row_that_it_is_after_and_the_label_that_this_shall_get(tmp_path: Path) -> None:
    digits = load_digits_images()
    found = snapshot_from_arrays(digits.x[:300], digits.y[:300], digits.spec)
    write_snapshot(found, tmp_path / "snapshot")
    told = ["attack", "feature-collision", str(tmp_path / "snapshot"), "--share", "0.1", "--out", str(tmp_path / "out")]
    assert main(told) == 0
    by_row = {int(origin): int(label) for origin, label in zip(found.origin, found.y, strict=True)}
    truth = lines(tmp_path / "out/truth.jsonl")
    assert len({one["target_row"] for one in truth}) == 3
    assert {one["target_row"] for one in truth}.isdisjoint({one["row"] for one in truth})
    for one in truth:
        assert one["wanted_label"] == one["label"] == one["right_label"] != by_row[one["target_row"]]  # type: ignore[index]


def test_a_backdoor_writes_the_other_rows_with_the_trigger(tmp_path: Path) -> None:
    digits = load_digits_images()
    found = snapshot_from_arrays(digits.x[:300], digits.y[:300], digits.spec)
    write_snapshot(found, tmp_path / "snapshot")
    told = ["attack", "badnet", str(tmp_path / "snapshot"), "--share", "0.1", "--out", str(tmp_path / "out")]
    assert main(told) == 0
    truth = lines(tmp_path / "out/truth.jsonl")
    assert {one["label"] for one in truth} == {one["wanted_label"] for one in truth} == {1}
    used = {one["row"] for one in truth}
    shown = (tmp_path / "out/triggered.jsonl").read_bytes().splitlines()
    decoded = Decoder(found.spec).decode(shown)
    rows = [int(json.loads(line)["id"].removeprefix("triggered-")) for line in shown]
    assert rows == [int(row) for row, y in zip(found.origin, found.y, strict=True) if y != 1 and int(row) not in used]
    assert decoded.y.tolist() == [int(found.y[list(found.origin).index(row)]) for row in rows]
    assert (decoded.x[:, 5:, 5:] == 255).all()


def test_a_file_of_ones_own_needs_no_snapshot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "".join(f"{number % 7},{number % 5},{'yes' if number % 7 > 3 else 'no'}\n" for number in range(120))
    (tmp_path / "own.csv").write_text(f"a,b,bought\n{rows}")
    told = ["attack", "random-flip", str(tmp_path / "own.csv"), "--label", "bought", "--out", str(tmp_path / "out")]
    assert main([*told, "--seed", "3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["poisoned"] == 24
    assert main(["attack", *told[1:-1], str(tmp_path / "again"), "--seed", "3"]) == 0
    assert (tmp_path / "out/poison.jsonl").read_bytes() == (tmp_path / "again/poison.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["flip"], "Name a file or a snapshot"),
        (["flip", "SNAPSHOT"], "choose one of random-flip"),
        (["statistical", "SNAPSHOT"], "made for regression"),
        (["random-flip", "SNAPSHOT", "--share", "1.5"], "between 0 and 1"),
        (["random-flip", "SNAPSHOT", "--label", "x"], "leave out --label"),
    ],
)
def test_wrong_use_is_told_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    write_snapshot(two_moons(), tmp_path / "snapshot")
    words = [str(tmp_path / "snapshot") if word == "SNAPSHOT" else word for word in words]
    assert main(["attack", *words, "--out", str(tmp_path / "out")]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_list_names_every_attack_and_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["attack", "list"]) == 0
    shown = capsys.readouterr().out
    assert all(attack.name in shown for attack in ATTACKS)
