"""Averaged power spectra of the background of a stack, and what stands out from their rings.

Spectra have odd sides, with zero frequency in the middle, so that seeing one through its centre is a flip.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import groupby

import numpy as np
from scipy import fft, ndimage

from napari_autostructn2v.config import AnalysisConfig
from napari_autostructn2v.noise.rings import frequency_radius, ring_median
from napari_autostructn2v.noise.tiles import Tiles, batches, cut_tiles, detrended
from napari_autostructn2v.stack import Stack
from napari_autostructn2v.threads import THREADS, in_background

EULER_GAMMA = 0.5772156649
"""How far the mean log of a periodogram lies below the log of its mean."""

HANN_ERROR_FACTOR = 1.2
"""By how much the standard error of averaged Hann-windowed bins exceeds that of independent ones."""

NOISELESS_POWER_RATIO = 2e-3
"""Power at the highest frequencies, over that of all that varies in the background, below which there is
hardly any noise."""

SHADING_FREQUENCY = 0.04
"""Below this frequency (cycles per pixel) is only the image's shading."""

REGIONS_PER_AXIS = 4
"""The field is divided into this many regions along Y and along X, to see whether they agree."""


@dataclass(frozen=True, eq=False)
class BackgroundSpectrum:
    """Spectra of the flattest tiles of a stack.

    Attributes
    ----------
    log_power
        Mean log power, float64 (T, T), free of the bias of the logarithm.
    standard_error
        Of ``log_power`` at any one frequency, from the number of tiles.
    regional_error
        Standard error of ``log_power`` less its ring median, float64 (T, T), from the scatter between the
        regions of the field, and no less than ``standard_error``.
    lag_error
        Standard error of :attr:`lags`, float64 (T, T), from the scatter between the regions of the field;
        infinite where there is only one.
    power
        Mean power, tiles scaled to equal power so that none outweighs the rest, float64 (T, T).
    coherence
        Share of the noise power that two neighbouring slices have in common, -1 to 1; 0 for one slice.
    cross_power
        Real part of the mean cross-spectrum of neighbouring slices, scaled alike, float64 (T, T);
        None for one slice.
    tiles
        How many tiles were averaged, as if they overlapped by half.
    """

    log_power: np.ndarray
    standard_error: float
    regional_error: np.ndarray
    lag_error: np.ndarray
    power: np.ndarray
    coherence: float
    cross_power: np.ndarray | None
    tiles: int

    @cached_property
    def noiseless(self) -> bool:
        """Whether there is hardly any noise: what stands out is the image."""
        radius = frequency_radius(len(self.log_power))
        floor = np.exp(np.median(self.log_power[radius > 0.4]))
        return bool(floor < NOISELESS_POWER_RATIO * np.exp(self.log_power[radius > SHADING_FREQUENCY]).mean())

    @cached_property
    def lags(self) -> np.ndarray:
        """What departs from the rings, by lag: :func:`by_lag` of the log power, (T, T)."""
        return by_lag(self.log_power)


def background_spectrum(stack: Stack, tiles: Tiles) -> BackgroundSpectrum:
    """Average the spectra of tiles.

    Parameters
    ----------
    stack
        The raw data, or what a notch leaves of them.
    tiles
        Its background.
    """
    side = tiles.side
    log_power = np.zeros((REGIONS_PER_AXIS**2, side, side // 2 + 1))
    members = np.zeros(REGIONS_PER_AXIS**2)
    total, cross = np.zeros((2, side, side // 2 + 1))
    for corners, own, beside in _with_neighbours(stack, tiles):
        regions = [_region(corner, stack.shape[1:], side) for corner in corners]
        np.add.at(members, regions, 1)
        for some in batches(corners):
            spectra = _spectra(own[some])
            powers = power(spectra) + np.finfo(float).tiny
            # all columns but the first stand for two
            scale = side**2 / (2 * powers.sum(axis=(1, 2)) - powers[:, :, 0].sum(axis=1))[:, None, None]
            for region, log in zip(regions[some], np.log(powers), strict=True):
                log_power[region] += log
            total += (powers * scale).sum(axis=0)
            for neighbour in beside:
                shared = np.real(spectra * _spectra(neighbour[some]).conj())
                cross += (shared * scale).sum(axis=0) / len(beside)
    count = len(tiles.corners)
    mean, cross = full_from_rfft2_centred(total / count), full_from_rfft2_centred(cross / count)
    # where the image is weakest, at high frequency, what two slices share is noise
    high = frequency_radius(side) > 0.2
    regional, lag_error = _regional_errors(log_power, members)
    # sqrt(pi^2 / 6) is the scatter of a log periodogram; tiles that overlap tell less than they count
    standard_error = float(np.pi / np.sqrt(6 * max(1.0, 0.76 * tiles.independent)))
    return BackgroundSpectrum(
        log_power=full_from_rfft2_centred(log_power.sum(axis=0) / count) + EULER_GAMMA,
        standard_error=standard_error,
        regional_error=np.maximum(regional, standard_error),
        lag_error=lag_error,
        power=mean,
        coherence=float(cross[high].sum() / mean[high].sum()),
        cross_power=cross if stack.shape[0] > 1 else None,
        tiles=round(tiles.independent),
    )


def _with_neighbours(
    stack: Stack, tiles: Tiles
) -> Iterator[tuple[list[tuple[int, int]], np.ndarray, list[np.ndarray]]]:
    """Of each slice with tiles: their corners, the tiles (n, T, T), and the same of the slices beside it.

    Each slice is read once, since it may have to be computed, and nothing but its tiles is kept.
    """
    corners = {
        z: [(y, x) for _, y, x in group] for z, group in groupby(tiles.corners, key=lambda tile: tile[0])
    }
    last = stack.shape[0] - 1
    read = sorted({n for z in corners for n in (z - 1, z, z + 1) if 0 <= n <= last})

    def cut(z: int) -> dict[int, np.ndarray]:
        plane = stack.plane(z)
        return {of: cut_tiles(plane, corners[of], tiles.side) for of in (z - 1, z, z + 1) if of in corners}

    pieces: dict[int, dict[int, np.ndarray]] = {z: {} for z in corners}
    for z, cuts in zip(read, in_background(cut, read, threads=THREADS), strict=True):
        for of, piece in cuts.items():
            pieces[of][z] = piece
        for of in (z - 1, z):
            if of in corners and z == min(of + 1, last):
                beside = pieces.pop(of)
                yield corners[of], beside.pop(of), list(beside.values())


def tile_spectra(plane: np.ndarray, corners: list[tuple[int, int]], side: int) -> np.ndarray:
    """Transforms of tiles of a slice, (n, T, T // 2 + 1): the half that ``rfft2`` gives.

    Parameters
    ----------
    plane
        A slice, float32 (Y, X).
    corners
        First row and column of each of n tiles.
    side
        T, the side of the tiles in pixels, odd.
    """
    return _spectra(cut_tiles(plane, corners, side))


def _spectra(tiles: np.ndarray) -> np.ndarray:
    return np.asarray(fft.rfft2(_window(tiles.shape[-1]) * detrended(tiles)))


def power(spectrum: np.ndarray) -> np.ndarray:
    """Square of the absolute value.

    Parameters
    ----------
    spectrum
        Complex, of any shape.
    """
    return np.asarray(np.square(spectrum.real) + np.square(spectrum.imag))


def full_from_rfft2(half: np.ndarray, width: int) -> np.ndarray:
    """The whole of a real, point-symmetric spectrum, in ``fft2`` layout.

    Parameters
    ----------
    half
        What ``rfft2`` gives of it, (Y, X // 2 + 1).
    width
        X, which may be odd or even.
    """
    rows = -np.arange(len(half)) % len(half)
    return np.hstack([half, half[rows][:, width - np.arange(half.shape[1], width)]])


def full_from_rfft2_centred(half: np.ndarray) -> np.ndarray:
    """The whole spectrum of tiles, (T, T), with zero frequency in the middle.

    Parameters
    ----------
    half
        Power, or the real part of a cross-spectrum, as ``rfft2`` lays it out: (T, T // 2 + 1), T odd.
    """
    return np.asarray(fft.fftshift(full_from_rfft2(half, len(half))))


def _region(corner: tuple[int, int], shape: tuple[int, ...], side: int) -> int:
    y, x = (start * REGIONS_PER_AXIS // (size - side + 1) for start, size in zip(corner, shape, strict=True))
    return y * REGIONS_PER_AXIS + x


def by_lag(log_power: np.ndarray) -> np.ndarray:
    """Transform of the log power less its ring median, (T, T), lag 0 in the middle: the power cepstrum.

    Noise of which a pixel shares a small part r with a neighbour has r / 2 there, and -r / 2 at a right angle
    to it, since the median of the ring takes half. What all frequencies have in common, and what is alike in
    all directions, is not in it.

    Parameters
    ----------
    log_power
        (T, T), T odd, zero frequency in the middle.

    References
    ----------
    Bogert, B. P., Healy, M. J. R. & Tukey, J. W. The quefrency alanysis of time series for echoes.
    Proceedings of the Symposium on Time Series Analysis (1963), 209-243.
    """
    excess = fft.ifftshift(_symmetric(log_power - ring_median(log_power)))
    return np.asarray(fft.fftshift(fft.irfft2(excess[:, : len(excess) // 2 + 1], excess.shape)))


def _regional_errors(log_power: np.ndarray, members: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Standard errors of the mean log power, at each frequency and by lag, from tiles clustered by region.

    Noise is the same all over the field; structure that got into the background differs from place to place,
    but goes on through the slices, so that many tiles show it and counting them says too little. For the
    cluster-robust variance see Liang & Zeger, Biometrika 73 (1986), 13-22.

    Parameters
    ----------
    log_power
        Sum over the tiles of each region, (regions, T, T // 2 + 1), as ``rfft2`` lays it out.
    members
        Tiles of each region.
    """
    count = members.sum()
    used = members > 0
    if used.sum() < 2:
        shape = (log_power.shape[1],) * 2
        return np.zeros(shape), np.full(shape, np.inf)
    means = [
        full_from_rfft2_centred(total / n) for total, n in zip(log_power[used], members[used], strict=True)
    ]
    weights = (members[used] / count)[:, None, None]

    def variance(of_regions: np.ndarray) -> np.ndarray:
        deviation = of_regions - (weights * of_regions).sum(axis=0)
        return np.asarray((weights**2 * deviation**2).sum(axis=0) * used.sum() / (used.sum() - 1))

    excess = np.array([mean - ring_median(mean) for mean in means])
    lags = np.array([by_lag(mean) for mean in means])
    # neighbouring frequencies share a window's width: their mean is a steadier estimate
    return np.sqrt(ndimage.uniform_filter(variance(excess), 3, mode="wrap")), np.sqrt(variance(lags))


def _symmetric(image: np.ndarray) -> np.ndarray:
    return (image + np.flip(image)) / 2


@lru_cache(maxsize=4)
def _window(side: int) -> np.ndarray:
    hann = np.hanning(side + 2)[1:-1]
    return np.outer(hann, hann)


@lru_cache(maxsize=4)
def window_autocorrelation(side: int) -> np.ndarray:
    """Circular autocorrelation of the tile's window, 1 at lag 0 in the middle, shape (T, T).

    Parameters
    ----------
    side
        T, the side of the tiles in pixels, odd.
    """
    correlation = fft.ifft2(np.abs(fft.fft2(_window(side))) ** 2).real
    return np.asarray(fft.fftshift(correlation / correlation[0, 0]))


def log_excess_over_ring(background: BackgroundSpectrum) -> np.ndarray:
    """Log power above, or below, its ring, (T, T), point-symmetric.

    Parameters
    ----------
    background
        Whose ``log_power`` is compared.
    """
    return _symmetric(background.log_power - ring_median(background.log_power))


def find_peaks(background: BackgroundSpectrum, config: AnalysisConfig) -> np.ndarray:
    """Frequencies whose power departs from their ring, up or down: bool (T, T), point-symmetric.

    Up *or down*: the noise of a back-projection lacks the frequencies that a ramp filter takes away, and that
    is as much a structure as a peak is. Seeds have to be large, certain, and alike all over the field; what
    touches a seed needs half the size and half the certainty.

    Parameters
    ----------
    background
        Averaged spectra and their errors.
    config
        Lowest frequency, smallest excess, and sensitivity in standard errors.
    """
    log_power = background.log_power
    if background.noiseless:
        return np.zeros(log_power.shape, dtype=bool)
    excess = np.abs(log_excess_over_ring(background))
    # neighbours of a Hann-windowed bin are correlated with it, which averaging ±f does not help
    certain = config.sensitivity * HANN_ERROR_FACTOR
    usable = frequency_radius(log_power.shape[0]) >= config.min_frequency
    seeds = usable & (excess >= np.maximum(certain * background.regional_error, config.min_excess))
    grown = usable & (excess >= max(certain * background.standard_error, config.min_excess) / 2)
    return np.asarray(ndimage.binary_propagation(seeds & grown, structure=np.ones((3, 3)), mask=grown))
