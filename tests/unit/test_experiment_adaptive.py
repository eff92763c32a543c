from __future__ import annotations

import pytest

from training.experiments.adaptive import ADAPTIVE
from training.experiments.experiment import Case
from training.experiments.setting import Ground
from training.progress import Silent


@pytest.mark.slow
def test_both_attackers_meet_one_guard() -> None:
    """Digits, 120 trusted rows, five samples each: at half the range more passes than the guard alone would allow."""
    ground = Ground(data="digits", trusted=0.2, clean_rows=500, preset="fast").model_dump(mode="json")
    settings = [{"ground": ground, "epsilon": epsilon, "count": 5} for epsilon in (0.5, None)]
    cases = [Case(str(number), one, ()) for number, one in enumerate(settings)]
    white, black = ADAPTIVE.run(cases, 0, Silent())
    assert white["passes_and_harms"] > 0
    assert len(white["by_weighting"]) == 3
    for row in (white, black):
        assert row["trusted"] == 120
        assert 0 <= row["passes_and_harms"] <= 1
