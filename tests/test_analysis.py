"""Does the analysis find the structure that is there, and none where there is none?"""

from dataclasses import replace

import numpy as np
import pytest
import tifffile

from napari_autostructn2v.analysis import analyze
from napari_autostructn2v.config import AnalysisConfig
from napari_autostructn2v.errors import KernelError, StackError
from napari_autostructn2v.kernel import mirrored
from napari_autostructn2v.synthetic import sample, scan_lines, structured_noise

SHAPE = (12, 160, 160)


@pytest.fixture(scope="module")
def lines():
    return sample("scan_lines", shape=SHAPE).noisy


def assert_well_formed(analysis):
    kernel = analysis.kernel
    assert kernel.dtype == bool and all(n % 2 for n in kernel.shape)
    assert kernel[tuple(n // 2 for n in kernel.shape)]
    for array in (kernel, analysis.peaks, analysis.autocorrelation):
        np.testing.assert_array_equal(array, mirrored(array))
    side = analysis.spectrum.shape[0]
    assert analysis.spectrum.shape == analysis.peaks.shape == (side, side) and side % 2
    assert not analysis.peaks[side // 2, side // 2]
    assert 0 <= analysis.verdict.covered <= 1 and analysis.verdict.summary


def test_scan_lines_are_a_line_along_x(lines):
    analysis = analyze(lines)
    assert_well_formed(analysis)
    assert analysis.verdict.kind == "kernel" and analysis.verdict.expect_gain
    height, width = analysis.kernel.shape
    assert height == 1 and width >= 15
    assert analysis.verdict.direction_deg == 0 and analysis.verdict.length_px == width
    assert analysis.verdict.covered > 0.5


def test_turned_lines_give_a_turned_kernel(lines):
    turned = analyze(lines.transpose(0, 2, 1))
    np.testing.assert_array_equal(turned.kernel, analyze(lines).kernel.T)
    assert turned.verdict.direction_deg == 90


def test_reconstruction_noise_is_found_in_all_three_slices():
    noisy = sample("reconstruction", shape=SHAPE).noisy
    analysis = analyze(noisy, mode="2.5d")
    assert_well_formed(analysis)
    assert analysis.kernel.shape[0] == 3 and analysis.kernel.shape[1] == 1
    assert 5 <= analysis.kernel.shape[2] <= 15
    assert analysis.kernel.all()
    # along X at lags 1 and 2 with both signs, as the truth has it; shared with the next slice
    middle, mid = analysis.autocorrelation[1], analysis.autocorrelation.shape[-1] // 2
    assert middle[mid, mid + 1] > 0.1 and middle[mid, mid + 2] < -0.1
    assert analysis.autocorrelation[2, mid, mid] > 0.3


def test_lines_that_slices_do_not_share_stay_in_the_middle_slice(lines):
    kernel = analyze(lines, mode="2.5d").kernel
    assert kernel[1].all() and not kernel[0].any() and not kernel[2].any()


@pytest.mark.parametrize("seed", range(4))
def test_white_noise_has_no_kernel(seed):
    noisy = sample("white", shape=SHAPE, seed=seed).noisy
    analysis = analyze(noisy)
    assert_well_formed(analysis)
    assert analysis.kernel.tolist() == [[True]]
    assert analysis.verdict.kind == "none" and not analysis.verdict.expect_gain
    assert analyze(noisy, mode="2.5d").kernel.shape == (3, 1, 1)


@pytest.mark.parametrize("seed", [6, 9])
def test_detail_that_goes_on_through_the_slices_is_no_noise(seed):
    """Many tiles show it, all in one place; only that it is not alike all over the field tells."""
    analysis = analyze(sample("white", shape=(24, 96, 96), seed=seed).noisy)
    assert analysis.verdict.kind == "none"
    background = analysis.background
    trusting = np.full_like(background.regional_error, background.standard_error)
    fooled = replace(analysis, background=replace(background, regional_error=trusting))
    assert fooled.with_config(AnalysisConfig()).kernel.size > 1


def test_hum_is_called_long_range():
    verdict = analyze(sample("hum", shape=SHAPE).noisy).verdict
    assert verdict.kind == "long_range" and not verdict.expect_gain


def test_stage_1_shows_where_the_background_is(lines):
    """Half of the field is a strong texture with a direction: with it, noise could not be told from it."""
    half = np.zeros(SHAPE, np.float32)
    half[:, :, :80] = 5 * structured_noise("hum", (SHAPE[0], SHAPE[1], 80), np.random.default_rng(0))
    flat = np.random.default_rng(1).normal(size=SHAPE) + scan_lines(SHAPE, np.random.default_rng(2))
    analysis = analyze(flat + half, denoised=half, config=AnalysisConfig(flat_share=0.3))
    assert analysis.kernel.shape[0] == 1 and analysis.verdict.length_px >= 9


def test_erasing_every_peak_leaves_the_single_pixel(lines):
    analysis = analyze(lines)
    erased = analysis.with_peaks(np.zeros_like(analysis.peaks))
    assert erased.kernel.tolist() == [[True]] and erased.verdict.kind == "none"
    restored = erased.with_peaks(analysis.peaks)
    np.testing.assert_array_equal(restored.kernel, analysis.kernel)
    assert restored.verdict == analysis.verdict


def test_painting_the_peaks_of_lines_gives_their_kernel():
    analysis = analyze(sample("white", shape=SHAPE).noisy)
    painted = np.zeros_like(analysis.peaks)
    middle = painted.shape[0] // 2
    painted[middle + 3 :, middle - 4 : middle + 5] = True  # lines along X: low frequencies along X
    edited = analysis.with_peaks(painted)
    assert edited.kernel.shape[0] == 1 and edited.kernel.shape[1] > 3
    np.testing.assert_array_equal(edited.peaks, painted | mirrored(painted))


def test_a_kernel_by_hand_is_judged(lines):
    analysis = analyze(lines)
    short, long = (analysis.with_kernel(np.ones((1, n), bool)).verdict for n in (3, 31))
    assert 0 < short.covered < long.covered <= 1
    assert analysis.with_kernel(np.ones((5, 1), bool)).verdict.covered < 0.2
    for bad in (np.ones((3, 1, 5), bool), np.ones((2, 2), bool)):
        with pytest.raises(KernelError):
            analysis.with_kernel(bad)
    with pytest.raises(KernelError, match="shape"):
        analysis.with_peaks(np.zeros((5, 5), bool))


def test_sensitivity_moves_the_peaks_without_another_measurement(lines):
    analysis = analyze(lines)
    strict = analysis.with_config(AnalysisConfig(sensitivity=15))
    assert strict.background is analysis.background
    assert 0 < strict.peaks.sum() < analysis.peaks.sum()


def test_the_cap_shortens_the_kernel(lines):
    kernel = analyze(lines, config=AnalysisConfig(max_pixels=9)).kernel
    assert kernel.shape == (1, 9) and kernel.all()


@pytest.mark.parametrize("shape", [(40, 40), (1, 16, 16), (3, 20, 200), (2, 64, 17)])
@pytest.mark.parametrize("mode", ["2d", "2.5d"])
def test_small_stacks(shape, mode):
    stack = np.random.default_rng(0).normal(size=shape)
    if mode == "2.5d" and (len(shape) == 2 or shape[0] < 3):
        with pytest.raises(StackError):
            analyze(stack, mode=mode)
    else:
        assert_well_formed(analyze(stack, mode=mode))


def test_stacks_that_do_not_belong_together(lines):
    with pytest.raises(StackError, match="shape"):
        analyze(lines, lines[:3])


def test_a_real_tomogram_has_the_noise_of_a_reconstruction(em_data):
    stack = tifffile.imread(em_data / "cryo_microtubule_36x206x94_u8.tif")
    kernel = analyze(stack, mode="2.5d").kernel
    assert kernel.shape[1] == 1 and kernel.shape[2] >= 5, "a line along X, in spite of the microtubule"
    assert kernel.all()


def test_a_clean_real_stack_has_none(em_data):
    stack = tifffile.imread(em_data / "sstem_30x256x256_u8.tif")
    assert analyze(stack).verdict.kind == "none"
