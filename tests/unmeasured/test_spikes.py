"""Are hot pixels and hits of X-rays found, and what the sample shows left alone?"""

import numpy as np
import pytest
from scipy import ndimage

from napari_autostructn2v.synthetic import NOISE_FAMILIES, sample
from napari_autostructn2v.unmeasured.spikes import find_spikes

SHAPE = (256, 256)
NONE = np.zeros(SHAPE, dtype=bool)


def noisy(seed=0):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=SHAPE) + 20 * ndimage.gaussian_filter(rng.normal(size=SHAPE), 5)).astype(
        np.float32
    )


@pytest.mark.parametrize("height", [15, -15, 60, 1e6])
@pytest.mark.parametrize("share", [1e-4, 1e-3, 1e-2])
def test_single_pixels_far_from_all_others_are_found(height, share):
    values = noisy()
    hot = np.random.default_rng(1).random(SHAPE) < share
    values[hot] += height
    found = find_spikes(values, NONE)
    assert found[hot].mean() > 0.9
    assert found[~hot].mean() < 1e-4


def test_small_hits_are_found_whole():
    values = noisy()
    values[50, 60:63] = values[51, 61] = 40
    assert find_spikes(values, NONE).sum() == 4


@pytest.mark.parametrize("family", NOISE_FAMILIES)
def test_noise_has_no_spikes(family):
    planes = sample(family, shape=(4, 256, 256)).noisy
    assert sum(find_spikes(plane, NONE).sum() for plane in planes) <= 2


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.5, 5])
def test_counted_electrons_are_no_spikes(rate):
    counts = np.random.default_rng(0).poisson(rate, SHAPE).astype(np.float32)
    assert find_spikes(counts, NONE).mean() < 1e-4


@pytest.mark.parametrize("radius", [0.8, 1.5, 3.0])
def test_small_objects_that_optics_blur_are_no_spikes(radius):
    """Gold beads, 25 times as dark as the noise is strong."""
    beads = np.zeros(SHAPE)
    beads[tuple(np.random.default_rng(0).integers(10, 246, (2, 40)))] = 1
    blurred = ndimage.gaussian_filter(beads, radius)
    assert not find_spikes(noisy() - (25 * blurred / blurred.max()).astype(np.float32), NONE).any()


def test_what_is_unknown_is_not_asked():
    values = noisy()
    unknown = NONE.copy()
    unknown[:20] = True
    values[10, 30] = 100
    assert not find_spikes(values, unknown).any()
