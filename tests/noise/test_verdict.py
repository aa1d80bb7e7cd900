"""Does the verdict name the direction in which the noise runs, and does painting only ever add?"""

import numpy as np
import pytest
import tifffile

from napari_autostructn2v.noise.analysis import analyze
from napari_autostructn2v.noise.verdict import extent
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


@pytest.mark.parametrize("name", ["cryo_microtubule_36x206x94_u8.tif", None])
def test_painting_a_peak_takes_no_pixel_of_the_kernel_away(request, name):
    if name is None:
        stack = sample("scan_lines", shape=(8, 128, 128)).noisy
    else:
        stack = tifffile.imread(request.getfixturevalue("em_data") / name)
    analysis = analyze(stack)
    assert analysis.kernel.sum() > 5
    rng = np.random.default_rng(0)
    for y, x in [(20, 45), *rng.integers(5, 58, (4, 2))]:
        painted = analysis.peaks.copy()
        painted[y, x] = True
        edited = analysis.with_peaks(painted)
        grid = edited.autocorrelation.shape[-1]
        reach = [grid // 2 - n // 2 for n in edited.kernel.shape]
        whole = np.pad(edited.kernel, [(r, r) for r in reach])
        inner = [grid // 2 - n // 2 for n in analysis.kernel.shape]
        before = np.pad(analysis.kernel, [(r, r) for r in inner])
        assert not (before & ~whole).any()
        assert edited.verdict.expect_gain
