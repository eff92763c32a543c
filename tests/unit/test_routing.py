from __future__ import annotations

import pytest

from guard.routing import ROUTES, Sink
from guard.verdict import Status

MODELS_VERDICTS = {Status.CLEAN, Status.QUARANTINED, Status.MALFORMED}


def test_each_mode_routes_each_verdict_of_the_model_and_no_reviewers_decision() -> None:
    assert {mode: set(routes) for mode, routes in ROUTES.items()} == {
        "enforce": MODELS_VERDICTS,
        "observe": MODELS_VERDICTS,
    }


def test_only_a_clean_verdict_reaches_the_clean_topic_when_enforced() -> None:
    assert [status for status, sink in ROUTES["enforce"].items() if sink is Sink.CLEAN] == [Status.CLEAN]
    assert len(set(ROUTES["enforce"].values())) == 3


@pytest.mark.parametrize("mode", ["enforce", "observe"])
def test_what_cannot_be_decoded_is_never_clean(mode: str) -> None:
    assert ROUTES[mode][Status.MALFORMED] is Sink.DEAD_LETTER  # type: ignore[index]


def test_observe_passes_what_would_be_held() -> None:
    assert ROUTES["observe"][Status.QUARANTINED] is Sink.CLEAN
