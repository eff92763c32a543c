"""The training job end to end: what comes out loads, repeats, says what it is worth; what fails leaves nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from sklearn.datasets import load_iris

from guard.bundle import load_bundle, parse_bundle
from guard.cli.main import main
from guard.errors import GuardError, OutputFailed, SnapshotRefused, TrainingFailed, WrongUse
from guard.spec import ClassLabel, InputSpec, NumberColumn, NumberLabel, TableInput
from guard.verdict import Status
from tests.support.gates import make_audit
from training.cli.train import _print
from training.job import TrainedBundle, _verified, train_bundle
from training.snapshot import Snapshot, snapshot_from_arrays, write_snapshot
from training.wrong_labels import wrong_labels

T = TypeVar("T")
_NAMES = ("sepal length", "sepal width", "petal length", "petal width")


def _iris() -> Snapshot:
    data, chosen = load_iris(), np.random.default_rng(0).permutation(150)
    columns = tuple(NumberColumn(name=name, minimum=0, maximum=20) for name in _NAMES)
    spec = InputSpec(input=TableInput(columns=columns), label=ClassLabel(values=("setosa", "versicolor", "virginica")))
    return snapshot_from_arrays(data.data[chosen], data.target[chosen].astype(np.int64), spec)


def _petals(rows: int) -> Snapshot:
    """Regression: the petal's width from the other three measures."""
    data = load_iris().data[np.random.default_rng(0).permutation(150)[:rows]]
    columns = tuple(NumberColumn(name=name, minimum=0, maximum=20) for name in _NAMES[:3])
    spec = InputSpec(input=TableInput(columns=columns), label=NumberLabel(minimum=0, maximum=3))
    return snapshot_from_arrays(data[:, :3], data[:, 3], spec)


@pytest.fixture(scope="session")
def iris_bundle(tmp_path_factory: pytest.TempPathFactory) -> TrainedBundle:
    snapshot, out = _iris(), tmp_path_factory.mktemp("job") / "iris"
    settings = {"name": "iris", "version": "7", "audit": make_audit(snapshot.digest, rows=150, drawn=150)}
    return train_bundle(snapshot, out, preset="fast", device="cpu", augmenter="none", **settings)


def test_a_bundle_loads_and_holds_wrong_labels_and_suggests_the_right_ones(iris_bundle: TrainedBundle) -> None:
    bundle, snapshot = load_bundle(iris_bundle.path, sha256=iris_bundle.digest), _iris()
    wrong = wrong_labels(snapshot.y, snapshot.spec, np.random.default_rng(3))
    flipped = bundle.judge_arrays(snapshot.x, wrong)
    trusted = bundle.judge_arrays(snapshot.x, snapshot.y)
    held = [verdict.status is Status.QUARANTINED for verdict in flipped]
    names = snapshot.spec.label.values
    right = [v.suggested_label == names[y] for v, y, h in zip(flipped, snapshot.y, held, strict=True) if h]
    assert np.mean(held) > 0.8
    assert np.mean(right) > 0.9
    assert np.mean([verdict.status is Status.QUARANTINED for verdict in trusted]) < 0.05


def test_the_manifest_says_how_the_bundle_was_made(iris_bundle: TrainedBundle) -> None:
    manifest = iris_bundle.manifest
    assert (manifest.name, manifest.version, manifest.alpha.value) == ("iris", "7", 0.01)
    assert manifest.alpha.calibration_rows == 150
    assert not manifest.alpha.extrapolated
    assert manifest.snapshot_digest == _iris().digest
    assert manifest.audit == make_audit(_iris().digest, rows=150, drawn=150)
    assert manifest.training["preset"] == "fast"
    assert manifest.training["seed"] == 0
    assert manifest.training["augmenter"] == {"name": "none", "chosen_by": "operator"}
    assert set(manifest.training["seconds"]) >= {"nll", "export"}
    assert max(member.weight for member in manifest.members) == 1
    assert "torch" in manifest.libraries


def test_golden_vectors_hold_some_and_pass_some(iris_bundle: TrainedBundle) -> None:
    golden = parse_bundle(iris_bundle.path).golden
    half = len(golden.x) // 2
    assert golden.held[half:].mean() > 0.5 > golden.held[:half].mean()
    assert set(golden.y.tolist()) == {0, 1, 2}


def test_the_self_test_finds_the_members_that_read_labels(iris_bundle: TrainedBundle) -> None:
    found = {worth.member: worth for worth in iris_bundle.worth}
    assert found["nll"].auroc > 0.95
    assert found["fused"].auroc > 0.95
    assert found["fused"].recall > 0.7
    recorded = iris_bundle.manifest.metrics["wrong label"]
    assert recorded["fused"]["auroc"] == pytest.approx(found["fused"].auroc, abs=1e-4)


def test_the_same_seed_gives_the_same_scores_and_another_seed_others(
    iris_bundle: TrainedBundle, command_bundle: tuple[Path, str], tmp_path: Path
) -> None:
    again = train_bundle(
        _iris(), tmp_path / "again", preset="fast", device="cpu", augmenter="none", name="iris", version="7"
    )
    first, second, third = (parse_bundle(each) for each in (iris_bundle.path, again.path, command_bundle[0]))
    np.testing.assert_array_equal(first.calibration.scores, second.calibration.scores)
    assert first.stored.contents["model.onnx"] == second.stored.contents["model.onnx"]
    assert first.stored.contents["golden.npz"] == second.stored.contents["golden.npz"]
    assert not np.array_equal(first.calibration.scores, third.calibration.scores)


def test_regression_holds_what_is_far_off_and_suggests_a_number(tmp_path: Path) -> None:
    """From fewer rows than α asks for, which is marked, and refused when strict."""
    snapshot = _petals(90)
    with pytest.raises(
        SnapshotRefused, match=r"from 99 calibration samples on; this snapshot has 90.*--strict refuses"
    ):
        train_bundle(snapshot, tmp_path / "strict", preset="fast", strict=True)
    trained = train_bundle(snapshot, tmp_path / "petals", preset="fast", device="cpu", augmenter="mixup")
    assert trained.manifest.alpha.extrapolated
    assert "α is extrapolated" in (trained.path / "report.html").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["petals"]
    bundle = load_bundle(trained.path)
    far = np.where(snapshot.y > 1.25, snapshot.y - 1.2, snapshot.y + 1.2)
    verdicts = bundle.judge_arrays(snapshot.x, far)
    held = [verdict for verdict in verdicts if verdict.status is Status.QUARANTINED]
    assert len(held) > 0.9 * len(verdicts)
    error = [abs(v.suggested_label - y) for v, y in zip(verdicts, snapshot.y, strict=True) if v in held]
    assert np.median(error) < 0.2


class _Interrupted:
    """A person presses Ctrl-C in the middle of the loop over members."""

    def track(self, items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:  # noqa: ARG002 – the protocol
        for index, item in enumerate(items):
            if what == "members" and index == 1:
                raise KeyboardInterrupt
            yield item


def test_an_interrupted_job_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train_bundle(_iris(), tmp_path / "half", preset="fast", device="cpu", augmenter="none", progress=_Interrupted())
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_that_the_guard_refuses_is_removed(iris_bundle: TrainedBundle, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(iris_bundle.path, broken)
    (broken / "model.onnx").write_bytes(b"not a graph")
    with pytest.raises(TrainingFailed, match=r"the guard refuses the new bundle, it was removed: .*model\.onnx"):
        _verified(broken, iris_bundle.digest)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"alpha": 0.0}, WrongUse, "alpha is 0"),
        ({"preset": "slow"}, WrongUse, "there is no preset 'slow'; use one of fast, standard, paper"),
        ({"device": "tpu"}, WrongUse, "there is no device 'tpu'"),
        ({"augmenter": "gan"}, WrongUse, "there is no augmenter 'gan'; use one of auto, cgan, mixup, smote, none"),
        ({"name": "../x"}, WrongUse, "name '../x' must be"),
        ({"version": ""}, WrongUse, "version '' must be"),
        ({"seed": -1}, WrongUse, "seed -1 does not lie"),
        ({"audit": make_audit("f" * 64)}, WrongUse, "the audit is about the snapshot ffffffffffff…"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused_before_any_work(
    settings: dict[str, object], error: type[GuardError], message: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        train_bundle(_iris(), tmp_path / "out", **settings)


def test_an_output_that_exists_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(OutputFailed, match="exists already"):
        train_bundle(_iris(), tmp_path)


@pytest.fixture(scope="session")
def command_bundle(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A bundle that the command made from a CSV file with another seed, and what it printed."""
    folder = tmp_path_factory.mktemp("command")
    data, printed = load_iris(), StringIO()
    rows = [",".join([*map(str, x), data.target_names[y]]) for x, y in zip(data.data, data.target, strict=True)]
    (folder / "iris.csv").write_text("\n".join(["sl,sw,pl,pw,kind", *rows]))
    options = ["--label", "kind", "--preset", "fast", "--device", "cpu", "--alpha", "0.02", "--seed", "1", "--json"]
    with redirect_stdout(printed):
        assert main(["train", str(folder / "iris.csv"), "--out", str(folder / "bundle"), *options]) == 0
    return folder / "bundle", printed.getvalue()


def test_the_command_trains_from_a_file_and_prints_json(command_bundle: tuple[Path, str]) -> None:
    path, printed = command_bundle
    said = json.loads(printed)
    assert said["digest"] == parse_bundle(path).stored.digest
    assert said["alpha"]["value"] == 0.02
    assert said["training"]["augmenter"]["chosen_by"] == "auto"
    assert set(said["training"]["augmenter"]["gain"]) == {"cgan", "mixup", "smote"}
    assert said["alpha"]["sentence"].startswith("α = 2 % is guaranteed from 49 calibration samples on")
    assert {worth["member"] for worth in said["worth"]} > {"nll", "fused"}


def test_people_see_members_with_their_worth_and_what_comes_next(
    iris_bundle: TrainedBundle, capsys: pytest.CaptureFixture[str]
) -> None:
    _print(iris_bundle)
    printed = capsys.readouterr().out
    for member in iris_bundle.manifest.members:
        assert member.name in printed
    assert "α = 1 % is guaranteed from 99 calibration samples on; this snapshot has 150" in printed
    assert f"depois filter samples.jsonl --bundle {iris_bundle.path} --out filtered" in printed


def test_a_label_for_a_snapshot_is_wrong_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_snapshot(_iris(), tmp_path / "snapshot")
    code = main(["train", str(tmp_path / "snapshot"), "--out", str(tmp_path / "out"), "--label", "kind"])
    assert code == 2
    assert "is a snapshot: its label and task are fixed; leave out --label and --task" in capsys.readouterr().err


@pytest.mark.parametrize("what", ["--help", "absent"])
def test_the_command_never_ends_in_a_traceback(what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(
        ["train", "--help"] if what == "--help" else ["train", str(tmp_path / "no"), "--out", str(tmp_path / "o")]
    )
    captured = capsys.readouterr()
    assert code == (0 if what == "--help" else 1)
    assert "Traceback" not in captured.err
    assert "Example: depois train" in captured.out or "no" in captured.err
