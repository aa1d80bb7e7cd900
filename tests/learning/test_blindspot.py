"""The blind spot is blind: nothing of a hidden pixel reaches the network."""

import numpy as np
import pytest
import torch

from napari_autostructn2v.learning.blindspot import (
    MIN_VISIBLE,
    REPLACEMENT_WINDOWS,
    allowed_flips,
    at_sites,
    choose_sites,
    hidden_pixels,
    kernel_offsets,
    replace_hidden,
    sites_per_patch,
)

CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], bool)
SLANT = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]], bool)
THREE = np.stack([SLANT & False, np.ones((3, 3), bool), SLANT & False])
ONE_SIDED = np.array([[0, 0, 0], [0, 1, 1], [0, 0, 0]], bool)


@pytest.mark.parametrize(
    "kernel", [np.ones((1, 1), bool), np.ones((1, 7), bool), CROSS, SLANT, THREE, ONE_SIDED]
)
def test_hidden_is_the_kernel_laid_on_every_site(kernel):
    sites = torch.tensor([[[8, 8]], [[0, 15]]])
    channels = 3 if kernel.ndim == 3 else 1
    hidden = hidden_pixels(torch.Size((2, channels, 16, 16)), sites, kernel_offsets(kernel)).numpy()
    expected = np.zeros_like(hidden)
    for c, dy, dx in np.argwhere(kernel.reshape(-1, *kernel.shape[-2:])):
        for patch, (y, x) in enumerate(sites[:, 0].tolist()):
            y, x = y + dy - kernel.shape[-2] // 2, x + dx - kernel.shape[-1] // 2
            if 0 <= y < 16 and 0 <= x < 16:
                expected[patch, c, y, x] = True
    np.testing.assert_array_equal(hidden, expected)


@pytest.mark.parametrize(
    "kernel", [np.ones((1, 1), bool), np.ones((1, 21), bool), np.ones((15, 15), bool), THREE]
)
def test_the_input_does_not_depend_on_what_is_hidden(kernel):
    generator = torch.Generator().manual_seed(0)
    patches = torch.randn(4, 3 if kernel.ndim == 3 else 1, 64, 64, generator=generator)
    sites = choose_sites(4, sites_per_patch(kernel, 64, 0.15, 0.05), 64, generator)
    hidden = hidden_pixels(patches.shape, sites, kernel_offsets(kernel))
    disturbed = torch.where(hidden, torch.randn(patches.shape, generator=generator) * 100, patches)
    masked = replace_hidden(patches, hidden)
    torch.testing.assert_close(masked, replace_hidden(disturbed, hidden))
    assert torch.equal(masked[~hidden], patches[~hidden])
    assert masked.isfinite().all()
    if kernel.size < 200:  # a guess from the surroundings, not a hole
        assert masked[hidden].abs().max() < 4


def mean_of_visible(image, hidden, y, x):
    """The mean that replaces a pixel, as its definition says."""
    for side in REPLACEMENT_WINDOWS:
        window = tuple(slice(max(0, at - side // 2), at + side // 2 + 1) for at in (y, x))
        visible = image[window][~hidden[window]]
        if len(visible) >= MIN_VISIBLE or side == REPLACEMENT_WINDOWS[-1]:
            return visible.mean() if len(visible) else torch.tensor(0.0)


@pytest.mark.parametrize(
    "kernel",
    [np.ones((1, 1), bool), np.ones((1, 15), bool), np.ones((9, 9), bool), np.ones((23, 23), bool), THREE],
)
def test_what_is_hidden_becomes_the_mean_of_what_is_visible_around(kernel):
    generator = torch.Generator().manual_seed(1)
    patches = torch.randn(3, 3 if kernel.ndim == 3 else 1, 32, 32, generator=generator)
    count = sites_per_patch(kernel, 32, 0.15, 0.05)
    corners = torch.tensor([[0, 0], [0, 31], [31, 0], [31, 31]]).expand(3, 4, 2)
    sites = torch.cat([choose_sites(3, count, 32, generator), corners], dim=1)
    hidden = hidden_pixels(patches.shape, sites, kernel_offsets(kernel))
    masked = replace_hidden(patches, hidden)
    assert torch.equal(masked[~hidden], patches[~hidden])
    for n, c, y, x in hidden.nonzero().tolist():
        expected = mean_of_visible(patches[n, c], hidden[n, c], y, x)
        torch.testing.assert_close(masked[n, c, y, x], expected)


def test_sites_are_drawn_anew_and_the_seed_repeats_them():
    first, second = (choose_sites(2, 50, 64, g) for g in [torch.Generator().manual_seed(3)] * 2)
    again = choose_sites(2, 50, 64, torch.Generator().manual_seed(3))
    assert not torch.equal(first, second)
    assert torch.equal(first, again)
    assert first.min() >= 0 and first.max() < 64


def test_a_large_kernel_gets_fewer_sites():
    counts = [sites_per_patch(np.ones((1, n), bool), 64, 0.15, 0.05) for n in (1, 3, 21, 61)]
    assert counts == [205, 205, 29, 10]


def test_values_are_read_at_the_sites():
    image = torch.arange(12.0).reshape(1, 3, 4)
    assert at_sites(image, torch.tensor([[[0, 0], [2, 1], [1, 3]]])).tolist() == [[0, 9, 7]]


def test_no_flip_turns_the_kernel_away_from_the_noise():
    assert set(allowed_flips(np.ones((1, 9), bool))) == {
        (False, y, x) for y in (False, True) for x in (False, True)
    }
    assert allowed_flips(SLANT) == [(False, False, False), (False, True, True)]
    assert allowed_flips(ONE_SIDED) == [(False, False, False), (False, True, False)]
    leaning = np.zeros((3, 3, 3), bool)
    leaning[0, 0, 1] = leaning[2, 2, 1] = leaning[1, 1, 1] = True
    assert (True, False, False) not in allowed_flips(leaning)
    assert (True, True, False) in allowed_flips(leaning)
