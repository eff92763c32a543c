"""What is believed as a decision, and what is not."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from guard.errors import WrongUse
from guard.review.decision import (
    DECISION_BYTES,
    REVIEWER_LENGTH,
    WHY_LENGTH,
    Action,
    Disbelief,
    Disbelieved,
    Place,
    checked_words,
    encode_decision,
    parse_decision,
)
from guard.review.desk import Desk, Wish
from tests.support.held import decision_about, held_at
from tests.support.messages import FOLDER

HELD = held_at(7)
SOUND = decision_about(HELD, Action.RELEASED)
KEY = HELD.origin.encode()


def changed(**fields: Any) -> bytes:
    return json.dumps({**json.loads(encode_decision(SOUND)), **fields}).encode()


def disbelief(key: bytes | None, value: bytes | None) -> Disbelief:
    with pytest.raises(Disbelieved) as caught:
        parse_decision(key, value)
    return caught.value.kind


def test_what_is_written_is_read_back_and_is_of_its_schema() -> None:
    assert parse_decision(KEY, encode_decision(SOUND)) == SOUND
    schema = json.loads((FOLDER / "decision.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(json.loads(encode_decision(SOUND)))


def test_the_longest_words_fit() -> None:
    longest = decision_about(HELD, Action.REJECTED, reviewer="é" * REVIEWER_LENGTH, why="字" * WHY_LENGTH)
    assert len(encode_decision(longest)) < DECISION_BYTES
    assert parse_decision(KEY, encode_decision(longest)) == longest


@pytest.mark.parametrize(
    "fields",
    [
        {"format": 2},
        {"format": None},
        {"id": "A" * 32},
        {"id": ""},
        {"origin": "elsewhere"},
        {"origin": "a/b/c/d"},
        {"action": "approved"},
        {"reviewer": ""},
        {"reviewer": " "},
        {"reviewer": "x" * (REVIEWER_LENGTH + 1)},
        {"reviewer": "ana\x1b[2J"},
        {"why": ""},
        {"why": "line\nline"},
        {"time": "yesterday"},
        {"held": None},
        {"held": {"topic": "t", "partition": -1, "offset": 0}},
        {"value_sha256": "0"},
        {"supersedes": "no id"},
        {"more": 1},
    ],
)
def test_a_field_that_is_not_sound_makes_it_no_decision(fields: dict[str, Any]) -> None:
    assert disbelief(KEY, changed(**fields)) is Disbelief.NO_DECISION


def test_what_is_missing_makes_it_no_decision() -> None:
    whole = json.loads(encode_decision(SOUND))
    for name in whole:
        assert disbelief(KEY, json.dumps({k: v for k, v in whole.items() if k != name}).encode()) is (
            Disbelief.NO_DECISION
        ), name


@pytest.mark.parametrize(
    "value", [b"\xff", b"[]", b"{", b"[" * 100_000, b'"' + b"x" * DECISION_BYTES + b'"', b"\x00\x00\x00\x00\x01"]
)
def test_foreign_formats_are_no_decisions(value: bytes) -> None:
    assert disbelief(KEY, value) is Disbelief.NO_DECISION


def test_key_place_record_and_step_must_agree() -> None:
    assert disbelief(b"other", encode_decision(SOUND)) is Disbelief.WRONG_KEY
    assert disbelief(None, encode_decision(SOUND)) is Disbelief.WRONG_KEY
    assert disbelief(KEY, None) is Disbelief.DELETED
    assert disbelief(KEY, changed(released=None)) is Disbelief.IMPOSSIBLE_STEP
    assert disbelief(KEY, changed(action="rejected")) is Disbelief.IMPOSSIBLE_STEP


@pytest.mark.parametrize(
    ("forged", "stands", "kind"),
    [
        (decision_about(HELD, Action.REJECTED), 1, Disbelief.WRONG_PLACE),
        (decision_about(HELD, Action.REJECTED, held=Place("q", 1, 7)), 0, Disbelief.WRONG_PLACE),
        (decision_about(HELD, Action.REJECTED, value_sha256="1" * 64), 0, Disbelief.OTHER_RECORD),
        (decision_about(HELD, Action.REOPENED), 0, Disbelief.IMPOSSIBLE_STEP),
    ],
)
def test_a_forgery_is_counted_and_changes_nothing(forged: Any, stands: int, kind: Disbelief) -> None:
    desk = Desk()
    desk.hold(HELD)
    desk.believe(KEY, encode_decision(forged), Place("samples.decisions", stands, 0))
    assert dict(desk.ledger.disbelieved) == {kind: 1}
    assert desk.ledger.state(HELD.origin) is None


def test_a_forged_second_record_of_an_origin_is_never_released() -> None:
    desk = Desk()
    desk.hold(HELD)
    desk.hold(held_at(7, value_sha256="2" * 64))
    drafts, (outcome,) = desk.plan([Wish(HELD, Action.RELEASED, "ana", "why")])
    assert drafts == []
    assert "forged" in (outcome.objection or "")
    drafts, outcomes = desk.plan([Wish(HELD, Action.REJECTED, "ana", "why")])
    assert (len(drafts), outcomes) == (1, [])


@pytest.mark.parametrize(
    ("reviewer", "why"), [("", "why"), ("ana", " "), ("x" * 129, "why"), ("ana", "x" * 1001), ("ana", "a\nb")]
)
def test_every_decision_says_who_and_why(reviewer: str, why: str) -> None:
    with pytest.raises(WrongUse):
        checked_words(reviewer, why)
    assert checked_words(" ana ", " because ") == ("ana", "because")
