"""Serving: a bundle that changes under a guard is verified in full or refused, and there is always one that serves."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from guard import store
from guard.bundle import Bundle, load_bundle
from guard.errors import BundleRefused, WrongUse
from guard.sample import encode_samples
from guard.store import BUNDLE_FILES
from guard.stream.serving import Serving
from guard.stream.settings import ModelSettings
from guard.stream.shadow import Shadow
from guard.stream.shadow_tally import Pair
from guard.verdict import Verdict
from tests.support.bundles import IMAGE, TABLE, draw_samples, make_bundle


class Watcher:
    """Keeps what it is told, and says when it was told."""

    def __init__(self) -> None:
        self.pairs: list[tuple[list[Verdict], list[Verdict]]] = []
        self.bundles: list[Pair] = []
        self.failures = 0
        self.skipped = 0
        self.told = threading.Event()

    def shadow(self, pair: Pair, current: Sequence[Verdict], shadow: Sequence[Verdict]) -> None:
        self.pairs.append((list(current), list(shadow)))
        self.bundles.append(pair)
        self.told.set()

    def shadow_failed(self, _pair: Pair) -> None:
        self.failures += 1
        self.told.set()

    def shadow_skipped(self, _pair: Pair, records: int) -> None:
        self.skipped += records


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("bundles")
    return {
        "old": make_bundle(folder / "old"),
        "new": make_bundle(folder / "new", seed=7),
        "wide": make_bundle(folder / "wide", seed=7, alpha=0.2),
        "image": make_bundle(folder / "image", IMAGE),
    }


@pytest.fixture
def served(made: dict[str, Path], tmp_path: Path) -> Path:
    """The watched path."""
    return Path(shutil.copytree(made["old"], tmp_path / "served"))


def digest(path: Path) -> str:
    return load_bundle(path).digest


def put(new: Path, served: Path) -> None:
    """As an operator does: beside it first, then renamed."""
    shutil.copytree(new, served.with_name("draft"))
    served.rename(served.with_name(f"away-{time.monotonic_ns()}"))
    served.with_name("draft").rename(served)


def samples(count: int = 50) -> list[bytes]:
    x, y = draw_samples(TABLE, count, seed=3)
    return encode_samples(TABLE, x, y, ["source"] * count)


def settings(path: Path, **others: Any) -> ModelSettings:
    return ModelSettings(bundle=path, **others)


def test_it_judges_as_the_bundle_does(served: Path) -> None:
    serving = Serving.open(settings(served))
    assert serving.judge(samples()) == load_bundle(served).judge(samples())
    assert serving.poll() is None
    assert serving.swap() is None


def test_settings_reach_the_bundle(served: Path) -> None:
    serving = Serving.open(settings(served, alpha=0.05, sha256=digest(served)), max_record_bytes=2000)
    assert serving.current.alpha.value == 0.05
    assert serving.judge([b" " * 2001])[0].reason == "too_large"


def test_a_bundle_that_is_refused_at_the_start_never_serves(served: Path) -> None:
    with pytest.raises(BundleRefused, match="is pinned"):
        Serving.open(settings(served, sha256="0" * 64))
    (served / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(BundleRefused, match=r"model\.onnx"):
        Serving.open(settings(served))
    with pytest.raises(BundleRefused, match="not a folder"):
        Serving.open(settings(served / "absent"))


def test_a_new_bundle_serves_from_the_swap_on_and_not_before(served: Path, made: dict[str, Path]) -> None:
    serving = Serving.open(settings(served))
    old, new = serving.current.digest, digest(made["new"])
    put(made["new"], served)
    outcome = serving.poll()
    assert outcome is not None
    assert outcome.bundle is not None
    assert (outcome.role, outcome.refused, outcome.bundle.digest) == ("current", False, new)
    assert serving.current.digest == old
    swapped = serving.swap()
    assert swapped is serving.current
    assert serving.current.digest == new
    assert serving.swap() is None
    assert serving.poll() is None


def test_a_link_that_points_elsewhere_is_a_new_bundle(tmp_path: Path, made: dict[str, Path]) -> None:
    link = tmp_path / "link"
    link.symlink_to(made["old"])
    serving = Serving.open(settings(link))
    link.unlink()
    link.symlink_to(made["new"])
    assert serving.poll() is not None
    serving.swap()
    assert serving.current.digest == digest(made["new"])


def tamper(served: Path) -> None:
    (served / "calibration.npz").write_bytes((served / "calibration.npz").read_bytes()[:-1] + b"!")


def newer(served: Path) -> None:
    (served / "manifest.json").write_text('{"format_version": 99}')


REFUSED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "tampered": (tamper, "calibration.npz"),
    "newer": (newer, "manifest.json"),
    "gone": (shutil.rmtree, "not a folder"),
    "more": (lambda served: (served / "evil.so").write_bytes(b"x"), "does not belong"),
    "empty": (lambda served: (served / "golden.npz").write_bytes(b""), "golden.npz"),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_a_bad_bundle_is_refused_once_and_the_old_one_serves_on(served: Path, fault: str) -> None:
    serving = Serving.open(settings(served))
    before = serving.judge(samples())
    spoil, word = REFUSED[fault]
    spoil(served)
    assert serving.poll() is None, "one look is not enough: it may be on its way"
    outcome = serving.poll()
    assert outcome is not None
    assert outcome.refused
    assert word in str(outcome.error)
    assert serving.poll() is None, "a refusal is told once"
    assert serving.swap() is None
    assert serving.judge(samples()) == before


def test_a_bundle_that_is_copied_file_by_file_raises_no_alarm(served: Path, made: dict[str, Path]) -> None:
    serving = Serving.open(settings(served))
    for file in sorted(made["new"].iterdir()):
        shutil.copy(file, served / file.name)
        outcome = serving.poll()
        assert outcome is None or not outcome.refused
    serving.swap()
    assert serving.current.digest == digest(made["new"])


def test_the_end_of_a_refusal_is_told(served: Path, made: dict[str, Path]) -> None:
    serving = Serving.open(settings(served))
    tamper(served)
    assert serving.poll() is None
    assert serving.poll() is not None
    put(made["old"], served)
    outcome = serving.poll()
    assert outcome is not None
    assert not outcome.refused
    assert serving.swap() is None, "what serves already need not be swapped"


def test_a_candidate_that_was_taken_back_never_serves(served: Path, made: dict[str, Path]) -> None:
    serving = Serving.open(settings(served))
    put(made["new"], served)
    assert serving.poll() is not None
    put(made["old"], served)
    assert serving.poll() is None
    assert serving.swap() is None


def test_a_pin_holds_for_what_comes_later(served: Path, made: dict[str, Path]) -> None:
    serving = Serving.open(settings(served, sha256=digest(served)))
    put(made["new"], served)
    assert serving.poll() is None
    outcome = serving.poll()
    assert outcome is not None
    assert "is pinned" in str(outcome.error)


def test_a_link_that_is_switched_is_followed_there_and_back(made: dict[str, Path], tmp_path: Path) -> None:
    """As `current` of a registry: both versions are whole, so one look is enough."""
    for name in ("old", "new"):
        (tmp_path / "next").symlink_to(made[name])
        (tmp_path / "next").replace(tmp_path / "current")
        if name == "old":
            serving = Serving.open(settings(tmp_path / "current"))
    for name in ("new", "old", "new"):
        (tmp_path / "next").symlink_to(made[name])
        (tmp_path / "next").replace(tmp_path / "current")
        outcome = serving.poll()
        assert outcome is not None
        assert not outcome.refused
        assert serving.swap() is outcome.bundle
        assert serving.current.digest == digest(made[name])
        assert serving.poll() is None


def test_a_link_that_is_switched_while_it_is_read_gives_one_bundle_or_the_other(
    made: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The switch comes after every single file: a load that went by names would mix two bundles and be refused."""
    current = tmp_path / "current"
    current.symlink_to(made["old"])
    serving, read, reads = Serving.open(settings(current)), store._read_file, []

    def read_and_switch(folder: int, name: str) -> bytes:
        content = read(folder, name)
        reads.append(name)
        (tmp_path / "next").symlink_to(made["new" if len(reads) % 2 else "old"])
        (tmp_path / "next").replace(current)
        return content

    (tmp_path / "next").symlink_to(made["new"])
    (tmp_path / "next").replace(current)
    monkeypatch.setattr(store, "_read_file", read_and_switch)
    outcome = serving.poll()
    assert len(reads) == len(BUNDLE_FILES) + 2
    assert outcome is not None
    assert not outcome.refused
    monkeypatch.undo()
    serving.swap()
    serving.poll()
    serving.swap()
    assert serving.current.digest == digest(current)


def test_a_bundle_for_other_samples_is_refused(served: Path, made: dict[str, Path]) -> None:
    serving = Serving.open(settings(served))
    put(made["image"], served)
    assert serving.poll() is None
    outcome = serving.poll()
    assert outcome is not None
    assert "images of 4 × 5 × 1" in str(outcome.error)


def test_an_alpha_that_cannot_be_meant_is_wrong_use(served: Path) -> None:
    bad = settings(served).model_copy(update={"alpha": 2.0})
    with pytest.raises(WrongUse):
        Serving.open(bad)


def test_the_shadow_sees_the_same_records_and_decides_nothing(served: Path, made: dict[str, Path]) -> None:
    watcher = Watcher()
    serving = Serving.open(settings(served, shadow=made["wide"]), watcher=watcher)
    assert serving.shadow is not None
    verdicts = serving.judge(samples())
    assert watcher.told.wait(10)
    assert verdicts == load_bundle(served).judge(samples())
    serving.close()
    assert watcher.pairs == [(verdicts, serving.shadow.judge(samples()))]
    assert [v.threshold for v in watcher.pairs[0][1]] == [0.2] * 50
    assert watcher.bundles == [(digest(served), digest(made["wide"]))]


def test_a_refused_shadow_keeps_no_guard_from_starting(served: Path, made: dict[str, Path], tmp_path: Path) -> None:
    serving = Serving.open(settings(served, shadow=tmp_path / "shadow"))
    assert serving.shadow is None
    assert len(serving.judge(samples())) == 50
    outcome = serving.poll()
    assert outcome is not None
    assert (outcome.role, outcome.refused) == ("shadow", True)
    shutil.copytree(made["new"], tmp_path / "shadow")
    outcome = serving.poll()
    assert outcome is not None
    assert (outcome.role, outcome.refused) == ("shadow", False)
    assert serving.shadow is not None
    assert serving.shadow.digest == digest(made["new"])
    assert serving.swap() is None
    serving.close()


class Faulty:
    """A bundle that hangs until it is let go, then raises."""

    digest = "f" * 64

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.let_go = threading.Event()

    def judge(self, _records: Sequence[bytes]) -> list[Verdict]:
        self.entered.set()
        self.let_go.wait(30)
        raise MemoryError("as a graph may")


def test_a_shadow_that_hangs_delays_no_batch_and_holds_two_at_most() -> None:
    faulty, watcher = Faulty(), Watcher()
    shadow = Shadow(faulty, watcher)  # type: ignore[arg-type]
    assert shadow.offer("c", [b"1"], [])
    assert faulty.entered.wait(10)
    assert shadow.offer("c", [b"2"], [])
    began = time.monotonic()
    assert not any(shadow.offer("c", [b"more"], []) for _ in range(1000))
    assert watcher.skipped == 1000
    shadow.close(seconds=0.1)
    assert time.monotonic() - began < 5
    faulty.let_go.set()


def test_a_shadow_that_raises_is_counted_and_goes_on(made: dict[str, Path]) -> None:
    faulty, watcher = Faulty(), Watcher()
    faulty.let_go.set()
    shadow = Shadow(faulty, watcher)  # type: ignore[arg-type]
    shadow.offer("c", [b"1"], [])
    assert watcher.told.wait(10)
    assert watcher.failures == 1
    watcher.told.clear()
    bundle: Bundle = load_bundle(made["old"])
    shadow.bundle = bundle
    shadow.offer("c", samples(), bundle.judge(samples()))
    assert watcher.told.wait(10)
    assert len(watcher.pairs) == 1
    shadow.close()
