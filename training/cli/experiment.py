"""`depois experiment`: list and run the experiments behind every printed figure."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from guard.errors import WrongUse

if TYPE_CHECKING:
    from rich.table import Table

    from training.experiments.experiment import Experiment, Row

__all__ = ["app", "list_experiments", "report", "run"]

app = typer.Typer(
    help="Measure detection on real data; write into results/.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.command("list")
def list_experiments(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,  # noqa: FBT002
) -> None:
    """List the experiments, the question that each answers and its seeds.

    Example: depois experiment list
    """
    from rich.console import Console
    from rich.table import Table

    from training.experiments import EXPERIMENTS

    if as_json:
        rows = [{"name": e.name, "figure": e.figure, "seeds": e.seeds} for e in EXPERIMENTS]
        sys.stdout.write(json.dumps(rows, indent=2, ensure_ascii=False) + "\n")
        return
    table = Table("experiment", "question", "seeds small / paper")
    for experiment in EXPERIMENTS:
        table.add_row(experiment.name, experiment.figure, f"{experiment.seeds['small']} / {experiment.seeds['paper']}")
    Console(markup=False, emoji=False, highlight=False).print(table)


@app.command("run")
def run(
    name: Annotated[str, typer.Argument(help="An experiment of `depois experiment list`, or all.")],
    seeds: Annotated[int | None, typer.Option(min=1, help="How many seeds; else what the scale says.")] = None,
    jobs: Annotated[int, typer.Option(min=0, help="Processes of one thread each; 0: one per core.")] = 0,
    scale: Annotated[Literal["small", "paper"], typer.Option(help="paper wants a GPU.")] = "small",
    out: Annotated[Path, typer.Option(help="Folder of the result files.", metavar="DIR")] = Path("results"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,  # noqa: FBT002
) -> None:
    """Run an experiment, or go on with one that was stopped: rows that its file holds are not run again.

    Example: depois experiment run fourclass --seeds 5
    """
    from training.experiments.results import result_path, run_experiment
    from training.progress import terminal_progress

    results = {}
    with terminal_progress() as progress:
        for experiment in _chosen(name):
            results[experiment.name] = run_experiment(
                experiment, out, scale=scale, seeds=seeds, jobs=jobs or os.cpu_count() or 1, progress=progress
            )
            if not as_json:
                _show(results[experiment.name], result_path(experiment, out))
    if as_json:
        summaries = {key: result["summary"] for key, result in results.items()}
        sys.stdout.write(json.dumps(summaries, indent=2, ensure_ascii=False) + "\n")


@app.command("report")
def report(
    results: Annotated[Path, typer.Option(help="Folder of the result files.", metavar="DIR")] = Path("results"),
    out: Annotated[Path, typer.Option(help="The page; its plots go beside it.")] = Path("docs/evaluation.md"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the verdicts as JSON.")] = False,  # noqa: FBT002
) -> None:
    """Write the evaluation page from result files alone: printed figures, ours, and a verdict on each claim.

    Example: depois experiment report --out docs/evaluation.md
    """
    from training.experiments.report.claims import CLAIMS, verdict
    from training.experiments.report.evidence import read_evidence
    from training.experiments.report.page import write_report

    write_report(results, out)
    evidence = read_evidence(results)
    measured = [(claim, claim.measure(evidence)) for claim in CLAIMS]
    verdicts = [
        {"item": one.item, "what": one.words, "printed": one.printed, "measured": value, "verdict": verdict(one, value)}
        for one, value in measured
    ]
    if as_json:
        sys.stdout.write(json.dumps(verdicts, indent=2, ensure_ascii=False) + "\n")
        return
    counts = Counter(str(one["verdict"]).split(":")[0].split(",")[0] for one in verdicts)
    spelt = ", ".join(f"{count} {words}" for words, count in counts.most_common())
    typer.echo(f"{out}: {len(verdicts)} claims, {spelt}")


def _chosen(name: str) -> Sequence[Experiment]:
    from training.experiments import EXPERIMENTS

    found = [experiment for experiment in EXPERIMENTS if name in (experiment.name, "all")]
    if not found:
        raise WrongUse(
            f"there is no experiment {name!r}; choose all, or one of: {', '.join(e.name for e in EXPERIMENTS)}"
        )
    return found


def _show(result: Row, path: Path) -> None:
    from rich.console import Console

    console = Console(markup=False, emoji=False, highlight=False)
    summary: Any = result["summary"]
    by_method = any("methods" in case for case in summary.values())
    console.print(str(result["figure"]))
    console.print(_methods_table(summary) if by_method else _figures_table(summary))
    console.print(f"Every row, with machine and versions: {path}")


def _is_figure(name: str, value: Any) -> bool:
    """Not the seed, and no group of further figures."""
    return name != "seed" and (not isinstance(value, dict) or "mean" in value)


def _figures_table(summary: Any) -> Table:
    """Cases and figures; what there is less of stands side by side."""
    from rich.table import Table

    figures = dict.fromkeys(name for case in summary.values() for name in case if _is_figure(name, case[name]))
    if len(summary) > len(figures):
        table = Table("case", *figures)
        for name, case in summary.items():
            table.add_row(name, *(_spell(case.get(figure)) for figure in figures))
        return table
    table = Table("figure", *summary)
    for figure in figures:
        table.add_row(figure, *(_spell(case.get(figure)) for case in summary.values()))
    return table


def _methods_table(summary: Any) -> Table:
    """A line for each method in each case: recall at fixed false-quarantine rates, and its own verdict."""
    from rich.table import Table

    figures = {"recall_at_5": "at 5 %", "auroc": "AUROC", "recall": "own recall", "fqr": "own FQR"}
    table = Table("recall", "at FQR 1 %", *figures.values())
    for name, case in summary.items():
        table.add_row(name)
        for index, (method, measured) in enumerate(case["methods"].items()):
            means = (_share(measured.get(figure)).split(" ")[0] for figure in figures)
            last = index == len(case["methods"]) - 1
            table.add_row(f"  {method}", _share(measured.get("recall_at_1")), *means, end_section=last)
    return table


def _share(value: Any) -> str:
    """A share to three digits, and its standard deviation over seeds to two."""
    if value is None:
        return "–"
    mean, spread = (value["mean"], value.get("std")) if isinstance(value, dict) else (value, None)
    return f"{mean:.3f}" if spread is None else f"{mean:.3f} ± {spread:.2f}"


def _spell(value: Any) -> str:
    """A share as it is; mean ± standard deviation where there are several seeds."""
    if value is None:
        return "–"
    if not isinstance(value, dict):
        return f"{value:.4g}" if isinstance(value, int | float) else str(value)
    spread = "" if value.get("std") is None else f" ± {value['std']:.2g}"
    return f"{value['mean']:.4g}{spread}"
