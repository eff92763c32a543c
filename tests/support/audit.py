"""A folder of samples of which nothing was judged, as an audit draws them: for a person to look at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from guard.filter.sinks import QUARANTINE, VERDICTS
from guard.filter.summary import SUMMARY
from guard.filter.verdicts import VerdictWriter
from guard.review.held import read_claim
from guard.verdict import Status, Verdict


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
