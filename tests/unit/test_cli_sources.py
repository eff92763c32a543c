from __future__ import annotations

import json

import numpy as np
import pytest

from guard.bundle import load_bundle
from guard.cli.main import main
from guard.filter.evidence import EVIDENCE
from guard.filter.inputs import Samples
from guard.filter.run import Task, run_filter
from guard.filter.stop import Stop
from guard.sample import encode_samples
from tests.support.bundles import TABLE, draw_samples, make_bundle

RECORDS = 3000


@pytest.fixture(scope="module")
def filtered(tmp_path_factory):
    """Twenty honest sources, and one that flips every third label."""
    folder = tmp_path_factory.mktemp("filtered")
    x, y = draw_samples(TABLE, RECORDS, 1)
    rng = np.random.default_rng(2)
    sources = np.array([f"crowd {number}" for number in rng.integers(0, 20, RECORDS)], dtype=object)
    mallory = rng.random(RECORDS) < 0.05
    sources[mallory] = "mal\nlory"
    y[mallory & (rng.random(RECORDS) < 0.35)] += 1
    lines = encode_samples(TABLE, x, y % 3, sources.tolist())
    (folder / "samples.jsonl").write_bytes(b"\n".join(lines))
    bundle = load_bundle(make_bundle(folder / "bundle"), threads=1)
    run_filter(Task(Samples(str(folder / "samples.jsonl")), folder / "out"), bundle, Stop())
    return folder / "out", np.flatnonzero(mallory) + 1


def test_the_poisoner_stands_first_and_alone(filtered, capfd):
    out, lines = filtered
    assert main(["sources", str(out), "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["accused"] == 1
    assert found["records"] == RECORDS
    assert len(found["sources"]) == 21
    top = found["sources"][0]
    assert (top["source"], top["accused"], top["records"]) == ("mal\nlory", True, len(lines))
    assert (top["first"], top["last"]) == (lines[0], lines[-1])
    assert top["evidence"] >= top["needed"] > 0
    assert sum(source["records"] for source in found["sources"]) == RECORDS
    told = [json.loads(line) for line in (out / "verdicts.jsonl").read_bytes().splitlines()]
    assert top["held"] == sum(line["source"] == "mal\nlory" for line in told)


def test_the_table_shows_the_top_and_no_control_characters(filtered, capfd):
    assert main(["sources", str(filtered[0]), "--top", "3"]) == 0
    shown = capfd.readouterr().out
    assert shown.count("crowd") == 2
    assert "1 of 21 sources accused" in shown
    assert "mal\nlory" not in shown


def test_a_folder_without_evidence_says_what_to_do(tmp_path, capfd):
    assert main(["sources", str(tmp_path)]) == 1
    assert "depois filter" in capfd.readouterr().err
    (tmp_path / EVIDENCE).write_bytes(b"[]")
    assert main(["sources", str(tmp_path)]) == 1
    assert "Filter the samples again" in capfd.readouterr().err


def test_help_has_an_example(capfd):
    assert main(["sources", "--help"]) == 0
    assert "Example: depois filter" in capfd.readouterr().out
