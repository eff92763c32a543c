"""What a red team found, as `redteam.json` and `redteam.html`.

Both lie in a folder of their own and never in the bundle: its `report.html` is one of the files that the manifest
hashes, and a guard refuses a bundle in which a byte of it has changed. The page links to that report instead.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import quote

from guard.folder import new_folder
from training.redteam.battery import Battery, Raid
from training.report.template import render_template

__all__ = ["as_json", "render_page", "write_findings"]


def write_findings(battery: Battery, bundle: Path, out: Path) -> None:
    """Writes the folder `out`, whole or not at all. Raises OutputFailed when it exists or cannot be written.

    The same battery makes the same bytes; the page also depends on where `out` lies beside `bundle`.
    """
    link = quote(os.path.relpath(bundle / "report.html", out))
    with new_folder(out) as folder:
        text = json.dumps(as_json(battery), indent=1, ensure_ascii=False, allow_nan=False)
        (folder / "redteam.json").write_text(text + "\n", encoding="utf-8")
        (folder / "redteam.html").write_text(render_page(battery, link), encoding="utf-8")


def as_json(battery: Battery) -> dict[str, Any]:
    """The content of `redteam.json`."""
    manifest, material = battery.bundle.manifest, battery.material
    return {
        "bundle": {
            "name": manifest.name,
            "version": manifest.version,
            "sha256": battery.bundle.digest,
            "alpha": battery.bundle.alpha.model_dump(),
        },
        "data": {
            "attackers": len(material.attackers.y),
            "honest": len(material.y),
            "refused": material.refused,
            "known": material.known,
        },
        "seed": battery.seed,
        "false_alarms": battery.false_alarms.as_json,
        "attacks": [_raid_as_json(raid) for raid in battery.raids],
        "unable": [asdict(one) for one in battery.unable],
    }


def _raid_as_json(raid: Raid) -> dict[str, Any]:
    return {
        "name": raid.name,
        "description": raid.description,
        "needs": raid.needs,
        "held": raid.held.as_json,
        "harm_passed": None if raid.harm_passed is None else raid.harm_passed.as_json,
    }


def render_page(battery: Battery, link: str) -> str:
    """redteam.html: one file that fetches nothing, safe whatever the bundle is called.

    `link`: the address of the bundle's training report, relative to the page.
    """
    weakest = min(battery.raids, key=lambda raid: raid.held.value)
    return render_template(Path(__file__).with_name("redteam.html.j2"), battery=battery, weakest=weakest, link=link)
