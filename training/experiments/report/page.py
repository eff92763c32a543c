"""`docs/evaluation.md`, written from the result files alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from guard.errors import OutputFailed
from training.experiments import EXPERIMENTS
from training.experiments.report import plots
from training.experiments.report.cleansing_section import backdoor_table, cleansing_table
from training.experiments.report.components_section import components_section
from training.experiments.report.evidence import Evidence, read_evidence
from training.experiments.report.printed import TABLE_IV, TABLE_V
from training.experiments.report.sweeps import SWEEPS, draw
from training.experiments.report.tables import (
    attack_table,
    contradiction_table,
    markdown,
    number,
    table_iii,
    verdict_table,
    worst_table,
)
from training.experiments.report.words import BACKDOORS, CRITIC, DOUBTFUL, HOW_TO_READ, MIX, RULE

__all__ = ["write_report"]

_IMAGES = "images/evaluation"


def write_report(results: Path, out: Path) -> None:
    """Writes the page `out` and its plots beside it, in `images/evaluation/`.

    What has no result file yet is said to be missing, with the command that makes it. Raises OutputFailed.
    """
    evidence = read_evidence(results)
    try:
        (out.parent / _IMAGES).mkdir(parents=True, exist_ok=True)
        out.write_text("\n".join(_sections(evidence, out.parent / _IMAGES)), encoding="utf-8")
    except OSError as error:
        raise OutputFailed(f"{out} cannot be written ({error.strerror}); name another file with --out") from error


def _sections(evidence: Evidence, images: Path) -> Iterator[str]:
    yield HOW_TO_READ
    yield _circumstances(evidence)
    yield f"## What the papers claim, and what became of it\n{RULE}\n{verdict_table(evidence)}"
    yield f"## Every attack\n\n{attack_table(evidence) or _missing('fourclass')}"
    yield f"## The worst row of each method\n\n{worst_table(evidence) or _missing('fourclass')}"
    yield f"## Attackers who know the guard\n\n{_adaptive(evidence) or _missing('adaptive')}"
    yield f"## Table III\n\n{table_iii(evidence) or _missing('fourclass')}{MIX}\n{contradiction_table()}"
    yield "## Figures\n"
    for sweep in SWEEPS:
        path = draw(sweep, evidence, images)
        picture = f"![{sweep.title}]({_IMAGES}/{path.name})\n" if path else _missing(sweep.experiment)
        yield f"### {sweep.title}\n\n{picture}"
    yield _histogram(evidence, images)
    taken_apart = components_section(evidence, images) or _missing("components")
    yield f"### Figs 4 and 8, Table II: De-Pois taken apart\n\n{taken_apart}"
    yield f"## Table IV: detection time\n\n{_detection_time(evidence) or _missing('method-speed')}"
    yield f"## Table V: training time for 500 samples\n\n{_training_time(evidence) or _missing('published-time')}"
    yield f"## Training without a trusted row\n{DOUBTFUL}\n{cleansing_table(evidence) or _missing('cleansing')}"
    yield f"## Backdoors\n{BACKDOORS}\n{backdoor_table(evidence) or _missing('backdoors')}"


def _missing(experiment: str) -> str:
    return f"Missing: `depois experiment run {experiment}`.\n"


def _circumstances(evidence: Evidence) -> str:
    """Which experiments were run, at which scale, on what, and at what cost."""
    rows = []
    for experiment in EXPERIMENTS:
        document = evidence.documents.get(experiment.name)
        if document is None:
            rows.append((experiment.name, "missing", f"`depois experiment run {experiment.name}`", "–", "–", "–"))
            continue
        where, results = document["circumstances"], document["rows"]
        seeds = len({row["seed"] for row in results})
        machine = f"{where['gpu'] or where['cpu']}, torch {where['libraries']['torch']}"
        spent = (
            f"{sum(row.get('cpu_seconds', 0) for row in results):.0f}"
            if any("cpu_seconds" in row for row in results)
            else "–"
        )
        rows.append((experiment.name, document["scale"], f"`{document['command']}`", str(seeds), machine, spent))
    header = ("experiment", "scale", "command", "seeds", "machine", "CPU-seconds")
    return f"## What was run\n\n{markdown(header, rows)}"


def _adaptive(evidence: Evidence) -> str:
    cases = evidence.documents.get("adaptive", {}).get("summary", {})
    names = {name: evidence.number("adaptive", name, "passes_and_harms") for name in cases}
    rows = [(name, number(value)) for name, value in names.items()]
    return markdown(("data, attack", "share that passes at α = 1 % and harms"), rows)


def _histogram(evidence: Evidence, images: Path) -> str:
    title = "### Fig. 3: critic values of De-Pois as published\n\n"
    rows = [row for document in evidence.documents.values() for row in document["rows"] if "histogram" in row]
    if not rows:
        return title + _missing("cifar10")
    case, seed, found = rows[0]["case"], rows[0]["seed"], rows[0]["histogram"]
    plots.histogram(images / "critic.svg", found)
    names = {"μ": "mean", "σ": "std", "y_thr": "threshold"}
    figures = ", ".join(f"{name} {number(found[key])}" for name, key in names.items())
    return f"{title}{case}, seed {seed}: {figures}. {CRITIC}\n\n![critic values]({_IMAGES}/critic.svg)\n"


def _detection_time(evidence: Evidence) -> str:
    """Table IV; our guard goes through ONNX Runtime, the others are timed as they are."""
    rows = []
    for data, printed in TABLE_IV.items():
        methods = evidence.documents.get("method-speed", {}).get("summary", {}).get(data, {})
        seconds = {name: evidence.number("method-speed", data, name) for name in methods}
        seconds = {name: value for name, value in seconds.items() if name not in ("seed", "seconds", "cpu_seconds")}
        if seconds:
            seconds["guard"] = evidence.number("graph-speed", data, "graph_seconds")
        rows += [(data, name, number(value, 4), printed) for name, value in seconds.items() if value is not None]
    return markdown(("data", "method", "seconds per 1000 samples, one core", "printed (GTX 1060)"), rows)


def _training_time(evidence: Evidence) -> str:
    """Table V."""
    rows = []
    for data, printed in TABLE_V.items():
        parts = [evidence.number("published-time", data, f"{part}_seconds") for part in ("augment", "mimic")]
        if None not in parts:
            rows.append((data, *(number(part, 1) for part in parts), f"{printed[0]} / {printed[1]}"))
    return markdown(("data", "augmenter, s", "mimic, s", "printed (GTX 1060)"), rows)
