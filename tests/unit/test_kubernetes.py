"""The Kubernetes manifests as kustomize builds them: what they select, what they may do, and what they agree with."""

from __future__ import annotations

import shutil
import subprocess
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from deploy.prometheus.operator import TARGET, render
from guard.stream.settings import load_settings
from tests.support.prometheus import ROOT, RULES

FOLDER = ROOT / "deploy/kubernetes"
OURS = {"app.kubernetes.io/name": "depois-guard", "app.kubernetes.io/component": "guard"}
THEIRS = OURS | {"app.kubernetes.io/component": "trainer"}


def build(folder: str) -> list[Any]:
    own = ROOT / ".setup/go/kustomize"
    found = str(own) if own.exists() else shutil.which("kustomize")
    if found is None:
        pytest.skip("no kustomize here: make kustomize")
    done = subprocess.run([found, "build", str(FOLDER / folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(YAML(typ="safe").load_all(StringIO(done.stdout)))


@pytest.fixture(scope="module")
def manifests() -> dict[tuple[str, str], Any]:
    return {(found["kind"], found["metadata"]["name"]): found for found in build("example")}


@pytest.fixture(scope="module")
def guard_set(manifests: dict[tuple[str, str], Any]) -> Any:
    return manifests["StatefulSet", "depois-guard"]["spec"]


def pods(manifests: dict[tuple[str, str], Any]) -> list[Any]:
    return [
        found["spec"]["template"]["spec"] for (kind, _), found in manifests.items() if kind in {"StatefulSet", "Job"}
    ]


def test_the_base_stands_alone() -> None:
    assert {found["kind"] for found in build("base")} >= {
        "StatefulSet",
        "Service",
        "PodDisruptionBudget",
        "NetworkPolicy",
    }


def test_pods_run_without_rights_on_a_root_that_they_cannot_write(manifests: dict[tuple[str, str], Any]) -> None:
    for pod in pods(manifests):
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"]
            assert not container["securityContext"]["allowPrivilegeEscalation"]
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert "memory" in container["resources"]["limits"]


def test_only_the_trainer_may_write_bundles_and_only_it_asks_for_a_gpu(manifests: dict[tuple[str, str], Any]) -> None:
    guard, train = (
        manifests[key]["spec"]["template"]["spec"] for key in (("StatefulSet", "depois-guard"), ("Job", "depois-train"))
    )
    written = [mount["name"] for mount in guard["containers"][0]["volumeMounts"] if not mount.get("readOnly")]
    assert written == ["tmp"]
    assert "nvidia.com/gpu" in train["containers"][0]["resources"]["limits"]
    assert "nvidia.com/gpu" not in guard["containers"][0]["resources"]["limits"]


def test_each_pod_has_a_name_of_its_own_in_the_group(guard_set: Any) -> None:
    names = {variable["name"]: variable for variable in guard_set["template"]["spec"]["containers"][0]["env"]}
    assert names["GUARD_KAFKA__INSTANCE"]["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"
    assert guard_set["podManagementPolicy"] == "Parallel"


def test_policies_select_exactly_their_pods(manifests: dict[tuple[str, str], Any], guard_set: Any) -> None:
    assert guard_set["selector"]["matchLabels"] == OURS
    assert guard_set["template"]["metadata"]["labels"] == OURS
    assert manifests["PodDisruptionBudget", "depois-guard"]["spec"]["selector"]["matchLabels"] == OURS
    assert manifests["NetworkPolicy", "depois-guard"]["spec"]["podSelector"]["matchLabels"] == OURS
    job = manifests["Job", "depois-train"]["spec"]["template"]["metadata"]["labels"]
    assert manifests["NetworkPolicy", "depois-train"]["spec"]["podSelector"]["matchLabels"] == job == THEIRS
    closed = manifests["NetworkPolicy", "depois-train"]["spec"]
    assert set(closed["policyTypes"]) == {"Ingress", "Egress"}
    assert not closed.get("ingress")
    assert not closed.get("egress")


def test_the_example_settings_are_whole_and_the_pod_agrees_with_them(guard_set: Any) -> None:
    settings = load_settings(FOLDER / "example/guard.toml")
    pod = guard_set["template"]["spec"]
    guard = pod["containers"][0]
    assert settings.kafka.encrypted
    assert pod["terminationGracePeriodSeconds"] > (
        settings.guard.scoring_timeout_seconds + settings.guard.delivery_timeout_seconds
    )
    start = guard["startupProbe"]
    assert start["periodSeconds"] * start["failureThreshold"] > settings.guard.ready_seconds
    assert guard["ports"][0]["containerPort"] == settings.http.port
    mounts = [Path(mount["mountPath"]) for mount in guard["volumeMounts"]]
    for path in (settings.kafka.password_file, settings.kafka.ca_file, settings.model.bundle):
        assert path is not None
        assert set(path.parents) & set(mounts), f"{path} is on no volume"


def test_no_secret_is_among_them(manifests: dict[tuple[str, str], Any]) -> None:
    assert [key for key in manifests if key[0] == "Secret"] == []


def test_prometheus_and_the_policy_agree_on_the_port(manifests: dict[tuple[str, str], Any]) -> None:
    service = manifests["Service", "depois-guard"]
    monitor = manifests["ServiceMonitor", "depois-guard"]["spec"]
    labels = service["metadata"]["labels"]
    assert monitor["selector"]["matchLabels"].items() <= labels.items()
    assert monitor["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"]
    entry = manifests["NetworkPolicy", "depois-guard"]["spec"]["ingress"][0]["ports"]
    assert entry == [{"protocol": "TCP", "port": service["spec"]["ports"][0]["port"]}]


def test_the_operators_rules_are_those_of_prometheus() -> None:
    assert TARGET.read_text() == render(), "run `python -m deploy.prometheus.operator` and commit deploy/kubernetes/"
    yaml = YAML(typ="safe")
    assert yaml.load(TARGET)["spec"] == yaml.load(RULES)


def test_scaling_follows_a_metric_that_the_guard_has(manifests: dict[tuple[str, str], Any], guard_set: Any) -> None:
    scaled = manifests["ScaledObject", "depois-guard"]["spec"]
    assert "guard_consumer_lag_records" in scaled["triggers"][0]["metadata"]["query"]
    assert scaled["minReplicaCount"] == guard_set["replicas"]


def test_dashboards_reach_grafanas_sidecar(manifests: dict[tuple[str, str], Any]) -> None:
    found = manifests["ConfigMap", "depois-guard-dashboards"]
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert set(found["data"]) == {path.name for path in (ROOT / "deploy/grafana").glob("*.json")}
