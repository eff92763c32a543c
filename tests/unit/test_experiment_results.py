from __future__ import annotations

import json
import pickle
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from guard.errors import OutputFailed, WrongUse
from training.experiments import EXPERIMENTS
from training.experiments.circumstances import circumstances
from training.experiments.experiment import Case, Experiment, Row, Scale
from training.experiments.results import run_experiment
from training.experiments.sources import code_digest
from training.experiments.summary import mean_and_spread
from training.progress import Progress, Silent


class Counting:
    """Counts its runs, and breaks down at the run that it is told to. Cases b and c are one group."""

    def __init__(self, breaks_at: int = 10_000, setting: int = 1, sources: tuple[str, ...] = ("guard.cells",)) -> None:
        self.runs: list[tuple[str, int]] = []
        self.groups: list[str] = []
        self.breaks_at = breaks_at
        self.setting = setting
        self.sources = sources

    def __call__(self, cases: Sequence[Case], seed: int, _progress: Progress) -> Iterator[Row]:
        self.groups.append("".join(case.name for case in cases))
        for case in cases:
            if len(self.runs) == self.breaks_at:
                raise KeyboardInterrupt
            self.runs.append((case.name, seed))
            yield {"value": seed * 2.0, "word": case.name, "inner": {"deep": {"value": seed}}}

    def cases(self, scale: Scale) -> tuple[Case, ...]:
        names = {"a": "", "b": "both", "c": "both"} | ({"d": ""} if scale == "paper" else {})
        return tuple(Case(name, {"setting": self.setting}, self.sources, group) for name, group in names.items())

    def experiment(self) -> Experiment:
        return Experiment("counting", "does it count?", self.cases, {"small": 3, "paper": 4}, self, mean_and_spread)

    def run(self, folder: Path, scale: Scale = "small", seeds: int | None = None, jobs: int = 1) -> Row:
        return run_experiment(self.experiment(), folder, scale=scale, seeds=seeds, jobs=jobs, progress=Silent())


def test_every_case_runs_at_every_seed_and_the_file_says_so(tmp_path: Path) -> None:
    counting = Counting()
    result = counting.run(tmp_path)
    assert len(counting.runs) == 9
    assert json.loads((tmp_path / "counting.json").read_text()) == result
    assert [(row["case"], row["seed"]) for row in result["rows"]] == sorted(counting.runs)
    assert result["summary"]["a"]["value"] == {"mean": 2.0, "std": 2.0, "min": 0.0, "max": 4.0, "n": 3}
    assert result["summary"]["b"]["inner"]["deep"]["value"]["mean"] == 1.0
    assert "word" not in result["summary"]["a"]
    assert result["circumstances"]["libraries"]["numpy"]


def test_cases_of_one_group_run_together(tmp_path: Path) -> None:
    counting = Counting()
    counting.run(tmp_path, seeds=2)
    assert counting.groups == ["a", "bc", "a", "bc"]


@pytest.mark.parametrize("name", ["case", "seed", "seconds", "cpu_seconds"])
def test_a_figure_takes_no_name_that_every_row_has(name: str, tmp_path: Path) -> None:
    """What a method took was once overwritten by what its row took."""

    def run(cases: Sequence[Case], _seed: int, _progress: Progress) -> Iterator[Row]:
        yield from ({name: 1.0} for _ in cases)

    experiment = replace(Counting().experiment(), run=run)
    with pytest.raises(ValueError, match=f"a: {name} is what every row says"):
        run_experiment(experiment, tmp_path, seeds=1, progress=Silent())


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        Counting(breaks_at=2).run(tmp_path)
    assert len(json.loads((tmp_path / "counting.json").read_text())["rows"]) == 2
    rest = Counting()
    result = rest.run(tmp_path)
    assert rest.groups[0] == "c"
    assert len(rest.runs) == 7
    assert len(result["rows"]) == 9
    assert Counting().run(tmp_path) == result


@pytest.mark.slow
def test_processes_beside_each_other_give_the_same_rows(tmp_path: Path) -> None:
    alone, beside = Counting().run(tmp_path / "alone"), Counting().run(tmp_path / "beside", jobs=2)
    for row in (*beside["rows"], *alone["rows"]):
        row.update(seconds=0, cpu_seconds=0)
    assert beside["rows"] == alone["rows"]
    assert beside["circumstances"]["threads"] == 1


@pytest.mark.slow
def test_a_row_made_beside_is_kept_though_its_group_breaks_down(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        Counting(breaks_at=1).run(tmp_path, seeds=1, jobs=2)
    assert "b" in {row["case"] for row in json.loads((tmp_path / "counting.json").read_text())["rows"]}


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda experiment: experiment.name)
def test_an_experiment_can_travel_to_another_process(experiment: Experiment) -> None:
    assert pickle.loads(pickle.dumps(experiment)).cases("small") == experiment.cases("small")  # noqa: S301 – our own


def test_more_seeds_add_rows_and_fewer_leave_them_out(tmp_path: Path) -> None:
    Counting().run(tmp_path, seeds=1)
    more = Counting()
    assert len(more.run(tmp_path, seeds=2)["rows"]) == 6
    assert len(more.runs) == 3
    assert len(Counting().run(tmp_path, seeds=1)["rows"]) == 3


def test_a_case_that_is_new_at_another_scale_runs_alone(tmp_path: Path) -> None:
    Counting().run(tmp_path, seeds=1)
    more = Counting()
    assert len(more.run(tmp_path, "paper", seeds=1)["rows"]) == 4
    assert more.runs == [("d", 0)]


@pytest.mark.parametrize("change", ["setting", "code", "circumstances", "damage"])
def test_rows_that_were_made_otherwise_are_not_mixed_in(change: str, tmp_path: Path) -> None:
    Counting().run(tmp_path, seeds=3)
    path = tmp_path / "counting.json"
    if change == "circumstances":
        path.write_text(path.read_text().replace('"cores"', '"kernels"'))
    if change == "damage":
        path.write_bytes(path.read_bytes()[:-20])
    sources = ("guard.cells", "guard.errors") if change == "code" else ("guard.cells",)
    again = Counting(setting=2 if change == "setting" else 1, sources=sources)
    result = again.run(tmp_path, seeds=3)
    assert len(again.runs) == 9
    assert len(result["rows"]) == 9


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputFailed, match=r"counting\.json cannot be written"):
        Counting().run(tmp_path / "file")


def test_no_seed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="one is the least"):
        Counting().run(tmp_path, seeds=0)


def test_circumstances_name_no_path_and_no_user() -> None:
    text = json.dumps(circumstances())
    assert "/" not in text.replace("w/ ", "")


def test_names_are_unique_and_usable_as_file_names() -> None:
    names = [experiment.name for experiment in EXPERIMENTS]
    assert len(set(names)) == len(names)
    assert all(name.replace("-", "").isalnum() for name in names)


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda experiment: experiment.name)
def test_settings_can_be_written_as_json(experiment: Experiment) -> None:
    for scale in ("small", "paper"):
        cases = experiment.cases(scale)
        assert cases
        json.dumps([case.settings for case in cases], allow_nan=False)
        assert experiment.seeds[scale] >= 1


def test_one_seed_has_no_spread() -> None:
    assert mean_and_spread([{"a": 1.0}])["a"]["std"] is None


def test_cases_have_names_of_their_own_and_code_that_is_there() -> None:
    for experiment in EXPERIMENTS:
        for scale in ("small", "paper"):
            cases = experiment.cases(scale)
            assert len({case.name for case in cases}) == len(cases)
            assert all(case.sources for case in cases)
    assert len({code_digest(*case.sources) for experiment in EXPERIMENTS for case in experiment.cases("small")}) > 3
