"""Do files and boxes say which pixels a person leaves out?"""

import numpy as np
import pytest

from napari_autostructn2v.errors import ConfigError, FileError, StackError
from napari_autostructn2v.io import write_stack
from napari_autostructn2v.io.left_out import LeftOut

SHAPE = (4, 40, 50)


@pytest.fixture
def grid():
    mask = np.zeros(SHAPE[1:], np.uint8)
    mask[30:] = 255
    return mask


def test_nothing_is_left_out_by_nothing():
    assert LeftOut.from_texts([]).of(SHAPE) is None


def test_masks_and_boxes_add_up(tmp_path, grid):
    texts = ["0:5,0:50", "1:3,10:20,20:30", str(write_stack(tmp_path / "grid.tif", grid))]
    right = np.zeros(SHAPE, bool)
    right[:, :5] = right[:, 30:] = right[1:3, 10:20, 20:30] = True
    left_out = LeftOut.from_texts(texts).of(SHAPE)
    assert left_out.shape == SHAPE
    np.testing.assert_array_equal(np.asarray(left_out), right)


def test_what_is_alike_in_all_slices_is_one_mask(tmp_path, grid):
    """A mask of each slice of a stack larger than memory would not fit in it."""
    texts = ["0:5,0:50", "0:4,5:10,0:50", str(write_stack(tmp_path / "grid.tif", grid))]
    left_out = LeftOut.from_texts(texts).of(SHAPE)
    assert isinstance(left_out, np.ndarray) and left_out.shape == SHAPE[1:]
    assert left_out[:10].all() and left_out[30:].all() and not left_out[10:30].any()


def test_a_mask_of_each_slice_is_read_as_it_is_needed(tmp_path):
    mask = np.zeros(SHAPE, np.uint8)
    mask[2, 7, 9] = 1
    left_out = LeftOut.from_texts([str(write_stack(tmp_path / "mask.mrc", mask))]).of(SHAPE)
    assert not isinstance(left_out, np.ndarray)
    assert np.argwhere(np.asarray(left_out)).tolist() == [[2, 7, 9]]


def test_of_a_single_slice():
    left_out = LeftOut.from_texts(["0:5,0:50"]).of(SHAPE[1:])
    assert left_out.shape == SHAPE[1:] and left_out[:5].all() and not left_out[5:].any()


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("0:5", ConfigError, "no box. Write Y0:Y1,X0:X1 or Z0:Z1,Y0:Y1,X0:X1"),
        ("0:5,0:9,b:4", ConfigError, "no box"),
        ("0:5,40:51", StackError, "does not lie in the stack"),
        ("5:5,0:9", StackError, "does not lie in the stack"),
        ("0:5,0:9,0:9", StackError, "does not lie in the stack"),
        ("missing.tif", FileError, "missing.tif"),
    ],
)
def test_what_cannot_be_is_told(text, error, said):
    with pytest.raises(error, match=said):
        LeftOut.from_texts([text]).of(SHAPE)


def test_a_mask_of_another_size(tmp_path):
    other = write_stack(tmp_path / "other.tif", np.ones((30, 30), np.uint8))
    with pytest.raises(StackError, match=r"other.tif has shape \(30, 30\), the stack \(4, 40, 50\)"):
        LeftOut.from_texts([str(other)]).of(SHAPE)
