from __future__ import annotations

import json

import numpy as np
import pytest

from guard.bundle import load_bundle
from guard.cli.main import main
from guard.filter.evidence import DRIFT
from guard.filter.inputs import Samples
from guard.filter.run import Task, run_filter
from guard.filter.stop import Stop
from guard.sample import encode_samples
from tests.support.bundles import TABLE, draw_samples, make_bundle


def filtered(folder, shift, flipped):
    """3000 samples of 40 sources, the last half of them `shift` away; one source sends `flipped` of wrong labels."""
    x, y = draw_samples(TABLE, 3000, 1)
    x[1500:, :2] += shift
    rng = np.random.default_rng(2)
    who = rng.integers(0, 40, 3000)
    y = np.where((who == 0) & (rng.random(3000) < flipped), (y + 1) % 3, y)
    lines = encode_samples(TABLE, x, y, [f"crowd {number}" for number in who])
    (folder / "samples.jsonl").write_bytes(b"\n".join(lines))
    bundle = load_bundle(make_bundle(folder / "bundle"), threads=1)
    run_filter(Task(Samples(str(folder / "samples.jsonl")), folder / "out"), bundle, Stop())
    return str(folder / "out")


@pytest.mark.parametrize(
    ("shift", "flipped", "said"), [(0.0, 0.0, "no change"), (1.2, 0.0, "drift"), (0.0, 0.5, "an attack of few")]
)
def test_drift_is_told_from_an_attack(tmp_path, capfd, shift, flipped, said):
    out = filtered(tmp_path, shift, flipped)
    assert main(["drift", out, "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["conclusion"].startswith(said)
    assert found["records"] == 3000
    assert main(["drift", out]) == 0
    assert found["conclusion"] in capfd.readouterr().out


def test_a_folder_without_it_says_what_to_do(tmp_path, capfd):
    assert main(["drift", str(tmp_path)]) == 1
    assert "depois filter" in capfd.readouterr().err
    (tmp_path / DRIFT).write_bytes(b"[]")
    assert main(["drift", str(tmp_path)]) == 1
    assert "Filter the samples again" in capfd.readouterr().err
