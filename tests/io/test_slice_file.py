"""Stacks that are filled slice by slice, on disk, and outlive the program."""

from pathlib import Path

import numpy as np
import pytest

from napari_autostructn2v.errors import FileError
from napari_autostructn2v.io import VoxelSize, read_stack, tiff
from napari_autostructn2v.io.slice_file import KeptStack, ScratchStack, delete_kept, slices_done

DICE = np.random.default_rng(0)


def filled(path: Path, shape: tuple[int, ...], done: int) -> np.ndarray:
    """The values of a file whose first slices are there."""
    values = DICE.random(shape, np.float32)
    stack = KeptStack(path, shape, "a model", VoxelSize(2, 1, 1))
    for z in range(done):
        stack[z if len(shape) == 3 else ...] = values[z] if len(shape) == 3 else values
    stack.keep(done)
    return values


@pytest.mark.parametrize("shape", [(5, 20, 30), (1, 20, 30), (20, 30)])
def test_what_was_written_is_there_again_and_any_program_reads_it(tmp_path, shape):
    slices = shape[0] if len(shape) == 3 else 1
    values = filled(tmp_path / "made.tif", shape, slices)
    again = KeptStack(tmp_path / "made.tif", shape, "a model")
    assert again.done == slices == slices_done(tmp_path / "made.tif")
    np.testing.assert_array_equal(again, values)
    if len(shape) == 3:
        np.testing.assert_array_equal(again[-1, 3:7], values[-1, 3:7])
    image = read_stack(tmp_path / "made.tif")
    np.testing.assert_array_equal(np.asarray(image.array).reshape(shape), values)
    assert (image.voxel_size.y, image.voxel_size.x) == (1, 1)


def test_what_a_classic_tiff_cannot_hold_becomes_a_large_one(tmp_path, monkeypatch):
    monkeypatch.setattr(tiff, "_CLASSIC_BYTES", 1000)
    values = filled(tmp_path / "made.tif", (3, 20, 30), 3)
    assert (tmp_path / "made.tif").read_bytes()[2] == 43, "the version number of BigTIFF"
    np.testing.assert_array_equal(KeptStack(tmp_path / "made.tif", (3, 20, 30), "a model"), values)


def test_of_another_model_it_begins_anew(tmp_path):
    filled(tmp_path / "made.tif", (5, 20, 30), 3)
    assert KeptStack(tmp_path / "made.tif", (5, 20, 30), "a model").done == 3
    assert KeptStack(tmp_path / "made.tif", (5, 20, 30), "another").done == 0
    assert KeptStack(tmp_path / "made.tif", (5, 20, 30), "a model").done == 0, "that is gone"


@pytest.mark.parametrize(
    "mark",
    [b"", b"{", b"[]", b"\xff\x00", b'{"done": 3}', b'{"done": -1, "owner": "a model"}',
     b'{"done": 9, "owner": "a model"}', b'{"done": "many", "owner": "a model"}'],
)  # fmt: skip
def test_a_damaged_mark_is_none(tmp_path, mark):
    filled(tmp_path / "made.tif", (5, 20, 30), 3)
    (tmp_path / "made.json").write_bytes(mark)
    assert KeptStack(tmp_path / "made.tif", (5, 20, 30), "a model").done == 0


@pytest.mark.parametrize("left", [0, 100, 5000])
def test_a_file_that_was_cut_short_is_made_anew(tmp_path, left):
    filled(tmp_path / "made.tif", (5, 20, 30), 3)
    content = (tmp_path / "made.tif").read_bytes()
    (tmp_path / "made.tif").write_bytes(content[:left])
    stack = KeptStack(tmp_path / "made.tif", (5, 20, 30), "a model")
    assert stack.done == 0
    np.testing.assert_array_equal(stack, np.zeros((5, 20, 30)))


def test_another_shape_is_made_anew(tmp_path):
    filled(tmp_path / "made.tif", (5, 20, 30), 3)
    assert KeptStack(tmp_path / "made.tif", (5, 30, 20), "a model").done == 0


def test_cut_short_while_it_is_read_is_told(tmp_path):
    filled(tmp_path / "made.tif", (5, 20, 30), 5)
    stack = KeptStack(tmp_path / "made.tif", (5, 20, 30), "a model")
    with (tmp_path / "made.tif").open("r+b") as file:
        file.truncate(3000)
    with pytest.raises(FileError, match="cut short"):
        stack[4]


def test_deleted_it_can_still_be_read_by_who_has_it(tmp_path):
    values = filled(tmp_path / "made.tif", (5, 20, 30), 5)
    stack = KeptStack(tmp_path / "made.tif", (5, 20, 30), "a model")
    delete_kept(tmp_path / "made.tif")
    assert not list(tmp_path.iterdir())
    np.testing.assert_array_equal(stack, values)


def test_nothing_is_left_of_a_scratch_stack(tmp_path):
    with ScratchStack((2, 20, 30), tmp_path / "out.mrc") as scratch:
        scratch[1] = np.ones((20, 30))
        assert scratch[1].all()
    assert not list(tmp_path.iterdir())
