"""Every part of `make bench-kafka` runs, and says what its table needs."""

from __future__ import annotations

import pytest

from deploy.kafka.launcher import unavailable
from tests.bench.kafka.__main__ import PARTS, measure
from tests.bench.kafka.sizes import SMALL

pytestmark = pytest.mark.bench


@pytest.mark.filterwarnings("default")
def test_the_benchmark_of_the_stream_at_its_smallest() -> None:
    if reason := unavailable():
        pytest.skip(reason)
    found = measure(SMALL)
    assert found.keys() >= set(PARTS)
    lost = [row for row in found["figures"] if "lost" in row["what"]]
    assert [row["found"] for row in lost] == [0, 0]
    assert len(found["figures"]) >= 21  # without Quix Streams
