from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

DOCKERFILE = Path(__file__).parents[2] / "Dockerfile"


def stages() -> dict[str, str]:
    parts = re.split(r"^FROM \S+ AS (\S+)$", DOCKERFILE.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_hadolint_finds_nothing() -> None:
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    assert hadolint, "hadolint is in the dev extra"
    done = subprocess.run([hadolint, str(DOCKERFILE)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_both_targets_end_as_an_unprivileged_user_with_a_health_check() -> None:
    found = stages()
    assert re.search(r"^USER 10001$", found["base"], flags=re.MULTILINE)
    for target in ("guard", "trainer"):
        assert "HEALTHCHECK" in found[target]
        assert "USER" not in found[target]
        assert "pip" not in found[target]


def test_what_is_installed_is_compiled_for_no_start_can_keep_what_it_compiles() -> None:
    found = stages()
    assert "ENV UV_COMPILE_BYTECODE=1" in found["build"]
    assert re.findall(r"^RUN (\S+ \S+) install", found["build-guard"] + found["build-trainer"], flags=re.MULTILINE) == [
        "uv pip",
        "uv pip",
    ]
    assert "PYTHONDONTWRITEBYTECODE=1" in found["base"]


def test_the_guard_target_takes_nothing_from_the_trainer() -> None:
    assert re.findall(r"--from=(\S+)", stages()["guard"]) == ["build-guard"]
    assert "trainer-" not in stages()["build-guard"]
