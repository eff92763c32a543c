from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from guard.decode import Decoder
from guard.rejection import Rejection
from guard.spec import ClassLabel, ImageInput
from guard.verdict import HoldReason, RejectReason
from training.datasets import data_folder, load_dataset
from training.demo.scenario import HONEST, JUNK, SIZES, Scenario, build_scenario

SETS = ["digits", *(["fourclass", "house"] if data_folder().is_dir() else [])]


@pytest.fixture(scope="module", params=SETS)
def scenario(request: pytest.FixtureRequest) -> Scenario:
    return build_scenario(load_dataset(request.param), np.random.default_rng(0))


def test_what_is_sent_decodes_to_what_was_meant(scenario: Scenario) -> None:
    spec = scenario.dataset.spec
    sent = [entry for entry in scenario.stream if entry.kind != JUNK]
    decoded = Decoder(spec).decode([entry.record for entry in sent])
    assert decoded.index.tolist() == list(range(len(sent)))
    assert np.array_equal(decoded.x, [entry.x for entry in sent])
    assert np.array_equal(decoded.y, [entry.y for entry in sent])
    assert [head.source for head in decoded.heads] == [entry.source for entry in sent]


def test_junk_is_refused_for_the_reason_that_it_shows(scenario: Scenario) -> None:
    junk = [entry for entry in scenario.stream if entry.kind == JUNK]
    # As the filter does: an empty line holds no sample, an empty record of a topic would be a tombstone.
    decoded = Decoder(scenario.dataset.spec).decode([entry.record or b" " for entry in junk])
    for position, (entry, head) in enumerate(zip(junk, decoded.heads, strict=True)):
        if isinstance(head, Rejection):
            assert head.reason == entry.expected, head.detail
        else:
            assert entry.expected is HoldReason.UNKNOWN_LABEL
            assert position in decoded.unknown


def test_junk_shows_every_reason_that_a_file_can_show(scenario: Scenario) -> None:
    shown = {entry.expected for entry in scenario.stream if entry.kind == JUNK}
    absent = {RejectReason.TOMBSTONE, RejectReason.UNKNOWN_CATEGORY}
    spec = scenario.dataset.spec
    absent |= {RejectReason.OUT_OF_RANGE} if isinstance(spec.input, ImageInput) else set()
    held = {HoldReason.UNKNOWN_LABEL} if isinstance(spec.label, ClassLabel) else set()
    assert shown == set(RejectReason) - absent | held


def test_no_trusted_row_is_sent(scenario: Scenario) -> None:
    trusted = {row.tobytes() for row in scenario.x}
    honest = [entry for entry in scenario.stream if entry.kind == HONEST]
    # Of the 1797 digits two are identical, no row of the other sets is.
    assert sum(entry.x.tobytes() in trusted for entry in honest) <= 1


def test_shares_are_as_the_table_says(scenario: Scenario) -> None:
    sizes = SIZES[scenario.dataset.name]
    kinds = Counter(entry.kind for entry in scenario.stream)
    assert len(scenario.y) == sizes.trusted
    for attack in scenario.attacks:
        assert kinds[attack.name] == round(2 / 3 * (sizes.attackers // len(scenario.attacks)))
    assert kinds[HONEST] >= sizes.honest
    names = {contributor.name for contributor in scenario.contributors}
    assert names == {entry.source for entry in scenario.stream}


def test_only_poison_has_a_wrong_label_or_a_moved_input(scenario: Scenario) -> None:
    assert all(entry.y == entry.y_true for entry in scenario.stream if entry.kind == HONEST)
    flips = [entry for entry in scenario.stream if entry.kind.endswith("-flip")]
    assert all(entry.y != entry.y_true for entry in flips)


def test_lines_hold_no_line_end_and_the_same_seed_sends_the_same_bytes(scenario: Scenario) -> None:
    same, other = (build_scenario(scenario.dataset, np.random.default_rng(seed)) for seed in (0, 4))
    lines = [[entry.record for entry in found.stream] for found in (scenario, same, other)]
    assert lines[0] == lines[1]
    assert lines[0] != lines[2]
    assert not any(b"\n" in line for line in lines[0])


def test_names_and_ids_do_not_tell_who_is_hostile(scenario: Scenario) -> None:
    text = b"".join(entry.record for entry in scenario.stream if entry.kind != JUNK)
    assert not any(attack.name.encode() in text for attack in scenario.attacks)
