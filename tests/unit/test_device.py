"""The device of a job, and that arithmetic on it repeats."""

from __future__ import annotations

from contextlib import suppress

import pytest
import torch

from guard.errors import WrongUse
from training.device import deterministic, resolve_device, torch_settings


def test_cpu_is_the_cpu() -> None:
    assert resolve_device("cpu").type == "cpu"


def test_auto_takes_a_gpu_only_where_there_is_one() -> None:
    assert resolve_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_refused_with_advice() -> None:
    with pytest.raises(WrongUse, match="sees no GPU here; use --device cpu"):
        resolve_device("cuda")


def test_deterministic_arithmetic_ends_with_the_block_even_when_it_fails() -> None:
    with suppress(KeyError), deterministic():
        assert torch_settings(torch.device("cpu"))["deterministic"] is True
        raise KeyError
    assert not torch.are_deterministic_algorithms_enabled()
