"""Preprocessing against scikit-learn, on tables of every kind."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from guard.spec import (
    BooleanColumn,
    CategoryColumn,
    ClassLabel,
    Column,
    ImageInput,
    InputSpec,
    NumberColumn,
    TableInput,
)
from training.preprocess import CLIP, LabelScale, Preprocess, TablePreprocess

_LABEL = ClassLabel(values=("a", "b"))


def _table(*columns: Column) -> InputSpec:
    return InputSpec(input=TableInput(columns=columns), label=_LABEL)


def _number(name: str = "v", *, gaps: bool = False) -> NumberColumn:
    return NumberColumn(name=name, minimum=-1e300, maximum=1e300, gaps=gaps)


def _fit(spec: InputSpec, x: np.ndarray, rows: np.ndarray | None = None) -> TablePreprocess:
    fitted = Preprocess.fit(spec, x, np.arange(len(x)) if rows is None else rows)
    assert isinstance(fitted, TablePreprocess)
    return fitted


def _z(module: torch.nn.Module, x: np.ndarray) -> np.ndarray:
    return module(torch.from_numpy(x)).numpy()


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(4, 40),
    numbers=st.integers(0, 4),
    categories=st.integers(0, 3),
    gap=st.sampled_from([0.0, 0.3]),
)
def test_a_table_agrees_with_scikit_learn(seed: int, rows: int, numbers: int, categories: int, gap: float) -> None:
    rng = np.random.default_rng(seed)
    columns: list[Column] = [_number(f"n{i}", gaps=True) for i in range(numbers + 1)]
    columns += [CategoryColumn(name=f"c{i}", values=("p", "q", "r"), gaps=True) for i in range(categories)]
    values = rng.normal(rng.uniform(-1e3, 1e3, numbers + 1), rng.uniform(1e-3, 1e3, numbers + 1), (rows, numbers + 1))
    x = np.hstack([values, rng.integers(0, 3, (rows, categories)).astype(float)])
    x[rng.random(x.shape) < gap] = np.nan
    x[:3, : numbers + 1] = values[:3]  # at least three distinct values: the plain case of a number
    order = rng.permutation(x.shape[1])
    spec = _table(*[columns[i] for i in order])

    got = _z(_fit(spec, x[:, order]), x[:, order])

    isnumber = order <= numbers
    number, category = x[:, order[isnumber]], x[:, order[~isnumber]]
    # scikit-learn scales before or after imputing; ours takes mean and deviation over the known values.
    filled = SimpleImputer(strategy="median").fit_transform(number)
    parts = [np.clip(StandardScaler().fit(number).transform(filled), -CLIP, CLIP)]
    if categories:
        encoder = OneHotEncoder(categories=[[0.0, 1.0, 2.0]] * categories, handle_unknown="ignore", sparse_output=False)
        parts.append(encoder.fit([[0.0] * categories]).transform(np.where(np.isnan(category), 9.0, category)))
    parts.append(np.isnan(x[:, order]).astype(float))
    np.testing.assert_allclose(got, np.hstack(parts), rtol=2e-6, atol=2e-6)


def test_only_the_given_rows_are_learned_from() -> None:
    x = np.array([[0.0], [1.0], [2.0], [1e9], [np.nan]])
    fitted = _fit(_table(_number(gaps=True)), x, np.array([0, 1, 2]))
    np.testing.assert_allclose(_z(fitted, x)[:3, 0], [-1.2247449, 0, 1.2247449], rtol=1e-6)
    assert _z(fitted, x)[3, 0] == CLIP
    np.testing.assert_array_equal(_z(fitted, x)[4], [0.0, 1.0])


@pytest.mark.parametrize(
    ("column", "values", "expected"),
    [
        (_number(), [5.0, 7.0, 5.0], [0.0, 1.0, 0.0]),
        (_number(), [4.0, 4.0, 4.0], [0.0, 0.0, 0.0]),
        (_number(), [1e300, -1e300, 0.0], [1.2247449, -1.2247449, 0.0]),
        (_number(gaps=True), [np.nan, np.nan, np.nan], [0.0, 0.0, 0.0]),
        (BooleanColumn(name="b"), [1.0, 0.0, 1.0], [1.0, 0.0, 1.0]),
        (BooleanColumn(name="b"), [1.0, 1.0, 1.0], [1.0, 1.0, 1.0]),
    ],
    ids=["two values", "constant", "huge", "only gaps", "boolean", "constant boolean"],
)
def test_unusual_columns(column: Column, values: list[float], expected: list[float]) -> None:
    x = np.array(values)[:, None]
    np.testing.assert_allclose(_z(_fit(_table(column), x), x)[:, 0], expected, rtol=1e-6, atol=1e-7)


def test_small_differences_on_a_large_offset_survive_single_precision() -> None:
    x = 1.7e9 + np.arange(100.0)[:, None]
    np.testing.assert_allclose(_z(_fit(_table(_number()), x), x), StandardScaler().fit_transform(x), atol=1e-5)


@pytest.mark.parametrize("index", [-1.0, 3.0, 1e18, 0.5, np.nan])
def test_an_index_outside_the_categories_lights_no_slot(index: float) -> None:
    spec = _table(CategoryColumn(name="c", values=("p", "q", "r")))
    fitted = _fit(spec, np.array([[0.0], [1.0], [2.0]]))
    np.testing.assert_array_equal(_z(fitted, np.array([[index]])), [[0.0, 0.0, 0.0]])


def test_names_describe_each_column_of_z() -> None:
    spec = _table(CategoryColumn(name="c", values=("p", "q"), gaps=True), _number(), BooleanColumn(name="b"))
    fitted = _fit(spec, np.array([[0.0, 1.0, 1.0], [1.0, 2.0, 0.0]]))
    assert fitted.names == ("v", "b", "c = p", "c = q", "c is missing")
    assert _z(fitted, np.zeros((1, 3))).shape == (1, 5)


def test_images_become_channels_first_in_the_unit_interval() -> None:
    spec = InputSpec(input=ImageInput(height=2, width=3, channels=3), label=_LABEL)
    x = np.random.default_rng(0).integers(0, 256, (4, 2, 3, 3), dtype=np.uint8)
    np.testing.assert_allclose(
        _z(Preprocess.fit(spec, x, np.arange(4)), x), x.transpose(0, 3, 1, 2) / np.float32(255), rtol=1e-7
    )


@given(
    values=st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=30),
)
@settings(deadline=None)
def test_a_label_survives_the_way_there_and_back(values: list[float]) -> None:
    y = np.array(values)
    scale = LabelScale(y)
    standardised = scale(torch.from_numpy(y))
    assert torch.isfinite(standardised).all()
    np.testing.assert_allclose(scale.inverse(standardised).numpy(), y, atol=3e-7 * np.abs(y).max() + 1e-300, rtol=1e-6)


def test_standardised_labels_agree_with_scikit_learn() -> None:
    y = np.random.default_rng(1).normal(180_000, 80_000, 200)
    np.testing.assert_allclose(
        LabelScale(y)(torch.from_numpy(y)).numpy(),
        StandardScaler().fit_transform(y[:, None])[:, 0],
        rtol=1e-5,
        atol=1e-6,
    )
