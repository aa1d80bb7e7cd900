"""Ripples that a result has and its original has not: are they found, and is nothing else taken for them?"""

import json

import numpy as np
import pytest
import tifffile
from scipy import fft, ndimage

from napari_autostructn2v.config import AnalysisConfig
from napari_autostructn2v.events import finish
from napari_autostructn2v.metrics import FLAT_SHARE, MAX_ADDED_SHARE, assess_quality
from napari_autostructn2v.noise.added_pattern import AddedPattern, added_pattern
from napari_autostructn2v.noise.spectrum import background_spectrum
from napari_autostructn2v.noise.tiles import choose_tiles
from napari_autostructn2v.stack import as_stack
from napari_autostructn2v.synthetic import NOISE_FAMILIES, sample

SHAPE = (12, 160, 160)


def added(original: np.ndarray, result: np.ndarray) -> AddedPattern:
    """As the appraisal finds it, without the rest of it."""
    raw = as_stack(original.astype(np.float32))
    made = as_stack(result.astype(np.float32), like=raw)
    tiles = choose_tiles(raw, made, AnalysisConfig(flat_share=FLAT_SHARE))
    return added_pattern(background_spectrum(raw, tiles), background_spectrum(made, tiles))


def ripples(shape: tuple[int, int, int], period: float, angle_deg: float, strength: float) -> np.ndarray:
    """Trains of waves that come and go, others in each slice."""
    _, height, width = shape
    y, x = fft.fftfreq(height)[:, None], fft.rfftfreq(width)[None]
    at = np.sin(np.deg2rad(angle_deg)) / period, np.cos(np.deg2rad(angle_deg)) / period
    passed = sum(
        np.exp(-((y - sign * at[0]) ** 2 + (x - sign * at[1]) ** 2) / (2 * 0.01**2)) for sign in (1, -1)
    )
    noise = np.random.default_rng(3).standard_normal(shape)
    waves = fft.irfft2(fft.rfft2(noise) * passed, s=(height, width))
    return strength * waves / waves.std()


def denoised(made) -> np.ndarray:
    """As a good network leaves it: a little blurred, with a tenth of the noise, blurred as well."""
    noise = made.noisy - made.clean
    return ndimage.gaussian_filter(made.clean, (0, 0.7, 0.7)) + 0.1 * ndimage.gaussian_filter(
        noise, (0, 1, 1)
    )


@pytest.fixture(scope="module")
def made():
    return sample("scan_lines", shape=SHAPE)


@pytest.mark.parametrize(
    ("period", "strength"), [(4, 0.1), (6, 0.1), (8, 0.2), (12, 0.6)], ids=lambda value: f"{value:g}"
)
@pytest.mark.parametrize("angle_deg", [0, 35, 120])
def test_ripples_are_found_with_their_period(made, period, strength, angle_deg):
    """Weaker than the noise that was taken away: 0.7 of the image's contrast in lines, and 0.5 white."""
    found = added(made.noisy, denoised(made) + ripples(SHAPE, period, angle_deg, strength))
    assert found.share > MAX_ADDED_SHARE
    assert found.period == pytest.approx(period, rel=0.15)
    y, x = found.frequency
    apart = abs(np.rad2deg(np.arctan2(y, x)) - angle_deg) % 180
    assert min(apart, 180 - apart) < 20
    assert found.db > 4


def test_stronger_ripples_have_a_larger_share(made):
    shares = [
        added(made.noisy, denoised(made) + ripples(SHAPE, 5, 60, strength)).share
        for strength in (0.1, 0.2, 0.4)
    ]
    assert shares == sorted(shares) and shares[2] > 5 * shares[0]


@pytest.mark.parametrize("family", NOISE_FAMILIES)
def test_nothing_is_added_by_the_truth_nor_by_a_blur(family):
    made = sample(family, shape=SHAPE)
    blurs = [ndimage.gaussian_filter(made.noisy, (0, sigma, sigma)) for sigma in (1, 2)]
    for result in (made.clean, made.noisy, denoised(made), *blurs):
        assert added(made.noisy, result).share < MAX_ADDED_SHARE


def test_a_pattern_of_the_original_that_is_left_was_not_added():
    """Hum of which a good part is left stands out in the result, and did before."""
    hum = sample("hum", shape=SHAPE)
    assert added(hum.noisy, hum.clean + 0.5 * (hum.noisy - hum.clean)).share < MAX_ADDED_SHARE


@pytest.mark.parametrize("name", ["cryo_microtubule_36x206x94_u8", "fibsem_16x208x208_u8"])
def test_real_recordings_that_are_blurred(em_data, name):
    stack = tifffile.imread(em_data / f"{name}.tif").astype(np.float32)
    for sigma in (1, 2):
        assert added(stack, ndimage.gaussian_filter(stack, (0, sigma, sigma))).share < MAX_ADDED_SHARE


def test_the_appraisal_says_it_in_words_and_figures(made):
    good = denoised(made)
    without, with_ripples = (
        finish(assess_quality(made.noisy, result.astype(np.float32)))
        for result in (good, good + ripples(SHAPE, 5, 60, 0.2))
    )
    assert not without.adds_pattern and "No pattern was added" in without.about_pattern
    assert without.grades == ("good", "good", "good") and without.as_dict()["added_period_px"] is None
    assert with_ripples.adds_pattern and with_ripples.grades[2] == "poor"
    assert f"period of {with_ripples.added.period:.1f} px" in with_ripples.about_pattern
    assert with_ripples.about_pattern in with_ripples.sentences
    figures = json.loads(json.dumps(with_ripples.as_dict()))
    assert figures["added_period_px"] == pytest.approx(5, rel=0.1)
    assert figures["added_share"] == with_ripples.added.share
