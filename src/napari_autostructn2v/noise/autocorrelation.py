"""From a power spectrum to the correlation of the noise with its neighbours."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from scipy import fft, ndimage

from napari_autostructn2v.kernel import centre
from napari_autostructn2v.noise.rings import frequency_radius, on_rings, ring_median, ring_quantiles
from napari_autostructn2v.noise.spectrum import BackgroundSpectrum, window_autocorrelation

MIN_COHERENCE = 0.1
"""Share of noise in common from which the kernel is repeated in the neighbouring slices."""

COARSE_DETAIL_FREQUENCY = 0.08
"""Below this frequency (cycles per pixel) slices differ in their images, whatever the noise."""

CONTINUOUS_DETAIL_SHARE = 0.6
"""Share of that coarse detail that neighbouring slices have in common where the image goes on from one to
the next."""

MIN_ISOTROPIC_POWER_RATIO = 1.8
"""Power of isotropic noise between 0.2 and 0.3 cycles per pixel, over that beyond 0.4, from which it
counts."""


def autocorrelation_of(power: np.ndarray, zero_lag: float | None = None) -> np.ndarray:
    """Inverse transform of a centred, symmetric power spectrum, over its zero lag and its window's own.

    Parameters
    ----------
    power
        (T, T), T odd, zero frequency in the middle.
    zero_lag
        What to divide by; the transform's own zero lag if None.
    """
    half = fft.ifftshift(power)[:, : len(power) // 2 + 1]
    correlation = fft.fftshift(fft.irfft2(half, power.shape))
    zero_lag = correlation[centre(power.shape)] if zero_lag is None else zero_lag
    # the floor: where the window leaves hardly a pair of pixels, dividing by it would only raise noise
    correlation /= zero_lag * np.maximum(window_autocorrelation(power.shape[0]), 0.2)
    return np.asarray((correlation + np.flip(correlation)) / 2)  # symmetric to the last digit


def less_rings(correlation: np.ndarray, reach: int) -> np.ndarray:
    """The middle of a centred (T, T) image, to ``reach`` pixels from the centre, less the ring median.

    Rings that do not come near are left aside; those that do are whole.

    Parameters
    ----------
    correlation
        (T, T), point-symmetric, lag 0 in the middle.
    reach
        In pixels; the result is (2 * reach + 1, 2 * reach + 1).
    """
    around = min(math.ceil(math.sqrt(2) * reach) + 2, len(correlation) // 2)
    near = _middle(correlation, around)
    return _middle(near - ring_median(near), reach)


def _middle(image: np.ndarray, reach: int) -> np.ndarray:
    window = slice(len(image) // 2 - reach, len(image) // 2 + reach + 1)
    return image[window, window]


@lru_cache(maxsize=4)
def own_power(background: BackgroundSpectrum, outlined: bool) -> tuple[np.ndarray, np.ndarray] | None:
    """Power spectrum of the noise alone, (T, T), whatever its shape, and its ring median.

    None where it cannot be told.

    One slice cannot tell noise that is alike in all directions from fine detail. Two can, if the image goes
    on from one to the next and the noise does not: the spectrum of their difference is the noise's, but for
    low frequencies. In an outlined background all that varies is noise.

    Parameters
    ----------
    background
        Spectra of the background.
    outlined
        Whether a person has said where the background is.
    """
    if outlined:
        power = background.power
    else:
        shared = background.cross_power
        if shared is None or background.noiseless or abs(background.coherence) >= MIN_COHERENCE:
            return None
        if slices_independent(background):
            return None
        power = background.power - shared
    own = (power + np.flip(power)) / 2
    return own, ring_median(own)


def slices_independent(background: BackgroundSpectrum) -> bool:
    """Whether there are slices whose images do not go on from one to the next.

    Parameters
    ----------
    background
        Spectra of the background.
    """
    shared = background.cross_power
    if shared is None:
        return False
    radius = frequency_radius(len(shared))
    coarse = (radius >= 1.5 / len(shared)) & (radius < COARSE_DETAIL_FREQUENCY)
    return bool(shared[coarse].sum() < CONTINUOUS_DETAIL_SHARE * background.power[coarse].sum())


def isotropically_correlated(profile: np.ndarray) -> bool:
    """Whether the noise, of this power in each ring, is correlated alike in all directions.

    Parameters
    ----------
    profile
        Power of the noise, (T, T), the same all around each ring.
    """
    radius = frequency_radius(len(profile))
    fine, middle = (profile[(radius > low) & (radius < low + 0.1)].mean() for low in (0.4, 0.2))
    return bool(middle >= MIN_ISOTROPIC_POWER_RATIO * fine)


def extended_inwards(power: np.ndarray) -> np.ndarray:
    """The power, at low frequencies, where slices differ in their images, as farther out at that angle.

    Parameters
    ----------
    power
        (T, T), T odd, zero frequency in the middle.
    """
    side, middle = len(power), len(power) // 2
    radius = frequency_radius(side)
    low = (radius < COARSE_DETAIL_FREQUENCY) & (radius > 0)
    offsets = np.argwhere(low) - middle
    outer = offsets * (np.ceil(COARSE_DETAIL_FREQUENCY * side) / np.hypot(*offsets.T))[:, None]
    extended = power.copy()
    extended[low] = ndimage.map_coordinates(power, outer.T + middle, order=1)
    extended[middle, middle] = extended[low].mean()
    return extended


def baseline(correlation: np.ndarray) -> np.ndarray:
    """What all directions lack of the autocorrelation, as its lowest frequencies are not measured.

    Beside a ridge there should be none, so the lower quartile of a ring of equal lag is the lack; nearer the
    centre, where the ridge fills the rings, it is taken as farther out.

    Parameters
    ----------
    correlation
        (T, T), point-symmetric, lag 0 in the middle.
    """
    quartile = ndimage.median_filter(ring_quantiles(correlation, 0.25), 3)
    quartile[:4] = quartile[4]
    return on_rings(quartile, len(correlation))


def far_scatter_of(correlation: np.ndarray) -> float:
    """Scatter of the autocorrelation beyond any kernel: its standard error, or a long-range pattern.

    Parameters
    ----------
    correlation
        (T, T), lag 0 in the middle.
    """
    side = correlation.shape[0]
    radius = frequency_radius(side) * side
    return float(1.4826 * np.median(np.abs(correlation[(radius > 0.25 * side) & (radius < 0.45 * side)])))
