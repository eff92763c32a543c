from __future__ import annotations

from guard.spec import CategoryColumn, ClassLabel, InputSpec, NumberLabel, TableInput
from tests.unit.defence_tester import CLASSES, NUMBER
from training.datasets import load_digits_images
from training.defences.baselines import DEFENCES


def test_names_are_unique_and_every_defence_says_what_it_needs() -> None:
    assert len({defence.name for defence in DEFENCES}) == len(DEFENCES)
    assert all(defence.needs and defence.description for defence in DEFENCES)


def test_which_defence_applies_where() -> None:
    text = TableInput(columns=(CategoryColumn(name="a", values=("x", "y")),))
    classes, number = (
        {"deep-knn", "centroid", "centroid-untrusted", "label-sanitisation", "duti", "sever"},
        {"trim", "duti", "sever"},
    )
    expected = (
        (load_digits_images().spec, classes),
        (CLASSES, classes),
        (InputSpec(input=text, label=ClassLabel(values=(0, 1))), classes),
        (NUMBER, number),
        (InputSpec(input=text, label=NumberLabel(minimum=0, maximum=1)), number),
    )
    for spec, names in expected:
        assert {defence.name for defence in DEFENCES if defence.applies(spec)} == names
