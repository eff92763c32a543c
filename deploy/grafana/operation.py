"""The operator's page: is the guard alive, what does it hold and from whom, and how late is it."""

from __future__ import annotations

from deploy.grafana.panels import HELD, MALFORMED, OF, WELL_FORMED, Page, Panel, quantile, rate, selected, share

__all__ = ["OPERATION"]

_FIRST = 'rank="1"'

OPERATION = Page(
    "operation",
    "De-Pois Guard: operation",
    "Is the guard alive, what does it hold and from whom, and how late is it.",
    (
        (
            "Alive",
            (
                Panel("Ready", "stat", [(f"sum(guard_ready{OF})", "")], width=3, green_from=1),
                Panel(
                    "Alerts firing",
                    "stat",
                    [('count(ALERTS{alertstate="firing",job=~"$job"}) or vector(0)', "")],
                    width=3,
                    red_from=1,
                ),
                Panel(
                    "Since the last batch",
                    "stat",
                    [(f"time() - max(guard_last_batch_timestamp_seconds{OF})", "")],
                    "s",
                    3,
                ),
                Panel("Waiting", "stat", [(f"sum(guard_consumer_lag_records{OF})", "")], width=3),
                Panel(
                    "Latency, p99",
                    "stat",
                    [(quantile(0.99, "guard_end_to_end_latency_seconds"), "")],
                    "s",
                    3,
                    "From a record's timestamp, which its sender sets, to the broker's word that it was delivered.",
                ),
                Panel("Held", "stat", [(share(HELD, WELL_FORMED), "")], "percentunit", 3),
                Panel(
                    "Guards",
                    "table",
                    [(f"guard_build_info{OF} * on (job, instance) group_left () guard_assigned_partitions", "")],
                    width=6,
                    description="Value: the partitions that an instance reads.",
                ),
            ),
        ),
        (
            "What",
            (
                Panel("Records", "lines", [(rate("guard_records_total", "verdict"), "{{verdict}}")], "ops"),
                Panel(
                    "Share held and malformed",
                    "lines",
                    [
                        (share(HELD, WELL_FORMED), "held"),
                        (share(MALFORMED, ""), "malformed"),
                        (f"max(guard_alpha{OF})", "α"),
                    ],
                    "percentunit",
                    description="On clean data as much is held as α says.",
                ),
                Panel(
                    "Why",
                    "lines",
                    [(rate("guard_records_total", "reason", 'reason!="none"') + " > 0", "{{reason}}")],
                    "ops",
                ),
            ),
        ),
        (
            "From whom",
            (
                Panel(
                    "Refused records of the ten worst sources",
                    "bars",
                    [(f"sum by (rank) (guard_held_source_records{OF})", "{{rank}}")],
                    width=8,
                    description="By rank, over 10 to 20 minutes. Their names are on /offenders, never in metrics.",
                ),
                Panel(
                    "Share of the worst source in what the ten sent",
                    "lines",
                    [
                        (
                            f"sum(guard_held_source_records{selected(_FIRST)}) / sum(guard_held_source_records{OF})",
                            "worst source",
                        )
                    ],
                    "percentunit",
                ),
                Panel(
                    "Sources that stand accused",
                    "lines",
                    [
                        (f"max(guard_accused_sources{OF})", "accused"),
                        (rate("guard_records_total", "reason", 'reason="suspect_source"'), "held for it, /s"),
                    ],
                    description="By number alone: their names are on /sources, with the evidence.",
                ),
                Panel(
                    "Drift of all sources together",
                    "lines",
                    [(f"max by (watched) (guard_drift_evidence_ratio{OF})", "{{watched}}")],
                    description="Evidence that the data have changed, as a share of what is an alarm, on a log scale.",
                ),
                Panel(
                    "Forged headers, stubs and records missed",
                    "lines",
                    [
                        (f"sum(rate(guard_forged_headers_total{OF}[$__rate_interval]))", "forged headers"),
                        (f"sum(rate(guard_stub_records_total{OF}[$__rate_interval]))", "stubs"),
                        (f"sum(rate(guard_missed_records_total{OF}[$__rate_interval]))", "missed"),
                    ],
                    "ops",
                ),
            ),
        ),
        (
            "How late",
            (
                Panel(
                    "Waiting records",
                    "lines",
                    [(f"sum by (topic, partition) (guard_consumer_lag_records{OF})", "{{topic}}/{{partition}}")],
                ),
                Panel(
                    "From timestamp to delivery",
                    "lines",
                    [(quantile(q, "guard_end_to_end_latency_seconds"), f"p{q * 100:g}") for q in (0.5, 0.9, 0.99)],
                    "s",
                ),
                Panel(
                    "Time of a batch by stage, mean",
                    "lines",
                    [
                        (
                            f"{rate('guard_batch_duration_seconds_sum', 'stage')}"
                            f" / {rate('guard_batch_duration_seconds_count', 'stage')}",
                            "{{stage}}",
                        )
                    ],
                    "s",
                ),
            ),
        ),
        (
            "Work",
            (
                Panel(
                    "CPU",
                    "lines",
                    [(f"rate(process_cpu_seconds_total{OF}[$__rate_interval])", "{{instance}}")],
                    "percentunit",
                    6,
                ),
                Panel("Memory", "lines", [(f"process_resident_memory_bytes{OF}", "{{instance}}")], "bytes", 6),
                Panel("Records of a batch, median", "lines", [(quantile(0.5, "guard_batch_records"), "p50")], width=6),
                Panel(
                    "Rebalances and failed deliveries",
                    "lines",
                    [
                        (f"sum(increase(guard_rebalances_total{OF}[$__rate_interval]))", "rebalances"),
                        (f"sum by (sink, error) (guard_produce_errors_total{OF})", "{{sink}}: {{error}}"),
                    ],
                    width=6,
                ),
            ),
        ),
    ),
)
