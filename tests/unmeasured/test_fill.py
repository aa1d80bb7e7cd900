"""Is what was never measured filled with more of the same?"""

import numpy as np
import pytest

from napari_autostructn2v.unmeasured.fill import filled


@pytest.fixture
def plane():
    return np.random.default_rng(0).normal(100, 5, (40, 50)).astype(np.float32)


def test_a_frame_is_filled_as_a_mirror_would(plane):
    unknown = np.ones(plane.shape, dtype=bool)
    unknown[6:-7, 5:-8] = False
    hidden = np.where(unknown, np.nan, plane)
    expected = np.pad(plane[6:-7, 5:-8], ((6, 7), (5, 8)), mode="reflect")
    np.testing.assert_array_equal(filled(hidden, unknown), expected)


def test_known_pixels_stay_and_no_unknown_one_is_used(plane):
    unknown = np.random.default_rng(1).random(plane.shape) < 0.4
    unknown[10:14] = unknown[:, 30:37] = True
    made = filled(np.where(unknown, np.nan, plane), unknown)
    np.testing.assert_array_equal(made[~unknown], plane[~unknown])
    assert np.isfinite(made).all()
    assert np.isin(made, plane[~unknown]).all()


def test_one_known_pixel_is_enough(plane):
    unknown = np.ones(plane.shape, dtype=bool)
    unknown[20, 20] = False
    np.testing.assert_array_equal(filled(plane, unknown), np.full_like(plane, plane[20, 20]))
