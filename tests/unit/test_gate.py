from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.stats import beta

from guard.errors import GateRefused, OutputFailed
from guard.gate import (
    AuditBound,
    Figure,
    Gate,
    Limits,
    close_gate,
    read_audit,
    read_comparison,
    read_gate,
    write_gate,
)
from tests.support.gates import make_audit, make_comparison

BUNDLE, SNAPSHOT, CHAMPION = "a" * 64, "b" * 64, "c" * 64


def gate(**changes: Any) -> Gate:
    found = {"audit": make_audit(SNAPSHOT), "comparison": make_comparison(CHAMPION, BUNDLE)} | changes
    return close_gate(BUNDLE, SNAPSHOT, **found)


@given(st.integers(1, 2000), st.data())
def test_the_bound_is_that_of_the_beta_distribution(drawn: int, data: st.DataObject) -> None:
    poison = data.draw(st.integers(0, min(drawn, 40)))
    undecided = data.draw(st.integers(0, min(drawn - poison, 20)))
    found = make_audit(SNAPSHOT, rows=drawn, drawn=drawn, poison=poison, undecided=undecided)
    suspects = poison + undecided
    expected = 1.0 if suspects == drawn else beta.ppf(0.95, suspects + 1, drawn - suspects)
    assert found.upper_bound == pytest.approx(expected, rel=1e-6)


def test_the_default_limits_are_met_by_299_clean_rows_and_not_by_298() -> None:
    assert gate(audit=make_audit(SNAPSHOT, drawn=299)).passed
    assert not gate(audit=make_audit(SNAPSHOT, drawn=298)).passed


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"audit": None}, "nobody audited"),
        ({"audit": make_audit(CHAMPION)}, "another snapshot"),
        ({"audit": make_audit(SNAPSHOT, poison=1)}, "up to 1.180% of the snapshot may be poison"),
        ({"audit": make_audit(SNAPSHOT, undecided=1)}, "1 undecided among 400 drawn"),
        ({"audit": make_audit(SNAPSHOT, confidence=0.9)}, "holds at 0.9, but 0.95 is asked for"),
        ({"comparison": make_comparison(CHAMPION, SNAPSHOT)}, "about another bundle"),
        ({"comparison": make_comparison(CHAMPION, BUNDLE, "recall fell")}, "recall fell"),
        ({"limits": Limits(poison_share=0.001)}, "at most 0.100% may be"),
    ],
)
def test_a_gate_says_by_name_what_it_does_not_let_pass(changes: dict[str, Any], reason: str) -> None:
    found = gate(**changes)
    assert not found.passed
    assert len(found.reasons) == 1
    assert reason in found.reasons[0]


def test_a_first_bundle_needs_no_comparison_but_an_audit() -> None:
    assert gate(comparison=None).passed
    assert not gate(comparison=None, audit=None).passed


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_gate(tmp_path / "gate.json", gate())
    assert read_gate(tmp_path / "gate.json") == gate()
    assert [file.name for file in tmp_path.iterdir()] == ["gate.json"]
    (tmp_path / "audit.json").write_text(make_audit(SNAPSHOT).model_dump_json())
    assert read_audit(tmp_path / "audit.json") == make_audit(SNAPSHOT)
    (tmp_path / "comparison.json").write_text(make_comparison(CHAMPION, BUNDLE).model_dump_json())
    assert read_comparison(tmp_path / "comparison.json").passed


def _raise_limit(document: dict[str, Any]) -> None:
    document["limits"]["poison_share"] = 0.5


def _other_bundle(document: dict[str, Any]) -> None:
    document["bundle_digest"] = CHAMPION


def _fewer_found(document: dict[str, Any]) -> None:
    document["audit"]["poison"] = 0


def _just_pass(document: dict[str, Any]) -> None:
    document["passed"], document["reasons"] = True, []


def _lower_bound(document: dict[str, Any]) -> None:
    document["audit"]["upper_bound"] = 0.001


@pytest.mark.parametrize(
    ("edit", "named"),
    [
        (_raise_limit, "seal"),
        (_other_bundle, "seal"),
        (_fewer_found, "upper_bound does not follow"),
        (_just_pass, "it passes although up to"),
        (_lower_bound, "upper_bound does not follow"),
        (lambda document: document.update(time="now"), "time"),
        (lambda document: document.update(format_version=2), "format_version"),
        (lambda document: document.update(seal="0" * 64), "seal"),
        (lambda document: document.pop("audit"), "audit"),
    ],
)
def test_an_edited_gate_is_refused_by_what_was_edited(
    edit: Callable[[dict[str, Any]], object], named: str, tmp_path: Path
) -> None:
    path = tmp_path / "gate.json"
    write_gate(path, gate(audit=make_audit(SNAPSHOT, poison=9)))
    document = json.loads(path.read_text())
    edit(document)
    path.write_text(json.dumps(document))
    with pytest.raises(GateRefused, match=named):
        read_gate(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b"\xff\xfe", b"null", b"{" * 10_000, b" " * (1 << 21), b'{"format_version": NaN}'],
    ids=["empty", "list", "object", "bytes", "null", "deep", "long", "nan"],
)
def test_a_file_that_is_no_gate_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "gate.json").write_bytes(content)
    with pytest.raises(GateRefused, match=r"gate\.json"):
        read_gate(tmp_path / "gate.json")


def test_a_gate_that_is_not_there_or_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(GateRefused, match="name the file of a Gate"):
        read_gate(tmp_path / "none.json")
    with pytest.raises(GateRefused, match="cannot be read"):
        read_gate(tmp_path)
    with pytest.raises(OutputFailed, match="cannot be written"):
        write_gate(tmp_path / "no-folder" / "gate.json", gate())


@pytest.mark.parametrize(
    "wrong",
    [
        {"drawn": 6000},
        {"poison": 300, "undecided": 200},
        {"reviewers": ()},
        {"reviewers": ("\x1b[2J",)},
        {"time": "yesterday"},
        {"sample_digest": "1"},
        {"confidence": 1.0},
    ],
)
def test_an_audit_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises((ValidationError, ValueError)):
        make_audit(SNAPSHOT, **wrong)


def test_a_comparison_may_not_contradict_its_figures() -> None:
    document = make_comparison(CHAMPION, BUNDLE).model_dump()
    worse = Figure(name="recall", champion=0.9, challenger=0.5, outcome="worse", must_hold=True)
    with pytest.raises(ValidationError, match="it passes although recall"):
        type(make_comparison(CHAMPION, BUNDLE))(**document | {"figures": (worse,)})
    with pytest.raises(ValidationError, match="stands twice"):
        type(make_comparison(CHAMPION, BUNDLE))(**document | {"figures": (worse, worse), "passed": False})
    with pytest.raises(ValidationError, match="contradict"):
        type(make_comparison(CHAMPION, BUNDLE))(**document | {"passed": False})


def test_an_audit_in_a_manifest_is_the_same_model() -> None:
    audit = make_audit(SNAPSHOT)
    assert AuditBound.model_validate_json(audit.model_dump_json(), strict=True) == audit
