"""Peaks one by one: right place, right period, right strength, and quick."""

import numpy as np
import pytest
from scipy import ndimage

from napari_autostructn2v.io import VoxelSize
from napari_autostructn2v.kernel import mirrored
from napari_autostructn2v.noise.analysis import analyze
from napari_autostructn2v.noise.peak_list import list_peaks
from napari_autostructn2v.synthetic import sample
from napari_autostructn2v.synthetic.long_range import Hum
from napari_autostructn2v.synthetic.noise import ScanLines

SHAPE = (8, 160, 160)


@pytest.fixture(scope="module")
def white():
    return analyze(sample("white", shape=SHAPE).noisy)


@pytest.mark.parametrize("frequency", [(0.13, 0.07), (0.2, -0.1), (0.0, 0.25), (0.25, 0.0)])
def test_a_hum_is_one_peak_at_its_frequency(frequency):
    noisy = sample(Hum(frequency), shape=SHAPE, structured=1.5).noisy
    analysis = analyze(noisy)
    peaks = list_peaks(analysis, analysis.peaks, VoxelSize(1, 2, 2, "nm"))
    assert len(peaks) == 1
    (peak,) = peaks
    half_a_bin = 0.5 / len(analysis.peaks) + 1e-9
    sign = 1 if frequency[1] >= 0 else -1
    assert np.abs(np.subtract(peak.frequency, np.multiply(sign, frequency))).max() <= half_a_bin
    truth = 1 / np.hypot(*frequency)
    assert peak.period_px == pytest.approx(truth, rel=0.08)
    assert peak.period_nm == pytest.approx(2 * peak.period_px)
    turned = (peak.angle_deg - np.degrees(np.arctan2(-frequency[0], frequency[1]))) % 180
    assert min(turned, 180 - turned) < 6
    assert peak.strength_db > 10
    np.testing.assert_array_equal(peak.mask, analysis.peaks)
    assert peak.bins == analysis.peaks.sum()


def test_lines_and_hum_are_two_peaks_the_strongest_first():
    analysis = analyze(sample("lines_and_hum", shape=(8, 128, 128), structured=1.2).noisy)
    peaks = list_peaks(analysis, analysis.peaks, None)
    strengths = [abs(peak.strength_db) for peak in peaks]
    assert len(peaks) >= 2 and strengths == sorted(strengths, reverse=True)
    assert any(peak.period_px == pytest.approx(6.77, rel=0.08) for peak in peaks)
    masks = np.array([peak.mask for peak in peaks])
    np.testing.assert_array_equal(masks.sum(axis=0), analysis.peaks)  # each bin in one peak
    assert all((mask == mirrored(mask)).all() for mask in masks)
    assert all(peak.period_nm is None for peak in peaks)


def test_a_gap_is_a_peak_of_negative_strength():
    analysis = analyze(sample("reconstruction", shape=SHAPE).noisy)
    assert list_peaks(analysis, analysis.peaks, None)[0].bins > 10
    assert min(peak.strength_db for peak in list_peaks(analysis, analysis.peaks, None)) < -3


def test_a_region_that_fills_the_spectrum_is_listed_in_parts():
    analysis = analyze(sample("reconstruction", shape=SHAPE).noisy)
    largest = np.bincount(ndimage.label(analysis.peaks, np.ones((3, 3)))[0].ravel())[1:].max()
    found = list_peaks(analysis, analysis.peaks, None)
    assert largest > 500 and 5 < len(found) < 60
    assert max(peak.bins for peak in found) < 0.25 * analysis.peaks.sum()
    np.testing.assert_array_equal(np.sum([peak.mask for peak in found], axis=0), analysis.peaks)
    middle = len(analysis.peaks) // 2
    for peak in found:
        np.testing.assert_array_equal(peak.mask, mirrored(peak.mask))
        assert peak.mask[tuple(np.rint(np.multiply(peak.frequency, len(peak.mask))).astype(int) + middle)]


def test_groups_and_their_mirror_images_count_once(white):
    peaks = np.zeros_like(white.peaks)
    middle = len(peaks) // 2
    peaks[middle + 5, middle + 7] = peaks[middle + 6, middle + 8] = True  # touch by a corner
    peaks[middle - 10, middle + 2] = True
    peaks[middle - 1 : middle + 2, middle - 1 : middle + 2] = True  # its own mirror image
    peaks |= mirrored(peaks)
    found = list_peaks(white, peaks, None)
    assert sorted(peak.bins for peak in found) == [2, 4, 8]  # the mean of the image is no frequency
    for peak in found:
        assert peak.frequency[1] > 0 or (peak.frequency[1] == 0 and peak.frequency[0] > 0)
        assert peak.mask[tuple(np.rint(np.multiply(peak.frequency, len(peaks))).astype(int) + middle)]


@pytest.mark.parametrize(
    ("size", "along_x", "along_y"),
    [
        (VoxelSize(1, 2, 3, "nm"), 3.0, 2.0),
        (VoxelSize(10, 20, 30, "angstrom"), 3.0, 2.0),
        (VoxelSize(1, 0.002, 0.003, "um"), 3.0, 2.0),
        (VoxelSize(1, 2, 3, "pixel"), None, None),
        (None, None, None),
    ],
)
def test_periods_in_nanometres_follow_unit_and_direction(white, size, along_x, along_y):
    peaks = np.zeros_like(white.peaks)
    side, middle = len(peaks), len(peaks) // 2
    peaks[middle, middle + 9] = peaks[middle + 9, middle] = peaks[middle + 9, middle + 9] = True
    by_angle = {round(p.angle_deg): p for p in list_peaks(white, peaks | mirrored(peaks), size)}
    assert set(by_angle) == {0, 90, 135}
    if along_x is None:
        assert all(peak.period_nm is None for peak in by_angle.values())
        return
    assert by_angle[0].period_nm == pytest.approx(side / 9 * along_x)
    assert by_angle[90].period_nm == pytest.approx(side / 9 * along_y)
    # wave fronts at a slant are nearer to each other than along either axis
    assert by_angle[135].period_nm == pytest.approx(side / 9 / np.hypot(1 / along_x, 1 / along_y))


def test_no_peaks_no_list(white):
    assert list_peaks(white, np.zeros_like(white.peaks), None) == []


def test_another_stack_is_measured_in_the_same_places():
    made = sample(ScanLines(), shape=SHAPE, structured=1.5)
    analysis = analyze(made.noisy, made.clean)
    measured = analysis.measured
    again = measured.spectrum_of(made.noisy)
    np.testing.assert_array_equal(again.log_power, measured.background.log_power)
    residual = measured.spectrum_of(made.noisy - made.clean)
    np.testing.assert_allclose(residual.log_power, measured.residual.log_power, rtol=1e-5, atol=1e-5)
    assert (measured.spectrum_of(made.clean).log_power < again.log_power).mean() > 0.95
