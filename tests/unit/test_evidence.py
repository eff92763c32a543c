from __future__ import annotations

import json

import pytest

from guard.blame import Blame, StateUnreadable
from guard.drift import Drift, Expected
from guard.stream.evidence import Evidence
from guard.suspicion import Suspicion
from guard.verdict import HoldReason, Status, Verdict

SUSPICION = Suspicion("bundle", (0.01, 0.04), ((0.03, 0.08), (0.05, 0.1)), (1.0, 5.0), 0, 0.01)
EXPECTED = Expected("bundle", 0.01, 0.005, (0.05,), (0.1, 0.97), ("apple",))


def evidence():
    verdicts = [Verdict(Status.QUARANTINED, HoldReason.SUSPECT, 0.001, 0.01, source=name) for name in "aab"]
    blame, drift = Blame(SUSPICION), Drift(EXPECTED)
    blame.add("c/in/0", verdicts, [0, 1, 2], [1000] * 3)
    drift.add(verdicts)
    return Evidence.of(blame.state("c/in/0"), drift.state())


def test_it_survives_and_says_what_it_covers():
    found = Evidence.from_bytes(evidence().to_bytes())
    assert found == evidence()
    assert (found.place, found.through) == ("c/in/0", 3)


def changed(path, value):
    """The JSON with one thing changed, whose place `path` tells."""
    content = json.loads(evidence().to_bytes())
    *way, last = path
    inner = content
    for step in way:
        inner = inner[step]
    inner[last] = value
    return json.dumps(content).encode()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["format"], 2),
        (["sources", "format"], 2),
        (["sources", "through"], -1),
        (["sources", "through"], 2**70),
        (["sources", "entries", 0, 0], "x" * 65),
        (["sources", "entries", 0, 0], "b"),
        (["sources", "entries", 0, 1], 0),
        (["sources", "entries", 0, 5], [1, 2]),
        (["sources", "entries", 0, 5], [1, 2, 3, -1]),
        (["sources", "entries", 0, 9], 0),
        (["sources", "entries"], [["x", 1, 0, 0, 0, [0] * 4]] * 5000),
        (["sources", "suspicion", "level"], 0),
        (["sources", "suspicion", "bounds"], [[0.1]]),
        (["sources", "suspicion", "bounds"], [[0.0, 0.1]] * 2),
        (["sources", "suspicion", "weights"], [1.0]),
        (["sources", "suspicion", "back"], 2),
        (["sources", "suspicion", "places"], 0),
        (["drift", "format"], 2),
        (["drift", "window"], 0),
        (["drift", "window"], 10**9),
        (["drift", "voters"], ["x" * 65]),
        (["drift", "counts", "labels", "cells"], [1]),
        (["drift", "counts", "labels", "votes"], 10**6),
        (["drift", "counts", "p_values", "rounds"], 0),
        (["drift", "bounds", "p_values"], [0.5]),
        (["drift", "bounds", "labels"], [0.5, 0.5]),
        (["drift", "expected", "level"], 0),
        (["drift"], None),
    ],
)
def test_what_no_guard_wrote_is_refused(path, value):
    with pytest.raises(StateUnreadable):
        Evidence.from_bytes(changed(path, value))


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff", b"[" * 10_000, b"null"])
def test_what_is_no_evidence_is_refused(data):
    with pytest.raises(StateUnreadable):
        Evidence.from_bytes(data)
