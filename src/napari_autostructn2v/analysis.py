"""From a stack to the kernel and the notch: what the noise has in common, and is it worth taking away.

Structure in noise is what is sparse in one of two domains. Sparse in frequency (hum, rows, columns): narrow
peaks of the power spectrum, for the notch. Sparse in lag (scan lines, streaks, the noise of a
back-projection): a few neighbours with a large autocorrelation, and a broad pattern in the spectrum, for the
kernel. Image detail is neither: what is alike in all directions is measured as the background, ring by ring,
and taken away in both domains.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy import fft, ndimage

from napari_autostructn2v.config import AnalysisConfig, Mode
from napari_autostructn2v.errors import KernelError, StackError
from napari_autostructn2v.io import VoxelSize
from napari_autostructn2v.kernel import POINT, centre, trim_kernel, validate_kernel
from napari_autostructn2v.notch import Notch, NotchedArray, NotchRule, find_notch
from napari_autostructn2v.spectrum import (
    BackgroundSpectrum,
    background_spectrum,
    choose_tiles,
    find_peaks,
    frequency_radius,
    ring_median,
    window_autocorrelation,
)
from napari_autostructn2v.stack import Stack, as_stack
from napari_autostructn2v.verdict import Findings, Verdict, judge

MIN_COHERENCE = 0.1
"""Share of noise in common from which the kernel is repeated in the neighbouring slices."""

COARSE_DETAIL = 0.08
"""Below this frequency (cycles per pixel) slices differ in their images, whatever the noise."""

CONTINUOUS = 0.6
"""Share of that coarse detail that neighbouring slices have in common where the image goes on from one to
the next."""

RAISED = 1.8
"""Power of isotropic noise between 0.2 and 0.3 cycles per pixel, over that beyond 0.4, from which it
counts."""

PAINTED_EXCESS = np.log(10.0)
"""Log power above its ring given to a painted bin that shows none itself."""

BRIDGED_GAP = 2
"""Neighbours without correlation of their own that a kernel reaches across, where the correlation changes
sign on its way out."""


@dataclass(frozen=True, eq=False)
class Measurement:
    """What was read off a stack: an analysis follows from it, and so do its edits, in milliseconds.

    Attributes
    ----------
    background
        Spectra of the background as it is.
    patterns
        All that is narrow in the spectra of whole slices.
    taken
        Those patterns that are in the background too.
    remainder
        Spectra of the background without them; :attr:`background` itself if there are none.
    outlined
        Whether a person has said where the background is.
    mode
        ``2.5d`` gives a kernel of three slices.
    voxel_size
        If known.
    """

    background: BackgroundSpectrum
    patterns: Notch
    taken: Notch
    remainder: BackgroundSpectrum
    outlined: bool
    mode: Mode
    voxel_size: VoxelSize | None


@dataclass(frozen=True, eq=False)
class NoiseAnalysis:
    """Where the noise has structure, in frequency and in lag.

    Attributes
    ----------
    spectrum
        Log power of the background, float32 (T, T), T odd, zero frequency in the middle.
    peaks
        Frequencies that make the kernel and the notch, bool (T, T), point-symmetric.
    notch
        Patterns to take away before Stage 2.
    left_alone
        Patterns that look like a lattice of the sample: no notch, no kernel.
    autocorrelation
        Of the noise that the notch leaves, against its isotropic part, float32 (L, L) or (3, L, L); lag 0 is
        in the middle.
    kernel
        bool (K, K) or (3, K, K): odd, centre True, point-symmetric.
    measured
        What all of this is derived from.
    config
        Settings it was derived with.
    far_scatter
        Scatter of the autocorrelation at lags too far for a kernel: its standard error where the noise has no
        long-range pattern.
    isotropic
        Correlation of neighbouring pixels of noise that is alike in all directions; None where that cannot be
        told from fine detail.
    by_hand
        Whether a person has set the kernel.
    """

    spectrum: np.ndarray
    peaks: np.ndarray
    notch: Notch
    left_alone: Notch
    autocorrelation: np.ndarray
    kernel: np.ndarray
    measured: Measurement
    config: AnalysisConfig
    far_scatter: float
    isotropic: float | None
    by_hand: bool = False

    @property
    def mode(self) -> Mode:
        """``2.5d`` if the kernel has three slices."""
        return self.measured.mode

    @cached_property
    def verdict(self) -> Verdict:
        """What it means."""
        return judge(_findings(self))

    @property
    def notch_rule(self) -> NotchRule | None:
        """How to find the same patterns in a stack, this one or another; None if there are none."""
        return NotchRule(self.peaks, self.config.notch) if self.notch else None

    def with_config(self, config: AnalysisConfig) -> NoiseAnalysis:
        """The same measurement with other thresholds; tile size and share of background stay as measured."""
        return _derive(self.measured, find_peaks(self.measured.background, config), config)

    def with_peaks(self, peaks: np.ndarray) -> NoiseAnalysis:
        """The same measurement with these frequencies as the peaks, bool (T, T).

        A bin that is erased counts as ordinary background. One that is painted goes to the notch if whole
        slices have a narrow peak there; if not, it counts with the power measured there, or with ten times
        the background where that shows nothing.
        """
        peaks = np.asarray(peaks, dtype=bool)
        if peaks.shape != self.peaks.shape:
            raise KernelError(f"The peaks have shape {peaks.shape}, the spectrum {self.peaks.shape}.")
        return _derive(self.measured, peaks | np.flip(peaks), self.config)

    def with_kernel(self, kernel: np.ndarray) -> NoiseAnalysis:
        """The same measurement with a kernel set by hand.

        Raises
        ------
        KernelError
            If it is no kernel, or not one of this mode.
        """
        return replace(self, kernel=trim_kernel(validate_kernel(kernel, self.mode)), by_hand=True)


def analyze(
    stack: Any,
    denoised: Any = None,
    *,
    mode: Mode = "2d",
    config: AnalysisConfig | None = None,
    region: np.ndarray | None = None,
    voxel_size: VoxelSize | None = None,
) -> NoiseAnalysis:
    """Measure the structure of the noise; extract the kernel and the notch.

    Parameters
    ----------
    stack
        The raw data, shape (Z, Y, X) or (Y, X).
    denoised
        The same stack after Stage 1; it tells background from structure. The raw data are used if None.
    mode
        ``"2.5d"`` gives a kernel of three slices.
    config
        Thresholds.
    region
        Outlined background, bool (Y, X) or (Z, Y, X): noise is measured there and nowhere else. The flattest
        tiles are taken if None.
    voxel_size
        For lengths in words.

    Raises
    ------
    StackError
        If the stack cannot be denoised as it is, or the region does not suit it.
    """
    stack = as_stack(stack, mode)
    config = config or AnalysisConfig()
    if denoised is not None:
        denoised = as_stack(denoised, mode)
        if denoised.shape != stack.shape:
            raise StackError(f"The denoised stack has shape {denoised.shape}, the raw one {stack.shape}.")
    tiles = choose_tiles(stack, denoised, config, region)
    background = remainder = background_spectrum(stack, tiles)
    peaks = find_peaks(background, config)
    patterns = find_notch(stack)
    taken = patterns.at(peaks)
    if taken:
        remainder = background_spectrum(Stack(NotchedArray(stack, taken)), tiles)
    measured = Measurement(background, patterns, taken, remainder, tiles.outlined, mode, voxel_size)
    return _derive(measured, peaks, config)


def _derive(measured: Measurement, peaks: np.ndarray, config: AnalysisConfig) -> NoiseAnalysis:
    side = peaks.shape[0]
    peaks = peaks.copy()
    peaks[centre(peaks.shape)] = False
    rule = NotchRule(peaks, config.notch)
    notch, left_alone = rule.among(measured.patterns)
    notched = notch.on_tiles(side)
    background = measured.remainder if notch else measured.background
    log_power = np.where(notched, background.log_power, measured.background.log_power)
    log_power = (log_power + np.flip(log_power)) / 2
    rings = ring_median(log_power)
    excess = log_power - rings
    # what a notch leaves, and what a painted notch was never measured without, is no structure
    shown = np.abs(excess) >= np.where(notched, config.min_excess, config.min_excess / 2)
    excess = np.where(shown & ~(notched & ~measured.taken.on_tiles(side)), excess, PAINTED_EXCESS * ~notched)
    excess = np.where(peaks & ~left_alone.on_tiles(side), excess, 0.0)

    whitened = _autocorrelation(np.exp(excess))
    # the image itself fills the lowest frequencies: take them as flat
    usable = frequency_radius(side) >= config.min_frequency
    flat = np.exp(np.where(usable, rings, np.median(rings[usable])) + excess)
    shape = _autocorrelation(flat)
    shape -= ring_median(shape)
    reach = min(config.max_lag, side // 4)
    far = _far_scatter(whitened)
    window = slice(side // 2 - reach, side // 2 + reach + 1)
    correlation = shape[window, window].copy()
    kernel = _extract(whitened, shape, far, reach, config)
    isotropic = _isotropic(background, measured.outlined)
    if isotropic is not None:
        correlation += isotropic[window, window]
        kernel |= isotropic[window, window] >= config.min_correlation
    if not config.find_kernel:
        kernel = POINT
    if measured.mode == "2.5d":
        assert background.cross_power is not None  # as_stack refuses 2.5D on fewer than three slices
        beside = _autocorrelation(np.where(usable, background.cross_power, 0.0), background.power.mean())
        beside = (beside - ring_median(beside))[window, window]
        correlation = np.stack([np.flip(beside), correlation, beside])
        shared = config.find_kernel and abs(background.coherence) >= MIN_COHERENCE
        kernel = np.stack([kernel & shared, kernel, kernel & shared])
    correlation[centre(correlation.shape)] = 1.0
    return NoiseAnalysis(
        spectrum=measured.background.log_power.astype(np.float32),
        peaks=peaks,
        notch=notch,
        left_alone=left_alone,
        autocorrelation=correlation.astype(np.float32),
        kernel=trim_kernel(kernel),
        measured=measured,
        config=config,
        far_scatter=far,
        isotropic=None if isotropic is None else float(isotropic[side // 2, side // 2 + 1]),
    )


def _findings(analysis: NoiseAnalysis) -> Findings:
    measured, notch = analysis.measured, analysis.notch
    raw, rest = (np.exp(b.log_power) for b in (measured.background, measured.remainder))
    seen = frequency_radius(len(raw)) >= analysis.config.min_frequency
    at = notch.on_tiles(len(raw)) & seen
    return Findings(
        correlation=analysis.autocorrelation,
        far_scatter=analysis.far_scatter,
        kernel=analysis.kernel,
        by_hand=analysis.by_hand,
        notch=notch,
        notched=float(np.maximum(raw - rest, 0)[at].sum() / raw[seen].sum()),
        lattice=bool(analysis.left_alone),
        any_peaks=bool(analysis.peaks.any()),
        isotropic=analysis.isotropic,
        coherence=(measured.remainder if notch else measured.background).coherence,
        tiles=measured.background.tiles,
        noiseless=measured.background.noiseless,
        voxel_size=measured.voxel_size,
    )


def _autocorrelation(power: np.ndarray, zero_lag: float | None = None) -> np.ndarray:
    """Inverse transform of a centred power spectrum, over its zero lag and the window's own fall-off."""
    correlation = fft.fftshift(fft.ifft2(fft.ifftshift(power)).real)
    zero_lag = correlation[centre(power.shape)] if zero_lag is None else zero_lag
    # the floor: where the window leaves hardly a pair of pixels, dividing by it would only raise noise
    return np.asarray(correlation / zero_lag / np.maximum(window_autocorrelation(power.shape[0]), 0.2))


def _isotropic(background: BackgroundSpectrum, outlined: bool) -> np.ndarray | None:
    """Autocorrelation of noise that is alike in all directions, (T, T); None where it cannot be told.

    One slice cannot tell it from fine detail. Two can, if the image goes on from one to the next and the
    noise does not: the spectrum of their difference is the noise's, but for low frequencies, where even a
    small difference of the images is more. In an outlined background all that varies is noise.
    """
    side = background.power.shape[0]
    radius = frequency_radius(side)
    if outlined:
        power = background.power
    else:
        if background.cross_power is None or abs(background.coherence) >= MIN_COHERENCE:
            return None
        if background.noiseless:
            return None
        coarse = (radius >= 1.5 / side) & (radius < COARSE_DETAIL)
        if background.cross_power[coarse].sum() < CONTINUOUS * background.power[coarse].sum():
            return None
        power = background.power - background.cross_power
    profile = ring_median((power + np.flip(power)) / 2)
    fine = profile[(radius > 0.4) & (radius < 0.5)].mean()
    middle = profile[(radius > 0.2) & (radius < 0.3)].mean()
    if middle < RAISED * fine:
        return np.zeros((side, side))
    edge = (radius >= COARSE_DETAIL) & (radius < COARSE_DETAIL + 2 / side)
    return _autocorrelation(np.where(radius < COARSE_DETAIL, profile[edge].mean(), profile))


def _far_scatter(correlation: np.ndarray) -> float:
    """Scatter of the autocorrelation beyond any kernel: its standard error, or a long-range pattern."""
    side = correlation.shape[0]
    radius = frequency_radius(side) * side
    return float(1.4826 * np.median(np.abs(correlation[(radius > 0.25 * side) & (radius < 0.45 * side)])))


def _extract(
    whitened: np.ndarray, shape: np.ndarray, far_scatter: float, reach: int, config: AnalysisConfig
) -> np.ndarray:
    """Neighbours whose correlation is certain in one measure and of the right shape in the other.

    Whitened ring by ring, the autocorrelation is sure, as all that is isotropic cancels, but true neighbours
    get a halo of the opposite sign. Less its median over rings of equal lag, the raw one has the right shape
    and sign but is less sure. A neighbour has to pass both.

    Returns
    -------
    numpy.ndarray
        bool (2 * reach + 1, 2 * reach + 1).
    """
    side = whitened.shape[0]
    window = slice(side // 2 - reach, side // 2 + reach + 1)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    radius = np.hypot(y, x)
    alike = np.sign(whitened) == np.sign(shape)
    ridge = np.abs(shape) >= ndimage.maximum_filter(np.abs(shape), size=3) / 3

    def passing(certainty: float, correlation: float) -> np.ndarray:
        certain = np.abs(whitened) >= max(certainty * far_scatter, correlation)
        passed = (certain & (np.abs(shape) >= correlation) & alike & ridge)[window, window]
        return np.asarray((passed | np.flip(passed)) & (radius <= reach + 0.5))

    found = passing(8, config.min_correlation)
    found[reach, reach] = True
    near = np.ones((2 * BRIDGED_GAP + 3,) * 2)  # steps of up to three pixels, from found to found
    found = ndimage.binary_propagation(radius == 0, structure=near, mask=found)
    found = _prolonged(_bridged(found), passing(4, config.min_correlation / 2))
    if found.sum() > config.max_pixels:
        strength = np.maximum(np.abs(shape), np.flip(np.abs(shape)))[window, window]
        found &= strength >= np.sort(strength[found])[-config.max_pixels]
        found[reach, reach] = True
        found = ndimage.binary_propagation(radius == 0, structure=near, mask=found)
    return found


def _bridged(kernel: np.ndarray) -> np.ndarray:
    """The kernel with the straight line from each of its pixels to the centre filled in."""
    filled = kernel.copy()
    mid = centre(kernel.shape)
    for offset in np.argwhere(kernel) - mid:
        steps = np.linspace(0, 1, int(np.abs(offset).max()) + 1)[:, None]
        filled[tuple((np.rint(steps * offset).astype(int) + mid).T)] = True
    return filled


def _prolonged(kernel: np.ndarray, faint: np.ndarray) -> np.ndarray:
    """The kernel with its rays drawn out, straight on, over pixels of a fainter correlation."""
    longer = kernel.copy()
    mid = np.array(centre(kernel.shape))
    offsets = np.argwhere(faint) - mid
    for offset in offsets[np.argsort(np.abs(offsets).max(axis=1), kind="stable")]:
        distance = int(np.abs(offset).max())
        inner = np.rint(offset * (distance - 1) / max(distance, 1)).astype(int)
        if inner.any() and longer[tuple(inner + mid)]:
            longer[tuple(offset + mid)] = True
    return longer
