"""What Prometheus sees of the guard: own collectors, closed label sets, every series there from the start at zero.

Faust's own sensor counts lists where the guard counts records, and measures some spans wrongly. Nothing that a sender
chooses is ever a label: sources are told apart by rank, labels only where the bundle lists them.
"""

from __future__ import annotations

import platform
from collections import Counter as Tally
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import product
from typing import Literal, get_args

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector, disable_created_metrics

from guard.agreement import agreement_of
from guard.drift import DriftReading, Watched
from guard.routing import Mode, Sink
from guard.stream.delivery import FAILURES
from guard.stream.histogram import BulkHistogram
from guard.stream.offenders import Offenders
from guard.stream.shadow_tally import Pair, ShadowTally
from guard.verdict import HoldReason, RejectReason, Status, Verdict

__all__ = ["OTHER_LABEL", "ModelCard", "Role", "Stage", "StreamMetrics"]

Stage = Literal["judge", "produce", "deliver"]
"""`judge`: decode, score and judge; `produce`: build and hand to the producer; `deliver`: await every delivery."""

Role = Literal["current", "shadow"]
"""What a bundle is used for."""

OTHER_LABEL = "other"
"""Stands for every label that the bundle does not list, and for all of them where it lists more than 100."""

_MOST_LABELS = 100
_LONGEST_LATENCY = 86_400.0
"""A timestamp is the sender's: one from 1970 must not outweigh a month of others in the sum of latencies."""

_SPAN = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
_LONG_SPAN = (*_SPAN, 2.5, 5.0, 10.0, 30.0)
_LATENCY = (0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
_RECORDS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048)
_P_VALUES = (0.0001, 0.001, 0.002, 0.005, 0.01, 0.02, *(step / 20 for step in range(1, 21)))

_REASONS: dict[Status, tuple[str, ...]] = {
    Status.CLEAN: ("none",),
    Status.QUARANTINED: tuple(HoldReason),
    Status.MALFORMED: tuple(RejectReason),
}
_SCORED = (Status.CLEAN, Status.QUARANTINED)


@dataclass(frozen=True)
class ModelCard:
    """What the metrics say of a bundle. `members` and `labels` are the closed sets of names that become series.

    `audited`: it carries an audit of the snapshot that it was trained on.
    """

    name: str
    version: str
    sha256: str
    alpha: float
    members: tuple[str, ...] = ()
    labels: tuple[str | int, ...] = ()
    audited: bool = False


class StreamMetrics:
    """All metrics of one guard, in a registry of its own. One thread counts, another one scrapes."""

    def __init__(self, mode: Mode) -> None:
        # Each counter would otherwise have a twin that holds nothing but the time of its first scrape.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self.offenders = Offenders(self.registry)
        self.agreement = ShadowTally()
        self._label_names: dict[object, str] = {}
        self._label_series: set[str] = set()
        ProcessCollector(registry=self.registry)
        self._verdict_series()
        self._work_series()
        self._bundle_series()
        info = self._gauge("guard_build_info", "The running version; always 1.", ["version", "python", "mode"])
        info.labels(version("depois-guard"), platform.python_version(), mode).set(1)

    def batch(self, verdicts: Sequence[Verdict], stages: Mapping[Stage, float], inference_seconds: float) -> None:
        """Count one batch whose every record was delivered: its verdicts, and the seconds that it took.

        `inference_seconds` are those within ONNX Runtime. The cost lies in comprehensions and one search over sorted
        edges; there is no call per record.
        """
        refused = [verdict for verdict in verdicts if verdict.status is not Status.CLEAN]
        self._records_of[Status.CLEAN, "none"].inc(len(verdicts) - len(refused))
        for (status, reason), count in Tally([(v.status, v.reason) for v in refused]).items():
            self._records_of[status, str(reason)].inc(count)
        for member, count in Tally([v.member for v in refused if v.member is not None]).items():
            self._fired.labels(member).inc(count)
        self._scores.observe([v.p_value for v in verdicts if v.p_value is not None])
        self._count_labels(verdicts, refused)
        self.offenders.add([v.source for v in refused])
        self._batches.observe(len(verdicts))
        self._inference.observe(inference_seconds)
        for stage, seconds in stages.items():
            self._stages.observe(seconds, stage)
        self._last_batch.set_to_current_time()

    def latency(self, timestamps_ms: Sequence[int], now: float) -> None:
        """Count the time from each record's timestamp (ms; below 0: none) to `now` (s), when its delivery was told."""
        stamps = np.asarray(timestamps_ms, np.float64)
        self._latency.observe(np.clip(now - stamps[stamps >= 0] / 1000, 0.0, _LONGEST_LATENCY))

    def forged_headers(self, count: int) -> None:
        """Count headers that a sender had no right to set, and that were stripped."""
        self._forged.inc(count)

    def sources(self, accused: int, followed: int) -> None:
        """Set how many sources stand accused, and how many are followed; who they are, only `/sources` tells."""
        self._accused.set(accused)
        self._followed.set(followed)

    def drift(self, readings: Mapping[Watched, DriftReading]) -> None:
        """Set how near to an alarm each thing is that is watched."""
        for watched, reading in readings.items():
            self._drifting.labels(watched).set(reading.alarmed)
            self._drift_strength.labels(watched).set(reading.strength)

    def evidence_not_written(self) -> None:
        """Count a time that evidence could not be written to its topic."""
        self._unwritten.inc()

    def stubs(self, count: int) -> None:
        """Count records that no output could take, and for which a stub stands in the dead letters."""
        self._stubs.inc(count)

    def missed(self, count: int) -> None:
        """Count records that retention deleted before they could be read."""
        self._missed.inc(count)

    def produce_error(self, sink: Sink, kind: str) -> None:
        """Count a delivery that failed; `kind` is one of `FAILURES`."""
        self._errors.labels(sink, kind if kind in FAILURES else "other").inc()

    def rebalance(self) -> None:
        """Count one rebalance of the consumer group."""
        self._rebalances.inc()

    def assigned(self, partitions: Iterable[tuple[str, int]]) -> None:
        """Forget the lag of every partition that is not among `partitions` any more: others report it now."""
        own = {(topic, str(partition)) for topic, partition in partitions}
        for gone in self._lagging - own:
            self._lag.remove(*gone)
        self._lagging &= own
        self._partitions.set(len(own))

    def lag(self, topic: str, partition: int, records: int) -> None:
        """Set how many records of a partition are not judged yet."""
        self._lagging.add((topic, str(partition)))
        self._lag.labels(topic, str(partition)).set(records)

    def model(self, card: ModelCard, role: Role) -> None:
        """A bundle is in use from now on. Series of the bundle before it in the same role go."""
        before = self._models.pop(role, None)
        if before is not None:
            self._model.remove(before.name, before.version, before.sha256, role)
        self._models[role] = card
        self._model.labels(card.name, card.version, card.sha256, role).set(1)
        self._audited.labels(role).set(card.audited)
        if role == "current":
            self._alpha.set(card.alpha)
            self._renew(before, card)

    def reload(self, role: Role, *, refused: bool) -> None:
        """Count a changed bundle at a watched path; a refused one stays told until another is accepted."""
        self._reloads.labels(role, "refused" if refused else "accepted").inc()
        self._refused.labels(role).set(refused)

    def shadow(self, pair: Pair, current: Sequence[Verdict], shadow: Sequence[Verdict]) -> None:
        """Count what both bundles say of the records of one batch."""
        self._shadowed.inc(len(current))
        for (ours, theirs), count in Tally((a.status, b.status) for a, b in zip(current, shadow, strict=True)).items():
            self._compared.labels(ours, theirs).inc(count)
        self.agreement.add(pair, agreement_of(current, shadow))

    def shadow_failed(self, pair: Pair) -> None:
        """Count a batch that the shadow bundle could not judge; the current one did."""
        self._shadow_failures.inc()
        self.agreement.add(pair, Tally(failed_batches=1))

    def shadow_skipped(self, pair: Pair, records: int) -> None:
        """Count records that were not shown to the shadow bundle, which was busy."""
        self._shadow_skipped.inc(records)
        self.agreement.add(pair, Tally(skipped_records=records))

    def ready(self, ready: bool) -> None:  # noqa: FBT001 – a gauge of one bit
        """Set whether the guard is ready, as `/readyz` says it."""
        self._ready.set(ready)

    def _verdict_series(self) -> None:
        records = self._counter("guard_records_total", "Records delivered, by verdict.", ["verdict", "reason"])
        self._records_of = {
            (status, reason): records.labels(status, reason)
            for status, reasons in _REASONS.items()
            for reason in reasons
        }
        self._fired = self._counter(
            "guard_member_held_records_total", "Suspects, by the member of the bundle that fired.", ["member"]
        )
        self._labels = self._counter(
            "guard_label_records_total",
            "Scored records by claimed label, where the bundle lists it.",
            ["label", "verdict"],
        )
        self._scores = BulkHistogram(
            self.registry, "guard_score", "Fused p-values of scored records: uniform on clean data.", _P_VALUES
        )

    def _work_series(self) -> None:
        registry = self.registry
        self._batches = BulkHistogram(registry, "guard_batch_records", "Records of one batch.", _RECORDS)
        stages = {"stage": get_args(Stage)}
        self._stages = BulkHistogram(
            registry, "guard_batch_duration_seconds", "Time of one batch, by stage.", _LONG_SPAN, stages
        )
        self._inference = BulkHistogram(
            registry, "guard_inference_duration_seconds", "Time of one batch within ONNX Runtime.", _SPAN
        )
        self._latency = BulkHistogram(
            registry, "guard_end_to_end_latency_seconds", "From a record's timestamp to its delivery.", _LATENCY
        )
        self._last_batch = self._gauge(
            "guard_last_batch_timestamp_seconds", "When a batch was last finished; 0: never."
        )
        self._lag = self._gauge("guard_consumer_lag_records", "Records not judged yet.", ["topic", "partition"])
        self._lagging: set[tuple[str, str]] = set()
        self._partitions = self._gauge("guard_assigned_partitions", "Partitions that this instance reads.")
        self._ready = self._gauge("guard_ready", "1 while /readyz says so.")
        self._rebalances = self._counter("guard_rebalances_total", "Rebalances of the consumer group.")
        self._forged = self._counter(
            "guard_forged_headers_total", "Headers stripped because a sender may not set them."
        )
        self._accused = self._gauge("guard_accused_sources", "Sources that stand accused of sending poison.")
        self._followed = self._gauge("guard_followed_sources", "Sources followed, once for each partition.")
        self._unwritten = self._counter(
            "guard_evidence_write_failures_total", "Times that evidence could not be written to its topic."
        )
        self._drifting = self._gauge(
            "guard_drift_alarmed_partitions", "Partitions whose data have changed.", ["watched"]
        )
        self._drift_strength = self._gauge(
            "guard_drift_evidence_ratio", "Evidence of drift over what is an alarm, both as logarithms.", ["watched"]
        )
        for watched in get_args(Watched):
            self._drifting.labels(watched)
            self._drift_strength.labels(watched)
        self._stubs = self._counter("guard_stub_records_total", "Records too large for any output, told by a stub.")
        self._missed = self._counter(
            "guard_missed_records_total", "Records that retention deleted before they could be judged."
        )
        names = ["sink", "error"]
        self._errors = self._counter(
            "guard_produce_errors_total", "Deliveries that failed; each ends the process.", names
        )
        for sink in Sink:
            for fault in FAILURES:
                self._errors.labels(sink, fault)

    def _bundle_series(self) -> None:
        names = ["name", "version", "sha256", "role"]
        self._models: dict[Role, ModelCard] = {}
        self._model = self._gauge("guard_model_info", "The bundles in use; always 1.", names)
        told = "1 where somebody looked for poison in what the bundle was trained on."
        self._audited = self._gauge("guard_bundle_audited", told, ["role"])
        self._alpha = self._gauge("guard_alpha", "Share of clean samples that may be held.")
        told = "1 while the bundle at a watched path is a refused one."
        self._refused = self._gauge("guard_bundle_refused", told, ["role"])
        self._reloads = self._counter("guard_reloads_total", "Changed bundles at a watched path.", ["role", "outcome"])
        for role in get_args(Role):
            self._refused.labels(role)
            for outcome in ("accepted", "refused"):
                self._reloads.labels(role, outcome)
        self._shadowed = self._counter("guard_shadow_records_total", "Records that the shadow bundle judged as well.")
        told = "Records that both bundles judged, by either verdict."
        self._compared = self._counter("guard_shadow_verdicts_total", told, ["current", "shadow"])
        for pair in product(_REASONS, repeat=2):
            self._compared.labels(*pair)
        told = "Records that were not shown to the shadow, which was busy."
        self._shadow_skipped = self._counter("guard_shadow_skipped_records_total", told)
        self._shadow_failures = self._counter("guard_shadow_failures_total", "Batches that the shadow could not judge.")

    def _renew(self, before: ModelCard | None, card: ModelCard) -> None:
        """Series of members and labels that the new bundle does not have go; those that it has are there at once."""
        for member in set(before.members if before else ()) - set(card.members):
            self._fired.remove(member)
        for member in card.members:
            self._fired.labels(member)
        labels = card.labels if len(card.labels) <= _MOST_LABELS else ()
        self._label_names = {label: str(label) for label in labels}
        series = {*self._label_names.values(), OTHER_LABEL} if labels else set()
        for verdict in _SCORED:
            for name in self._label_series - series:
                self._labels.remove(name, verdict)
            for name in series:
                self._labels.labels(name, verdict)
        self._label_series = series

    def _count_labels(self, verdicts: Sequence[Verdict], refused: Sequence[Verdict]) -> None:
        if not self._label_names:
            return
        held = Tally([v.label for v in refused if v.status is Status.QUARANTINED])
        clean = Tally([v.label for v in verdicts if v.status is Status.CLEAN])
        for verdict, counts in ((Status.CLEAN, clean), (Status.QUARANTINED, held)):
            for label, count in counts.items():
                self._labels.labels(self._label_names.get(label, OTHER_LABEL), verdict).inc(count)

    def _counter(self, name: str, documentation: str, labels: Sequence[str] = ()) -> Counter:
        return Counter(name, documentation, labels, registry=self.registry)

    def _gauge(self, name: str, documentation: str, labels: Sequence[str] = ()) -> Gauge:
        return Gauge(name, documentation, labels, registry=self.registry)
