"""The guard's metrics: what is counted is what was judged, and nobody who sends records can create a series."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from guard.routing import Sink
from guard.stream.histogram import BulkHistogram
from guard.stream.metrics import ModelCard, StreamMetrics
from guard.stream.offenders import WINDOW_SECONDS, Offenders
from guard.verdict import HoldReason, RejectReason, Status, Verdict

CARD = ModelCard("fruit", "3", "ab" * 32, 0.01, ("mimic", "knn"), ("apple", 7))


def clean(p: float = 0.5, label: str | int = "apple", source: str = "a") -> Verdict:
    return Verdict(Status.CLEAN, None, p, 0.01, source=source, label=label)


def held(member: str = "knn", label: str | int = 7, source: str = "b") -> Verdict:
    return Verdict(Status.QUARANTINED, HoldReason.SUSPECT, 0.001, 0.01, member, "apple", None, source, label)


def malformed(source: str | None = None) -> Verdict:
    return Verdict(Status.MALFORMED, RejectReason.NON_FINITE, source=source)


@pytest.fixture
def metrics() -> StreamMetrics:
    made = StreamMetrics("enforce")
    made.model(CARD, "current")
    return made


def value(metrics: StreamMetrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def series(metrics: StreamMetrics) -> set[str]:
    found = {line.rpartition(" ")[0] for line in generate_latest(metrics.registry).decode().splitlines()}
    return {name for name in found if not name.startswith(("#", "process_"))}


def test_a_batch_is_counted_by_verdict_reason_member_and_label(metrics: StreamMetrics) -> None:
    unknown = Verdict(Status.QUARANTINED, HoldReason.UNKNOWN_LABEL, threshold=0.01, source="c", label="plum")
    metrics.batch([clean(), clean(0.9), held(), held(), unknown, malformed()], {"judge": 0.2, "deliver": 0.01}, 0.1)
    assert value(metrics, "guard_records_total", verdict="clean", reason="none") == 2
    assert value(metrics, "guard_records_total", verdict="quarantined", reason="suspect") == 2
    assert value(metrics, "guard_records_total", verdict="quarantined", reason="unknown_label") == 1
    assert value(metrics, "guard_records_total", verdict="malformed", reason="non_finite") == 1
    assert value(metrics, "guard_member_held_records_total", member="knn") == 2
    assert value(metrics, "guard_member_held_records_total", member="mimic") == 0
    assert value(metrics, "guard_label_records_total", label="apple", verdict="clean") == 2
    assert value(metrics, "guard_label_records_total", label="7", verdict="quarantined") == 2
    assert value(metrics, "guard_label_records_total", label="other", verdict="quarantined") == 1
    assert value(metrics, "guard_score_count") == 4
    assert value(metrics, "guard_batch_records_sum") == 6
    assert value(metrics, "guard_batch_duration_seconds_sum", stage="judge") == 0.2
    assert value(metrics, "guard_batch_duration_seconds_count", stage="produce") == 0
    assert value(metrics, "guard_inference_duration_seconds_sum") == 0.1


def test_every_verdict_and_reason_is_there_from_the_start(metrics: StreamMetrics) -> None:
    for reason in HoldReason:
        assert value(metrics, "guard_records_total", verdict="quarantined", reason=reason) == 0
    for reason in RejectReason:
        assert value(metrics, "guard_records_total", verdict="malformed", reason=reason) == 0
    assert value(metrics, "guard_produce_errors_total", sink="quarantine", error="denied") == 0


def test_a_flood_of_invented_sources_labels_and_timestamps_creates_no_series(metrics: StreamMetrics) -> None:
    metrics.batch([clean(), held(), malformed()], {}, 0.0)
    before = series(metrics)
    rng = random.Random(1)
    for _ in range(20):
        names = [f'{rng.random()}"}}\n' for _ in range(1000)]
        metrics.batch([v for n in names for v in (clean(label=n, source=n), held(label=n, source=n))], {}, 0.0)
        metrics.batch([malformed(name) for name in names], {}, 0.0)
        metrics.latency([rng.randrange(-(2**63), 2**63) for _ in range(100)], 1e9)
    assert series(metrics) == before
    assert value(metrics, "guard_label_records_total", label="other", verdict="clean") == 20_000


def test_memory_for_sources_is_bounded_and_keeps_who_sends_most() -> None:
    offenders = Offenders(CollectorRegistry())
    for flood in range(50):
        offenders.add([f"invented {flood} {number}" for number in range(1000)] + ["mallory"] * 50)
    assert offenders.top()[0] == ("mallory", 2500)
    assert len(offenders._now) <= 5000


def test_sources_are_forgotten_after_two_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    offenders = Offenders(CollectorRegistry())
    offenders.add(["mallory", None])
    offenders._turned -= WINDOW_SECONDS
    assert {found.source for found in offenders.top()} == {"mallory", None}
    offenders._turned -= WINDOW_SECONDS
    assert offenders.top() == []


def test_ranks_tell_one_source_from_many(metrics: StreamMetrics) -> None:
    metrics.batch([held(source="m")] * 3 + [malformed("n")] + [clean(source="good")] * 9, {}, 0.0)
    counts = [value(metrics, "guard_held_source_records", rank=str(rank)) for rank in range(1, 11)]
    assert counts == [3, 1, *[0] * 8]


def test_a_bulk_histogram_says_what_the_librarys_own_says() -> None:
    edges = (0.1, 0.5, 2.0)
    values = [*np.random.default_rng(0).exponential(1, 500).tolist(), 0.1, 0.5, 2.0, 0.0]
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    BulkHistogram(ours, "h", "doc", edges).observe(values)
    reference = Histogram("h", "doc", buckets=edges, registry=theirs)
    for number in values:
        reference.observe(number)
    for name, labels in [("h_bucket", {"le": le}) for le in ("0.1", "0.5", "2.0", "+Inf")] + [("h_count", {})]:
        assert ours.get_sample_value(name, labels) == theirs.get_sample_value(name, labels)
    assert ours.get_sample_value("h_sum") == pytest.approx(theirs.get_sample_value("h_sum"))


def test_a_histogram_refuses_a_label_that_was_not_announced() -> None:
    histogram = BulkHistogram(CollectorRegistry(), "h", "doc", (1.0,), {"stage": ("judge",)})
    with pytest.raises(ValueError, match="index"):
        histogram.observe(1.0, "mallory")


def test_latency_leaves_out_missing_timestamps_and_bounds_forged_ones(metrics: StreamMetrics) -> None:
    metrics.latency([-1, 999_990, 2_000_000, 0], 1000.0)
    assert value(metrics, "guard_end_to_end_latency_seconds_count") == 3
    assert value(metrics, "guard_end_to_end_latency_seconds_bucket", le="0.01") == 2
    metrics.latency([0], 1e9)
    assert value(metrics, "guard_end_to_end_latency_seconds_sum") == pytest.approx(0.01 + 1000 + 86_400)


def test_a_new_model_replaces_the_series_of_the_old_one(metrics: StreamMetrics) -> None:
    metrics.batch([held("mimic"), held("knn")], {}, 0.0)
    metrics.model(ModelCard("fruit", "4", "cd" * 32, 0.02, ("knn", "residual"), ("apple", "fig")), "current")
    metrics.model(CARD, "shadow")
    models = [name for name in series(metrics) if name.startswith("guard_model_info")]
    assert len(models) == 2
    assert value(metrics, "guard_alpha") == 0.02
    assert value(metrics, "guard_member_held_records_total", member="mimic") is None
    assert value(metrics, "guard_member_held_records_total", member="knn") == 1
    assert value(metrics, "guard_member_held_records_total", member="residual") == 0
    assert value(metrics, "guard_label_records_total", label="7", verdict="clean") is None
    assert value(metrics, "guard_label_records_total", label="fig", verdict="clean") == 0


@pytest.mark.parametrize("labels", [(), tuple(range(101))], ids=["numbers", "many classes"])
def test_labels_are_not_counted_where_they_are_numbers_or_too_many(labels: tuple[int, ...]) -> None:
    metrics = StreamMetrics("enforce")
    metrics.model(ModelCard("m", "1", "0" * 64, 0.01, (), labels), "current")
    metrics.batch([clean(label=number) for number in range(200)], {}, 0.0)
    assert not [name for name in series(metrics) if name.startswith("guard_label_records_total")]


def test_lag_of_partitions_that_went_elsewhere_is_no_longer_told(metrics: StreamMetrics) -> None:
    metrics.lag("in", 0, 5)
    metrics.lag("in", 1, 7)
    metrics.assigned([("in", 1), ("in", 2)])
    assert value(metrics, "guard_consumer_lag_records", topic="in", partition="0") is None
    assert value(metrics, "guard_consumer_lag_records", topic="in", partition="1") == 7
    assert value(metrics, "guard_assigned_partitions") == 2


def test_what_both_bundles_say_is_counted_in_each_direction(metrics: StreamMetrics) -> None:
    pair = ("a" * 64, "b" * 64)
    metrics.shadow(
        pair, [clean(), held(), clean(), held(), malformed()], [held(), clean(), clean(), clean(), malformed()]
    )
    metrics.shadow_failed(pair)
    metrics.shadow_skipped(pair, 7)
    assert value(metrics, "guard_shadow_records_total") == 5
    assert value(metrics, "guard_shadow_verdicts_total", current="clean", shadow="quarantined") == 1
    assert value(metrics, "guard_shadow_verdicts_total", current="quarantined", shadow="clean") == 2
    assert value(metrics, "guard_shadow_verdicts_total", current="clean", shadow="clean") == 1
    assert value(metrics, "guard_shadow_verdicts_total", current="malformed", shadow="clean") == 0
    assert value(metrics, "guard_shadow_failures_total") == 1
    assert value(metrics, "guard_shadow_skipped_records_total") == 7
    found = metrics.agreement.agreement()
    assert found is not None
    assert (found.champion_only_held, found.challenger_only_held, found.overlap) == (2, 1, 0.0)
    assert (found.failed_batches, found.skipped_records, found.records) == (1, 7, 5)


def test_whether_the_data_of_a_bundle_were_audited_is_told(metrics: StreamMetrics) -> None:
    metrics.model(CARD, "current")
    assert value(metrics, "guard_bundle_audited", role="current") == 0
    metrics.model(replace(CARD, sha256="f" * 64, audited=True), "current")
    assert value(metrics, "guard_bundle_audited", role="current") == 1


def test_a_refused_bundle_stays_told_until_one_is_accepted(metrics: StreamMetrics) -> None:
    metrics.reload("current", refused=True)
    metrics.reload("current", refused=True)
    metrics.reload("shadow", refused=False)
    assert value(metrics, "guard_bundle_refused", role="current") == 1
    assert value(metrics, "guard_bundle_refused", role="shadow") == 0
    assert value(metrics, "guard_reloads_total", role="current", outcome="refused") == 2
    metrics.reload("current", refused=False)
    assert value(metrics, "guard_bundle_refused", role="current") == 0


def test_only_announced_kinds_of_failure_become_labels(metrics: StreamMetrics) -> None:
    metrics.produce_error(Sink.CLEAN, "timeout")
    metrics.produce_error(Sink.DEAD_LETTER, "Invented")
    assert value(metrics, "guard_produce_errors_total", sink="clean", error="timeout") == 1
    assert value(metrics, "guard_produce_errors_total", sink="dead_letter", error="other") == 1


def test_openmetrics_parses_and_tells_the_same(metrics: StreamMetrics) -> None:
    metrics.batch([clean(), held(), malformed()], {"judge": 0.1}, 0.1)
    families = {family.name: family for family in text_string_to_metric_families(_openmetrics(metrics))}
    assert sum(sample.value for sample in families["guard_records"].samples) == 3
    assert families["guard_score"].type == "histogram"
    assert not [name for name in families if name.endswith("_created")]


def _openmetrics(metrics: StreamMetrics) -> str:
    text: bytes = generate_openmetrics(metrics.registry)
    return text.decode()


def test_offenders_survive_json() -> None:
    offenders = Offenders(CollectorRegistry())
    offenders.add(["\ud800</script>\r\n", None])
    assert len(json.loads(json.dumps([found._asdict() for found in offenders.top()]))) == 2
