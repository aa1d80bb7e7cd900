"""A kernel that a run is given is the one that is reviewed, and a person may go on from it."""

import numpy as np
import pytest

from napari_autostructn2v.config import Config
from napari_autostructn2v.events import finish
from napari_autostructn2v.kernel import Edits
from napari_autostructn2v.runs.request import RunRequest
from napari_autostructn2v.runs.stages import examine_noise
from napari_autostructn2v.stack import as_stack
from napari_autostructn2v.synthetic import sample

GIVEN = np.ones((1, 5), bool)


@pytest.fixture(scope="module")
def stack():
    return sample("scan_lines", shape=(6, 128, 128)).noisy


def review(stack, mode="2d", kernel=GIVEN, edits=None):
    request = RunRequest(mode, Config(), kernel=kernel)
    return finish(examine_noise(as_stack(stack), stack / 2, request, None, edits))


def test_it_is_the_kernel_of_the_review(stack):
    found = review(stack)
    np.testing.assert_array_equal(found.analysis.kernel, GIVEN)
    assert found.analysis.by_hand and "set by hand" in found.analysis.verdict.summary
    assert review(stack, kernel=None).analysis.kernel.shape[1] > 5, "another one is found"


def test_what_was_painted_on_it_later_counts(stack):
    first = review(stack)
    grid = first.kernel_grid.copy()
    middle = grid.shape[0] // 2
    grid[middle - 1, middle] = grid[middle + 1, middle] = True
    painted = first.with_kernel_grid(grid)
    again = review(stack, edits=painted.kernel_edits)
    np.testing.assert_array_equal(again.analysis.kernel, painted.analysis.kernel)
    assert again.analysis.kernel.shape == (3, 5)


def test_one_of_three_slices(stack):
    kernel = np.zeros((3, 1, 5), bool)
    kernel[1] = True
    np.testing.assert_array_equal(review(stack, "2.5d", kernel).analysis.kernel, kernel)


def test_one_too_large_to_be_painted_is_left_to_the_run(stack):
    found = review(stack, kernel=np.ones((1, 101), bool))
    assert found.kernel_edits == Edits()
