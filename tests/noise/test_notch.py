"""Does the notch take away patterns that no kernel can hide, and nothing else?"""

import numpy as np
import pytest
import tifffile

from napari_autostructn2v.config import AnalysisConfig
from napari_autostructn2v.metrics import psnr
from napari_autostructn2v.noise import patterns
from napari_autostructn2v.noise.analysis import analyze
from napari_autostructn2v.noise.notch import find_notch
from napari_autostructn2v.stack import Stack, as_stack
from napari_autostructn2v.synthetic import crystal, degraded, layers, sample

SHAPE = (12, 160, 160)
ALL = AnalysisConfig(notch="all")


def notched(stack, notch):
    array = patterns.notched(as_stack(stack), notch).array
    return np.stack([array[z] for z in range(stack.shape[0])])


def without_pattern(made):
    """The stack as it would be with the white noise alone."""
    return made.clean + made.white * np.random.default_rng(9).standard_normal(made.clean.shape)


@pytest.mark.parametrize(
    ("family", "median", "worst"),
    [("hum", 0.03, 0.1), ("grid", 0.03, 0.1), ("rows", 0.75, 0.9), ("columns", 0.8, 1.2)],
)
def test_what_is_left_is_almost_as_good_as_without_the_pattern(family, median, worst):
    """In decibels, of eight stacks; docs/architecture.md names these limits."""
    lost = []
    for seed in range(8):
        made = sample(family, shape=SHAPE, seed=seed)
        analysis = analyze(made.noisy)
        assert analysis.verdict.kind == "long_range" and analysis.verdict.expect_gain
        assert analysis.kernel.tolist() == [[True]], "a single blind pixel does for the rest"
        left = psnr(notched(made.noisy, analysis.notch), made.clean)
        assert left > psnr(made.noisy, made.clean) + 1.9
        lost.append(psnr(without_pattern(made), made.clean) - left)
    assert np.median(lost) < median and max(lost) < worst, lost


@pytest.mark.parametrize("family", ["hum", "rows", "columns", "grid"])
def test_on_real_sections_too(family, em_data):
    clean = tifffile.imread(em_data / "sstem_30x256x256_u8.tif")[:12]
    made = degraded(clean, family, rng=np.random.default_rng(0))
    analysis = analyze(made.noisy)
    assert psnr(notched(made.noisy, analysis.notch), made.clean) > psnr(made.noisy, made.clean) + 2


def test_fixed_columns_are_told_from_rows_of_each_slice():
    (columns,) = analyze(sample("columns", shape=SHAPE).noisy).notch.offsets
    (rows,) = analyze(sample("rows", shape=SHAPE).noisy).notch.offsets
    assert (columns.axis, columns.fixed.any()) == (1, True)
    assert (rows.axis, rows.fixed.any()) == (0, False)


def test_the_wave_of_a_hum_is_measured():
    analysis = analyze(sample("hum", shape=SHAPE).noisy)
    (wave,) = analysis.notch.waves
    np.testing.assert_allclose(np.abs(wave.frequency), (0.13, 0.07), atol=5e-4)
    assert analysis.verdict.period_px == pytest.approx(1 / np.hypot(0.13, 0.07), rel=0.01)
    assert "6.8 px" in analysis.verdict.summary


@pytest.mark.parametrize("family", ["white", "scan_lines", "reconstruction", "streaks_30", "blur"])
def test_nothing_is_taken_where_there_is_no_such_pattern(family):
    assert not analyze(sample(family, shape=SHAPE).noisy).notch


@pytest.mark.parametrize("image", [crystal, layers])
@pytest.mark.parametrize("seed", range(3))
def test_a_lattice_of_the_sample_stays(image, seed):
    rng = np.random.default_rng(seed)
    made = degraded(image(SHAPE, rng), "white", rng=rng)
    analysis = analyze(made.noisy)
    assert not analysis.notch and analysis.kernel.tolist() == [[True]]
    assert not analysis.verdict.expect_gain and "lattice" in analysis.verdict.summary
    assert analysis.with_config(ALL).notch, "unless it is asked for"


def test_scan_lines_are_found_beside_a_lattice():
    rng = np.random.default_rng(0)
    made = degraded(crystal(SHAPE, rng), "scan_lines", rng=rng)
    analysis = analyze(made.noisy)
    assert not analysis.notch and analysis.kernel.shape[0] == 1 and analysis.kernel.shape[1] > 20


def test_in_few_slices_a_slanted_wave_is_left_to_the_person():
    made = sample("hum", shape=(3, 160, 160))
    analysis = analyze(made.noisy)
    assert not analysis.notch and "take all patterns" in analysis.verdict.summary
    assert psnr(notched(made.noisy, analysis.with_config(ALL).notch), made.clean) > psnr(
        made.noisy, made.clean
    )


def test_every_other_column_lifted():
    """A read-out by two amplifiers: at half the sampling frequency, where a wave has no other half."""
    made = sample("white", shape=SHAPE)
    noisy = made.noisy.copy()
    noisy[..., ::2] += 0.6
    analysis = analyze(noisy)
    assert [wave.frequency for wave in analysis.notch.waves] == [(0.0, -0.5)]
    np.testing.assert_allclose(notched(noisy, analysis.notch), made.noisy + 0.3, atol=0.06)


def test_the_patterns_of_another_stack_of_the_same_microscope():
    """The rule goes with a model: columns are measured anew, and not taken where there are none."""
    rule = analyze(sample("columns", shape=SHAPE, seed=0).noisy).notch_rule
    other = sample("columns", shape=SHAPE, seed=1)
    left = rule.apply(as_stack(other.noisy))
    assert (
        psnr(np.stack([left.plane(z) for z in range(12)]), other.clean) > psnr(other.noisy, other.clean) + 1.5
    )
    white = sample("white", shape=SHAPE).noisy
    np.testing.assert_array_equal(rule.apply(as_stack(white)).plane(3), white[3])


@pytest.mark.parametrize("change", [lambda s: 1000 * s + 5e4, lambda s: -s], ids=["scaled", "inverted"])
def test_the_scale_does_not_matter(change):
    stack = sample("rows", shape=SHAPE).noisy.astype(np.float64)
    plane = notched(stack, analyze(stack).notch)[4]
    changed = notched(change(stack), analyze(change(stack)).notch)[4]
    np.testing.assert_allclose(changed, change(plane.astype(float)), atol=1e-3 * changed.std())


def test_slices_are_read_one_at_a_time():
    class Counting:
        def __init__(self, array):
            self.array, self.shape, self.dtype, self.read = array, array.shape, array.dtype, []

        def __getitem__(self, index):
            self.read.append(index)
            return self.array[index]

    deep = Counting(np.random.default_rng(0).normal(size=(100, 32, 32)).astype(np.float32))
    stack = Stack(deep)
    stack.plane(0)  # for whose scale and level others may be read
    deep.read.clear()
    find_notch(stack)
    assert all(np.isscalar(index) for index in deep.read) and len(set(deep.read)) <= 32


def test_a_pattern_in_one_slice_is_left_alone_in_words_that_fit_one_slice():
    made = sample("hum", shape=(1, 256, 256)).noisy
    one = analyze(made[0]).verdict.summary
    assert "One slice does not tell" in one and "through the slices" not in one
