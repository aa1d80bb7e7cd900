"""What may be denoised and what may not: each bad input gets a message that says what to do."""

import dask.array
import numpy as np
import pytest
import zarr

from napari_autostructn2v.box import Box
from napari_autostructn2v.errors import ConfigError, StackError
from napari_autostructn2v.stack import as_stack
from napari_autostructn2v.survey import few_slices_notice

GOOD = np.random.default_rng(0).normal(100, 5, (4, 20, 24))


@pytest.mark.parametrize(
    ("array", "mode", "message"),
    [
        (np.zeros((0, 32, 32)), "2d", "empty"),
        (GOOD.astype(complex), "2d", "complex"),
        (np.zeros((32, 32, 3), np.uint8), "2d", "RGB"),
        (np.zeros((5, 32, 32, 4), np.uint8), "2d", "RGB"),
        (np.zeros((2, 5, 32, 32)), "2d", "4 axes"),
        (np.zeros(32), "2d", "1 axes"),
        (np.zeros((5, 8, 8)), "2d", "too small"),
        (GOOD[:1], "2.5d", "Choose 2D"),
        (GOOD[0], "2.5d", "Choose 2D"),
        (GOOD[:2], "2.5d", "Choose 2D"),
        (np.full((3, 20, 20), "a"), "2d", "Convert"),
    ],
)
def test_refused_without_reading_a_value(array, mode, message):
    with pytest.raises(StackError, match=message):
        as_stack(array, mode)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_are_left_out(value):
    array = GOOD.astype(np.float32)
    array[2, 3, 4] = value
    stack = as_stack(array)
    found = stack.unmeasured(2)
    np.testing.assert_array_equal(np.argwhere(found.blank), [[3, 4]])
    assert np.isfinite(stack.plane(2)).all()
    others = np.delete(array.ravel(), np.ravel_multi_index((2, 3, 4), array.shape))
    assert stack.normalisation.mean == pytest.approx(others.mean(dtype=float))
    made = stack.restored(2, stack.plane(2))
    np.testing.assert_array_equal(made, array[2])  # it is still what it was


@pytest.mark.parametrize("value", [0, 7, 1e9, -3.3])
def test_constant_stack(value):
    with pytest.raises(StackError, match="nothing to denoise"):
        _ = as_stack(np.full((3, 20, 20), value)).normalisation


@pytest.mark.parametrize("offset", [0, 1e3, -1e6])
def test_mean_and_spread_are_right_on_any_offset(offset):
    scale = as_stack(GOOD + offset).normalisation
    assert scale.mean == pytest.approx((GOOD + offset).mean(), rel=1e-6, abs=1e-5)
    assert scale.std == pytest.approx(GOOD.std(), rel=2e-2 if abs(offset) > 1e5 else 1e-5)


@pytest.mark.parametrize(
    "dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float16, np.float32, np.float64]
)
def test_every_number_type(dtype):
    assert as_stack(GOOD.astype(dtype)).plane(1).dtype == np.float32


def test_lazy_arrays_are_read_one_slice_at_a_time(tmp_path):
    read = []
    lazy = dask.array.from_array(GOOD, chunks=(1, 20, 24)).map_blocks(
        lambda block, block_info=None: read.append(block_info) or block, dtype=GOOD.dtype, meta=GOOD
    )
    stack = as_stack(lazy)
    stack.plane(0)  # whose scale and level a few slices tell
    read.clear()
    np.testing.assert_allclose(stack.plane(2), GOOD[2], rtol=1e-6)
    assert len(read) == 1
    stored = zarr.create_array(tmp_path / "a.zarr", data=GOOD)
    np.testing.assert_allclose(as_stack(stored).plane(3), GOOD[3], rtol=1e-6)


def test_the_ends_are_mirrored():
    stack = as_stack(GOOD)
    assert [stack.neighbours(z) for z in (0, 1, 3)] == [(1, 0, 1), (0, 1, 2), (2, 3, 2)]


def test_a_thin_stack_warns_in_25d_only():
    assert few_slices_notice(as_stack(GOOD), "2d") is None
    assert "20 slices" in (few_slices_notice(as_stack(GOOD), "2.5d") or "")
    assert few_slices_notice(as_stack(np.zeros((20, 16, 16))), "2.5d") is None


def test_a_box_of_a_stack_is_read_lazily_and_cut_to_it():
    array = np.random.default_rng(0).integers(0, 1000, (4, 20, 30))
    part = as_stack(array).cropped(Box((1, 9), (2, 18), (0, 25)))
    assert part.shape == (3, 16, 25)
    np.testing.assert_array_equal(part.plane(2), array[3, 2:18, :25])


@pytest.mark.parametrize("box", [Box((4, 5), (0, 20), (0, 30)), Box((0, 4), (0, 15), (0, 30))])
def test_a_box_that_holds_next_to_nothing_is_refused(box):
    with pytest.raises(StackError, match="larger part"):
        as_stack(np.zeros((4, 20, 30))).cropped(box)


@pytest.mark.parametrize("mode", ["2.5D", "3d", ""])
def test_a_mode_that_is_none_is_refused(mode):
    with pytest.raises(ConfigError, match="Choose"):
        as_stack(np.zeros((4, 40, 40), np.float32), mode)
