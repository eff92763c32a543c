"""The compose file: of the published schema, in step with settings and metrics, nothing open that should be closed."""

from __future__ import annotations

import json
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

from guard.stream.settings import load_settings
from tests.support.prometheus import ROOT

COMPOSE = ROOT / "deploy/compose.yaml"


@pytest.fixture(scope="module")
def document() -> Any:
    return YAML(typ="safe").load(COMPOSE)


def test_it_is_a_compose_file(document: Any) -> None:
    # The command of check-jsonschema needs a newer click than Faust allows; its copy of the schema does not.
    found = find_spec("check_jsonschema")
    assert found is not None
    assert found.origin is not None
    schema = Path(found.origin).parent / "builtin_schemas/vendor/compose-spec.json"
    jsonschema.validate(document, json.loads(schema.read_text()))


def test_the_guards_environment_is_a_whole_configuration(document: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("GUARD_")]:
        monkeypatch.delenv(name)
    for name, value in document["services"]["guard"]["environment"].items():
        monkeypatch.setenv(name, value)
    settings = load_settings(None)
    assert settings.http.host == "0.0.0.0"  # noqa: S104 – within the container
    longest = settings.guard.scoring_timeout_seconds + settings.guard.delivery_timeout_seconds
    assert float(document["services"]["guard"]["stop_grace_period"].removesuffix("s")) > longest


def test_ports_are_open_to_this_machine_only(document: Any) -> None:
    ports = [port for service in document["services"].values() for port in service.get("ports", [])]
    assert ports
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_images_are_pinned_and_no_password_is_written_down(document: Any) -> None:
    images = [service["image"] for service in document["services"].values()]
    assert [image for image in images if ":" not in image or image.endswith(":latest")] == []
    assert "${GRAFANA_PASSWORD:?" in COMPOSE.read_text()


def test_the_guard_may_write_nothing_but_tmp(document: Any) -> None:
    guard = document["services"]["guard"]
    assert guard["read_only"]
    assert guard["cap_drop"] == ["ALL"]
    assert all(mount.endswith(":ro") for mount in guard["volumes"])


def test_the_scrape_reaches_the_services_by_their_names(document: Any) -> None:
    config = YAML(typ="safe").load(ROOT / "deploy/prometheus/prometheus.yaml")
    jobs = {job["job_name"]: job["static_configs"][0]["targets"] for job in config["scrape_configs"]}
    assert jobs["depois-guard"] == ["guard:9464"]
    assert config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] == ["alertmanager:9093"]
    assert {"guard", "alertmanager", "prometheus"} <= set(document["services"])
