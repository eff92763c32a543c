from __future__ import annotations

import json
from pathlib import Path

import pytest

from guard.cli.main import main
from guard.store import read_files, write_files
from guard.terminal import cell, printable
from tests.support.bundles import IMAGE, NUMBER, SNAPSHOT, make_bundle
from tests.support.gates import make_audit


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return make_bundle(tmp_path / "bundle")


def read_json(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    return json.loads(capsys.readouterr().out)


def test_verify_says_what_it_checked(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bundle", "verify", str(bundle)]) == 0
    digest = read_files(bundle).digest
    assert digest in capsys.readouterr().out
    assert main(["bundle", "verify", str(bundle), "--sha256", digest, "--json"]) == 0
    assert read_json(capsys) == {"bundle": str(bundle), "digest": digest, "sound": True}


def test_verify_of_a_damaged_bundle_ends_with_1_and_the_reason(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (bundle / "report.html").write_text("defaced")
    assert main(["bundle", "verify", str(bundle)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"depois: {bundle}: report.html: ")
    assert "Traceback" not in err


def test_show_names_everything_that_matters(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bundle", "show", str(bundle)]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for part in ("test:1", "4 columns", "3 classes", "α = 0.01", "300 calibration rows", "distance", "much", "recall"):
        assert part in text
    assert "EXTRAPOLATED" not in text
    assert main(["bundle", "show", str(bundle), "--json"]) == 0
    shown = read_json(capsys)
    assert shown["digest"] == read_files(bundle).digest
    assert shown["manifest"]["alpha"]["value"] == 0.01
    assert set(shown["sizes"]) == set(shown["manifest"]["files"])


@pytest.mark.parametrize(("spec", "said"), [(NUMBER, "a number from -1000 to 1000"), (IMAGE, "4 × 5 pixels")])
def test_show_says_what_a_sample_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], spec: object, said: str
) -> None:
    assert main(["bundle", "show", str(make_bundle(tmp_path / "bundle", spec))]) == 0
    assert said in " ".join(capsys.readouterr().out.split())


def test_show_marks_what_is_extrapolated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bundle", "show", str(make_bundle(tmp_path / "small", rows=50))]) == 0
    assert "EXTRAPOLATED" in capsys.readouterr().out


def test_hostile_names_do_not_reach_the_terminal_raw(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored = read_files(bundle)
    evil = stored.manifest.members[0].model_copy(update={"description": "\x1b[2J\x1b[31m[bold]gone"})
    manifest = stored.manifest.model_copy(update={"members": (evil, stored.manifest.members[1])})
    write_files(tmp_path / "evil", stored.contents, manifest)
    assert main(["bundle", "show", str(tmp_path / "evil")]) == 0
    out = capsys.readouterr().out
    assert "\x1b[2J" not in out
    assert "\\x1b[2J" in out
    assert "[bold]" in out


def test_printable_is_one_line_and_a_cell_is_bounded() -> None:
    assert printable("a\nb\u202ec\x00ü") == "a\\nb\\u202ec\\x00ü"
    assert printable("x" * 10_000) == "x" * 10_000
    assert cell("x" * 10_000) == "x" * 200 + "…"


def test_calibrate_prints_both_bands(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = tmp_path / "new"
    assert main(["bundle", "calibrate", str(bundle), "--alpha", "0.05", "--out", str(new)]) == 0
    before, after, where = capsys.readouterr().out.splitlines()
    assert before.startswith("before: α = 0.01, held to")
    assert after.startswith("after:  α = 0.05, held to")
    assert where == f"{new}  sha256 {read_files(new).digest}"
    assert main(["bundle", "verify", str(new)]) == 0
    capsys.readouterr()
    assert main(["bundle", "calibrate", str(new), "--boundary", "zscore", "--json"]) == 0
    done = read_json(capsys)
    assert (done["boundary"], done["after"]["value"]) == ("zscore", 0.05)
    assert main(["bundle", "show", str(new)]) == 0
    assert "the mimic alone decides, whatever α" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("alpha", ["0", "1", "-0.5", "nan"])
def test_calibrate_to_no_share_is_wrong_use(bundle: Path, capsys: pytest.CaptureFixture[str], alpha: str) -> None:
    assert main(["bundle", "calibrate", str(bundle), "--alpha", alpha]) == 2
    assert "between 0 and 1" in capsys.readouterr().err


def test_calibrate_into_an_existing_folder_fails(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bundle", "calibrate", str(bundle), "--alpha", "0.1", "--out", str(bundle.parent)]) == 1
    assert "exists already" in capsys.readouterr().err


def test_diff_lists_what_differs_and_nothing_else(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = make_bundle(tmp_path / "other", alpha=0.05)
    assert main(["bundle", "diff", str(bundle), str(other), "--json"]) == 0
    entries = {each["entry"]: each for each in read_json(capsys)["differences"]}
    assert (entries["alpha.value"]["left"], entries["alpha.value"]["right"]) == (0.01, 0.05)
    assert "files.model.onnx" not in entries
    assert main(["bundle", "diff", str(bundle), str(other)]) == 0
    assert "alpha.value" in capsys.readouterr().out
    assert main(["bundle", "diff", str(bundle), str(bundle)]) == 0
    assert capsys.readouterr().out == "The bundles are alike.\n"


@pytest.mark.parametrize("command", ["verify", "show", "diff", "calibrate", "audit"])
def test_help_has_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bundle", command, "--help"]) == 0
    assert f"depois bundle {command}" in " ".join(capsys.readouterr().out.split())


def test_an_audit_is_carried_and_shown(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bundle", "show", str(bundle)]) == 0
    assert "NO: nobody looked for poison" in capsys.readouterr().out
    found, new = tmp_path / "audit.json", tmp_path / "audited"
    found.write_text(make_audit(SNAPSHOT, poison=1).model_dump_json())
    before = read_files(bundle)
    assert main(["bundle", "audit", str(bundle), "--result", str(found), "--out", str(new), "--json"]) == 0
    after = read_files(new)
    assert read_json(capsys)["digest"] == after.digest != before.digest
    assert after.contents == before.contents
    assert main(["bundle", "verify", str(new)]) == 0
    assert main(["bundle", "show", str(new)]) == 0
    assert "at most 1.180% of the snapshot is poison" in " ".join(capsys.readouterr().out.split())
    assert main(["bundle", "calibrate", str(new), "--alpha", "0.02", "--version", "2"]) == 0
    assert read_files(new).manifest.audit == make_audit(SNAPSHOT, poison=1)
    assert read_files(new).manifest.version == "2"


def test_an_audit_of_another_snapshot_is_wrong_use(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "audit.json").write_text(make_audit("f" * 64).model_dump_json())
    before = read_files(bundle).digest
    assert main(["bundle", "audit", str(bundle), "--result", str(tmp_path / "audit.json")]) == 2
    assert "audit that one" in capsys.readouterr().err
    assert read_files(bundle).digest == before
    assert main(["bundle", "calibrate", str(bundle), "--version", "../2"]) == 2
