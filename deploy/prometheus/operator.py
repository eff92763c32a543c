"""The alerts as the Prometheus operator wants them: `python -m deploy.prometheus.operator` writes them anew."""

from __future__ import annotations

from pathlib import Path
from textwrap import indent

__all__ = ["TARGET", "render"]

HERE = Path(__file__).parent
TARGET = HERE.parent / "kubernetes/monitoring/rules.yaml"
_HEAD = """\
# Written by `python -m deploy.prometheus.operator` from deploy/prometheus/rules.yaml.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata: {name: depois-guard}
spec:
"""


def render() -> str:
    """The rules, unchanged, under `spec` of a PrometheusRule."""
    return _HEAD + indent((HERE / "rules.yaml").read_text(encoding="utf-8"), "  ")


if __name__ == "__main__":
    TARGET.write_text(render(), encoding="utf-8")
