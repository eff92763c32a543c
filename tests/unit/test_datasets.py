from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sklearn.datasets import load_digits

from guard.errors import InputUnreadable, WrongUse
from guard.images import decode_image
from guard.spec import ClassLabel, ImageInput, TableInput
from training.datasets import (
    DATASETS,
    Dataset,
    data_folder,
    load_cifar10,
    load_dataset,
    load_digits_images,
    load_fourclass,
    load_house,
    load_mnist,
    split_dataset,
)

needs_data = pytest.mark.skipif(not data_folder().is_dir(), reason=f"real data sets are not in {data_folder()}")


def test_digits_are_the_images_of_scikit_learn() -> None:
    digits = load_digits_images()
    assert digits.x.shape == (1797, 8, 8, 1)
    assert digits.x.dtype == np.uint8
    assert np.array_equal(digits.x[..., 0] / 15, load_digits().images)
    assert np.array_equal(digits.y, load_digits().target)


@needs_data
def test_mnist_keeps_the_publishers_split() -> None:
    mnist = load_mnist()
    assert mnist.x.shape == (70_000, 28, 28, 1)
    assert mnist.x.dtype == np.uint8
    assert (mnist.training_rows, mnist.clean_rows) == (60_000, 50_000)
    assert set(np.unique(mnist.y)) == set(range(10))


@needs_data
def test_cifar10_keeps_the_publishers_split_the_names_and_the_pixels_of_its_files() -> None:
    """Of every thousandth file, the pixels that an independent decoder of the format, the guard's own, finds."""
    cifar = load_cifar10()
    assert cifar.x.shape == (60_000, 32, 32, 3)
    assert (cifar.training_rows, cifar.clean_rows) == (50_000, 41_667)
    assert np.bincount(cifar.y[:50_000]).tolist() == [5000] * 10
    assert np.bincount(cifar.y[50_000:]).tolist() == [1000] * 10
    assert isinstance(cifar.spec.input, ImageInput)
    assert isinstance(cifar.spec.label, ClassLabel)
    assert cifar.spec.label.values[6::2] == ("frog", "ship")
    with np.load(data_folder() / "cifar10-jpeg.npz") as arrays:
        files, offsets = arrays["test_jpeg"].tobytes(), arrays["test_offset"]
    for row in range(0, 10_000, 1000):
        pixels = decode_image("jpeg", files[offsets[row] : offsets[row + 1]], cifar.spec.input)
        assert cifar.x[50_000 + row].tobytes() == pixels


@needs_data
def test_fourclass_survives_crlf_and_signs() -> None:
    fourclass = load_fourclass()
    assert fourclass.x.shape == (862, 2)
    assert np.bincount(fourclass.y).tolist() == [555, 307]
    assert np.allclose(fourclass.x[0], [0.747253, 0.894737])
    assert isinstance(fourclass.spec.label, ClassLabel)
    assert fourclass.spec.label.values == (-1, 1)


@needs_data
def test_house_has_274_named_columns_and_a_price() -> None:
    house = load_house()
    assert house.x.shape == (1460, 274)
    assert isinstance(house.spec.input, TableInput)
    names = [column.name for column in house.spec.input.columns]
    assert names[0] == "LotFrontage"
    assert "Street:Grvl" in names
    assert (house.y.min(), house.y.max()) == (0, 1)


@needs_data
@pytest.mark.parametrize("name", DATASETS)
def test_every_row_is_legal_under_its_own_spec(name: str) -> None:
    dataset = load_dataset(name)
    if isinstance(dataset.spec.input, ImageInput):
        box = dataset.spec.input
        assert dataset.x.shape[1:] == (box.height, box.width, box.channels)
    else:
        low, high = np.array([(c.minimum, c.maximum) for c in dataset.spec.input.columns]).T
        assert ((dataset.x >= low) & (dataset.x <= high)).all()


def test_an_absent_folder_is_named_with_what_to_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DEPOIS_DATA", str(tmp_path / "nowhere"))
    for load in (load_mnist, load_cifar10, load_fourclass, load_house):
        with pytest.raises(InputUnreadable, match=r"nowhere.*set DEPOIS_DATA"):
            load()


@pytest.mark.parametrize("content", [b"", b"\x00\xff\x00", b"hello world", b"SalePrice,a\r\n1,2,3\r\n", b"1 2 3 4\r\n"])
def test_a_file_that_is_something_else_is_refused(
    content: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DEPOIS_DATA", str(tmp_path))
    for name, load in (
        ("mnist.npz", load_mnist),
        ("cifar10-jpeg.npz", load_cifar10),
        ("fourclass.txt", load_fourclass),
        ("house-processed.csv", load_house),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputUnreadable, match="not the data set"):
            load()


@pytest.mark.parametrize("damage", ["side", "mode", "end", "names"])
def test_damaged_jpeg_files_are_refused(damage: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DEPOIS_DATA", str(tmp_path))
    shape = {"side": (16, 16, 3), "mode": (32, 32)}.get(damage, (32, 32, 3))
    Image.fromarray(np.zeros(shape, dtype=np.uint8)).save(tmp_path / "one.jpg")
    file = np.fromfile(tmp_path / "one.jpg", dtype=np.uint8)
    offset = np.array([0, len(file) // 2 if damage == "end" else len(file)])
    part = {"jpeg": file, "offset": offset, "label": np.zeros(1, dtype=np.uint8)}
    arrays = {f"{name}_{key}": array for name in ("train", "test") for key, array in part.items()}
    names = np.array(["one"] if damage == "names" else ["one", "two"])
    np.savez(tmp_path / "cifar10-jpeg.npz", class_names=names, **arrays)
    with pytest.raises(InputUnreadable, match="not the data set"):
        load_cifar10()


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(WrongUse, match="digits, mnist, cifar10, fourclass, house"):
        load_dataset("iris")


def rows(n: int, training_rows: int | None = None, clean_rows: int | None = None) -> Dataset:
    spec = load_digits_images().spec
    return Dataset("digits", np.zeros((n, 8, 8, 1), np.uint8), np.zeros(n, np.int64), spec, training_rows, clean_rows)


@given(st.integers(20, 400), st.sampled_from([0.05, 0.1, 0.2]), st.integers(0, 9))
def test_the_parts_of_a_split_are_disjoint_and_cover_all_rows(n: int, share: float, seed: int) -> None:
    split = split_dataset(rows(n), share, np.random.default_rng(seed))
    joined = np.concatenate([split.trusted, split.outside, split.clean_test])
    assert np.array_equal(np.sort(joined), np.arange(n))
    clean = len(split.trusted) + len(split.outside)
    assert clean == round(0.7 * n)
    assert len(split.trusted) == round(share * 1.2 * clean)
    assert split.poison == round(0.2 * clean)


def test_mnist_sizes_of_the_paper() -> None:
    """|Sc| = 50,000 makes |So| = 60,000, of which 20 % are the 12,000 trusted rows."""
    split = split_dataset(rows(70_000, 60_000, 50_000), 0.2, np.random.default_rng(0))
    assert len(split.trusted) == 12_000
    assert len(split.outside) == 38_000
    assert len(split.clean_test) == 20_000
    assert split.poison == 10_000
    assert np.isin(np.arange(60_000, 70_000), split.clean_test).all()


def test_the_same_seed_draws_the_same_split_and_another_seed_another() -> None:
    first, same, other = (split_dataset(rows(300), 50, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first.trusted, same.trusted)
    assert np.array_equal(first.outside, same.outside)
    assert not np.array_equal(first.trusted, other.trusted)
    assert len(first.trusted) == 50


@pytest.mark.parametrize("trusted", [0, 300, 5000, 0.0, 1.0])
def test_more_trusted_rows_than_clean_ones_are_refused(trusted: float) -> None:
    with pytest.raises(WrongUse, match="clean training rows"):
        split_dataset(rows(300), trusted, np.random.default_rng(0))
