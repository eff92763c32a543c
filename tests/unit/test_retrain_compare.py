"""Champion against challenger, through the command and by its parts, on small bundles built by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import betabinom

from guard.agreement import agreement_of
from guard.bundle import load_bundle
from guard.cli.main import main
from guard.errors import SnapshotRefused, WrongUse
from guard.gate import AuditBound, Comparison, read_comparison, read_gate
from guard.sample import encode_samples
from guard.store import read_files, write_files
from guard.verdict import Status
from tests.support.bundles import IMAGE, TABLE, draw_samples, make_bundle
from training.progress import Silent
from training.redteam.battery import choose_attacks, run_battery
from training.retrain.held_out import hold_out, training_snapshots
from training.retrain.measures import most_held
from training.retrain.policy import Promotion
from training.retrain.rule import RULE
from training.snapshot import Snapshot, snapshot_from_arrays, write_snapshot


def held_out(rows: int = 240, seed: int = 77) -> Snapshot:
    return snapshot_from_arrays(*draw_samples(TABLE, rows, seed), TABLE)


def trained_on(path: Path, snapshot: Snapshot) -> Path:
    """The same bundle, whose manifest names the snapshot."""
    stored = read_files(path)
    manifest = stored.manifest.model_copy(update={"snapshot_digest": snapshot.digest})
    write_files(path, stored.contents, manifest, overwrite=True)
    return path


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("champion") / "bundle")


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As good, from other rows; its snapshot is known."""
    return trained_on(make_bundle(tmp_path_factory.mktemp("peer") / "bundle", seed=5), snapshot_of(5))


@pytest.fixture(scope="module")
def sleepy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds next to nothing."""
    return make_bundle(tmp_path_factory.mktemp("sleepy") / "bundle", alpha=1e-9)


def snapshot_of(seed: int) -> Snapshot:
    return snapshot_from_arrays(*draw_samples(TABLE, 300, seed), TABLE)


@pytest.fixture
def trusted(tmp_path: Path) -> Path:
    write_snapshot(held_out(), tmp_path / "held-out")
    return tmp_path / "held-out"


def bad_lines(folder: Path, count: int = 40) -> Path:
    """Wrong labels, and one record that is none."""
    x, y = draw_samples(TABLE, count, 9)
    lines = encode_samples(TABLE, x, (y + 1) % 3, ["<b>mallory</b>"] * count, [f"id {n}" for n in range(count)])
    (folder / "bad.jsonl").write_bytes(b"\n".join([*lines, b"", b"{"]) + b"\n")
    return folder / "bad.jsonl"


def audit_of(bundle: Path, folder: Path, **changes: Any) -> Path:
    fields = {
        "snapshot_digest": load_bundle(bundle).manifest.snapshot_digest,
        "rows": 500,
        "drawn": 299,
        "poison": 0,
        "undecided": 0,
        "confidence": 0.95,
        "reviewers": ("ana",),
        "time": "2026-01-01T00:00:00Z",
        "sample_digest": "1" * 64,
        "decisions_digest": "2" * 64,
    }
    (folder / "audit.json").write_text(AuditBound.counted(**{**fields, **changes}).model_dump_json())
    return folder / "audit.json"


def compare(champion: Path, challenger: Path, trusted: Path, out: Path, *more: object) -> int:
    return main(
        ["compare", str(champion), str(challenger), "--trusted", str(trusted), "--out", str(out), *map(str, more)]
    )


def figures(found: Comparison) -> dict[str, Any]:
    return {figure.name: figure for figure in found.figures}


def test_a_peer_passes_and_everything_is_counted_as_both_judge(
    champion: Path, peer: Path, trusted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = bad_lines(tmp_path)
    gate, audit = tmp_path / "gate.json", audit_of(peer, tmp_path)
    more = ["--canaries", bad, "--recent", bad, "--gate", gate, "--audit", audit, "--json"]
    assert compare(champion, peer, trusted, tmp_path / "out", *more) == 0
    told = json.loads(capsys.readouterr().out)
    found = read_comparison(tmp_path / "out/comparison.json")
    detail = json.loads((tmp_path / "out/figures.json").read_text())
    one, two = load_bundle(champion), load_bundle(peer)
    assert (found.champion_digest, found.challenger_digest) == (one.digest, two.digest)
    assert found.held_out_digest == held_out().digest
    assert found.passed
    for place, bundle in enumerate((one, two)):
        verdicts = bundle.judge_arrays(held_out().x, held_out().y)
        assert detail["held"][place]["count"] == sum(v.status is not Status.CLEAN for v in verdicts)
        lines = [line for line in bad.read_bytes().splitlines() if line]
        assert detail["canaries"]["held"][place]["count"] == sum(
            v.status is not Status.CLEAN for v in bundle.judge(lines)
        )
        alone = run_battery(bundle, held_out(), choose_attacks(TABLE, None), 0, Silent())
        assert detail["attacks"][0]["held"][place] == alone.raids[0].held.as_json
    both = agreement_of(one.judge(lines), two.judge(lines))
    assert {name: detail["recent"][name] for name in both} == both
    assert detail["recent"]["records"] == 41
    assert told["gate"]["passed"]
    assert read_gate(gate).comparison == found
    assert read_gate(gate).audit is not None


def test_the_same_seed_makes_the_same_comparison_but_for_time(
    champion: Path, peer: Path, trusted: Path, tmp_path: Path
) -> None:
    timed = {"processor seconds per record"}
    one, two = tmp_path / "one", tmp_path / "two"
    for out in (one, two):
        compare(champion, peer, trusted, out, "--seed", 3)
    found = [
        [figure for figure in read_comparison(out / "comparison.json").figures if figure.name not in timed]
        for out in (one, two)
    ]
    assert found[0] == found[1]


def test_a_challenger_that_holds_too_little_is_refused_with_reasons(
    champion: Path, sleepy: Path, trusted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gate, audit = tmp_path / "gate.json", audit_of(sleepy, tmp_path)
    more = ["--canaries", bad_lines(tmp_path), "--gate", gate, "--audit", audit]
    assert compare(champion, sleepy, trusted, tmp_path / "out", *more) == 3
    said = capsys.readouterr().out
    found = read_comparison(tmp_path / "out/comparison.json")
    for name in ("recall, mean over attacks", "recall, random-flip", "known bad samples held"):
        assert figures(found)[name].outcome == "worse"
        assert any(reason.startswith(name) for reason in found.reasons)
        assert name in said
    assert figures(found)["held-out rows held"].outcome == "same"
    assert not read_gate(gate).passed
    page = (tmp_path / "out/comparison.html").read_text()
    assert "does not pass" in page
    assert "<b>mallory" not in page
    assert "&lt;b&gt;mallory" in page
    assert "default-src 'none'" in page
    assert "<script" not in page
    for sentence in RULE:
        assert sentence.format(**Promotion().model_dump()) in page
    # the other way round it is the champion that is worse, and the challenger passes
    assert compare(sleepy, champion, trusted, tmp_path / "back", "--canaries", tmp_path / "bad.jsonl") == 0
    assert figures(read_comparison(tmp_path / "back/comparison.json"))["known bad samples held"].outcome == "better"


def test_a_policy_decides_otherwise(champion: Path, sleepy: Path, trusted: Path, tmp_path: Path) -> None:
    text = "[promotion]\nmean_recall_loss = 1.0\nrecall_loss = 1.0\nslowdown = 50.0\n"
    (tmp_path / "policy.toml").write_text(text)
    assert compare(champion, sleepy, trusted, tmp_path / "out", "--policy", tmp_path / "policy.toml") == 0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (None, "nobody audited"),
        ({"snapshot_digest": "9" * 64}, "about another snapshot"),
        ({"poison": 4}, "may be poison"),
    ],
)
def test_no_gate_passes_without_its_audit(
    champion: Path, peer: Path, trusted: Path, tmp_path: Path, changes: dict[str, Any] | None, said: str
) -> None:
    audit = [] if changes is None else ["--audit", audit_of(peer, tmp_path, **changes)]
    assert compare(champion, peer, trusted, tmp_path / "out", "--gate", tmp_path / "gate.json", *audit) == 3
    assert any(said in reason for reason in read_gate(tmp_path / "gate.json").reasons)
    assert read_comparison(tmp_path / "out/comparison.json").passed


def test_rows_that_trained_either_bundle_are_left_out_or_refused(champion: Path, peer: Path, tmp_path: Path) -> None:
    pair = (load_bundle(champion), load_bundle(peer))
    write_snapshot(snapshot_of(5), tmp_path / "theirs")
    known = training_snapshots([(champion, pair[0]), (peer, pair[1])], [tmp_path / "theirs"])
    assert [one.digest for one in known] == [snapshot_of(5).digest]
    with pytest.raises(SnapshotRefused, match=r"these are the 300 rows that test:1 was trained on"):
        hold_out(pair, snapshot_of(5), known)
    fresh, mine = held_out(300), snapshot_of(5)

    def mixed(count: int) -> Snapshot:
        """Rows that the bundle does not carry: only its snapshot tells."""
        rows = slice(-count, None) if count else slice(0, 0)
        return snapshot_from_arrays(
            np.concatenate([fresh.x, mine.x[rows]]), np.concatenate([fresh.y, mine.y[rows]]), TABLE
        )

    assert hold_out(pair, mixed(0), known).left == 0
    found = hold_out(pair, mixed(10), known)
    assert (found.left, len(found.lines), found.unread) == (10, 300, 0)
    assert hold_out(pair, mixed(10), []).left == 0
    assert not found.fully_known
    with pytest.raises(SnapshotRefused, match="40 of 340 rows trained champion or challenger"):
        hold_out(pair, mixed(40), known)
    write_snapshot(held_out(), tmp_path / "nobodys")
    with pytest.raises(WrongUse, match="neither bundle was trained on this snapshot"):
        training_snapshots([(champion, pair[0])], [tmp_path / "nobodys"])


def test_the_snapshot_beside_a_bundle_is_found(tmp_path: Path) -> None:
    snapshot = snapshot_of(5)
    write_snapshot(snapshot, tmp_path / "candidate/snapshot")
    bundle = trained_on(make_bundle(tmp_path / "candidate/bundle", seed=5), snapshot)
    pair = (load_bundle(bundle), load_bundle(bundle))
    known = training_snapshots([(bundle, pair[0]), (bundle, pair[1])], [])
    assert [one.digest for one in known] == [snapshot.digest]
    assert hold_out(pair, held_out(), known).fully_known


def test_bundles_and_rows_of_another_kind_are_refused(
    champion: Path, peer: Path, trusted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = make_bundle(tmp_path / "image", IMAGE)
    write_snapshot(snapshot_from_arrays(*draw_samples(IMAGE, 120, 3), IMAGE), tmp_path / "images")
    cases = [
        (image, trusted, [], 2, "read different samples"),
        (peer, tmp_path / "images", [], 1, "data of another kind"),
        (peer, trusted, ["--audit", tmp_path / "absent"], 2, "goes into a gate"),
        (peer, trusted, ["--gate", tmp_path / "g", "--audit", tmp_path / "absent"], 1, "cannot be read"),
        (peer, trusted, ["--canaries", tmp_path / "absent"], 1, "absent"),
        (peer, trusted, ["--attacks", "nonsense"], 2, "is not there"),
        (peer, trusted, ["--policy", tmp_path / "absent"], 1, "name the file of a policy"),
    ]
    for challenger, rows, more, code, said in cases:
        assert compare(champion, challenger, rows, tmp_path / "out", *more) == code
        assert said in capsys.readouterr().err
        assert not (tmp_path / "out").exists()
        assert not (tmp_path / "g").exists()
    assert compare(champion, peer, trusted, trusted) == 1


def test_more_held_than_sound_bundles_hold_is_worse(champion: Path, peer: Path, tmp_path: Path) -> None:
    """Held-out rows that lie apart from what the challenger was calibrated on."""
    bundle = load_bundle(champion)
    exact = betabinom(1000, 0.01 * 301, 0.99 * 301).ppf(0.99)
    groups = bundle.judgement.fusion.group_sizes
    assert groups == [300]
    assert abs(most_held(bundle.judgement.fusion, 1000) - exact) <= 2
    x, y = draw_samples(TABLE, 240, 77)
    x[:120, 0] += 6
    write_snapshot(snapshot_from_arrays(x, y, TABLE), tmp_path / "shifted")
    assert compare(champion, peer, tmp_path / "shifted", tmp_path / "out") == 3
    found = read_comparison(tmp_path / "out/comparison.json")
    assert figures(found)["held-out rows held"].outcome == "worse"
