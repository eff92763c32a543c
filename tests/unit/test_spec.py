from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from guard.spec import (
    BooleanColumn,
    CategoryColumn,
    ClassLabel,
    ImageInput,
    InputSpec,
    NumberColumn,
    NumberLabel,
    TableInput,
)
from tests.support.records import SPECS


@pytest.mark.parametrize("name", SPECS)
def test_specification_survives_json(name: str) -> None:
    spec = SPECS[name]
    assert InputSpec.model_validate_json(spec.model_dump_json()) == spec


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\nb", "a\0b", "\x1f"])
def test_column_names_need_no_escape(name: str) -> None:
    for column in (NumberColumn, CategoryColumn, BooleanColumn):
        with pytest.raises(ValidationError, match="name"):
            column.model_validate({"name": name, "minimum": 0, "maximum": 1, "values": ["a"]})


@pytest.mark.parametrize("name", ["", "a:b", "größe", "c0", "__class__", "def", "1 2"])
def test_any_other_text_is_a_column_name(name: str) -> None:
    assert BooleanColumn(name=name).name == name


A, B = BooleanColumn(name="a"), BooleanColumn(name="b")


@pytest.mark.parametrize(
    ("model", "fields", "said"),
    [
        (TableInput, {"columns": (A, B, A)}, "twice"),
        (TableInput, {"columns": ()}, "at least 1"),
        (CategoryColumn, {"name": "a", "values": ("x", "y", "x")}, "twice"),
        (CategoryColumn, {"name": "a", "values": ()}, "at least 1"),
        (ClassLabel, {"values": ("x", "x")}, "twice"),
        (ClassLabel, {"values": (1, 1)}, "twice"),
        (ClassLabel, {"values": (1,)}, "at least 2"),
        (ClassLabel, {"values": (1, "x")}, "values"),
        (NumberColumn, {"name": "a", "minimum": 1, "maximum": 0}, "above"),
        (NumberLabel, {"minimum": 1, "maximum": 0}, "above"),
        (NumberLabel, {"minimum": float("-inf"), "maximum": 0}, "finite"),
        (ImageInput, {"height": 5000, "width": 1, "channels": 1}, "4096"),
        (ImageInput, {"height": 1, "width": 1, "channels": 4}, "channels"),
    ],
)
def test_what_means_nothing_is_refused(model: Any, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        model(**fields)


def test_task_follows_from_the_label() -> None:
    assert SPECS["mixed"].task == "classification"
    assert SPECS["numeric"].task == "regression"
