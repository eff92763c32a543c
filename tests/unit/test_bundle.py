from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import guard
from guard.bundle import parse_bundle, recalibrate, write_bundle
from guard.difference import differences
from guard.errors import BundleRefused, OutputFailed, WrongUse
from guard.golden import Golden, replay
from guard.store import BUNDLE_FILES
from tests.support.bundles import IMAGE, NUMBER, TABLE, draw_samples, make_bundle


def files_of(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.iterdir()}


def rewrite(path: Path, out: Path, **changes: object) -> None:
    parsed = parse_bundle(path)
    parts: dict[str, object] = {
        "model": parsed.stored.contents["model.onnx"],
        "calibration": parsed.calibration,
        "golden": parsed.golden,
        "reference": parsed.reference,
        "report_html": "report",
        "manifest": parsed.manifest,
    }
    write_bundle(out, **{**parts, **changes})


def test_a_bundle_survives_its_files(tmp_path: Path) -> None:
    path = make_bundle(tmp_path / "bundle")
    bundle = guard.load_bundle(path, threads=1)
    manifest = (path / "manifest.json").read_bytes()
    assert bundle.digest == hashlib.sha256(manifest).hexdigest()
    assert (path / "manifest.json.sha256").read_text() == f"{bundle.digest}  manifest.json\n"
    assert set(bundle.manifest.files) == set(BUNDLE_FILES)
    assert bundle.alpha == bundle.manifest.alpha
    assert bundle.manifest.spec == TABLE


def test_sha256sum_agrees(tmp_path: Path) -> None:
    path = make_bundle(tmp_path / "bundle")
    sha256sum = shutil.which("sha256sum")
    assert sha256sum
    assert subprocess.run([sha256sum, "-c", "manifest.json.sha256"], cwd=path, check=False).returncode == 0


def test_the_same_parts_give_the_same_bytes(tmp_path: Path) -> None:
    assert files_of(make_bundle(tmp_path / "a")) == files_of(make_bundle(tmp_path / "b"))


def test_a_pinned_digest_is_held_to(tmp_path: Path) -> None:
    path = make_bundle(tmp_path / "bundle")
    digest = guard.load_bundle(path, threads=1).digest
    assert guard.load_bundle(path, sha256=digest.upper(), threads=1).digest == digest
    with pytest.raises(BundleRefused, match=f"its SHA-256 is {digest}, but {'0' * 64} is pinned"):
        guard.load_bundle(path, sha256="0" * 64)


def test_a_bundle_may_be_reached_through_a_link(tmp_path: Path) -> None:
    path = make_bundle(tmp_path / "bundle")
    (tmp_path / "current").symlink_to(path)
    assert guard.load_bundle(tmp_path / "current", threads=1).manifest.name == "test"


def test_an_existing_folder_is_only_replaced_when_asked_and_only_if_a_bundle(tmp_path: Path) -> None:
    path = make_bundle(tmp_path / "bundle")
    before = files_of(path)
    with pytest.raises(OutputFailed, match="exists already"):
        rewrite(path, path)
    assert files_of(path) == before
    rewrite(path, path, overwrite=True, report_html="other")
    assert files_of(path)["report.html"] == b"other"
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputFailed, match="no bundle and will not be overwritten"):
        rewrite(path, tmp_path / "papers", overwrite=True)
    assert (tmp_path / "papers" / "thesis.txt").read_text() == "years of work"
    assert {entry.name for entry in tmp_path.iterdir()} == {"bundle", "papers"}


@pytest.mark.parametrize("fault", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=["disk", "ctrl-c"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_an_interrupted_write_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: BaseException, overwrite: bool
) -> None:
    path = make_bundle(tmp_path / "bundle")
    target = path if overwrite else tmp_path / "new"
    before = files_of(path)
    write = Path.write_bytes

    def fail_at_golden(self: Path, data: bytes) -> int:
        if self.name == "golden.npz":
            raise fault
        return write(self, data)

    monkeypatch.setattr(Path, "write_bytes", fail_at_golden)
    with pytest.raises(OutputFailed if isinstance(fault, OSError) else KeyboardInterrupt):
        rewrite(path, target, overwrite=overwrite)
    assert [entry.name for entry in tmp_path.iterdir()] == ["bundle"]
    assert files_of(path) == before


@pytest.mark.parametrize("spec", [TABLE, NUMBER, IMAGE], ids=["table", "number", "image"])
def test_recalibration_changes_verdicts_and_nothing_of_the_network(tmp_path: Path, spec: object) -> None:
    path = make_bundle(tmp_path / "bundle", spec)
    done = recalibrate(path, alpha=0.1, out=tmp_path / "new")
    assert (done.before.value, done.after.value) == (0.01, 0.1)
    assert done.after.band[0] < 0.1 < done.after.band[1]
    old, new = files_of(path), files_of(tmp_path / "new")
    changed = {name for name in old if old[name] != new[name]}
    assert (
        {"manifest.json", "manifest.json.sha256"} <= changed <= {"golden.npz", "manifest.json", "manifest.json.sha256"}
    )
    bundle = guard.load_bundle(tmp_path / "new", threads=1)
    assert (bundle.alpha.value, bundle.digest) == (0.1, done.digest)
    x, y = draw_samples(spec, 1000, seed=20)
    assert bundle.judge_arrays(x, y) == guard.load_bundle(path, alpha=0.1, threads=1).judge_arrays(x, y)


def test_recalibration_in_place_and_to_the_published_boundary(tmp_path: Path) -> None:
    path = make_bundle(tmp_path / "bundle")
    done = recalibrate(path, boundary="zscore")
    bundle = guard.load_bundle(path, threads=1)
    assert bundle.manifest.boundary == done.boundary == "zscore"
    assert bundle.judgement.fusion.rule == "zscore"
    assert recalibrate(path, boundary="conformal").boundary == "conformal"


@pytest.mark.parametrize("alpha", [0, 1, -1, 2])
def test_recalibration_to_no_share_is_wrong_use(tmp_path: Path, alpha: float) -> None:
    path = make_bundle(tmp_path / "bundle")
    before = files_of(path)
    with pytest.raises(WrongUse):
        recalibrate(path, alpha=alpha)
    assert files_of(path) == before


def test_alpha_beyond_the_rows_is_marked_as_extrapolated(tmp_path: Path) -> None:
    path = make_bundle(tmp_path / "bundle", rows=61)
    assert guard.load_bundle(path, threads=1).alpha.extrapolated
    assert not guard.load_bundle(path, alpha=0.05, threads=1).alpha.extrapolated


def test_differences_name_every_entry(tmp_path: Path) -> None:
    left, right = make_bundle(tmp_path / "a"), make_bundle(tmp_path / "b", seed=3)
    recalibrate(right, alpha=0.05)
    found = {d.entry: (d.left, d.right) for d in differences(parse_bundle(left).stored, parse_bundle(right).stored)}
    assert found["alpha.value"] == (0.01, 0.05)
    assert found["training.seed"] == (0, 3)
    assert {"files.calibration.npz", "files.golden.npz", "files.reference.npz"} <= set(found)
    assert "files.model.onnx" not in found
    assert differences(parse_bundle(left).stored, parse_bundle(left).stored) == []


def test_differences_match_members_by_name(tmp_path: Path) -> None:
    left = parse_bundle(make_bundle(tmp_path / "a")).stored
    members = (left.manifest.members[1], left.manifest.members[0].model_copy(update={"name": "other"}))
    right = replace(left, manifest=left.manifest.model_copy(update={"members": members}))
    found = {d.entry: (d.left, d.right) for d in differences(left, right)}
    assert found["members (order)"] == (["distance", "mimic"], ["mimic", "other"])
    assert found["members.distance.weight"] == (1.0, None)
    assert found["members.other.weight"] == (None, 1.0)
    assert "members.mimic.weight" not in found


def test_importing_guard_is_quick_and_loads_nothing_heavy() -> None:
    code = "import guard, sys; guard.Status; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"onnx", "onnxruntime", "numpy", "pydantic"} & set(loaded)


def test_every_public_name_is_there() -> None:
    for name in guard.__all__:
        assert getattr(guard, name).__name__ == name
    assert set(guard.__all__) <= set(dir(guard))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = guard.nothing


def test_the_golden_tolerance_separates_rounding_from_another_network(tmp_path: Path) -> None:
    path = make_bundle(tmp_path / "bundle")
    golden = parse_bundle(path).golden
    scale = parse_bundle(path).calibration.scale.astype(np.float32)
    for name, drift in (("near", 0.3e-4), ("far", 3e-4)):
        moved = type(golden)(golden.x, golden.y, golden.scores + drift * scale, golden.p_values, golden.held)
        refreshed = type(golden).judged(parse_bundle(path).fusion, golden.x, golden.y, moved.scores)
        rewrite(path, tmp_path / name, golden=refreshed)
    guard.load_bundle(tmp_path / "near", threads=1)
    with pytest.raises(BundleRefused, match=r"golden\.npz: model\.onnx gives golden row 0 the score"):
        guard.load_bundle(tmp_path / "far", threads=1)


def test_a_golden_verdict_that_does_not_follow_is_refused(tmp_path: Path) -> None:
    path = make_bundle(tmp_path / "bundle")
    golden = parse_bundle(path).golden
    held = golden.held.copy()
    held[5] ^= True
    rewrite(path, tmp_path / "new", golden=type(golden)(golden.x, golden.y, golden.scores, golden.p_values, held))
    with pytest.raises(BundleRefused, match="the verdict of golden row 5 does not follow"):
        guard.load_bundle(tmp_path / "new", threads=1)


def test_a_verdict_that_changes_within_the_tolerance_is_refused(tmp_path: Path) -> None:
    """The golden row lies on the boundary, found by bisection, so that the least drift carries it over."""
    parsed = parse_bundle(make_bundle(tmp_path / "bundle"))
    fusion, x, y = parsed.fusion, parsed.golden.x[:1], np.zeros(1, np.int64)
    passed, held = np.float32([[0, 0]]), np.float32([[1000, 0]])
    while (middle := (passed + held) / 2)[0, 0] not in (passed[0, 0], held[0, 0]):
        passed, held = (passed, middle) if fusion.judge(middle, y).held[0] else (middle, held)
    golden = Golden.judged(fusion, x, y, held)
    replay(golden, held, parsed.calibration, fusion)
    with pytest.raises(BundleRefused, match="another verdict than when it was made"):
        replay(golden, passed, parsed.calibration, fusion)
