from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ks_2samp

from guard.errors import InputUnreadable, OutputFailed, SnapshotRefused
from guard.filter.evidence import read_blame
from guard.review.decision import Action
from guard.spec import ClassLabel, ImageInput, InputSpec, NumberColumn
from tests.support.bundles import TABLE, draw_samples
from tests.support.retraining import candidate_in, filtered, intake_of, records_of, review, trusted_table, written
from training.retrain.candidate import make_candidate, read_candidate
from training.retrain.intake import Record, read_filtered, take_in
from training.retrain.policy import Policy, Records
from training.snapshot import read_snapshot, snapshot_from_arrays

POLICY = written(Policy())


def test_trusted_rows_stay_and_each_new_row_is_its_line_of_the_ledger(tmp_path: Path) -> None:
    trusted = trusted_table()
    intake = intake_of(trusted, 90)
    intake.told[3] = intake.told[3]._replace(time=86_400.0)
    made = make_candidate(trusted, intake, POLICY, tmp_path / "c", now=1e6)
    snapshot = read_snapshot(tmp_path / "c/snapshot")
    lines = [json.loads(line) for line in (tmp_path / "c/ledger.jsonl").read_text().splitlines()]
    assert np.array_equal(snapshot.x[:120], trusted.x, equal_nan=True)
    assert snapshot.y[:120].tolist() == trusted.y.tolist()
    assert snapshot.origin[:120].tolist() == trusted.origin.tolist()
    assert len(lines) == 90
    assert [line["taken"] for line in lines] == [line["reason"] is None for line in lines]
    assert lines[3]["time"] == "1970-01-02T00:00:00Z"
    places = [number for number, line in enumerate(lines) if line["taken"]]
    assert snapshot.origin[120:].tolist() == [place + 1 for place in places]
    assert np.array_equal(snapshot.x[120:], intake.x[places], equal_nan=True)
    assert snapshot.spec == trusted.spec
    assert snapshot.provenance["retrained_from"] == trusted.digest
    card = json.loads((tmp_path / "c/candidate.json").read_text())
    assert sum(card["left"].values()) + card["new_rows"] == 90
    assert (tmp_path / "c/policy.toml").read_bytes() == POLICY.text
    assert read_candidate(tmp_path / "c").card == made.card


def test_the_same_records_make_the_same_candidate(tmp_path: Path) -> None:
    one, two, other = (
        make_candidate(
            trusted_table(), intake_of(trusted_table(), 200, sources=1), POLICY, tmp_path / name, now=1.0, seed=seed
        )
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert one.card == two.card
    assert one.snapshot.digest != other.snapshot.digest


def test_the_difference_is_that_of_independent_counts(tmp_path: Path) -> None:
    trusted = trusted_table(200)
    x, y = draw_samples(TABLE, 150, 3)
    x[:, 0] += 2
    intake = take_in(TABLE, [("more", records_of(TABLE, x, y, ["ann"] * 100 + ["bob"] * 50))])
    made = make_candidate(trusted, intake, POLICY, tmp_path / "c", now=0.0)
    shift, new = made.shift, made.snapshot.x[200:]
    for group, name in enumerate(TABLE.label.values):
        found = shift.groups[group]
        assert found.name == str(name)
        assert found.trusted == int((trusted.y == group).sum())
        assert found.share_after == pytest.approx(np.mean(made.snapshot.y == group))
    columns = {column.name: column for column in shift.columns}
    for index, column in enumerate(TABLE.input.columns):
        before, after = trusted.x[:, index], new[:, index]
        if isinstance(column, NumberColumn):
            known = [values[~np.isnan(values)] for values in (before, after)]
            assert columns[column.name].apart == pytest.approx(ks_2samp(*known).statistic)
            assert columns[column.name].after == pytest.approx(np.nanmean(after))
        assert columns[column.name].gaps_after == np.isnan(after).mean()
    assert shift.columns[0].name == TABLE.input.columns[0].name
    assert {(one.name, one.considered) for one in shift.sources} == {("ann", 100), ("bob", 50)}
    assert json.loads((tmp_path / "c/diff.json").read_text()) == json.loads(shift.model_dump_json())


def test_of_pixels_the_largest_change_of_a_mean_is_told(tmp_path: Path) -> None:
    spec = InputSpec(input=ImageInput(height=4, width=4, channels=1), label=ClassLabel(values=("a", "b")))
    rng = np.random.default_rng(0)
    x = rng.integers(0, 200, (80, 4, 4, 1), np.uint8)
    trusted = snapshot_from_arrays(x[:40], np.arange(40) % 2, spec)
    new = x[40:].copy()
    new[:, 1, 2] = 255
    intake = take_in(spec, [("more", records_of(spec, new, np.arange(40) % 2, ["ann"] * 40))])
    (pixels,) = make_candidate(trusted, intake, POLICY, tmp_path / "c", now=0.0).shift.columns
    assert pixels.apart == pytest.approx(1 - x[:40, 1, 2].mean() / 255, abs=1e-9)


def test_nothing_to_take_is_refused_with_the_reasons_and_leaves_nothing(tmp_path: Path) -> None:
    trusted = trusted_table()
    only = written(Policy(records=Records(released="only")))
    intake = take_in(
        TABLE, [("x", [Record("a", b"{"), Record("b", records_of(TABLE, *draw_samples(TABLE, 1, 9), ["s"])[0].value)])]
    )
    with pytest.raises(
        SnapshotRefused, match=r"not one of 2 records passes the policy \(1 malformed, 1 not_released\)"
    ):
        make_candidate(trusted, intake, only, tmp_path / "c", now=0.0)
    with pytest.raises(SnapshotRefused, match="there are none"):
        make_candidate(trusted, take_in(TABLE, []), only, tmp_path / "c", now=0.0)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    candidate_in(tmp_path / "c", 50, 60)
    before = (tmp_path / "c/candidate.json").read_bytes()
    with pytest.raises(OutputFailed, match="exists already"):
        candidate_in(tmp_path / "c", 50, 60)
    assert (tmp_path / "c/candidate.json").read_bytes() == before


def replace_in(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text().replace(old, new))


def swap_lines(path: Path) -> None:
    first, second, *rest = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([second, first, *rest]))


@pytest.mark.parametrize(
    ("tamper", "said"),
    [
        (lambda c: swap_lines(c / "ledger.jsonl"), "is not the ledger"),
        (lambda c: (c / "policy.toml").write_text("[audit]\npoison_share = 0.9\n"), "is not the policy"),
        (lambda c: replace_in(c / "candidate.json", '"new_rows": ', '"new_rows": 1'), "has not the rows"),
        (lambda c: (c / "candidate.json").write_text("{}"), "trusted_digest: Field required"),
        (lambda c: (c / "candidate.json").unlink(), "name a folder that `depois retrain` wrote"),
        (lambda c: (c / "snapshot/arrays.npz").write_bytes(b"PK"), "arrays.npz"),
        (lambda c: other_snapshot(c), "is not the snapshot"),
    ],
)
def test_what_was_changed_afterwards_is_refused_by_name(tmp_path: Path, tamper, said: str) -> None:
    candidate_in(tmp_path / "c", 50, 60)
    tamper(tmp_path / "c")
    with pytest.raises(SnapshotRefused, match=said):
        read_candidate(tmp_path / "c")


def other_snapshot(candidate: Path) -> None:
    import shutil

    candidate_in(candidate.parent / "other", 40, 60)
    shutil.rmtree(candidate / "snapshot")
    shutil.move(candidate.parent / "other/snapshot", candidate / "snapshot")


def test_a_filtered_folder_gives_what_passed_what_was_released_and_who_is_accused(tmp_path: Path) -> None:
    folder = filtered(tmp_path / "judged", wrong=60)
    before = len((folder / "clean.jsonl").read_bytes().splitlines())
    review(folder, lambda place: Action.RELEASED if place < 3 else Action.REJECTED if place < 6 else None)
    inputs, blame = read_filtered(folder, TABLE)
    intake = take_in(TABLE, inputs, [blame])
    assert list(intake.inputs.values()) == [before, 3]
    assert [one.released for one in intake.told] == [False] * before + [True] * 3
    assert len(intake.sound) == before + 3
    assert len({one.origin for one in intake.told}) == before + 3
    assert intake.is_accused("mallory")
    assert not intake.is_accused("sender 1")


def test_folders_that_pass_suspects_or_are_none_are_refused(tmp_path: Path) -> None:
    observed = filtered(tmp_path / "observed", 30, mode="observe")
    with pytest.raises(InputUnreadable, match="mode 'observe': suspects were passed"):
        read_filtered(observed, TABLE)
    with pytest.raises(InputUnreadable, match="name a file, or a folder"):
        read_filtered(tmp_path, TABLE)
    with pytest.raises(InputUnreadable, match="has finished"):
        read_blame(tmp_path / "evidence.json")
