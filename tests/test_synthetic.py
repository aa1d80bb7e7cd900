"""The generated noise is what it says it is."""

import numpy as np
import pytest

from napari_autostructn2v.errors import ConfigError
from napari_autostructn2v.synthetic import NOISE_FAMILIES, sample, structured_noise

SHAPE = (16, 96, 96)


def correlation(field, lag, axis):
    n = field.shape[axis]
    a, b = (np.take(field, range(*span), axis) for span in ((0, n - lag), (lag, n)))
    return float((a * b).mean())


@pytest.mark.parametrize("family", NOISE_FAMILIES)
def test_zero_mean_unit_variance_and_repeatable(family):
    first, again = (structured_noise(family, SHAPE, np.random.default_rng(1)) for _ in range(2))
    assert abs(first.mean()) < 1e-6 and first.std() == pytest.approx(1)
    np.testing.assert_array_equal(first, again)


def test_scan_lines_fall_off_as_rho():
    field = structured_noise("scan_lines", (64, 96, 96), np.random.default_rng(0))
    for lag in (1, 2, 5):
        assert correlation(field, lag, 2) == pytest.approx(0.9**lag, abs=0.02)
    assert abs(correlation(field, 1, 1)) < 0.02 and abs(correlation(field, 1, 0)) < 0.02


def test_back_projection_correlates_along_x_with_both_signs_and_along_z():
    field = structured_noise("reconstruction", SHAPE, np.random.default_rng(0))
    assert (
        correlation(field, 1, 2) > 0.2 and correlation(field, 2, 2) < -0.2 and correlation(field, 3, 2) < -0.2
    )
    assert correlation(field, 1, 0) > 0.4
    assert abs(correlation(field, 1, 1)) < 0.02


def test_the_sample_is_the_clean_image_plus_its_noise():
    made = sample("scan_lines", shape=SHAPE, structured=0.7, white=0.5)
    assert made.noisy.dtype == made.clean.dtype == np.float32
    assert made.clean.std() == pytest.approx(1, rel=1e-4)
    assert (made.noisy - made.clean).std() == pytest.approx(np.hypot(0.7, 0.5), rel=0.02)
    assert not np.array_equal(sample("white", shape=SHAPE, seed=1).clean, made.clean)


def test_an_unknown_family():
    with pytest.raises(ConfigError, match="Choose one of"):
        sample("static")
