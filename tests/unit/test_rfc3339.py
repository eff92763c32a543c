from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.rfc3339 import is_rfc3339, now_text, seconds_of, time_text


@pytest.mark.parametrize(
    ("text", "legal"),
    [
        ("2026-01-31T09:30:00Z", True),
        ("2026-01-31t09:30:00z", True),
        ("2026-01-31 09:30:00.5+05:45", True),
        ("2026-12-31T23:59:59.999999999-00:00", True),
        ("2026-01-31T09:30:00", False),
        ("2026-01-31T09:30:60Z", False),
        ("2026-13-31T09:30:00Z", False),
        ("2026-01-31T09:30:00+01", False),
        ("2026-W05-6T09:30:00Z", False),
        ("٢٠٢٦-01-31T09:30:00Z", False),
        ("", False),
    ],
)
def test_rfc3339(text: str, legal: bool) -> None:
    assert is_rfc3339(text) is legal


def test_seconds_count_from_1970_in_any_zone() -> None:
    assert seconds_of("1970-01-01T00:00:01Z") == seconds_of("1970-01-01 05:45:01+05:45") == 1
    assert seconds_of("0001-01-01T00:00:00+23:59") < 0  # before the first day of the calendar, in UTC


@pytest.mark.parametrize("text", [None, "", "yesterday", "2026-02-30T00:00:00Z"])
def test_what_is_no_time_has_no_seconds(text: str | None) -> None:
    assert math.isnan(seconds_of(text))


@given(st.floats(-62e9, 253e9))
def test_what_is_written_is_read_to_the_second(seconds: float) -> None:
    text = time_text(seconds)
    assert text is not None
    assert is_rfc3339(text)
    assert -1e-5 < seconds - seconds_of(text) < 1 + 1e-5  # moments are kept to the microsecond


@pytest.mark.parametrize("seconds", [math.nan, math.inf, -math.inf, 1e18])
def test_what_is_no_moment_is_not_written(seconds: float) -> None:
    assert time_text(seconds) is None


def test_now_is_a_time_of_the_clock() -> None:
    before = datetime.now(UTC).timestamp()
    assert before - 0.001 <= seconds_of(now_text()) <= datetime.now(UTC).timestamp()
