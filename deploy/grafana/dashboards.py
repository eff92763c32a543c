"""The Grafana dashboards, made with the foundation SDK: `python -m deploy.grafana.dashboards` writes them anew.

A test holds the files to this code, and every expression against a live Prometheus.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.builders import bargauge, dashboard, heatmap, prometheus, stat, table, timeseries
from grafana_foundation_sdk.builders.common import ReduceDataOptions, VizLegendOptions
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from deploy.grafana.detection import DETECTION
from deploy.grafana.operation import OPERATION
from deploy.grafana.panels import Page, Panel

__all__ = ["PAGES", "render", "write_dashboards"]

PAGES = (OPERATION, DETECTION)
HERE = Path(__file__).parent
_SOURCE = model.DataSourceRef(type_val="prometheus", uid="$datasource")
_BUILDERS: dict[str, Any] = {
    "stat": stat.Panel,
    "lines": timeseries.Panel,
    "bars": bargauge.Panel,
    "heatmap": heatmap.Panel,
    "table": table.Panel,
}


def render(page: Page) -> str:
    """The JSON of one dashboard; the same code gives the same bytes."""
    other = next(found for found in PAGES if found is not page)
    built = (
        dashboard.Dashboard(page.title)
        .uid(f"depois-guard-{page.name}")
        .description(page.description)
        .tags(["depois-guard"])
        .readonly()
        .refresh("30s")
        .time("now-3h", "now")
        .timezone("browser")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .link(
            dashboard.DashboardLink(other.title).type(model.DashboardLinkType.LINK).url(f"/d/depois-guard-{other.name}")
        )
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(_variable("job", "label_values(guard_ready, job)"))
        .with_variable(_variable("instance", 'label_values(guard_ready{job=~"$job"}, instance)'))
    )
    number = 0
    for title, panels in page.rows:
        built = built.with_row(dashboard.Row(title))
        for panel in panels:
            number += 1
            built = built.with_panel(_panel(panel, number))
    return json.dumps(built.build(), cls=JSONEncoder, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def write_dashboards(folder: Path = HERE) -> None:
    """Writes every page as `<name>.json`."""
    for page in PAGES:
        (folder / f"{page.name}.json").write_text(render(page), encoding="utf-8")


def _variable(name: str, query: str) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(name)
        .datasource(_SOURCE)
        .query(query)
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .multi(True)  # noqa: FBT003 – the SDK's own form
        .include_all(True)  # noqa: FBT003 – as above
        .all_value(".*")
        .current(model.VariableOption(text="All", value="$__all"))
    )


def _panel(panel: Panel, number: int) -> Any:
    height = 4 if panel.kind == "stat" else 8
    built = (
        _BUILDERS[panel.kind]()
        .id(number)
        .title(panel.title)
        .description(panel.description)
        .datasource(_SOURCE)
        .unit(panel.unit)
        .height(height)
        .span(panel.width)
        .thresholds(_thresholds(panel))
    )
    for letter, (expression, legend) in zip("ABCDEFGH", panel.queries, strict=False):
        built = built.with_target(_target(panel, expression, legend).ref_id(letter))
    return _DRESS.get(panel.kind, lambda found: found)(built)


def _target(panel: Panel, expression: str, legend: str) -> Any:
    target = prometheus.Dataquery().expr(expression).legend_format(legend or "__auto")
    if panel.kind == "table":
        return target.instant().format(PromQueryFormat.TABLE)
    if panel.kind == "bars":
        return target.instant()
    return target.range().format(PromQueryFormat.HEATMAP if panel.kind == "heatmap" else PromQueryFormat.TIME_SERIES)


def _thresholds(panel: Panel) -> Any:
    """Green, red from `red_from` on; or red, green from `green_from` on."""
    edge = panel.red_from if panel.red_from is not None else panel.green_from
    first, then = ("green", "red") if panel.green_from is None else ("red", "green")
    steps = [model.Threshold(value=None, color=first)]
    if edge is not None:
        steps.append(model.Threshold(value=edge, color=then))
    return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps)


def _dress_stat(panel: Any) -> Any:
    return panel.reduce_options(ReduceDataOptions().calcs(["lastNotNull"])).graph_mode(options.BigValueGraphMode.AREA)


def _dress_lines(panel: Any) -> Any:
    legend = VizLegendOptions().display_mode(options.LegendDisplayMode.LIST).placement(options.LegendPlacement.BOTTOM)
    return panel.min(0).fill_opacity(8).legend(legend.show_legend(True))  # noqa: FBT003 – the SDK's own form


_DRESS: dict[str, Any] = {"stat": _dress_stat, "lines": _dress_lines}

if __name__ == "__main__":
    write_dashboards()
