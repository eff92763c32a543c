"""`depois train --unlabelled` end to end: a bundle that loads, what the stream did, and where that is told."""

from __future__ import annotations

import json
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import make_moons

from guard.bundle import load_bundle
from guard.cli.main import main
from guard.errors import WrongUse
from guard.spec import ClassLabel, InputSpec, NumberColumn, NumberLabel, TableInput
from guard.verdict import Status
from training.cli.train import _print
from training.job import TrainedBundle, train_bundle
from training.snapshot import Snapshot, snapshot_from_arrays, write_snapshot
from training.unlabelled import read_unlabelled

COLUMNS = tuple(NumberColumn(name=name, minimum=-9, maximum=9) for name in ("a", "b"))
FAST = ("--preset", "fast", "--device", "cpu", "--augmenter", "none")


def moons(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    x, y = make_moons(rows, noise=0.08, random_state=seed)
    return 2 * x, y.astype(np.int64)


def trusted() -> Snapshot:
    spec = InputSpec(input=TableInput(columns=COLUMNS), label=ClassLabel(values=("n", "y")))
    return snapshot_from_arrays(*moons(48, 0), spec)


def numbers() -> Snapshot:
    spec = InputSpec(input=TableInput(columns=COLUMNS[:1]), label=NumberLabel(minimum=-9, maximum=9))
    rng = np.random.default_rng(0)
    return snapshot_from_arrays(rng.normal(size=(60, 1)), rng.normal(size=60), spec)


def write_stream(path: Path) -> Path:
    """300 honest rows, of which half claim the wrong label, a trusted row, one that stands twice, and two bad ones."""
    x, _ = moons(300, 1)
    rows = [*x.tolist(), trusted().x[0].tolist(), x[0].tolist()]
    lines = [
        json.dumps({"source": "s", "label": "ny"[k % 2], "features": {"a": a, "b": b}}) for k, (a, b) in enumerate(rows)
    ]
    path.write_text("\n".join([*lines, "{", '{"source": "s", "label": "n", "features": {"a": 1e9, "b": 0}}']))
    return path


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder, out = tmp_path_factory.mktemp("streamed"), StringIO()
    write_snapshot(trusted(), folder / "snapshot")
    stream = write_stream(folder / "stream.jsonl")
    with redirect_stdout(out):
        arguments = [str(folder / "snapshot"), "--out", str(folder / "bundle"), "--unlabelled", str(stream)]
        assert main(["train", *arguments, *FAST, "--json"]) == 0
    return folder / "bundle", json.loads(out.getvalue())


def test_the_manifest_says_which_rows_and_what_they_did(printed: tuple[Path, dict[str, Any]]) -> None:
    told = printed[1]["training"]["unlabelled"]
    assert {
        name: told[name] for name in ("name", "records", "malformed", "unknown", "trusted", "repeated", "rows")
    } == {
        "name": "stream.jsonl",
        "records": 304,
        "malformed": 2,
        "unknown": 0,
        "trusted": 1,
        "repeated": 1,
        "rows": 300,
    }
    assert len(told["sha256"]) == 64
    assert set(told["members"]) == {"gp"}
    assert told["members"]["gp"]["kept"]
    weights = {member["name"]: member["weight"] for member in printed[1]["members"]}
    assert weights["knn"] < weights["gp"]


def test_the_bundle_holds_flips_and_passes_honest_rows(printed: tuple[Path, dict[str, Any]]) -> None:
    """The exported graph with the bent kernel in it, on rows that neither snapshot nor stream held."""
    bundle, (x, y) = load_bundle(printed[0]), moons(300, 2)
    held = [
        np.mean([verdict.status is Status.QUARANTINED for verdict in bundle.judge_arrays(x, label)])
        for label in (y, 1 - y)
    ]
    assert held[0] < 0.06
    assert held[1] > 0.6


def test_the_report_and_the_terminal_tell_it(
    printed: tuple[Path, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    report = (printed[0] / "report.html").read_text()
    assert "The unlabelled stream" in report
    assert "out of 304 records" in report
    assert "learned from them" in report
    assert "--unlabelled FILE" in report
    bundle = load_bundle(printed[0])
    _print(TrainedBundle(printed[0], bundle.manifest, bundle.digest, ()))
    said = capsys.readouterr().out
    assert (
        "Unlabelled: 300 of 304 records can be learned from; 2 malformed, 1 equal to trusted rows, 1 repeated." in said
    )
    assert "gp learned beside" in said


def test_bad_records_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_snapshot(trusted(), tmp_path / "snapshot")
    (tmp_path / "stream.pdf").write_bytes(b"")
    arguments = [str(tmp_path / "snapshot"), "--out", str(tmp_path / "out"), "--unlabelled"]
    assert main(["train", *arguments, str(tmp_path / "stream.pdf")]) == 1
    assert "which no reader knows" in capsys.readouterr().err
    found = read_unlabelled(write_stream(tmp_path / "stream.jsonl"), trusted())
    assert [finding.rows for finding in found.findings] == [(303,), (304,)]


def test_unlabelled_rows_beside_numbers_are_refused_before_any_work(tmp_path: Path) -> None:
    stream = read_unlabelled(write_stream(tmp_path / "stream.jsonl"), trusted())
    with pytest.raises(WrongUse, match="labels are numbers"):
        train_bundle(numbers(), tmp_path / "out", unlabelled=stream)
    assert not (tmp_path / "out").exists()
