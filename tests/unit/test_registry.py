"""A registry: what serves is always a whole version, and every change is told with who, when and why."""

from __future__ import annotations

import fcntl
import hashlib
import json
import resource
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

from guard.bundle import carry_audit
from guard.errors import BundleRefused, GateRefused, GuardError, OutputFailed, RegistryRefused, WrongUse
from guard.gate import close_gate, write_gate
from guard.registry import registry as registry_module
from guard.registry.history import append_entry
from guard.registry.registry import Registry
from guard.store import read_files
from tests.support.bundles import IMAGE, SNAPSHOT, make_bundle
from tests.support.gates import make_audit, make_comparison, write_gate_for


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder, audit = tmp_path_factory.mktemp("bundles"), make_audit(SNAPSHOT)
    found = {
        version: make_bundle(folder / version, seed=int(version), version=version, audit=audit)
        for version in ("1", "2", "3")
    }
    found["other 2"] = make_bundle(folder / "other", seed=9, version="2", audit=audit)
    found["image"] = make_bundle(folder / "image", IMAGE, version="4", audit=audit)
    found["unaudited"] = make_bundle(folder / "unaudited", seed=5, version="5")
    return found


@pytest.fixture
def promote(made: dict[str, Path], tmp_path: Path) -> Callable[..., object]:
    """Promotes a bundle with a gate that passes, compared with the one that serves."""

    def work(name: str, **options: object) -> object:
        registry = Registry.made(tmp_path / "registry")
        gate = write_gate_for(made[name], tmp_path / "gate.json", champion(registry))
        return registry.promote(made[name], gate, **{"by": "ada", **options})

    return work


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "registry"


def champion(registry: Registry) -> str | None:
    return next((each.digest for each in registry.versions() if each.current), None)


def changes(folder: Path) -> list[tuple[str, str | None, str | None]]:
    return [(e.change, e.from_version, e.to_version) for e in Registry.open(folder).history().entries]


def test_promote_and_roll_back_and_every_change_is_told(
    promote: Callable[..., object], made: dict[str, Path], folder: Path
) -> None:
    for version in ("1", "2", "3"):
        promote(version)
        assert (folder / "current").readlink() == Path(f"versions/{version}")
        assert read_files(folder / "current").digest == read_files(made[version]).digest
    registry = Registry.open(folder)
    assert registry.rollback(by="bea", why="holds too much").to_version == "2"
    assert registry.rollback(by="bea").to_version == "1"
    with pytest.raises(RegistryRefused, match="nothing served before 1"):
        registry.rollback(by="bea")
    assert registry.rollback("3", by="bea").from_version == "1"
    told = [
        ("promoted", None, "1"),
        ("promoted", "1", "2"),
        ("promoted", "2", "3"),
        ("rolled_back", "3", "2"),
        ("rolled_back", "2", "1"),
        ("rolled_back", "1", "3"),
    ]
    assert changes(folder) == told
    entries = registry.history().entries
    assert [entry.number for entry in entries] == [1, 2, 3, 4, 5, 6]
    assert [(entry.by, entry.why) for entry in entries[2:4]] == [("ada", "the gate passed"), ("bea", "holds too much")]
    assert not any(entry.forced for entry in entries)


def test_versions_are_read_only_copies_byte_for_byte(
    promote: Callable[..., object], made: dict[str, Path], folder: Path
) -> None:
    promote("1")
    kept = folder / "versions/1"
    assert {file.name: file.read_bytes() for file in kept.iterdir()} == {
        file.name: file.read_bytes() for file in made["1"].iterdir()
    }
    assert {oct(file.stat().st_mode & 0o777) for file in kept.iterdir()} == {"0o444"}
    assert oct(kept.stat().st_mode & 0o777) == "0o555"
    assert sorted(file.name for file in folder.iterdir()) == ["current", "gates", "history.jsonl", "lock", "versions"]


def test_a_manifest_of_an_older_release_keeps_its_bytes_and_is_not_audited(tmp_path: Path, folder: Path) -> None:
    """It has no entry `audit`; a copy that was written anew would have one, and another digest."""
    bundle = make_bundle(tmp_path / "old")
    document = json.loads((bundle / "manifest.json").read_text())
    del document["audit"]
    text = json.dumps(document).encode()
    (bundle / "manifest.json").write_bytes(text)
    digest = hashlib.sha256(text).hexdigest()
    (bundle / "manifest.json.sha256").write_text(f"{digest}  manifest.json\n")
    Registry.made(folder).promote(bundle, None, by="ada", why="the first one", force=True)
    (shelved,) = Registry.open(folder).versions()
    assert (shelved.digest, shelved.fault, shelved.manifest.audit) == (digest, None, None)


def test_a_bundle_is_marked_with_the_audit_of_its_gate(
    promote: Callable[..., object], made: dict[str, Path], folder: Path, tmp_path: Path
) -> None:
    """Also where it was marked between its gate and its promotion; its verdicts stay, byte for byte."""
    promote("unaudited")
    kept, given = read_files(folder / "current"), read_files(made["unaudited"])
    assert kept.manifest.audit == make_audit(SNAPSHOT)
    assert given.manifest.audit is None
    assert kept.contents == given.contents
    assert promote("unaudited") is None, "it serves already"
    (shelved,) = Registry.open(folder).versions()
    assert (shelved.fault, shelved.digest) == (None, kept.digest)
    gate = write_gate_for(made["unaudited"], tmp_path / "gate.json")
    carry_audit(made["unaudited"], make_audit(SNAPSHOT), tmp_path / "marked")
    entry = Registry.made(tmp_path / "fresh").promote(tmp_path / "marked", gate, by="ada")
    assert (entry.objections, entry.digest) == ((), kept.digest)


def test_a_forced_bundle_is_not_marked(made: dict[str, Path], folder: Path, tmp_path: Path) -> None:
    gate = write_gate_for(made["unaudited"], tmp_path / "gate.json", poison=100)
    Registry.made(folder).promote(made["unaudited"], gate, by="ada", why="no other", force=True)
    assert read_files(folder / "current").manifest.audit is None


def test_what_serves_already_changes_nothing(promote: Callable[..., object], folder: Path) -> None:
    assert promote("1") is not None
    assert promote("1") is None
    assert Registry.open(folder).rollback("1", by="ada") is None
    assert len(changes(folder)) == 1


def test_a_version_can_come_back_and_both_gates_are_kept(
    promote: Callable[..., object], folder: Path, tmp_path: Path
) -> None:
    promote("1")
    promote("2")
    first = (folder / "gates/2.json").read_bytes()
    Registry.open(folder).rollback(by="ada")
    promote("3")
    promote("2")
    kept = {path.read_bytes() for path in (folder / "gates").glob("2*.json")}
    assert first in kept
    assert (folder / "gates/2.json").read_bytes() == (tmp_path / "gate.json").read_bytes()
    assert len(kept) == 2
    assert Registry.open(folder).rollback(by="ada").to_version == "3"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda *_: None, "no gate was shown"),
        (lambda made, path, _: write_gate_for(made["3"], path, None), "the gate is about another bundle"),
        (lambda made, path, _: write_gate_for(made["2"], path, None), "the bundle was compared with none"),
        (lambda made, path, _: write_gate_for(made["2"], path, "e" * 64), "compared with eeeeeeeeeeee, but"),
        (lambda made, path, now: write_gate_for(made["2"], path, now, poison=20), "of the snapshot may be poison"),
        (
            lambda made, path, now: write_gate_for(made["2"], path, now, drawn=399),
            "carries another audit than the gate",
        ),
    ],
    ids=["none", "other", "alone", "stale", "poisoned", "another audit"],
)
def test_without_a_passed_gate_nothing_is_promoted_unless_forced_and_told(
    spoil: Callable[..., Path | None],
    said: str,
    promote: Callable[..., object],
    made: dict[str, Path],
    folder: Path,
    tmp_path: Path,
) -> None:
    promote("1")
    registry = Registry.open(folder)
    gate = spoil(made, tmp_path / "gate.json", champion(registry))
    with pytest.raises(RegistryRefused, match=said):
        registry.promote(made["2"], gate, by="ada")
    assert registry.current() == "1"
    with pytest.raises(WrongUse, match="--reason"):
        registry.promote(made["2"], gate, by="ada", force=True)
    entry = registry.promote(made["2"], gate, by="ada", why="an attack is on", force=True)
    assert (entry.forced, entry.why, registry.current()) == (True, "an attack is on", "2")
    assert any(said in objection for objection in entry.objections)


def test_a_gate_without_an_audit_and_one_that_lost_its_comparison_do_not_pass(
    promote: Callable[..., object], made: dict[str, Path], folder: Path, tmp_path: Path
) -> None:
    promote("1")
    registry = Registry.open(folder)
    digest, now = read_files(made["unaudited"]).digest, champion(registry)
    comparison = make_comparison(str(now), digest, "recall fell by 0.2")
    write_gate(tmp_path / "gate.json", close_gate(digest, SNAPSHOT, audit=None, comparison=comparison))
    with pytest.raises(RegistryRefused) as caught:
        registry.promote(made["unaudited"], tmp_path / "gate.json", by="ada")
    assert "nobody audited" in str(caught.value)
    assert "recall fell by 0.2" in str(caught.value)


def test_an_edited_gate_is_refused_by_name_and_can_only_be_forced(
    made: dict[str, Path], folder: Path, tmp_path: Path
) -> None:
    path = write_gate_for(made["1"], tmp_path / "gate.json")
    path.write_text(path.read_text().replace('"ada"', '"eve"'))
    with pytest.raises(GateRefused, match="seal"):
        Registry.made(folder).promote(made["1"], path, by="ada")
    entry = Registry.made(folder).promote(made["1"], path, by="ada", why="tried out", force=True)
    assert "seal" in entry.objections[0]
    assert entry.gate is None


def test_a_forced_promotion_whose_gate_passes_is_told_as_not_forced(promote: Callable[..., object]) -> None:
    assert promote("1", force=True, why="belt and braces").forced is False


def test_bundles_of_other_samples_are_refused(promote: Callable[..., object], folder: Path) -> None:
    promote("1")
    with pytest.raises(RegistryRefused, match="other samples"):
        promote("image")
    assert Registry.open(folder).current() == "1"


def test_a_version_with_other_bytes_is_refused_also_by_force(
    promote: Callable[..., object], made: dict[str, Path], folder: Path
) -> None:
    promote("2")
    before = read_files(folder / "versions/2").digest
    promote("3")
    with pytest.raises(RegistryRefused, match="version 2 is there already with other bytes"):
        promote("other 2", force=True, why="it must be")
    assert read_files(folder / "versions/2").digest == before
    assert Registry.open(folder).current() == "3"


def test_damage_is_refused_by_name_and_shown(
    promote: Callable[..., object], made: dict[str, Path], folder: Path, tmp_path: Path
) -> None:
    broken = shutil.copytree(made["1"], tmp_path / "broken")
    (broken / "model.onnx").write_bytes(b"nothing")
    with pytest.raises(BundleRefused, match=r"broken: model\.onnx"):
        Registry.made(folder).promote(broken, None, by="ada", why="so", force=True)
    promote("1")
    promote("2")
    (folder / "versions/1/model.onnx").chmod(0o644)
    (folder / "versions/1/model.onnx").write_bytes(b"nothing")
    with pytest.raises(BundleRefused, match=r"versions/1: model\.onnx"):
        Registry.open(folder).rollback(by="ada")
    assert {each.version: bool(each.fault) for each in Registry.open(folder).versions()} == {"1": True, "2": False}
    with pytest.raises(RegistryRefused, match="there already, and damaged"):
        promote("1")
    assert Registry.open(folder).current() == "2"


def test_a_version_that_was_replaced_as_a_whole_does_not_come_back(
    promote: Callable[..., object], made: dict[str, Path], folder: Path
) -> None:
    promote("2")
    promote("3")
    shutil.rmtree(folder / "versions/2")
    shutil.copytree(made["other 2"], folder / "versions/2")
    with pytest.raises(BundleRefused, match="is pinned"):
        Registry.open(folder).rollback(by="ada")
    faults = {each.version: each.fault for each in Registry.open(folder).versions()}
    assert "not those that were promoted" in str(faults["2"])


@pytest.mark.parametrize(
    "target", ["/etc", "versions/..", "versions/none", "../elsewhere", "versions/1/../1", "versions/\x1b[2J", "gates/1"]
)
def test_a_current_that_leads_elsewhere_is_refused_and_a_rollback_mends_it(
    target: str, promote: Callable[..., object], folder: Path
) -> None:
    promote("1")
    (folder / "current").unlink()
    (folder / "current").symlink_to(target)
    with pytest.raises(RegistryRefused, match="leads to") as caught:
        Registry.open(folder).current()
    assert "\x1b" not in str(caught.value)
    with pytest.raises(RegistryRefused, match="leads to"):
        promote("2")
    Registry.open(folder).rollback("1", by="ada")
    assert Registry.open(folder).current() == "1"
    assert changes(folder) == [("promoted", None, "1"), ("found", "1", None), ("rolled_back", None, "1")]


@pytest.mark.parametrize("part", ["versions", "gates", "history.jsonl", "lock", "current"])
def test_a_part_that_is_something_else_is_refused(
    part: str, promote: Callable[..., object], folder: Path, tmp_path: Path
) -> None:
    """A link to elsewhere would let a promotion write there."""
    promote("1")
    (folder / part).rename(tmp_path / "elsewhere")
    if part == "current":
        (folder / part).mkdir()
    else:
        (folder / part).symlink_to(tmp_path / "elsewhere")
    kept = sorted(str(path) for path in (tmp_path / "elsewhere").rglob("*"))
    with pytest.raises(RegistryRefused):
        promote("2")
    assert sorted(str(path) for path in (tmp_path / "elsewhere").rglob("*")) == kept


def test_a_version_that_is_a_link_is_refused(
    promote: Callable[..., object], made: dict[str, Path], folder: Path
) -> None:
    promote("1")
    (folder / "versions/2").symlink_to(made["2"])
    with pytest.raises(RegistryRefused, match="is no folder"):
        promote("2")


@pytest.mark.parametrize("name", ["../1", "", ".", "..", "a/b", "\x1b[2J", "x" * 65, "none"])
def test_a_hostile_or_unknown_version_is_refused(name: str, promote: Callable[..., object], folder: Path) -> None:
    promote("1")
    with pytest.raises(RegistryRefused) as caught:
        Registry.open(folder).rollback(name, by="ada")
    assert "\x1b" not in str(caught.value)


def test_a_folder_that_is_no_registry_is_left_alone(tmp_path: Path, made: dict[str, Path]) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home/thesis.txt").write_text("years of work")
    with pytest.raises(RegistryRefused, match="holds other things"):
        Registry.made(tmp_path / "home")
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["thesis.txt"]
    for path in (tmp_path / "home", tmp_path / "none", made["1"] / "manifest.json", tmp_path / ("x" * 300)):
        with pytest.raises(RegistryRefused, match="there is no registry"):
            Registry.open(path)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(GuardError):
        Registry.made(tmp_path / "loop")


def test_two_at_once_give_one_clear_refusal(promote: Callable[..., object], folder: Path) -> None:
    promote("1")
    with (folder / "lock").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(RegistryRefused, match="somebody else promotes or rolls back"):
            promote("2")
        with pytest.raises(RegistryRefused, match="somebody else promotes or rolls back"):
            Registry.open(folder).rollback("1", by="ada")
        assert [each.version for each in Registry.open(folder).versions()] == ["1"]
    promote("2")


def test_a_clock_that_jumps_back_changes_no_order(
    promote: Callable[..., object], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote("1")
    monkeypatch.setattr(registry_module, "now_text", lambda: "1970-01-01T00:00:00Z")
    promote("2")
    monkeypatch.undo()
    promote("3")
    assert [entry.number for entry in Registry.open(folder).history().entries] == [1, 2, 3]
    assert Registry.open(folder).rollback(by="ada").to_version == "2"
    assert Registry.open(folder).rollback(by="ada").to_version == "1"


def test_a_line_that_a_kill_cut_off_stays_and_is_counted(promote: Callable[..., object], folder: Path) -> None:
    promote("1")
    with (folder / "history.jsonl").open("ab") as file:
        file.write(b'{"format_version":1,"number":2,"ti')
    promote("2")
    history = Registry.open(folder).history()
    assert (len(history.entries), history.unreadable) == (2, 1)


def test_a_change_by_hand_is_told_before_the_next_one(promote: Callable[..., object], folder: Path) -> None:
    promote("1")
    promote("2")
    (folder / "current").unlink()
    (folder / "current").symlink_to("versions/1")
    promote("3")
    assert changes(folder)[2:] == [("found", "2", "1"), ("promoted", "1", "3")]
    assert [entry.number for entry in Registry.open(folder).history().entries] == [1, 2, 3, 4]
    assert "changed by hand" in Registry.open(folder).history().entries[2].why


@contextmanager
def full_disk(bytes_left: int) -> Iterator[None]:
    """A process that may write no more than so many bytes into a file fails as on a disk without space."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_left, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("bytes_left", [0, 1, 600, 2000, 3000, 1 << 20])
def test_a_full_disk_loses_nothing(
    bytes_left: int, promote: Callable[..., object], made: dict[str, Path], folder: Path, tmp_path: Path
) -> None:
    promote("1")
    before = (folder / "history.jsonl").read_bytes()
    registry = Registry.open(folder)
    gate = write_gate_for(made["2"], tmp_path / "gate.json", champion(registry))
    enough = bytes_left == 1 << 20
    with full_disk(bytes_left), nullcontext() if enough else pytest.raises(OutputFailed, match="cannot be written"):
        registry.promote(made["2"], gate, by="ada")
    if not enough:
        assert registry.current() == "1"
        assert (folder / "history.jsonl").read_bytes() == before
    assert all(each.fault is None for each in registry.versions())
    promote("2")
    assert registry.current() == "2"


def test_a_full_disk_at_the_last_line_leaves_the_history_whole(promote: Callable[..., object], folder: Path) -> None:
    promote("1")
    length = (folder / "history.jsonl").stat().st_size
    entry = Registry.open(folder).history().entries[0]
    with full_disk(length + 20), pytest.raises(OutputFailed, match="cannot be written"):
        append_entry(folder / "history.jsonl", entry)
    assert (folder / "history.jsonl").stat().st_size == length


@pytest.mark.parametrize("name", ["registry", "fresh"])
def test_a_disk_that_cannot_be_written_is_named(
    name: str, promote: Callable[..., object], folder: Path, made: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As root no permission stops a write, so every file operation that writes is stopped instead."""
    promote("1")

    def refuse(event: str, arguments: tuple[object, ...]) -> None:
        writing = event == "open" and isinstance(arguments[2], int) and arguments[2] & 0o1103
        if active and (writing or event in {"os.mkdir", "os.rename", "os.symlink", "os.remove"}):
            raise PermissionError(30, "Read-only file system")

    active = [True]
    sys.addaudithook(refuse)
    try:
        with pytest.raises(OutputFailed, match="Read-only"):
            Registry.made(folder.with_name(name)).promote(made["2"], None, by="ada", why="so", force=True)
        assert Registry.open(folder).current() == "1"
        assert len(Registry.open(folder).versions()) == 1
    finally:
        active.clear()
    assert changes(folder) == [("promoted", None, "1")]
