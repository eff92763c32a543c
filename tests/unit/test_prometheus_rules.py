"""The alerts: their expressions against simulated series, by Prometheus' own tools, and a run book for each."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from guard.stream.metrics import ModelCard, StreamMetrics
from tests.support.prometheus import ROOT, RULES, run

FOLDER = RULES.parent
SCENARIOS = sorted(FOLDER.glob("*.test.yaml"))


def document(path: Path) -> Any:
    return YAML(typ="safe").load(path)


def rules(kind: str) -> dict[str, dict[str, Any]]:
    return {rule[kind]: rule for group in document(RULES)["groups"] for rule in group["rules"] if kind in rule}


ALERTS = rules("alert")


def expectations() -> list[tuple[str, set[str]]]:
    """Of each scenario: its name, and the alerts that are said to fire at one time."""
    tests = [test for path in SCENARIOS for test in document(path)["tests"]]
    return [
        (test["name"], {alert for sample in check["exp_samples"] for alert in re.findall(r'"(\w+)"', sample["labels"])})
        for test in tests
        for check in test["promql_expr_test"]
    ]


def test_rules_are_valid() -> None:
    assert "SUCCESS" in run("promtool", "check", "rules", "--lint=all", "--lint-fatal", RULES)


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.name)
def test_alerts_fire_when_they_should_and_only_then(path: Path) -> None:
    run("promtool", "test", "rules", path)


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_has_a_scenario_in_which_it_fires_and_one_in_which_it_does_not(alert: str) -> None:
    own = [fires for name, fires in expectations() if name.startswith(f"{alert}:")]
    assert {alert} in own
    assert set() in own


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_has_a_severity_a_summary_and_a_run_book(alert: str) -> None:
    rule = ALERTS[alert]
    assert rule["labels"]["severity"] in {"info", "warning", "critical"}
    assert rule["annotations"]["summary"]
    path, _, anchor = rule["annotations"]["runbook"].partition("#")
    headings = re.findall(r"^## (\w+)$", (ROOT / path).read_text(), re.MULTILINE)
    assert anchor == alert.lower()
    assert alert in headings


def test_run_books_are_about_alerts_that_exist() -> None:
    books = [path for path in (ROOT / "docs/runbooks").glob("*.md") if path.name != "README.md"]
    headings = {found for path in books for found in re.findall(r"^## (\w+)$", path.read_text(), re.MULTILINE)}
    assert headings == set(ALERTS)


def test_rules_ask_only_for_series_that_the_guard_has() -> None:
    metrics = StreamMetrics("enforce")
    metrics.model(ModelCard("m", "1", "0" * 64, 0.01, ("mimic",), ("a",)), "current")
    metrics.lag("in", 0, 0)
    known = {sample.name for family in metrics.registry.collect() for sample in family.samples}
    expressions = [rule["expr"] for kind in ("alert", "record") for rule in rules(kind).values()]
    asked = {name for expression in expressions for name in re.findall(r"(?<![\w:])guard_\w+", expression)}
    assert asked <= known


def test_scrape_and_alertmanager_configurations_are_valid() -> None:
    run("promtool", "check", "config", FOLDER / "prometheus.yaml")
    run("amtool", "check-config", ROOT / "deploy/alertmanager/alertmanager.yaml")


def test_the_limits_of_the_scrape_leave_a_guard_room_and_a_flood_none() -> None:
    metrics = StreamMetrics("enforce")
    labels = tuple(range(100))
    metrics.model(ModelCard("m", "1", "0" * 64, 0.01, tuple(f"m{k}" for k in range(20)), labels), "current")
    for partition in range(100):
        metrics.lag("in", partition, 0)
    series = sum(len(family.samples) for family in metrics.registry.collect())
    (job,) = [
        job for job in document(FOLDER / "prometheus.yaml")["scrape_configs"] if job["job_name"] == "depois-guard"
    ]
    assert 2 * series < job["sample_limit"] < 20 * series
