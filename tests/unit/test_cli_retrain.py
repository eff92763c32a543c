"""From the guard's output to a gate, through the commands."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import make_moons

from guard.bundle import load_bundle
from guard.cli.main import main
from guard.gate import read_audit, read_gate
from guard.review.decision import Action
from guard.sample import encode_samples
from guard.spec import ClassLabel, InputSpec, NumberColumn, TableInput
from tests.support.retraining import filtered, review, trusted_table
from training.job import train_bundle
from training.snapshot import Snapshot, read_snapshot, snapshot_from_arrays, write_snapshot

POLICY = "[audit]\npoison_share = 0.05\n"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A trusted snapshot, a policy, and what a guard made of a crowd."""
    write_snapshot(trusted_table(), tmp_path / "snapshot")
    (tmp_path / "policy.toml").write_text(POLICY)
    filtered(tmp_path / "judged", 150)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def retrain(*more: object, policy: str = "policy.toml", out: str = "candidate") -> int:
    arguments = ["--snapshot", "snapshot", "--policy", policy, "--out", out, "--snapshot-only"]
    return main(["retrain", *arguments, *map(str, more)])


def test_from_filtered_samples_to_a_bound(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = read_snapshot("snapshot").digest
    assert retrain("--from", "judged") == 0
    said = capsys.readouterr().out
    taken = len(read_snapshot("candidate/snapshot").y) - 120
    assert f"{taken} taken beside 120 trusted rows" in said
    assert "Next: depois audit draw candidate --out audit" in said
    assert read_snapshot("snapshot").digest == before
    assert main(["audit", "draw", "candidate", "--out", "audit"]) == 0
    said = capsys.readouterr().out
    assert f"59 of {taken} new rows drawn" in said
    assert "59 with 0, 93 with 1, 124 with 2, 153 with 3" in said
    assert main(["audit", "bound", "audit"]) == 1
    assert "nobody has decided" in capsys.readouterr().err
    assert (
        main(["quarantine", "release", "--folder", "audit", "--all", "--why", "looked", "--reviewer", "ana", "--yes"])
        == 0
    )
    capsys.readouterr()
    assert main(["audit", "bound", "audit", "--out", "audit.json"]) == 0
    said = capsys.readouterr().out
    assert "at most 4.95%" in said
    assert "The policy allows 5.00%: met." in said
    assert read_audit(Path("audit.json")).snapshot_digest == read_snapshot("candidate/snapshot").digest


def test_a_stream_that_is_not_there_is_told_before_anything_is_written(
    world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert retrain("--from", "judged", "--unlabelled", "stream.jsonl") == 1
    assert "stream.jsonl is not there; --unlabelled names" in capsys.readouterr().err
    assert not (world / "candidate").exists()


def test_a_bound_above_the_limit_ends_with_3(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert retrain("--from", "judged") == 0
    assert main(["audit", "draw", "candidate", "--out", "audit", "--json"]) == 0
    review(world / "audit", lambda place: Action.REJECTED if place == 0 else Action.RELEASED)
    capsys.readouterr()
    assert main(["audit", "bound", "audit", "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["poison"] == 1


def test_every_kind_of_file_is_taken_and_evidence_beside_it(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (world / "own.jsonl").write_bytes((world / "judged/clean.jsonl").read_bytes() + b"{\n\nnonsense\n")
    evidence = ["--evidence", "judged/evidence.json"]
    assert retrain("--from", "own.jsonl", "--from", "judged", *evidence, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["left"]["malformed"] == 2
    assert list(told["inputs"]) == ["own.jsonl", "judged/clean.jsonl"]
    assert told["left"]["near_duplicate"] >= told["inputs"]["judged/clean.jsonl"] - told["left"].get("class_cap", 0) - 5
    lines = [json.loads(line) for line in Path("candidate/ledger.jsonl").read_text().splitlines()]
    assert {line["detail"] is None for line in lines if line["reason"] == "malformed"} == {False}


def test_a_csv_file_is_read_by_its_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_snapshot(moons(100, 0), Path("snapshot"))
    found = moons(60, 1)
    rows = (
        f"{'upper' if y else 'lower'},{b!r},{a!r},ann,x\n" for (a, b), y in zip(found.x.tolist(), found.y, strict=True)
    )
    Path("own.csv").write_text("which,b,a,who,note\n" + "".join(rows))
    Path("policy.toml").write_text("")
    assert retrain("--from", "own.csv", "--label", "which", "--source", "who", "--drop", "note") == 0
    new = read_snapshot("candidate/snapshot")
    assert {tuple(row) for row in new.x[100:].tolist()} <= {tuple(row) for row in found.x.tolist()}
    line = json.loads(Path("candidate/ledger.jsonl").read_text().splitlines()[0])
    assert (line["origin"], line["source"]) == ("own.csv/1", "ann")


def test_what_a_cap_leaves_of_a_class_is_told(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With three trusted rows for each new one a class of few rows gets none."""
    (world / "tight.toml").write_text("[caps]\nclass_growth = 0.02\n")
    assert retrain("--from", "judged", policy="tight.toml") == 1
    assert "class_cap" in capsys.readouterr().err
    assert not (world / "candidate").exists()
    few = int(np.bincount(trusted_table().y).min())
    (world / "tight.toml").write_text(f"[caps]\nclass_growth = {0.999 / few}\n")
    assert retrain("--from", "judged", policy="tight.toml") == 0
    assert "warning: class" in capsys.readouterr().out


def test_bad_use_is_refused_and_leaves_nothing(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (world / "empty.jsonl").write_bytes(b"")
    (world / "foreign.jsonl").write_bytes(b'{"source":"s","label":3,"image":{"encoding":"png","data":""}}\n' * 3)
    (world / "unknown.toml").write_text("[records]\nmax_agee = '3d'\n")
    (world / "judged/evidence.json").write_bytes(b"{}")
    (world / "binary.jsonl").write_bytes(bytes(range(256)) * 20)
    cases = [
        ([], {}, 2, "name what may join"),
        (["--from", "empty.jsonl"], {}, 1, "there are none"),
        (["--from", "foreign.jsonl"], {}, 1, "3 malformed"),
        (["--from", "binary.jsonl"], {}, 1, "malformed"),
        (["--from", "absent.jsonl"], {}, 1, "absent.jsonl cannot be read"),
        (["--from", "own.xml"], {}, 1, "own.xml"),
        (["--from", "judged"], {}, 1, "evidence.json"),
        (["--from", "snapshot"], {}, 1, "name a file, or a folder that"),
        (["--from", "empty.jsonl"], {"policy": "unknown.toml"}, 2, "records.max_agee: there is no such key"),
        (["--from", "empty.jsonl"], {"policy": "absent.toml"}, 1, "absent.toml cannot be read"),
        (["--from", "empty.jsonl"], {"out": "judged"}, 1, "judged exists already"),
        (["--from", "empty.jsonl", "--label", "y"], {}, 2, "for CSV and Parquet"),
    ]
    for more, changes, code, said in cases:
        assert retrain(*more, **changes) == code, said
        assert said in capsys.readouterr().err
        assert not (world / "candidate").exists()


def test_a_snapshot_that_was_tampered_with_is_refused(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    card = world / "snapshot/snapshot.json"
    card.write_text(card.read_text().replace('"digest":"', '"digest": "').replace('"digest": "', '"digest": "0', 1))
    assert retrain("--from", "judged") == 1
    assert "snapshot" in capsys.readouterr().err


COLUMNS = TableInput(columns=tuple(NumberColumn(name=name, minimum=-2, maximum=3) for name in "ab"))
MOONS = InputSpec(input=COLUMNS, label=ClassLabel(values=("lower", "upper")))


def moons(rows: int, seed: int) -> Snapshot:
    x, y = make_moons(rows, noise=0.15, random_state=seed)
    return snapshot_from_arrays(x.clip(-2, 3), y.astype(np.int64), MOONS)


@pytest.mark.slow
def test_a_candidate_is_trained_audited_compared_and_let_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything for real: two trained bundles and the whole battery."""
    monkeypatch.chdir(tmp_path)
    write_snapshot(moons(200, 0), Path("snapshot"))
    write_snapshot(moons(240, 2), Path("held-out"))
    Path("policy.toml").write_text(POLICY + "[promotion]\nrecall_loss = 0.3\nmean_recall_loss = 0.1\nslowdown = 3.0\n")
    train_bundle(moons(200, 0), "bundle", preset="fast", augmenter="none")
    fresh = moons(200, 1)
    lines = encode_samples(MOONS, fresh.x, fresh.y, [f"sender {n % 4}" for n in range(200)])
    Path("stream.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    assert main(["filter", "stream.jsonl", "--bundle", "bundle", "--out", "judged"]) == 0
    command = ["retrain", "--snapshot", "snapshot", "--from", "judged", "--policy", "policy.toml", "--out", "candidate"]
    assert main([*command, "--preset", "fast", "--augmenter", "none", "--unlabelled", "stream.jsonl", "--strict"]) == 0
    trained = load_bundle("candidate/bundle").manifest.training
    assert trained["augmenter"]["name"] == "none"
    assert trained["unlabelled"]["records"] == 200
    assert main(["audit", "draw", "candidate", "--out", "audit"]) == 0
    review(tmp_path / "audit", lambda _: Action.RELEASED)
    assert main(["audit", "bound", "audit", "--out", "audit.json"]) == 0
    command = [
        "compare",
        "bundle",
        "candidate/bundle",
        "--trusted",
        "held-out",
        "--out",
        "compared",
        "--snapshot",
        "snapshot",
    ]
    code = main(
        [
            *command,
            "--policy",
            "policy.toml",
            "--recent",
            "stream.jsonl",
            "--gate",
            "gate.json",
            "--audit",
            "audit.json",
        ]
    )
    gate = read_gate(Path("gate.json"))
    assert gate.bundle_digest == load_bundle("candidate/bundle").digest
    assert (code == 0) == gate.passed
    assert gate.passed, gate.reasons
    assert json.loads(Path("compared/figures.json").read_text())["held_out"]["training_rows_fully_known"]
