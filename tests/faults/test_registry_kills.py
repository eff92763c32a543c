"""A promotion that is killed before any of its steps leaves a whole version serving, and can be done again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from guard.registry.registry import Registry
from guard.store import read_files
from tests.support.bundles import SNAPSHOT, make_bundle
from tests.support.gates import make_audit, write_gate_for

PROMOTIONS = """
import json, os, shutil, signal, sys, traceback
from pathlib import Path
import guard.registry.versions
from guard.bundle import parse_bundle
from guard.registry.registry import Registry
from guard.store import read_files

folder, what = Path(sys.argv[1]), sys.argv[2]
WRITES = {"os.mkdir", "os.rename", "os.symlink", "os.chmod", "os.remove", "os.rmdir", "shutil.rmtree"}

# Sessions of ONNX Runtime have threads, which a fork does not survive; all that is on disk is verified all the same.
guard.registry.versions.load_bundle = lambda path, sha256, threads: parse_bundle(path, sha256=sha256).stored

def change(registry):
    if what == "promote":
        return registry.promote(folder / "2", folder / "gate.json", by="ada")
    return registry.rollback("1", by="ada")

def run(steps):
    left = steps
    def count(event, arguments):
        nonlocal left
        if event in WRITES or event == "open" and isinstance(arguments[2], int) and arguments[2] & 0o1103:
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(count)
    change(Registry.open(folder / "work"))

told = []
for steps in range(200):
    shutil.copytree(folder / "registry", folder / "work", symlinks=True)
    child = os.fork()
    if not child:
        try:
            run(steps)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert ended in (0, -signal.SIGKILL), ended
    registry = Registry.open(folder / "work")
    found = {
        "serves": registry.current(),
        "digest": read_files(folder / "work/current").digest,
        "faults": [each.fault for each in registry.versions()],
        "unreadable": registry.history().unreadable,
    }
    change(registry)
    found["then"] = registry.current()
    found["history"] = [(e.change, e.from_version, e.to_version) for e in registry.history().entries]
    found["left"] = sorted(path.name for path in (folder / "work/versions").iterdir())
    told.append(found)
    for path in (folder / "work").rglob("*"):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
    shutil.rmtree(folder / "work")
    if ended == 0:
        break
print(json.dumps(told))
"""
"""Forks, each of which dies before one file operation later than the one before it, until one comes to its end."""


@pytest.fixture
def made(tmp_path: Path) -> Path:
    folder, audit = tmp_path / "made", make_audit(SNAPSHOT)
    for version in ("1", "2"):
        make_bundle(folder / version, seed=int(version), version=version, audit=audit)
    registry = Registry.made(folder / "registry")
    registry.promote(folder / "1", write_gate_for(folder / "1", folder / "gate.json"), by="ada")
    write_gate_for(folder / "2", folder / "gate.json", read_files(folder / "1").digest)
    return folder


@pytest.mark.parametrize(("change", "to"), [("promote", "2"), ("rollback", "1")])
def test_a_kill_before_any_step_leaves_a_whole_version(made: Path, change: str, to: str) -> None:
    if change == "rollback":
        Registry.open(made / "registry").promote(made / "2", made / "gate.json", by="ada")
    running = [sys.executable, "-c", PROMOTIONS, str(made), change]
    done = subprocess.run(running, check=False, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    before = {"promote": "1", "rollback": "2"}[change]
    digests = {version: read_files(made / version).digest for version in ("1", "2")}
    assert len(told) > {"promote": 25, "rollback": 4}[change], "the kills did not reach the steps"
    for steps, found in enumerate(told):
        assert found["serves"] in {before, to}, steps
        assert found["digest"] == digests[found["serves"]], steps
        assert not any(found["faults"]), steps
        assert found["unreadable"] == 0, steps
        assert not any(name.startswith(".") for name in found["left"]), steps
        assert found["then"] == to, steps
    assert told[0]["serves"] == before
    assert told[-1]["serves"] == to
    cut_off = [found for found in told if ["found", to, before] in found["history"]]
    assert cut_off, "no kill fell between the entry and the switch"
