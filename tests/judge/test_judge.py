"""Does a second recording tell what the truth would tell?"""

import json

import numpy as np
import pytest
from scipy import ndimage

from napari_autostructn2v.errors import StackError
from napari_autostructn2v.events import SliceDone
from napari_autostructn2v.io import VoxelSize
from napari_autostructn2v.judge import Score, score, scoring
from napari_autostructn2v.judge.drift import shifted
from napari_autostructn2v.synthetic import sample

NOISE = 0.6


@pytest.fixture(scope="module")
def truth():
    return sample("white", shape=(4, 160, 192), seed=3).clean


def recording(truth, seed, noise=NOISE):
    """With noise that is correlated along the rows, as scanned images have it."""
    white = np.random.default_rng(seed).normal(size=truth.shape)
    along = ndimage.convolve1d(white, [0.35, 0.87, 0.35], axis=-1)
    return (truth + noise * along / along.std()).astype(np.float32)


def smoothed(stack, sigma=1.2):
    return ndimage.gaussian_filter(stack, (0, sigma, sigma))


def true_gain(denoised, raw, truth):
    return 10 * np.log10(np.square(raw - truth).mean() / np.square(denoised - truth).mean())


@pytest.mark.parametrize("sigma", [0.5, 1.2, 3.0])
def test_the_gain_is_that_against_the_truth(truth, sigma):
    raw, second = recording(truth, 1), recording(truth, 2)
    denoised = smoothed(raw, sigma)
    found = score(denoised, raw, second)
    assert found.gain_db == pytest.approx(true_gain(denoised, raw, truth), abs=0.25)
    assert found.noise == pytest.approx(NOISE, rel=0.03)
    assert found.second_noise == 1


def test_the_interval_holds_the_true_gain_as_often_as_it_says(truth):
    """Of 95 %, in at least 34 of 40 (p = 0.001 for fewer)."""
    held = 0
    for seed in range(40):
        raw = recording(truth[:1], 100 + seed)
        denoised = smoothed(raw)
        low, high = score(denoised, raw, recording(truth[:1], 200 + seed)).interval_db
        held += low <= true_gain(denoised, raw, truth[:1]) <= high
        assert high - low < 2
    assert held >= 34


def test_what_was_not_denoised_gains_nothing(truth):
    raw = recording(truth, 1)
    assert score(raw, raw, recording(truth, 2)).gain_db == pytest.approx(0, abs=1e-6)


def test_what_is_worse_than_the_recording_is_said_to_be(truth):
    raw = recording(truth, 1)
    found = score(raw + recording(0 * truth, 5), raw, recording(truth, 2))
    assert found.gain_db == pytest.approx(-3, abs=0.3)
    assert "FARTHER" in found.sentences[0]


def test_the_truth_itself_is_told_to_be_beyond_what_can_be_told(truth):
    found = score(truth, recording(truth, 1), recording(truth, 2))
    assert found.gain_db > 15 and found.interval_db[1] == np.inf
    assert "at least" in found.sentences[0]
    json.dumps(found.as_dict(), allow_nan=False)


@pytest.mark.parametrize("shift", [(0.3, -0.2), (0.0, 0.6), (3.4, -5.7)])
def test_a_drift_is_told_to_the_fraction_of_a_pixel(truth, shift):
    raw = recording(truth, 1)
    moved = np.stack([shifted(plane, np.array(shift)) for plane in truth.astype(np.float64)])
    denoised = smoothed(raw)
    found = score(denoised, raw, recording(moved, 2))
    np.testing.assert_allclose(found.drift, np.broadcast_to(shift, (4, 2)), atol=0.06)
    right = true_gain(denoised, raw, truth)
    if max(map(abs, shift)) < 1:  # this scene is so smooth that it hardly matters
        assert found.gain_without_drift_db == pytest.approx(right, abs=0.25)
    else:
        assert found.gain_db < right - 1
        assert found.drift_matters and "Align" in " ".join(found.sentences)


def test_a_drift_of_some_slices_is_theirs(truth):
    moved = truth.astype(np.float64).copy()
    moved[1] = shifted(moved[1], np.array([0.0, 0.8]))
    found = score(smoothed(recording(truth, 1)), recording(truth, 1), recording(moved, 2))
    np.testing.assert_allclose(found.drift[:, 1], [0, 0.8, 0, 0], atol=0.06)


def test_recordings_that_lie_upon_each_other_are_said_to(truth):
    found = score(smoothed(recording(truth, 1)), recording(truth, 1), recording(truth, 2))
    assert not found.drift.any() and not found.drift_matters
    assert found.gain_without_drift_db == found.gain_db


def test_nothing_but_noise_has_no_drift():
    empty = np.zeros((2, 96, 96))
    raw = recording(empty, 1)
    assert not score(smoothed(raw), raw, recording(empty, 2)).drift.any()


@pytest.mark.parametrize("ratio", [0.75, 1.3])
def test_a_second_recording_of_another_dose_is_allowed_for(truth, ratio):
    raw, second = recording(truth, 1), recording(truth, 2, NOISE * ratio)
    denoised = smoothed(raw)
    found = score(denoised, raw, second)
    assert found.second_noise == pytest.approx(ratio, abs=0.04)
    assert found.gain_db == pytest.approx(true_gain(denoised, raw, truth), abs=0.4)
    assert found.noise == pytest.approx(NOISE, rel=0.04)
    assert ("more noise" if ratio > 1 else "less noise") in found.sentences[-1]


def test_another_brightness_is_no_error(truth):
    raw, second = recording(truth, 1), recording(truth, 2)
    brighter = second + np.array([0, 5, -3, 2], np.float32)[:, None, None]
    assert score(smoothed(raw), raw, brighter).gain_db == pytest.approx(
        score(smoothed(raw), raw, second).gain_db, abs=0.01
    )


@pytest.mark.parametrize("factor", [1e-6, 1e9])
def test_the_unit_of_the_values_does_not_matter(truth, factor):
    raw, second = (factor * (7 + recording(truth, seed).astype(np.float64)) for seed in (1, 2))
    found = score(smoothed(raw), raw, second)
    assert found.gain_db == pytest.approx(
        score(smoothed(raw / factor), raw / factor, second / factor).gain_db, 1e-3
    )
    assert found.noise == pytest.approx(NOISE * factor, rel=0.03)


def test_what_was_not_measured_in_one_of_them_does_not_count(truth):
    raw, second = recording(truth, 1), recording(truth, 2)
    right = score(smoothed(raw), raw, second).gain_db
    denoised = smoothed(raw)
    broken, other = raw.copy(), second.copy()
    broken[:, :9] = 0
    other[:, 40, 50] = 1e4
    other[2] = np.nan
    denoised[:, :9] = 77
    assert score(denoised, broken, other).gain_db == pytest.approx(right, abs=0.3)


def test_rings_correlate_as_signal_and_noise_say(truth):
    """Of two recordings S / (S + N); of the truth and one of them its root."""
    size = VoxelSize(2, 1.5, 1.5)
    found = score(truth, recording(truth, 1), recording(truth, 2), voxel_size=size).rings
    assert found.unit == "nm" and found.frequency[-1] == pytest.approx(0.5 / 1.5, rel=0.02)
    sure = found.raw > 0.2
    np.testing.assert_allclose(np.square(found.denoised[sure]), found.raw[sure], atol=0.12)
    fine, coarse = found.resolution(0.143), found.resolution(0.5)
    assert 3 < fine < coarse < 60
    assert found.resolution(0.143, of_raw=True) > fine, "the truth goes along farther than a recording"


def test_what_always_goes_along_has_no_limit(truth):
    smooth = truth + 0 * truth
    found = score(smooth, recording(truth, 1, 1e-3), recording(truth, 2, 1e-3)).rings
    assert found.resolution(0.143) is None


def test_volumes_have_shells_in_their_own_lengths():
    volume = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(24, 96, 96)), (1, 2, 2))
    volume /= volume.std()
    raw, second = recording(volume, 1), recording(volume, 2)
    found = score(smoothed(raw), raw, second, voxel_size=VoxelSize(2, 1, 1))
    assert found.shells.frequency[-1] <= 0.25 + 1e-9, "Nyquist of the coarsest axis"
    assert found.shells.raw[0] > 0.8 and abs(found.shells.raw[-3:].mean()) < 0.2
    assert score(smoothed(raw[:8]), raw[:8], second[:8]).shells is None
    assert "Resolution of the volume" in " ".join(found.sentences)


def test_a_single_slice(truth):
    raw, second = recording(truth, 1)[0], recording(truth, 2)[0]
    denoised = ndimage.gaussian_filter(raw, 1.2)
    found = score(denoised, raw, second)
    assert found.gain_db == pytest.approx(true_gain(denoised, raw, truth[0]), abs=0.5)


def test_progress_is_said_and_it_can_be_ended(truth):
    events = scoring(smoothed(recording(truth, 1)), recording(truth, 1), recording(truth, 2))
    assert next(events) == SliceDone(0, 1, 8)
    events.close()


@pytest.mark.parametrize(
    ("which", "said"),
    [
        ("same", "two recordings are the same"),
        ("second", "the second recording itself"),
        ("shape", "second recording has shape"),
        ("made", "result has shape"),
    ],
)
def test_what_tells_nothing_is_refused(truth, which, said):
    raw, second = recording(truth, 1), recording(truth, 2)
    made = smoothed(raw)
    stacks = {
        "same": (made, raw, raw),
        "second": (second, raw, second),
        "shape": (made, raw, second[:2]),
        "made": (made[:, :100], raw, second),
    }[which]
    with pytest.raises(StackError, match=said):
        score(*stacks)


def test_real_scans_agree_with_the_arithmetic(em_data):
    """Gaussian of 2 px: 9.3 dB on these crops, by the plain formula over each slice."""
    from napari_autostructn2v.io import read_stack

    raw, second = (
        np.asarray(read_stack(em_data / f"stem_{which}_scan_2x512x512_i16.tif").array).astype(np.float64)
        for which in ("first", "second")
    )
    denoised = smoothed(raw, 2)
    found: Score = score(denoised, raw, second)
    between = raw - second
    noise = between.var(axis=(1, 2)).mean() / 2
    left = np.square(denoised - second - between.mean(axis=(1, 2), keepdims=True)).mean() - noise
    assert found.gain_db == pytest.approx(10 * np.log10(noise / left), abs=0.02)
    assert 0.1 < np.hypot(*found.drift.T).max() < 0.5, "as the microscope's software says"
