from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from training.conditional import NOISE, Discriminator, Generator, Patches, image_trunk
from training.critic import Critic
from training.rows import Rows

TABLE = Rows(torch.randn(8, 5, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 3, 3)
NUMBERS = Rows(TABLE.z, torch.linspace(-1, 1, 8), 0)
IMAGES = Rows(torch.rand(6, 1, 28, 28, generator=torch.Generator().manual_seed(0)), torch.arange(6), 10)
COLOUR = Rows(torch.rand(2, 3, 33, 50, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1]), 2)
TINY = Rows(torch.rand(2, 1, 1, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1]), 2)
EVERY = [TABLE, NUMBERS, IMAGES, COLOUR, TINY]


@pytest.mark.parametrize("label_input", ["concat", "multiply"])
@pytest.mark.parametrize("rows", EVERY, ids=["table", "numbers", "images", "colour", "tiny"])
def test_the_critic_reads_every_kind_of_row_and_hears_its_label(rows: Rows, label_input: str) -> None:
    critic = Critic(rows, label_input).eval()  # type: ignore[arg-type]
    values = critic(rows.z, rows.y)
    assert values.shape == (len(rows),)
    other = (rows.y + 1) % rows.classes if rows.classes else rows.y + 1
    assert (values != critic(rows.z, other)).all()


def test_black_pixels_carry_the_label_when_it_is_multiplied_in() -> None:
    critic = Critic(IMAGES, "multiply").eval()
    black = torch.zeros(2, 1, 28, 28)
    first, second = critic(black, torch.tensor([3, 7])).tolist()
    assert first != second


def test_a_digit_costs_at_most_150_thousand_multiplications() -> None:
    counted: list[int] = []

    def count(layer: nn.Module, _: object, output: torch.Tensor) -> None:
        if isinstance(layer, nn.Conv2d):
            counted.append(output[0].numel() * layer.weight[0].numel())
        elif isinstance(layer, nn.Linear):
            counted.append(output[0].numel() * layer.in_features)

    critic = Critic(IMAGES, "multiply").eval()
    for layer in critic.modules():
        layer.register_forward_hook(count)
    critic(IMAGES.z[:1], IMAGES.y[:1])
    assert 0 < sum(counted) <= 150_000


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 3), st.integers(1, 11), st.integers(1, 11), st.integers(1, 5))
def test_patches_are_a_strided_convolution(channels: int, height: int, width: int, size: int) -> None:
    patches = Patches(channels, 4, (height, width), size)
    x = torch.rand(2, channels, height, width)
    padded = functional.pad(x, (0, -width % size, 0, -height % size))
    kernel = patches.weigh.weight.view(4, channels, size, size)
    expected = functional.conv2d(padded, kernel, patches.weigh.bias, stride=size)
    torch.testing.assert_close(patches(x), expected, rtol=1e-4, atol=1e-5)
    assert patches(x).shape[2:] == (math.ceil(height / size), math.ceil(width / size))


@pytest.mark.parametrize("rows", [IMAGES, COLOUR, TINY], ids=["images", "colour", "tiny"])
def test_the_trunk_says_how_many_features_it_gives(rows: Rows) -> None:
    trunk, features = image_trunk(rows)
    assert trunk(rows.z).shape == (len(rows), features)


@pytest.mark.parametrize("convolution", [False, True])
@pytest.mark.parametrize("rows", EVERY, ids=["table", "numbers", "images", "colour", "tiny"])
def test_what_is_generated_has_the_shape_and_range_of_the_rows(rows: Rows, convolution: bool) -> None:
    generator = Generator(rows, 8, convolution=convolution)
    made = generator(50 * torch.randn(len(rows), NOISE), rows.y)
    assert made.shape == rows.z.shape
    low, high = (0.0, 1.0) if rows.images else (rows.z.amin(dim=0), rows.z.amax(dim=0))
    assert ((made >= torch.as_tensor(low) - 1e-5) & (made <= torch.as_tensor(high) + 1e-5)).all()


@pytest.mark.parametrize("rows", EVERY, ids=["table", "numbers", "images", "colour", "tiny"])
def test_generator_and_discriminator_both_see_the_label(rows: Rows) -> None:
    noise = torch.randn(len(rows), NOISE)
    other = (rows.y + 1) % rows.classes if rows.classes else rows.y + 1
    generator, discriminator = Generator(rows, 8), Discriminator(rows, 16).eval()
    assert not torch.equal(generator(noise, rows.y), generator(noise, other))
    assert not torch.equal(discriminator(rows.z, rows.y), discriminator(rows.z, other))
