from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import beta, chisquare, hypergeom

from guard.clopper_pearson import upper_bound
from guard.errors import GateRefused, GuardError, OutputFailed, WrongUse
from guard.review.decision import Action
from guard.review.folder import FolderQuarantine
from tests.support.retraining import candidate_in, review
from training.retrain.audit import AUDIT, bound_audit, draw_audit, draw_order, rows_for, whole_bound
from training.retrain.candidate import read_candidate


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "candidate"
    candidate_in(folder)
    return folder


@pytest.fixture
def candidate(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "candidate"))


def all_released(place: int) -> Action:
    return Action.RELEASED


@pytest.mark.parametrize("share", [0.001, 0.01, 0.05, 0.3])
@pytest.mark.parametrize("found", [0, 1, 5])
def test_the_rows_that_a_limit_needs_are_those_of_the_beta_quantile(share: float, found: int) -> None:
    rows = rows_for(share, 0.95, found)
    assert beta.ppf(0.95, found + 1, rows - found) <= share * (1 + 1e-9)
    assert beta.ppf(0.95, found + 1, rows - 1 - found) > share
    if found == 0:
        assert rows == np.ceil(np.log(0.05) / np.log1p(-share))


def test_a_limit_that_nobody_could_check_is_refused() -> None:
    with pytest.raises(WrongUse, match="ask for less"):
        rows_for(1e-9, 0.95)


def test_every_row_is_as_likely_to_be_drawn() -> None:
    """20 of 100 rows, over 2,000 digests."""
    counts = np.zeros(100)
    for number in range(2000):
        counts[draw_order(f"{number:064x}", 100)[:20]] += 1
    assert chisquare(counts).pvalue > 0.001
    assert sorted(draw_order("0" * 64, 100)) == list(range(100))


def test_the_bound_is_kept_where_rows_are_drawn_without_replacement() -> None:
    """Of 400 rows, every share of poison, 60 drawn: the bound is below the truth in at most 5 % of draws."""
    bounds = np.array([upper_bound(found, 60, 0.05) for found in range(61)])
    for poison in range(401):
        chances = hypergeom(400, poison, 60).pmf(np.arange(61))
        assert chances[bounds < poison / 400 - 1e-12].sum() <= 0.05 + 1e-9


def test_review_commands_open_the_sample_and_see_the_drawn_rows(candidate: Path, tmp_path: Path) -> None:
    draw = draw_audit(candidate, tmp_path / "audit", 40)
    quarantine = FolderQuarantine(tmp_path / "audit")
    assert len(quarantine.desk.queue) == draw.drawn == 40
    assert {held.reason for held in quarantine.desk.queue} == {"audit"}
    parts = read_candidate(candidate)
    order = draw_order(parts.snapshot.digest, parts.card.new_rows)[:40]
    told = [parts.new[place] for place in order]
    assert [held.source for held in quarantine.desk.queue] == [line.source for line in told]
    assert [held.label for held in quarantine.desk.queue] == [str(line.label) for line in told]
    lines = [json.loads(line) for line in (tmp_path / "audit/quarantine.jsonl").read_text().splitlines()]
    assert lines[0]["id"] == f"line {parts.snapshot.origin[parts.card.trusted_rows + order[0]]} of the ledger"


def test_released_is_clean_rejected_and_undecided_are_poison(candidate: Path, tmp_path: Path) -> None:
    draw_audit(candidate, tmp_path / "audit", 40)
    review(tmp_path / "audit", lambda p: Action.REJECTED if p < 2 else None if p < 5 else Action.RELEASED)
    found = bound_audit(tmp_path / "audit")
    assert (found.bound.poison, found.bound.undecided, found.bound.drawn) == (2, 3, 40)
    assert found.bound.upper_bound == pytest.approx(beta.ppf(0.95, 6, 35), rel=1e-6)
    assert found.bound.reviewers == ("ana",)
    card = read_candidate(candidate).card
    assert found.bound.rows == card.new_rows
    assert found.whole == whole_bound(found.bound.upper_bound, card.new_rows, card.trusted_rows)
    assert found.whole < found.bound.upper_bound


def test_taking_a_rejection_back_leaves_it_undecided(candidate: Path, tmp_path: Path) -> None:
    draw_audit(candidate, tmp_path / "audit", 10)
    review(tmp_path / "audit", lambda _: Action.REJECTED)
    review(tmp_path / "audit", lambda p: Action.REOPENED if p < 4 else None, "bob")
    found = bound_audit(tmp_path / "audit").bound
    assert (found.poison, found.undecided, found.reviewers) == (6, 4, ("ana", "bob"))


def test_the_limit_of_the_policy_chooses_the_size(candidate: Path, tmp_path: Path) -> None:
    rows = read_candidate(candidate).card.new_rows
    assert draw_audit(candidate, tmp_path / "audit").drawn == 299 < rows
    small = tmp_path / "small"
    candidate_in(small, 100)
    with pytest.raises(WrongUse, match=r"needs 299 rows even when none is poison, and the candidate has 100 new ones"):
        draw_audit(small, tmp_path / "other")
    with pytest.raises(WrongUse, match="101 rows cannot be drawn"):
        draw_audit(small, tmp_path / "other", 101)


def test_drawing_again_gives_the_same_rows_and_another_size_is_a_second_chance(candidate: Path, tmp_path: Path) -> None:
    draw_audit(candidate, tmp_path / "one", 40)
    draw_audit(candidate, tmp_path / "two", 40)
    assert (tmp_path / "one/quarantine.jsonl").read_bytes() == (tmp_path / "two/quarantine.jsonl").read_bytes()
    for size in (10, 41, None):
        with pytest.raises(WrongUse, match="40 rows of this candidate were drawn before"):
            draw_audit(candidate, tmp_path / "three", size)
    with pytest.raises(OutputFailed, match="exists already"):
        draw_audit(candidate, tmp_path / "one", 40)
    assert len((candidate / "draws.jsonl").read_text().splitlines()) == 2


def edit(path: Path, old: bytes, new: bytes) -> None:
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new, 1))


def other_decisions(audit: Path) -> None:
    """Decisions that somebody took about another sample."""
    candidate_in(audit.parent / "elsewhere", 300, 300)
    draw_audit(audit.parent / "elsewhere", audit.parent / "b", 10)
    review(audit.parent / "b", all_released)
    shutil.copy(audit.parent / "b/decisions.jsonl", audit / "decisions.jsonl")


def not_drawn(audit: Path) -> None:
    line = json.loads((audit / "decisions.jsonl").read_text().splitlines()[0])
    line |= {"origin": "file/input/0/4000", "id": "f" * 32}
    with (audit / "decisions.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")


@pytest.mark.parametrize(
    ("tamper", "said"),
    [
        (lambda a: edit(a / "quarantine.jsonl", b'"source":"sender', b'"source":"Sender'), "the sample was edited"),
        (lambda a: edit(a / "verdicts.jsonl", b'"line":1,', b'"line":7,'), "the sample was edited"),
        (lambda a: edit(a / AUDIT, b'"drawn": 10', b'"drawn": 9'), "the sample was edited"),
        (lambda a: edit(a / AUDIT, b'"new_rows": ', b'"new_rows": 1'), "counts are not those"),
        (lambda a: edit(a / AUDIT, b'"snapshot_digest": "', b'"snapshot_digest": "x'), "snapshot_digest"),
        (lambda a: (a / "quarantine.jsonl").unlink(), "cannot be read"),
        (other_decisions, "cannot be believed"),
        (not_drawn, "1 decisions are about rows that were not drawn"),
        (lambda a: (a / "decisions.jsonl").write_bytes(b"{}\n"), "1 lines cannot be believed"),
        (lambda a: (a / "decisions.jsonl").unlink(), "nobody has decided"),
        (lambda a: edit(a.parent / "candidate/ledger.jsonl", b"sender", b"Sender"), "is not the ledger"),
    ],
)
def test_tampering_is_refused_by_name(candidate: Path, tmp_path: Path, tamper, said: str) -> None:
    draw_audit(candidate, tmp_path / "audit", 10)
    review(tmp_path / "audit", all_released)
    tamper(tmp_path / "audit")
    with pytest.raises(GuardError, match=said):
        bound_audit(tmp_path / "audit")


def test_another_candidate_is_told(candidate: Path, tmp_path: Path) -> None:
    draw_audit(candidate, tmp_path / "audit", 10)
    review(tmp_path / "audit", all_released)
    candidate_in(tmp_path / "other", 300, 300)
    with pytest.raises(GateRefused, match="drawn from another candidate"):
        bound_audit(tmp_path / "audit", tmp_path / "other")
    shutil.move(candidate, tmp_path / "moved")
    assert bound_audit(tmp_path / "audit", tmp_path / "moved").bound.poison == 0
