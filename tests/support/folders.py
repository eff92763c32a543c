"""Folders of samples that wait for a person: as a run of the filter writes them, and as an audit draws them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from guard.bundle import load_bundle
from guard.filter.inputs import Samples
from guard.filter.run import Task, run_filter
from guard.filter.sinks import QUARANTINE, VERDICTS
from guard.filter.stop import Stop
from guard.filter.summary import SUMMARY
from guard.filter.verdicts import VerdictWriter
from guard.review.held import read_claim
from guard.verdict import Status, Verdict


def judged_folder(path: Path, bundle: Path, lines: Sequence[bytes]) -> Path:
    """Filters `lines`; its folder within `path`. A line with a break of its own is left out."""
    samples = path / "samples.jsonl"
    samples.write_bytes(b"".join(line + b"\n" for line in lines if b"\n" not in line))
    run_filter(Task(Samples(str(samples)), path / "out"), load_bundle(bundle, threads=1), Stop())
    return path / "out"


def unjudged_folder(path: Path, lines: Sequence[bytes]) -> Path:
    """Writes `lines` as samples that wait for a person; no model is named, and nothing is said of them."""
    path.mkdir()
    writer = VerdictWriter("", "", observe=False)
    claims = [read_claim(line) for line in lines]
    told = [
        writer.line(number, Verdict(Status.QUARANTINED, id=claim.id, source=claim.source, label=claim.label))
        for number, claim in enumerate(claims, 1)
    ]
    (path / QUARANTINE).write_bytes(b"".join(line + b"\n" for line in lines))
    (path / VERDICTS).write_bytes(b"".join(line + b"\n" for line in told))
    (path / SUMMARY).write_text('{"complete": true}')
    return path
