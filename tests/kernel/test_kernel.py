"""Kernels: what is one, how it is kept in a file, and how a person's edits stay on top."""

import json

import numpy as np
import pytest
import tifffile

from napari_autostructn2v.errors import FileError, KernelError
from napari_autostructn2v.kernel import (
    Edits,
    embed_kernel,
    load_kernel,
    mirrored,
    save_kernel,
    trim_kernel,
    validate_kernel,
)

LINE = np.ones((1, 5), bool)
ONE_SIDED = np.array([[0, 0, 1, 1, 1]], bool)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones((2, 5)), "even"),
        (np.ones((3, 4, 5)), "even"),
        (np.ones((5, 3, 3)), "shape"),
        (np.ones(5), "shape"),
        (np.array([[1, 0, 1]]), "centre"),
        ([[1, 1, 1], [1]], "rectangular"),
    ],
)
def test_what_is_no_kernel(array, message):
    with pytest.raises(KernelError, match=message):
        validate_kernel(array)


@pytest.mark.parametrize("suffix", [".npy", ".tif", ".json"])
@pytest.mark.parametrize("kernel", [LINE, np.ones((3, 1, 7), bool), ONE_SIDED])
def test_a_file_gives_the_kernel_back(tmp_path, suffix, kernel):
    path = save_kernel(tmp_path / f"kernel{suffix}", kernel)
    np.testing.assert_array_equal(load_kernel(path), kernel)
    with pytest.raises(FileError, match="exists already"):
        save_kernel(path, kernel)


@pytest.mark.parametrize(
    ("array", "message"), [(np.ones((4, 4), np.uint8), "even"), (np.zeros((3, 3), np.uint8), "centre")]
)
def test_a_bad_kernel_file(tmp_path, array, message):
    tifffile.imwrite(tmp_path / "kernel.tif", array)
    np.save(tmp_path / "kernel.npy", array)
    (tmp_path / "kernel.json").write_text(json.dumps(array.tolist()))
    for suffix in (".tif", ".npy", ".json"):
        with pytest.raises(KernelError, match=message):
            load_kernel(tmp_path / f"kernel{suffix}")


@pytest.mark.parametrize("name", ["kernel.npy", "kernel.tif", "kernel.json", "kernel.mat"])
def test_a_file_that_is_no_kernel_file(tmp_path, name):
    (tmp_path / name).write_bytes(b"not what the suffix says")
    with pytest.raises(FileError):
        load_kernel(tmp_path / name)


def test_a_stack_chosen_by_mistake_is_not_read(tmp_path):
    with (tmp_path / "stack.tif").open("wb") as file:
        file.truncate(2**33)
    with pytest.raises(FileError, match="stack"):
        load_kernel(tmp_path / "stack.tif")


def test_a_pickle_in_disguise_is_not_executed(tmp_path):
    np.save(tmp_path / "kernel.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(FileError):
        load_kernel(tmp_path / "kernel.npy")


def test_embedding_and_trimming_undo_each_other():
    kernel = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]], bool)
    np.testing.assert_array_equal(trim_kernel(embed_kernel(kernel, 11)), kernel)
    stacked = np.stack([kernel & False, kernel, kernel & False])
    np.testing.assert_array_equal(trim_kernel(embed_kernel(stacked, 11)), stacked)
    with pytest.raises(KernelError, match="does not fit"):
        embed_kernel(kernel, 1)


def test_edits_survive_a_new_automatic_result():
    before = embed_kernel(LINE, 7)
    after = before.copy()
    after[3, 1] = after[3, 5] = False
    after[2, 3] = after[4, 3] = True
    edits = Edits().updated(before, after, before)
    longer = edits.apply(embed_kernel(np.ones((1, 7), bool), 7))
    assert longer[3].tolist() == [True, False, True, True, True, False, True]
    assert longer[2, 3] and longer[4, 3]
    np.testing.assert_array_equal(longer, mirrored(longer))


def test_the_last_stroke_wins():
    empty = embed_kernel(np.ones((1, 1), bool), 5)
    painted = empty.copy()
    painted[1, 2] = painted[3, 2] = True
    edits = Edits().updated(empty, painted, automatic=empty)
    assert edits.updated(painted, empty, automatic=empty) == Edits()
    erased = edits.updated(painted, empty, automatic=painted)
    np.testing.assert_array_equal(erased.apply(painted), empty)
    assert not erased.added


def test_edits_go_through_json():
    edits = Edits(added=frozenset({(0, 1, -2)}), erased=frozenset({(1, 0, 0), (-1, 0, 0)}))
    assert Edits.from_json(json.loads(json.dumps(edits.to_json()))) == edits


def test_edits_beyond_a_smaller_grid_wait():
    edits = Edits(added=frozenset({(0, 5), (0, -5)}))
    assert edits.apply(embed_kernel(LINE, 5)).sum() == 5
    assert edits.apply(embed_kernel(LINE, 11)).sum() == 7
