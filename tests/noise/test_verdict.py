"""Does the verdict name the direction in which the noise runs, and does painting only ever add?"""

import numpy as np
import pytest
import tifffile

from napari_autostructn2v.io import VoxelSize
from napari_autostructn2v.kernel import embed_kernel
from napari_autostructn2v.noise.analysis import analyze
from napari_autostructn2v.noise.direction import extent
from napari_autostructn2v.noise.verdict import CONCLUSIONS
from napari_autostructn2v.synthetic import sample


def test_the_direction_is_that_of_most_of_the_correlation():
    """A kernel that reaches farther along Y, while nearly all correlation lies along X."""
    kernel = np.ones((5, 3), bool)
    weights = np.full((5, 3), 0.002)
    weights[2, [0, 2]] = 0.15
    assert extent(kernel, weights) == (0, 3)
    assert extent(kernel)[0] == 90


@pytest.mark.parametrize(
    "family", ["scan_lines", "scan_lines_y", "streaks_30", "streaks_70", "reconstruction"]
)
def test_the_lag_that_is_quoted_lies_on_the_direction_that_is_quoted(family):
    analysis = analyze(sample(family, shape=(12, 160, 160)).noisy)
    verdict, correlation = analysis.verdict, analysis.autocorrelation
    words = verdict.summary.split("most at ")[1]
    lag, value = int(words.split(" px")[0]), float(words.split("(")[1].split(")")[0])
    middle = correlation.shape[0] // 2
    places = np.argwhere(np.isclose(correlation, value, atol=0.006)) - middle
    turn = np.radians(verdict.direction_deg)
    along = np.abs(places @ [-np.sin(turn), np.cos(turn)])
    across = np.abs(places @ [np.cos(turn), np.sin(turn)])
    assert (np.abs(places).max(axis=1)[along >= across] == lag).any()


def on_lags(analysis, kernel):
    """A kernel on the grid of the lags, whatever its own size."""
    return embed_kernel(kernel, analysis.autocorrelation.shape[-1])


@pytest.mark.parametrize(("name", "bins"), [("cryo_microtubule_36x206x94_u8.tif", 6), (None, 200)])
def test_painting_a_peak_takes_no_pixel_of_the_kernel_away(request, name, bins):
    if name is None:
        stack = sample("scan_lines", shape=(6, 96, 96)).noisy
    else:
        stack = tifffile.imread(request.getfixturevalue("em_data") / name)
    analysis = analyze(stack)
    assert analysis.kernel.sum() > 5
    before, rng = on_lags(analysis, analysis.kernel), np.random.default_rng(0)
    for y, x in [(20, 45), *rng.integers(0, len(analysis.peaks), (bins - 1, 2))]:
        painted = analysis.peaks.copy()
        painted[y, x] = True
        edited = analysis.with_peaks(painted)
        assert not (before & ~on_lags(analysis, edited.kernel)).any(), (y, x)
        assert edited.verdict.expect_gain, (y, x)


def test_more_pixels_hide_more_and_are_never_judged_worse_for_it():
    """One measure for kernels that are found and that are set by hand."""
    analysis = analyze(sample("streaks_30", shape=(8, 128, 128)).noisy)
    found, rng = analysis.verdict, np.random.default_rng(0)
    assert analysis.with_kernel(analysis.kernel).verdict.covered == found.covered
    kernel = on_lags(analysis, analysis.kernel)
    hidden = found.covered
    for y, x in rng.integers(0, len(kernel), (14, 2)):
        kernel[y, x] = kernel[-1 - y, -1 - x] = True
        verdict = analysis.with_kernel(kernel).verdict
        assert verdict.covered >= hidden and verdict.expect_gain
        hidden = verdict.covered


@pytest.mark.parametrize(
    ("kernel", "blurs"),
    [
        (np.ones((1, 31), bool), False),  # a line: detail shows beside it
        (np.ones((7, 7), bool), False),  # 49 pixels
        (np.ones((5, 31), bool), True),  # most of it hides no noise of a line
        (np.ones((31, 31), bool), True),
    ],
)
def test_a_brush_over_the_window_is_told_to_blur(kernel, blurs):
    analysis = analyze(sample("scan_lines", shape=(8, 128, 128)).noisy)
    verdict = analysis.with_kernel(kernel).verdict
    assert ("expect blur" in verdict.caution) is ("expect blur" in verdict.summary) is blurs
    assert (verdict.conclusion == "look_first") is blurs
    assert verdict.next_step == ("quick_look" if blurs else "approve")


def test_a_wide_kernel_that_all_of_the_noise_needs_does_not_blur():
    analysis = analyze(sample("streaks_30", shape=(12, 160, 160)).noisy)
    assert analysis.kernel.sum() > 60 and analysis.verdict.conclusion == "helps"


@pytest.mark.parametrize(
    ("family", "conclusion", "step", "words"),
    [
        ("scan_lines", "helps", "approve", "Streaks along X, 40 nm or longer."),
        ("streaks_70", "helps", "approve", "Streaks along 70°, about 35 nm long."),
        ("reconstruction", "helps", "2.5d", "Streaks along X, about 9.1 nm long."),
        ("rows", "helps", "approve", "Whole rows too bright or too dark."),
        ("hum", "helps", "approve", "A wave every 8.8 nm along 118°."),
        ("blur", "helps", "approve", "Blur alike in all directions, about 6.5 nm wide."),
        ("white", "adds_nothing", "keep_stage1", "Grain without structure"),
    ],
)
def test_what_a_verdict_comes_to_and_what_is_seen(family, conclusion, step, words):
    stack = sample(family, shape=(12, 160, 160)).noisy
    verdict = analyze(stack, voxel_size=VoxelSize(20, 13, 13, "angstrom")).verdict
    assert (verdict.conclusion, verdict.next_step) == (conclusion, step)
    assert words in verdict.headline and not verdict.caution
    assert verdict.brief.startswith(f"{CONCLUSIONS[conclusion]}: {words}")


def test_few_tiles_ask_for_a_look():
    verdict = analyze(np.random.default_rng(0).normal(size=(1, 70, 70))).verdict
    assert verdict.conclusion == "look_first" and "tiles" in verdict.caution
    assert verdict.next_step == "outline"
    few = analyze(sample("scan_lines", shape=(2, 70, 70), structured=3.0).noisy)
    assert few.measured.background.tiles < 8 and few.kernel.sum() > 1
    assert few.verdict.conclusion == "look_first" and few.verdict.next_step == "quick_look"


def test_peaks_that_stage_1_does_not_confirm_ask_for_a_look():
    made = sample("scan_lines", shape=(12, 160, 160))
    white = made.noisy - np.random.default_rng(0).standard_normal(made.noisy.shape).astype(np.float32)
    verdict = analyze(made.noisy, white).verdict
    assert verdict.expect_gain and verdict.conclusion == "look_first" and "confirms only" in verdict.caution


def test_a_single_slice_with_a_regular_pattern_asks_for_a_look():
    verdict = analyze(sample("hum", shape=(1, 160, 160)).noisy).verdict
    assert verdict.conclusion == "look_first" and verdict.next_step == "all_patterns"
    assert "lattice" in verdict.caution
