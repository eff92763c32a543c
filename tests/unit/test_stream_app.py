"""The app before it runs: what must be loaded before threads start."""

from __future__ import annotations

import subprocess
import sys


def test_the_administrators_client_is_loaded_before_any_thread_asks_for_it() -> None:
    code = "import sys, guard.stream.app; print('kafka.admin' in sys.modules)"
    out = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "True"
