"""Is what was never measured found, in every type of data, and nothing else?"""

import numpy as np
import pytest
from scipy import ndimage

from napari_autostructn2v.synthetic import sample
from napari_autostructn2v.unmeasured import BlankKind, find_unmeasured
from napari_autostructn2v.unmeasured.blank import find_blank, find_blended

SHAPE = (160, 200)
TYPES = [
    ("uint8", 120, 20),
    ("int16", 0, 300),
    ("uint16", 30_000, 1000),
    ("float32", 0, 1),
    ("float64", 5e5, 1),
]


def recorded(dtype="float32", level=0.0, noise=1.0, seed=0):
    """A slice of blobs and noise, as an image of that type has it."""
    rng = np.random.default_rng(seed)
    blobs = ndimage.gaussian_filter(rng.normal(size=SHAPE), 4) / 0.07
    values = level + noise * (blobs + rng.normal(size=SHAPE))
    return np.clip(values, 1, 254).astype(dtype) if dtype == "uint8" else values.astype(dtype)


def frame(width=12):
    mask = np.ones(SHAPE, dtype=bool)
    mask[width:-width, width:-width] = False
    return mask


def cylinder():
    y, x = np.indices(SHAPE)
    return np.hypot(y - 80, x - 100) > 78


def turned():
    """Outside of a field that was turned by 12 degrees."""
    inside = ndimage.rotate(np.ones((100, 140)), 12, reshape=True, order=0)
    mask = np.ones(SHAPE, dtype=bool)
    mask[: inside.shape[0], : inside.shape[1]] = inside[: SHAPE[0], : SHAPE[1]] < 0.5
    return mask


def lines():
    mask = np.zeros(SHAPE, dtype=bool)
    mask[40] = mask[:, 77:79] = True
    return mask


PLACES = {
    "frame": frame(),
    "thin frame": frame(2),
    "one side": np.broadcast_to(np.arange(SHAPE[1]) < 9, SHAPE),
    "cylinder": cylinder(),
    "turned": turned(),
    "dead row and columns": lines(),
    "missing tile": np.pad(np.ones((40, 60), bool), ((50, 70), (70, 70))),
    "whole slice": np.ones(SHAPE, dtype=bool),
}


@pytest.mark.parametrize(("dtype", "level", "noise"), TYPES)
@pytest.mark.parametrize("place", PLACES)
def test_places_of_one_value_are_found_to_the_pixel(place, dtype, level, noise):
    mask = PLACES[place]
    values = recorded(dtype, level, noise)
    for value in (0, values.mean(), values.max()):
        filled = np.where(mask, np.array(value).astype(dtype), values)
        found = find_blank(filled)
        assert np.mean(found != mask) < 0.002, (place, value)


@pytest.mark.parametrize(("dtype", "level", "noise"), TYPES)
def test_what_was_measured_is_not_blank(dtype, level, noise):
    assert not find_blank(recorded(dtype, level, noise)).any()


@pytest.mark.parametrize("step", [0.2, 0.5, 1.0, 3.0])
def test_noise_that_is_small_against_the_steps_of_integers_is_measured(step):
    values = np.random.default_rng(0).normal(100, step, SHAPE).round().astype(np.uint8)
    assert find_blank(values).mean() < 0.001


@pytest.mark.parametrize("above", [0.5, 1.0, 2.0])
def test_saturated_places_are_measured(above):
    """Bright blobs that a detector has cut off, with noise on their slopes."""
    values = recorded(seed=3) + recorded(seed=4)
    limit = values.mean() + above * values.std()
    for cut in (np.minimum(values, limit), np.maximum(values, -limit)):
        eight_bit = np.clip(128 + 20 * cut, 0, 255).astype(np.uint8)
        assert find_blank(cut).mean() < 0.005
        assert find_blank(eight_bit).mean() < 0.005


def test_a_dark_background_cut_off_at_zero_is_measured():
    values = np.random.default_rng(0).normal(-0.3, 2, SHAPE).clip(0, 255).astype(np.uint8)
    assert (values == 0).mean() > 0.5
    assert find_blank(values).mean() < 0.001


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_blank(value):
    values = recorded()
    values[:, :6] = values[70, 30] = value
    found = find_unmeasured(values, values)
    np.testing.assert_array_equal(found.blank, ~np.isfinite(values))
    assert BlankKind.NO_NUMBERS in found.kinds


def test_the_text_of_a_footer_belongs_to_it():
    values = recorded("uint8", 120, 20)
    values[-24:] = 0
    text = np.random.default_rng(1).random((10, 120)) < 0.5
    values[-18:-8, 20:140][text] = 255
    values[-14:-10, 150:190] = 255  # the scale bar
    found = find_blank(values)
    assert found[-24:].all() and found[:-24].mean() < 0.001


@pytest.mark.parametrize("shift", [0.3, 0.5])
def test_a_rim_that_was_mixed_with_padding_is_not_trusted(shift):
    moved = ndimage.shift(recorded(level=10), (6 + shift, 4 + shift), order=1, cval=0.0)
    blank = find_blank(moved.astype(np.float32))
    assert blank[:6].all() and blank[:, :4].all() and not blank[20:, 20:].any()
    rim = find_blended(moved, blank)
    assert rim[6, 10:-10].mean() > 0.9 or blank[6, 10:-10].mean() > 0.9
    assert not find_blended(np.where(frame(), 0, recorded(level=10)), frame()).any()


@pytest.mark.parametrize("family", ["scan_lines", "reconstruction", "blur"])
def test_beside_padding_within_the_noise_no_rim_is_suspected(family):
    """There the image is near the padding's value now and then, all along the rim."""
    padding = np.broadcast_to(np.arange(80) < 8, (80, 80))
    for plane in sample(family, shape=(4, 80, 80)).noisy:
        assert not find_blended(np.where(padding, 0, plane), padding).any()


def test_kinds_are_told_apart():
    values = recorded(level=10)
    kinds = {
        name: find_unmeasured(np.where(PLACES[name], 0, values), np.where(PLACES[name], 0, values)).kinds
        for name in ("frame", "whole slice", "missing tile")
    }
    assert kinds == {
        "frame": {BlankKind.FRAME},
        "whole slice": {BlankKind.WHOLE_SLICE},
        "missing tile": {BlankKind.AREA},
    }
