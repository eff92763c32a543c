"""The result files, asked for single figures. A file, a case or a figure that is not there is None."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

__all__ = ["Evidence", "Measured", "read_evidence"]


@dataclass(frozen=True)
class Measured:
    """A case of a comparison: its settings as in `training.experiments.setting`, and its summary."""

    experiment: str
    settings: dict[str, Any]
    summary: dict[str, Any]

    @property
    def attack(self) -> str:
        """The attack's name."""
        return str(self.settings["attack"])

    @property
    def ground(self) -> dict[str, Any]:
        """What was trained on."""
        return dict(self.settings["ground"])

    @property
    def usual(self) -> bool:
        """True at the usual poison rate, with clean trusted rows of all classes."""
        ground = self.ground
        return self.settings["rate"] == 0.2 and not ground["dirty"] and not ground["known"]

    def figure(self, method: str, name: str) -> float | None:
        """The mean of a figure of `training.experiments.metrics.measure`."""
        found = self.summary.get("methods", {}).get(method, {}).get(name)
        return None if found is None else float(found["mean"])

    def spread(self, method: str, name: str) -> float | None:
        """Its standard deviation over seeds."""
        found = self.summary.get("methods", {}).get(method, {}).get(name)
        return None if found is None else found["std"]


@dataclass(frozen=True)
class Evidence:
    """All result files of a folder, by the name of their experiment."""

    documents: dict[str, dict[str, Any]]

    def cases(self, *experiments: str) -> Iterator[Measured]:
        """The measured cases of comparisons, of these experiments or of all."""
        for name, document in self.documents.items():
            if not experiments or name in experiments:
                for case, summary in document["summary"].items():
                    if "methods" in summary:
                        yield Measured(name, document["cases"][case], summary)

    def table(self, experiment: str, attack: str, *, dirty: float = 0.0) -> list[Measured]:
        """Cases of one attack, by trusted share and poison rate."""
        found = [
            case
            for case in self.cases(experiment)
            if case.attack == attack and case.ground["dirty"] == dirty and not case.ground["known"]
        ]
        return sorted(found, key=lambda case: (case.ground["trusted"], case.settings["rate"]))

    def at(self, experiment: str, attack: str, trusted: float, rate: float = 0.2) -> Measured | None:
        """One case of an attack."""
        wanted = (trusted, rate)
        cases = self.table(experiment, attack)
        return next((case for case in cases if (case.ground["trusted"], case.settings["rate"]) == wanted), None)

    def doubtful(self, data: str, attack: str | None, method: str, figure: str) -> float | None:
        """The mean of a figure of `training.experiments.cleansing`: one method on partly poisoned rows."""
        document = self.documents.get("cleansing", {"cases": {}})
        for name, settings in document["cases"].items():
            ground = settings["ground"]
            if (ground["data"], ground["attack"], settings["method"]) == (data, attack, method):
                return self.number("cleansing", name, figure)
        return None

    def after(self, method: str, figure: str, *, attacked: bool = True) -> float | None:
        """A figure of `training.experiments.backdoors` on its first ground, the mean of all attacks or without any.

        None unless every attack that was measured was measured after `method`.
        """
        document = self.documents.get("backdoors", {"cases": {}})
        grounds = [settings["ground"] for settings in document["cases"].values()]
        found = [
            self.number("backdoors", name, figure)
            for name, settings in document["cases"].items()
            if settings["method"] == method
            and settings["ground"] == grounds[0] | {"attack": settings["ground"]["attack"]}
            and (settings["ground"]["attack"] is not None) == attacked
        ]
        known = [value for value in found if value is not None]
        return fmean(known) if known and len(known) == len(found) else None

    def number(self, experiment: str, *path: str) -> float | None:
        """A mean in a summary: case, then the figure's path."""
        found: Any = self.documents.get(experiment, {}).get("summary", {})
        for name in path:
            found = found.get(name) if isinstance(found, dict) else None
        return float(found["mean"]) if isinstance(found, dict) and "mean" in found else None


def read_evidence(folder: Path) -> Evidence:
    """Every readable result file of an experiment in the folder; damaged files and other ones are passed over."""
    documents = {}
    for path in sorted(folder.glob("*.json")):
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(found, dict) and {"experiment", "cases", "summary", "circumstances"} <= found.keys():
            documents[str(found["experiment"])] = found
    return Evidence(documents)
