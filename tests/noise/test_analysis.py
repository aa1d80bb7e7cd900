"""Does the analysis find the structure that is there, and none where there is none?"""

from dataclasses import replace

import numpy as np
import pytest
import tifffile
from scipy import ndimage

from napari_autostructn2v.config import AnalysisConfig
from napari_autostructn2v.errors import KernelError, StackError
from napari_autostructn2v.io import VoxelSize
from napari_autostructn2v.kernel import embed_kernel, mirrored
from napari_autostructn2v.noise.analysis import analyze
from napari_autostructn2v.noise.rings import on_rings, ring_quantiles
from napari_autostructn2v.synthetic import NOISE_FAMILIES, crystal, degraded, layers, sample
from napari_autostructn2v.synthetic.long_range import Hum
from napari_autostructn2v.synthetic.noise import ScanLines

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


@pytest.mark.parametrize("beside", [0, 1])
@pytest.mark.parametrize("quantile", [0.25, 0.5])
@pytest.mark.parametrize("side", [15, 21, 63])
def test_rings_are_those_of_the_whole_image(side, quantile, beside):
    image = np.random.default_rng(side).normal(size=(side, side))
    image += np.flip(image)
    axis = np.arange(side) - side // 2
    ring = np.rint(np.hypot(axis[:, None], axis[None])).astype(int)
    expected = [
        np.quantile(image[np.abs(ring - number) <= beside], quantile) for number in range(ring.max() + 1)
    ]
    found = ring_quantiles(image, quantile, beside)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_array_equal(on_rings(found, side), found[ring])


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


def test_white_noise_has_no_kernel():
    noisy = sample("white", shape=SHAPE).noisy
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
    background = analysis.measured.background
    trusting = np.full_like(background.regional_error, background.standard_error)
    blind = replace(background, regional_error=trusting)
    fooled = replace(analysis, measured=replace(analysis.measured, background=blind, remainder=blind))
    assert fooled.with_config(AnalysisConfig()).peaks.sum() > 10 > analysis.peaks.sum()


def test_stage_1_shows_where_the_background_is(lines):
    """Half of the field is a strong texture with a direction: with it, noise could not be told from it."""
    half = np.zeros(SHAPE, np.float32)
    half[:, :, :80] = 5 * Hum().draw((SHAPE[0], SHAPE[1], 80), np.random.default_rng(0))
    flat = np.random.default_rng(1).normal(size=SHAPE) + ScanLines().draw(SHAPE, np.random.default_rng(2))
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
    assert long.expect_gain and "Stage 2 is expected to help" in long.summary
    across = analysis.with_kernel(np.ones((5, 1), bool)).verdict
    assert not across.expect_gain and "not expected to help" in across.summary
    # the strongest neighbour of a scan line that stays visible is the next one along X
    assert "the one at dx -1, dy +0 shares most" in across.summary
    bare = analysis.with_kernel(np.ones((1, 1), bool)).verdict
    assert not bare.expect_gain and "single pixel" in bare.summary and "dx -1" in bare.summary
    for bad in (np.ones((3, 1, 5), bool), np.ones((2, 2), bool)):
        with pytest.raises(KernelError):
            analysis.with_kernel(bad)
    with pytest.raises(KernelError, match="shape"):
        analysis.with_peaks(np.zeros((5, 5), bool))


def test_a_one_sided_kernel_leaves_half_of_its_noise_visible(lines):
    analysis = analyze(lines)
    whole = np.ones((1, 15), bool)
    half = whole & (np.arange(15) >= 7)
    both, one = (analysis.with_kernel(kernel).verdict for kernel in (whole, half))
    assert one.covered == pytest.approx(both.covered / 2) and "one-sided" not in both.summary
    assert "one-sided" in one.summary and not one.expect_gain


def test_a_kernel_by_hand_where_there_is_nothing_to_hide():
    analysis = analyze(sample("white", shape=SHAPE).noisy)
    verdict = analysis.with_kernel(np.ones((1, 9), bool)).verdict
    assert verdict.covered == 0 and not verdict.expect_gain
    assert "No correlation is certain enough" in verdict.summary and "left visible" not in verdict.summary
    assert "left visible" not in analysis.with_kernel(np.ones((1, 1), bool)).verdict.summary


def test_a_kernel_by_hand_beside_a_notch():
    analysis = analyze(sample("lines_and_hum", shape=(8, 128, 128), structured=1.2).noisy)
    assert analysis.notch
    for kernel, words in ((np.ones((1, 1), bool), "left visible"), (np.ones((3, 1), bool), "but for what")):
        verdict = analysis.with_kernel(kernel).verdict
        assert verdict.kind == "long_range" and verdict.expect_gain and words in verdict.summary


def test_sensitivity_moves_the_peaks_without_another_measurement(lines):
    analysis = analyze(lines)
    strict = analysis.with_config(AnalysisConfig(sensitivity=15))
    assert strict.measured is analysis.measured
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
    analysis = analyze(stack, mode="2.5d")
    kernel = analysis.kernel
    assert kernel.shape[1] == 1 and kernel.shape[2] >= 11, "a line along X, in spite of the microtubule"
    assert kernel.all()
    middle = analysis.autocorrelation[1]
    mid = len(middle) // 2
    # as in the slices above the specimen, where there is nothing but noise
    assert abs(middle[mid, mid + 1]) < 0.1 and middle[mid, mid + 2] < -0.05
    assert np.abs(middle[mid + 2 : mid + 6, mid]).max() < 0.05
    for words in ("along X", "not along Y", "neighbouring slices"):
        assert words in analysis.verdict.summary


def test_a_clean_real_stack_has_none(em_data):
    stack = tifffile.imread(em_data / "sstem_30x256x256_u8.tif")
    assert analyze(stack).verdict.kind == "none"


@pytest.mark.parametrize(
    ("family", "shape"), [("scan_lines", (1, 31)), ("scan_lines_y", (31, 1)), ("repeated_lines", (1, 31))]
)
@pytest.mark.parametrize("seed", range(3))
def test_lines_give_the_kernel_of_the_truth(family, shape, seed):
    made = sample(family, shape=(16, 192, 192), seed=seed)
    kernel = analyze(made.noisy).kernel
    assert kernel.shape == shape
    np.testing.assert_array_equal(kernel, made.oracle_kernel())


@pytest.mark.parametrize(("family", "angle"), [("streaks_30", 30), ("streaks_70", 70)])
def test_streaks_lie_at_their_angle(family, angle):
    made = sample(family, shape=(16, 192, 192))
    analysis = analyze(made.noisy)
    assert analysis.verdict.direction_deg == pytest.approx(angle, abs=8)
    kernel, true = (embed_kernel(k, 31) for k in (analysis.kernel, made.oracle_kernel()))
    assert (kernel & true).sum() > 0.75 * max(kernel.sum(), true.sum())


def test_blur_is_told_from_detail_by_the_slices_beside():
    """Detail goes on from slice to slice, noise does not."""
    blurred = analyze(sample("blur", shape=(16, 192, 192)).noisy)
    assert blurred.verdict.kind == "isotropic" and blurred.verdict.expect_gain
    np.testing.assert_array_equal(blurred.kernel, sample("blur", shape=(16, 192, 192)).oracle_kernel())
    one_slice = analyze(sample("blur", shape=(16, 192, 192)).noisy[8])
    assert one_slice.verdict.kind == "none" and "cannot be told" in one_slice.verdict.summary


def test_an_outlined_background_tells_blur_in_a_single_slice():
    noise = NOISE_FAMILIES["blur"].draw((1, 256, 256), np.random.default_rng(0))[0]
    noise[:, 128:] += 5 * sample("white", shape=(1, 256, 128)).clean[0]
    region = np.zeros((256, 256), dtype=bool)
    region[:, :120] = True
    assert analyze(noise).verdict.kind == "none"
    assert analyze(noise, region=region).verdict.kind == "isotropic"


def test_noise_is_measured_where_the_background_is_outlined():
    """Lines along Y all over the left, along X in the outlined right."""
    rng = np.random.default_rng(0)
    stack = rng.standard_normal((8, 128, 256))
    stack[..., :128] += ScanLines(along="y").draw((8, 128, 128), rng)
    stack[..., 128:] += ScanLines(along="x").draw((8, 128, 128), rng)
    region = np.zeros(stack.shape, dtype=bool)
    region[:, 5:120, 132:250] = True
    kernel = analyze(stack, region=region).kernel
    assert kernel.shape[0] == 1 and kernel.shape[1] > 9
    small = np.zeros((128, 256), dtype=bool)
    small[10:40, 140:170] = True  # smaller than a tile
    assert analyze(stack, region=small).spectrum.shape[0] < 30
    for bad, message in ((small[:5], "shape"), (small & False, "empty"), (np.eye(128, 256) > 0, "too small")):
        with pytest.raises(StackError, match=message):
            analyze(stack, region=bad)


@pytest.mark.parametrize(
    ("shape", "white", "stacks", "most"), [(SHAPE, None, 12, 1), ((24, 96, 96), 0.3, 24, 2)]
)
def test_white_noise_hardly_ever_gets_a_kernel(shape, white, stacks, most):
    """It is chance, so it is a rate: docs/architecture.md tells of 3 in 72, all in stacks of 24 × 96 × 96."""
    made = (sample("white", shape=shape, white=white, seed=seed) for seed in range(stacks))
    found = [analyze(each.noisy).verdict.kind for each in made]
    assert sum(kind != "none" for kind in found) <= most, found


@pytest.mark.parametrize("white", [0.0, 0.05])
@pytest.mark.parametrize("image", ["tomogram", "crystal", "layers"])
def test_no_kernel_is_invented_for_an_image_with_hardly_any_noise(image, white):
    rng = np.random.default_rng(3)
    clean = {"crystal": crystal, "layers": layers}.get(image, lambda *_: sample("white").clean)(
        (16, 160, 160), rng
    )
    analysis = analyze(degraded(clean, "white", white=white, rng=rng).noisy)
    assert analysis.kernel.size == 1 and not analysis.verdict.expect_gain


@pytest.mark.parametrize("family", ["reconstruction", "streaks_30", "rows"])
def test_the_kernel_does_not_depend_on_the_scale_of_the_values(family):
    stack = sample(family, shape=SHAPE).noisy.astype(np.float64)
    expected = analyze(stack)
    for other in (
        -stack,
        3e4 * stack + 1e6,
        np.clip(128 + 20 * stack, 0, 255).astype(np.uint8),
        (30000 + 3000 * stack).astype(np.uint16),
        (3000 * stack).astype(np.int16),
        stack.astype(np.float32),
    ):
        found = analyze(other)
        np.testing.assert_array_equal(found.kernel, expected.kernel)
        assert found.verdict.kind == expected.verdict.kind
        assert bool(found.notch) == bool(expected.notch)


def test_a_mirrored_stack_gives_the_mirrored_kernel():
    stack = sample("streaks_30", shape=SHAPE).noisy
    kernel = analyze(stack).kernel
    for axis in (1, 2):
        np.testing.assert_array_equal(analyze(np.flip(stack, axis)).kernel, np.flip(kernel, axis - 1))
    np.testing.assert_array_equal(analyze(np.flip(stack, 0)).kernel, kernel)


def test_lengths_are_told_in_nanometres_where_the_voxel_size_is_known(lines):
    analysis = analyze(lines, voxel_size=VoxelSize(20, 13, 13, "angstrom"))
    length = analysis.verdict.length_px
    assert f"{length} px ({length * 1.3:.3g} nm)" in analysis.verdict.summary
    assert "nm" not in analyze(lines, voxel_size=VoxelSize(1, 1, 1, "pixel")).verdict.summary


def test_too_little_to_measure_is_said():
    verdict = analyze(np.random.default_rng(0).normal(size=(1, 70, 70))).verdict
    assert verdict.kind == "unclear" and "Outline" in verdict.summary and not verdict.expect_gain


def test_notch_and_kernel_can_be_switched_off():
    analysis = analyze(sample("lines_and_hum", shape=(16, 192, 192)).noisy)
    assert analysis.notch and analysis.kernel.shape == (1, 31) and analysis.verdict.kind == "long_range"
    only_kernel = analysis.with_config(AnalysisConfig(notch="off"))
    assert not only_kernel.notch and only_kernel.notch_rule is None
    only_notch = analysis.with_config(AnalysisConfig(find_kernel=False))
    assert only_notch.notch and only_notch.kernel.tolist() == [[True]] and only_notch.verdict.expect_gain
    neither = analysis.with_config(AnalysisConfig(notch="off", find_kernel=False))
    assert not neither.verdict.expect_gain


def test_erasing_the_peak_of_a_hum_keeps_it_and_painting_it_back_takes_it():
    analysis = analyze(sample("hum", shape=SHAPE).noisy)
    erased = analysis.with_peaks(np.zeros_like(analysis.peaks))
    assert not erased.notch and erased.kernel.size == 1
    back = erased.with_peaks(analysis.peaks)
    assert len(back.notch.waves) == 1 and back.verdict == analysis.verdict


def test_the_residual_of_stage_1_confirms_what_is_there():
    """Structured noise that passed leaves a dip, what could not be predicted a peak: both confirm."""
    made = sample("scan_lines", shape=SHAPE)
    smooth = ndimage.gaussian_filter(made.noisy, (0, 1, 2))
    assert analyze(made.noisy, smooth).verdict.confirmed > 0.5
    # a residual that is nothing but white noise speaks against it
    white = made.noisy - np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32)
    doubtful = analyze(made.noisy, white).verdict
    assert doubtful.confirmed < 0.2 and "look at them" in doubtful.summary
    assert analyze(made.noisy).verdict.confirmed is None


def test_a_wide_kernel_in_serial_sections_is_shown_but_not_trusted(em_data):
    clean = tifffile.imread(em_data / "sstem_30x256x256_u8.tif")[:16, :192, :192].astype(np.float64)
    for family, trusted in (("streaks_30", False), ("streaks_70", False), ("scan_lines", True)):
        analysis = analyze(degraded(clean, family, rng=np.random.default_rng(0)).noisy)
        assert analysis.verdict.kind == "kernel"
        assert analysis.verdict.expect_gain is trusted
        assert ("quick look" in analysis.verdict.summary) is not trusted
    wide = analyze(sample("streaks_30", shape=SHAPE).noisy)
    assert wide.kernel.sum() > 31 and wide.verdict.expect_gain
