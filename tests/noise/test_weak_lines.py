"""Is noise found that runs along a line and shows at no frequency? And is nothing else taken for it?"""

import numpy as np
import pytest
import tifffile
from scipy import ndimage

from napari_autostructn2v.noise.analysis import analyze
from napari_autostructn2v.synthetic import crystal, degraded, layers, sample, tomogram

SHAPE = (8, 400, 400)


@pytest.fixture(scope="module")
def image():
    clean = tomogram(SHAPE, np.random.default_rng(3))
    return (clean - clean.mean()) / clean.std()


def weak_noise(correlation, seed, step=(0, 0, 1), shape=SHAPE):
    """Of unit variance, with that correlation between neighbours along ``step`` and none farther."""
    white = np.random.default_rng(seed).normal(size=shape)
    share = (1 - np.sqrt(1 - 4 * correlation**2)) / (2 * correlation)
    return (white + share * np.roll(white, step, (0, 1, 2))) / np.sqrt(1 + share**2)


@pytest.mark.parametrize(
    ("correlation", "step", "kernel", "direction"),
    [
        (0.18, (0, 0, 1), (1, 3), 0),
        (0.1, (0, 0, 1), (1, 3), 0),
        (0.1, (0, 1, 0), (3, 1), 90),
        (0.1, (0, 1, 1), (3, 3), 135),
    ],
)
def test_a_weak_correlation_is_found_with_the_kernel_that_hides_it(
    image, correlation, step, kernel, direction
):
    analysis = analyze(image + 0.6 * weak_noise(correlation, 1, step))
    assert analysis.kernel.shape == kernel and analysis.kernel.sum() == 3
    assert analysis.verdict.kind == "kernel" and analysis.verdict.expect_gain
    assert analysis.verdict.direction_deg == direction
    assert analysis.verdict.conclusion == "look_first" and "weak" in analysis.verdict.caution
    assert analysis.verdict.next_step == "quick_look"
    middle = analysis.autocorrelation.shape[0] // 2
    beside = analysis.autocorrelation[middle + step[1], middle + step[2]]
    assert beside == pytest.approx(correlation, abs=0.03)


def test_long_weak_lines_get_a_long_kernel():
    analysis = analyze(sample("weak_lines", shape=SHAPE, seed=2).noisy)
    assert len(analysis.kernel) == 1 and 9 <= analysis.kernel.size <= 31


def test_three_slices_hide_it_as_well(image):
    analysis = analyze(image + 0.6 * weak_noise(0.15, 1), mode="2.5d")
    assert analysis.kernel.shape == (3, 1, 3) and not analysis.kernel[[0, 2]].any()


def test_erasing_a_peak_takes_the_kernel_that_comes_of_it(image):
    """What a person has erased does not come back by another way."""
    made = sample("scan_lines", shape=(8, 192, 192)).noisy
    analysis = analyze(made)
    assert analysis.kernel.size > 1
    assert analysis.with_peaks(analysis.peaks & False).kernel.size == 1
    weak = analyze(image + 0.6 * weak_noise(0.15, 1))
    painted = np.zeros_like(weak.peaks)
    painted[10, 20] = True
    assert weak.with_peaks(weak.peaks | painted).kernel.size > 1, "to add one takes nothing away"


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("shape", [(16, 192, 192), SHAPE, (24, 96, 96)])
def test_white_noise_has_none(shape, seed):
    assert analyze(sample("white", shape=shape, seed=50 + seed).noisy).kernel.size == 1


@pytest.mark.parametrize("white", [0.3, 0.6])
@pytest.mark.parametrize("image", [crystal, layers])
def test_a_grid_or_layers_of_the_sample_are_none(image, white):
    rng = np.random.default_rng(1)
    made = degraded(image((16, 192, 192), rng), "white", white=white, rng=rng).noisy
    assert analyze(made).kernel.size == 1
    assert analyze(made[3]).kernel.size == 1


def test_detail_that_is_blurred_along_one_axis_is_none():
    """In one slice, and in slices that share it."""
    fine = ndimage.convolve1d(np.random.default_rng(0).normal(size=(200, 200)), [0.25, 1, 0.25], axis=1)
    image = np.repeat(ndimage.gaussian_filter(fine, 0.7)[None], 8, axis=0)
    noisy = image / image.std() + 0.6 * np.random.default_rng(1).normal(size=image.shape)
    assert analyze(noisy).kernel.size == 1


@pytest.mark.parametrize("name", ["fibsem_16x208x208_u8.tif", "sstem_30x256x256_u8.tif"])
def test_clean_real_stacks_have_none(em_data, name):
    stack = tifffile.imread(em_data / name)
    assert analyze(stack).kernel.size == 1
    assert not analyze(stack).verdict.expect_gain


@pytest.mark.parametrize("scan", ["first", "second"])
def test_in_each_small_crop_of_a_real_scan_the_kernel_lies_along_its_lines(em_data, scan):
    """Its noise is correlated 0.51, 0.16 and 0.06 along X."""
    slices = tifffile.imread(em_data / f"stem_{scan}_scan_2x512x512_i16.tif")
    for plane in slices:
        for y in (0, 128, 256):
            for x in (0, 128, 256):
                analysis = analyze(plane[y : y + 256, x : x + 256])
                assert len(analysis.kernel) == 1 and analysis.kernel.shape[1] in (5, 7)
                assert analysis.verdict.expect_gain
