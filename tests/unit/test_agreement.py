from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.agreement import Agreement, agreement_of, read_agreement
from guard.errors import GateRefused
from guard.verdict import HoldReason, RejectReason, Status, Verdict

PAIR = {"champion_digest": "a" * 64, "challenger_digest": "b" * 64}
REASONS = {
    Status.CLEAN: None,
    Status.QUARANTINED: HoldReason.SUSPECT,
    Status.MALFORMED: RejectReason.MALFORMED_JSON,
}


def verdicts(statuses: list[Status]) -> list[Verdict]:
    return [Verdict(status, REASONS[status]) for status in statuses]


@given(
    st.lists(st.tuples(st.sampled_from(Status), st.sampled_from(Status)).filter(lambda pair: set(pair) <= set(REASONS)))
)
def test_counts_are_those_of_two_sets(pairs: list[tuple[Status, Status]]) -> None:
    champion, challenger = [a for a, _ in pairs], [b for _, b in pairs]
    found = Agreement.counted(**PAIR, **agreement_of(verdicts(champion), verdicts(challenger)))
    held = [{i for i, status in enumerate(side) if status is Status.QUARANTINED} for side in (champion, challenger)]
    malformed = [{i for i, status in enumerate(side) if status is Status.MALFORMED} for side in (champion, challenger)]
    unlike = malformed[0] ^ malformed[1]
    assert found.records == len(pairs)
    assert found.both_held == len(held[0] & held[1])
    assert found.champion_only_held == len(held[0] - held[1] - unlike)
    assert found.challenger_only_held == len(held[1] - held[0] - unlike)
    assert found.both_malformed == len(malformed[0] & malformed[1])
    assert found.malformed_for_one == len(unlike)
    either = (held[0] | held[1]) - unlike
    assert found.overlap == (len(held[0] & held[1]) / len(either) if either else None)


def test_a_file_is_read_and_an_edited_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "shadow.json"
    found = Agreement.counted(**PAIR, both_passed=90, both_held=6, champion_only_held=1, challenger_only_held=3)
    path.write_text(found.model_dump_json())
    assert read_agreement(path) == found
    document = json.loads(path.read_text())
    for edit in ({"both_held": 7}, {"overlap": 0.9}, {"records": -1}, {"more": 1}):
        path.write_text(json.dumps(document | edit))
        with pytest.raises(GateRefused, match=r"shadow\.json"):
            read_agreement(path)
