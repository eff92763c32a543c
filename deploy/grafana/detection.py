"""The detection page: how p-values are distributed, which members fire, the realised share against α, drift."""

from __future__ import annotations

from deploy.grafana.panels import HELD, OF, WELL_FORMED, Page, Panel, quantile, rate, selected, share

__all__ = ["DETECTION"]

_CURRENT = 'role="current"'
_LABEL_SHARE = (
    f"sum by (label) (rate(guard_label_records_total{selected(HELD)}[$__rate_interval]))"
    f" / (sum by (label) (rate(guard_label_records_total{OF}[$__rate_interval])) > 0)"
)


def _compared(current: str, shadow: str) -> str:
    pair = selected(f'current="{current}",shadow="{shadow}"')
    return f"sum(rate(guard_shadow_verdicts_total{pair}[$__rate_interval]))"


_BOTH_HELD = _compared("quarantined", "quarantined")


def _at_most(edge: str) -> str:
    return f'le="{edge}"'


DETECTION = Page(
    "detection",
    "De-Pois Guard: detection",
    "How the model judges: p-values, members, the realised share against α, drift.",
    (
        (
            "Against α",
            (
                Panel(
                    "Share held, against α",
                    "lines",
                    [(share(HELD, WELL_FORMED), "held"), (f"max(guard_alpha{OF})", "α")],
                    "percentunit",
                    12,
                    "Far above α: an attack, or data that the snapshot does not know. Far below: see the run book.",
                ),
                Panel(
                    "Share held, as a multiple of α",
                    "stat",
                    [(f"({share(HELD, WELL_FORMED)}) / scalar(max(guard_alpha{OF}))", "")],
                    width=4,
                    red_from=5,
                ),
                Panel(
                    "Unknown labels and samples not scored",
                    "lines",
                    [(rate("guard_records_total", "reason", 'reason=~"unknown_label|not_scored"'), "{{reason}}")],
                    "ops",
                ),
            ),
        ),
        (
            "p-values: uniform on clean data",
            (
                Panel(
                    "Distribution over time",
                    "heatmap",
                    [(f"sum by (le) (increase(guard_score_bucket{OF}[$__rate_interval]))", "{{le}}")],
                    width=12,
                    description="Clean data fill all steps alike. Poison gathers at the bottom.",
                ),
                Panel(
                    "Share at or below",
                    "lines",
                    [
                        (
                            f"sum(rate(guard_score_bucket{selected(_at_most(edge))}[$__rate_interval]))"
                            f" / sum(rate(guard_score_count{OF}[$__rate_interval]))",
                            f"p ≤ {edge}",
                        )
                        for edge in ("0.01", "0.05", "0.1", "0.5", "0.9")
                    ],
                    "percentunit",
                    12,
                    "On clean data each line lies at its own number. All move: drift. The lowest alone: poison.",
                ),
            ),
        ),
        (
            "Who says so, and of what",
            (
                Panel(
                    "Suspects by the member that fired",
                    "lines",
                    [(rate("guard_member_held_records_total", "member"), "{{member}}")],
                    "ops",
                ),
                Panel(
                    "Claimed labels",
                    "lines",
                    [(rate("guard_label_records_total", "label") + " > 0", "{{label}}")],
                    "ops",
                    description="Labels that the bundle lists, up to 100; all others are `other`. None for regression.",
                ),
                Panel(
                    "Share held by claimed label",
                    "lines",
                    [(_LABEL_SHARE, "{{label}}")],
                    "percentunit",
                    description="One label far above the others: somebody flips to it.",
                ),
            ),
        ),
        (
            "The model",
            (
                Panel("Bundles in use", "table", [(f"guard_model_info{OF}", "")], width=8),
                Panel(
                    "Not audited",
                    "stat",
                    [(f"count(guard_bundle_audited{selected(_CURRENT)} == 0) or vector(0)", "")],
                    width=3,
                    description="Guards whose bundle was trained on data in which nobody looked for poison.",
                    red_from=1,
                ),
                Panel(
                    "Time of a batch within the model",
                    "lines",
                    [(quantile(q, "guard_inference_duration_seconds"), f"p{q * 100:g}") for q in (0.5, 0.99)],
                    "s",
                    6,
                ),
                Panel(
                    "Reloads and refused bundles",
                    "lines",
                    [(f"sum by (role, outcome) (guard_reloads_total{OF})", "{{role}}: {{outcome}}")],
                    width=7,
                ),
            ),
        ),
        (
            "The shadow beside it",
            (
                Panel(
                    "Held by one of them only",
                    "lines",
                    [
                        (_compared("quarantined", "clean"), "current only"),
                        (_compared("clean", "quarantined"), "shadow only"),
                    ],
                    "ops",
                    8,
                    "What would pass, and what would be held, if the shadow served.",
                ),
                Panel(
                    "Overlap: held by both, of what at least one holds",
                    "lines",
                    [
                        (
                            f"{_BOTH_HELD} / ({_BOTH_HELD} + {_compared('quarantined', 'clean')} + "
                            f"{_compared('clean', 'quarantined')} > 0)",
                            "overlap",
                        )
                    ],
                    "percentunit",
                    8,
                ),
                Panel(
                    "Judged by the shadow, skipped and failed",
                    "lines",
                    [
                        (f"sum(rate(guard_shadow_records_total{OF}[$__rate_interval]))", "records"),
                        (f"sum(rate(guard_shadow_skipped_records_total{OF}[$__rate_interval]))", "skipped records"),
                        (f"sum(rate(guard_shadow_failures_total{OF}[$__rate_interval]))", "failed batches"),
                    ],
                    "ops",
                    8,
                ),
            ),
        ),
    ),
)
