"""A shadow bundle beside the one that serves, in a guard as a process: told, counted, and without a say."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from deploy.kafka.launcher import Broker
from guard.agreement import read_agreement
from guard.bundle import load_bundle
from tests.support.bundles import make_bundle
from tests.support.checker import header
from tests.support.crowd import messages
from tests.support.topics import make_topics, read, send
from tests.support.worker import Worker, eventually, settings


def test_a_shadow_is_told_and_counted_and_decides_nothing(broker: Broker, tmp_path: Path) -> None:
    """It would hold every second clean sample; a broken copy then takes its place, and the guard goes on."""
    bundle, shadow = make_bundle(tmp_path / "bundle"), make_bundle(tmp_path / "shadow", alpha=0.5)
    topics = make_topics(broker)
    model = {"shadow": str(shadow), "reload_seconds": 0.2}
    with Worker(tmp_path / "guard", settings(broker.bootstrap, topics, bundle, model=model)) as guard:
        digest = load_bundle(shadow).digest
        assert guard.total(rf'guard_model_info{{.*role="shadow".*sha256="{digest}"') == 1
        sent = messages(500, seed=1)
        send(broker.bootstrap, topics.input, sent)
        eventually(lambda: guard.total("guard_shadow_records_total") > 0, "records that the shadow judged")
        assert guard.total(r'guard_shadow_verdicts_total\{current="clean",shadow="quarantined"') > 0
        eventually(lambda: _seen(guard.agreement()) == len(sent), "all records, shown or skipped")
        (tmp_path / "shadow.json").write_text(json.dumps(guard.agreement()))
        found = read_agreement(tmp_path / "shadow.json")
        assert (found.champion_digest, found.challenger_digest) == (load_bundle(bundle).digest, digest)
        assert found.challenger_only_held > found.champion_only_held
        assert found.overlap is not None
        assert found.overlap < 1
        shutil.rmtree(shadow)
        eventually(lambda: guard.total(r'guard_reloads_total\{outcome="refused"') == 1, "a refused shadow")
        assert guard.ready()
        assert guard.stop()[0] == 0
    found = read(broker.bootstrap, topics.sinks)
    assert sum(map(len, found.values())) == len(sent)
    served = load_bundle(bundle).digest
    assert {header(one, "guard-model-sha256") for records in found.values() for one in records} == {served}


def _seen(found: dict[str, Any]) -> int:
    return int(found["records"]) + int(found["skipped_records"])
