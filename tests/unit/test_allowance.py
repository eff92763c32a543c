"""The arithmetic of α, against the guarantee itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from guard.conformal import rows_needed
from training.allowance import allowance, percent, smallest_alpha


def test_too_few_rows_are_said_with_what_would_be_enough() -> None:
    said = allowance(0.01, 61, held_out=False)
    assert said.startswith(
        "α = 1 % is guaranteed from 99 calibration samples on; this snapshot has 61: α is extrapolated"
    )
    assert said.endswith("use --alpha 0.017 or add 38 trusted rows")


def test_where_one_row_in_five_calibrates_five_times_as_many_are_asked_for() -> None:
    assert allowance(0.001, 400, held_out=True).endswith("use --alpha 0.0025 or add 2,995 trusted rows")


def test_enough_rows_are_said_with_their_band() -> None:
    low, high = beta(24, 2377).ppf([0.05, 0.95])  # the 24th of 2400 uniforms
    assert allowance(0.01, 2400, held_out=True) == (
        "α = 1 % is guaranteed from 99 calibration samples on; this snapshot has 2,400: "
        f"nine bundles out of ten will hold {100 * low:.2g} %–{100 * high:.2g} % of the clean samples"
    )


@given(rows=st.integers(30, 10**6))
def test_the_advised_alpha_is_guaranteed_and_hardly_larger_than_needed(rows: int) -> None:
    alpha = smallest_alpha(rows)
    assert rows_needed(alpha) <= rows
    assert alpha <= 1.1 / (rows + 1) * (1 + 1e-9)


@pytest.mark.parametrize(("share", "text"), [(0.01, "1 %"), (0.0025, "0.25 %"), (0.0123, "1.2 %"), (1.0, "100 %")])
def test_percent_has_two_digits(share: float, text: str) -> None:
    assert percent(share) == text
