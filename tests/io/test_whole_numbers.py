"""Results as 8 and 16 bits: is what is said of them true?"""

import numpy as np
import pytest

from napari_autostructn2v.errors import StackError
from napari_autostructn2v.events import finish
from napari_autostructn2v.io import read_stack, write_stack
from napari_autostructn2v.io.whole_numbers import CLIPPED, in_type, whole_numbers


@pytest.fixture
def stack():
    made = np.random.default_rng(0).normal(3.0, 2.0, (5, 64, 64)).astype(np.float32)
    made[2, 3, 4], made[1, 0, 0] = 400.0, -90.0  # outliers
    return made


def test_sixteen_bits_clip_nothing_and_lose_no_more_than_half_a_step(stack):
    found = finish(whole_numbers(stack, "uint16"))
    numbers = np.asarray(found.of(stack))
    assert (found.low, found.high, found.clipped) == (stack.min(), stack.max(), 0.0)
    assert numbers.dtype == np.uint16 and numbers.min() == 0 and numbers.max() == 65535
    back = numbers / 65535 * (found.high - found.low) + found.low
    assert np.abs(back - stack).max() <= 0.5001 * (found.high - found.low) / 65535
    assert "nothing is clipped" in str(found)


def test_eight_bits_clip_the_share_that_they_say_and_spend_no_grey_on_outliers(stack):
    found = finish(whole_numbers(stack, "uint8"))
    outside = np.mean((stack < found.low) | (stack > found.high))
    assert 0 < outside <= CLIPPED["uint8"]
    assert found.clipped == pytest.approx(outside, abs=1 / stack.size)
    assert found.high - found.low < 20, "not the 490 from outlier to outlier"
    numbers = np.asarray(found.of(stack))
    assert len(np.unique(numbers)) > 200
    assert f"{found.clipped:.2%} of the values are clipped" in str(found)


def test_values_that_are_no_numbers_do_not_count(stack):
    stack[0, :5] = np.nan
    stack[0, 5] = np.inf
    found = finish(whole_numbers(stack, "uint16"))
    assert found.high == 400 and (np.asarray(found.of(stack))[0, :5] == 0).all()
    with pytest.raises(StackError, match="No value"):
        finish(whole_numbers(np.full((2, 8, 8), np.nan), "uint8"))


def test_a_result_is_saved_as_what_is_asked_for_and_nothing_else(stack):
    whole, words = finish(in_type(stack, "uint16"))
    assert whole.dtype == np.uint16 and "65535 is" in words
    for asked in (None, "float32"):
        same, words = finish(in_type(stack, asked))
        assert same is stack and not words
    with pytest.raises(StackError, match="not saved as int12"):
        finish(in_type(stack, "int12"))
    with pytest.raises(StackError, match="lose what matters"):
        finish(in_type(stack.astype(np.float64), "float32"))


def test_one_value_and_a_single_slice(tmp_path):
    flat = np.full((16, 16), 7.0, dtype=np.float32)
    numbers = finish(whole_numbers(flat, "uint8")).of(flat)
    assert (np.asarray(numbers) == 0).all()
    path = write_stack(tmp_path / "flat.tif", numbers)
    assert read_stack(path).array.dtype == np.uint8
