"""`python -m tests.bench`: benchmarks, each into its own file of `results/`. The stream's: `make bench-kafka`."""

from __future__ import annotations

from tests.bench import filter as filter_bench
from tests.bench import review as review_bench
from tests.bench import selection as selection_bench

__all__: list[str] = []

if __name__ == "__main__":
    filter_bench.main()
    review_bench.main()
    selection_bench.main()
