"""The dashboards as files: in step with the code that makes them, and of a form that Grafana takes."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import Any

import pytest
from ruamel.yaml import YAML

from deploy.grafana.dashboards import HERE, PAGES, render, write_dashboards
from deploy.grafana.panels import Page
from guard.stream.metrics import ModelCard, StreamMetrics
from tests.support.prometheus import ROOT


def panels(page: Page) -> list[dict[str, Any]]:
    return [panel for panel in json.loads(render(page))["panels"] if panel["type"] != "row"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_committed_dashboard_is_what_the_code_makes(page: Page) -> None:
    text = (HERE / f"{page.name}.json").read_text(encoding="utf-8")
    assert text == render(page), "run `python -m deploy.grafana.dashboards` and commit deploy/grafana/"


def test_writing_makes_every_page(tmp_path: Any) -> None:
    write_dashboards(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in HERE.glob("*.json")}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_panels_are_complete_and_lie_side_by_side(page: Page) -> None:
    found = panels(page)
    ids = [panel["id"] for panel in found]
    assert len(ids) == len(set(ids))
    for panel in found:
        references = [target["refId"] for target in panel["targets"]]
        assert len(references) == len(set(references)) > 0
        assert panel["datasource"]["uid"] == "$datasource"
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
    for left, right in pairwise(found):
        if left["gridPos"]["y"] == right["gridPos"]["y"]:
            assert left["gridPos"]["x"] + left["gridPos"]["w"] <= right["gridPos"]["x"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_panels_ask_only_for_series_that_the_guard_has(page: Page) -> None:
    metrics = StreamMetrics("enforce")
    metrics.model(ModelCard("m", "1", "0" * 64, 0.01, ("mimic",), ("a",)), "current")
    metrics.lag("in", 0, 0)
    known = {sample.name for family in metrics.registry.collect() for sample in family.samples}
    expressions = [target["expr"] for panel in panels(page) for target in panel["targets"]]
    assert {name for expression in expressions for name in re.findall(r"\bguard_\w+", expression)} <= known


def test_grafana_finds_what_it_is_provisioned_with() -> None:
    yaml = YAML(typ="safe")
    provider = yaml.load(HERE / "provisioning/dashboards/depois-guard.yaml")["providers"][0]
    compose = yaml.load(ROOT / "deploy/compose.yaml")["services"]["grafana"]["volumes"]
    mounted = {mount.split(":")[1]: mount.split(":")[0] for mount in compose}
    assert mounted[provider["options"]["path"]] == "./grafana"
    assert mounted["/etc/grafana/provisioning"] == "./grafana/provisioning"
    source = yaml.load(HERE / "provisioning/datasources/prometheus.yaml")["datasources"][0]
    assert source["type"] == "prometheus"
    assert source["url"] == "http://prometheus:9090"
