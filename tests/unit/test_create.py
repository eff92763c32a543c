"""From a file to a snapshot: what is left out is said, what cannot be learned is refused."""

from __future__ import annotations

import hashlib
import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.datasets import load_breast_cancer, load_iris

from guard.errors import SnapshotRefused, WrongUse
from guard.sample import encode_samples
from guard.spec import CategoryColumn, ClassLabel, NumberLabel
from training.create import create_snapshot
from training.datasets import data_folder, load_fourclass
from training.snapshot import read_snapshot, write_snapshot

needs_data = pytest.mark.skipif(not data_folder().is_dir(), reason=f"real data sets are not in {data_folder()}")


def csv_file(path, header, *columns):
    rows = "".join(",".join(map(str, row)) + "\r\n" for row in zip(*columns, strict=True))
    path.write_text(",".join(header) + "\r\n" + rows, newline="")
    return path


@pytest.fixture
def iris(tmp_path):
    data = load_iris(as_frame=False)
    species = data.target_names[data.target]
    return csv_file(tmp_path / "iris.csv", ["a", "b", "c", "d", "species"], *data.data.T, species)


def codes(created):
    return {finding.code: finding for finding in created.findings}


def test_iris_as_a_csv_file(iris, tmp_path):
    created = create_snapshot(iris, "species", seed=4)
    snapshot = created.snapshot
    data = load_iris()
    np.testing.assert_array_equal(snapshot.x, data.data)
    assert snapshot.spec.label == ClassLabel(values=("setosa", "versicolor", "virginica"))
    np.testing.assert_array_equal(snapshot.y, data.target)
    assert set(codes(created)) == {"task_chosen", "duplicate_rows"}
    assert snapshot.provenance["sha256"] == hashlib.sha256(iris.read_bytes()).hexdigest()
    assert (snapshot.provenance["input"], snapshot.provenance["seed"]) == ("iris.csv", "4")
    assert str(tmp_path) not in str(snapshot.provenance)
    write_snapshot(snapshot, tmp_path / "s")
    assert read_snapshot(tmp_path / "s").digest == snapshot.digest


def test_the_same_rows_give_the_same_content_from_every_kind_of_file(tmp_path):
    x, y = load_breast_cancer(return_X_y=True)
    header = [f"x{k}" for k in range(x.shape[1])]
    first = create_snapshot(csv_file(tmp_path / "t.csv", [*header, "y"], *x.T, y), "y").snapshot
    pq.write_table(pa.table([*x.T, y], names=[*header, "y"]), tmp_path / "t.parquet")
    np.savez(tmp_path / "t.npz", x=x, y=y)
    lines = encode_samples(first.spec, first.x, first.y, ["s"] * len(y))
    (tmp_path / "t.jsonl").write_bytes(b"\n".join(lines))
    for kind, label in (("parquet", "y"), ("npz", None), ("jsonl", None)):
        other = create_snapshot(tmp_path / f"t.{kind}", label).snapshot
        assert other.digest == first.digest, kind


def test_rows_without_label_are_left_out_by_number(tmp_path):
    y = [str(k % 2) for k in range(40)]
    y[2] = y[7] = "NA"
    created = create_snapshot(csv_file(tmp_path / "t.csv", ["x", "y"], np.arange(40) / 7, y), "y")
    finding = codes(created)["missing_label"]
    assert (finding.rows, finding.count, finding.severity) == ((3, 8), 2, "warning")
    assert "rows 3, 8" in created.snapshot.provenance["left_out"]
    assert 3 not in created.snapshot.origin
    assert len(created.snapshot.x) == 38


def test_a_class_of_one_is_left_out_and_its_category_with_it(tmp_path):
    y = ["a", "b"] * 20 + ["c"]
    z = ["u", "v", "w"] * 13 + ["u", "only here"]
    created = create_snapshot(csv_file(tmp_path / "t.csv", ["x", "z", "y"], np.arange(41) / 7, z, y), "y")
    assert codes(created)["class_unlearnable"].rows == (41,)
    assert created.snapshot.spec.label.values == ("a", "b")
    assert created.snapshot.spec.input.columns[1] == CategoryColumn(name="z", values=("u", "v", "w"))


def test_a_column_that_only_a_lonely_class_filled_is_left_out(tmp_path):
    y = ["a", "b"] * 20 + ["c"]
    e = [""] * 40 + ["1"]
    created = create_snapshot(csv_file(tmp_path / "t.csv", ["x", "e", "y"], np.arange(41) / 7, e, y), "y")
    assert [column.name for column in created.snapshot.spec.input.columns] == ["x"]
    assert codes(created)["empty_column"].column == "e"


def test_identifiers_leave_and_can_be_kept(tmp_path):
    path = csv_file(tmp_path / "t.csv", ["Id", "x", "y"], range(40), np.arange(40) % 7, ["p", "q"] * 20)
    assert [column.name for column in create_snapshot(path, "y").snapshot.spec.input.columns] == ["x"]
    kept = create_snapshot(path, "y", keep=["Id"])
    assert [column.name for column in kept.snapshot.spec.input.columns] == ["Id", "x"]
    assert kept.snapshot.provenance["keep"] == "Id"
    with pytest.raises(WrongUse, match="--keep no"):
        create_snapshot(path, "y", keep=["no"])
    with pytest.raises(SnapshotRefused, match=r"no column is left.*'Id'"):
        create_snapshot(path, "y", drop=["x"])


def test_too_few_rows_are_refused_with_what_was_left_out(tmp_path):
    y = ["p", "q"] * 16
    y[0] = y[1] = y[2] = ""
    path = csv_file(tmp_path / "t.csv", ["x", "y"], np.arange(32) % 7, y)
    with pytest.raises(SnapshotRefused, match=r"29 usable rows.*missing.*\(rows 1, 2, 3\); add 1 trusted rows"):
        create_snapshot(path, "y")
    with pytest.raises(SnapshotRefused, match=r"0 usable rows, at least 30 are needed; add 30"):
        create_snapshot(csv_file(tmp_path / "e.csv", ["x", "y"], [], []), "y")


def test_everything_that_refuses_is_said_at_once(tmp_path):
    x = np.arange(40) / 7
    z = x.copy()
    x[3], z[5] = np.inf, -np.inf
    path = csv_file(tmp_path / "t.csv", ["x", "z", "y"], x, z, ["p", "q"] * 20)
    with pytest.raises(SnapshotRefused, match=r"'x' holds infinite.*\(row 4\); column 'z'.*\(row 6\)"):
        create_snapshot(path, "y")


def test_one_class_is_refused(tmp_path):
    with pytest.raises(SnapshotRefused, match="1 usable classes; at least 2"):
        create_snapshot(csv_file(tmp_path / "t.csv", ["x", "y"], np.arange(40) / 7, ["p"] * 40), "y")


def test_images_from_an_archive(tmp_path):
    rng = np.random.default_rng(0)
    file = io.BytesIO()
    np.savez(file, x=rng.integers(0, 256, (50, 6, 5), np.uint8), y=np.arange(50) % 5)
    (tmp_path / "i.npz").write_bytes(file.getvalue())
    snapshot = create_snapshot(tmp_path / "i.npz").snapshot
    assert snapshot.x.shape == (50, 6, 5, 1)
    assert snapshot.spec.label.values == (0, 1, 2, 3, 4)
    np.savez(tmp_path / "t.npz", x=np.zeros((50, 6, 5), np.uint8), y=np.array(["a", "b"] * 25))
    with pytest.raises(SnapshotRefused, match="is text"):
        create_snapshot(tmp_path / "t.npz", task="regression")


@needs_data
def test_house_prices_as_kaggle_gives_them():
    created = create_snapshot(data_folder() / "house-prices-raw.csv", "SalePrice")
    columns = {column.name: column for column in created.snapshot.spec.input.columns}
    assert created.snapshot.x.shape == (1460, 79)
    assert "Id" not in columns
    assert codes(created)["identifier_column"].column == "Id"
    assert "None" in columns["MasVnrType"].values
    assert (columns["LotFrontage"].kind, columns["LotFrontage"].gaps) == ("number", True)
    assert (columns["Alley"].values, columns["Alley"].gaps) == (("Grvl", "Pave"), True)
    assert isinstance(created.snapshot.spec.label, NumberLabel)


@needs_data
def test_fourclass_as_a_csv_file(tmp_path):
    fourclass = load_fourclass()
    sign = np.where(fourclass.y == 1, "+1", "-1")
    snapshot = create_snapshot(csv_file(tmp_path / "f.csv", ["y", "x1", "x2"], sign, *fourclass.x.T), "y").snapshot
    assert snapshot.spec.label.values == (-1, 1)
    np.testing.assert_array_equal(snapshot.x, fourclass.x)
    assert len(snapshot.x) == 862
