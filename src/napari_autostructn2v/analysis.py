"""From a stack to the kernel: which neighbours share noise with a pixel, and is it worth hiding them.

Structure in noise is what is sparse in one of two domains. Sparse in frequency (hum, rows, columns): narrow
peaks of the power spectrum. Sparse in lag (scan lines, streaks, the noise of a back-projection): a few
neighbours with a large autocorrelation, and a broad pattern in the spectrum. Image detail is neither: what is
alike in all directions is measured as the background, ring by ring, and taken away in both domains.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from scipy import fft, ndimage

from napari_autostructn2v.config import AnalysisConfig, Mode
from napari_autostructn2v.errors import KernelError, StackError
from napari_autostructn2v.kernel import centre, embed_kernel, trim_kernel, validate_kernel
from napari_autostructn2v.spectrum import (
    BackgroundSpectrum,
    background_spectrum,
    find_peaks,
    frequency_radius,
    ring_median,
    window_autocorrelation,
)
from napari_autostructn2v.stack import as_stack

MIN_ENERGY = 0.02
"""Autocorrelation that is too small to matter to the network."""

MIN_COHERENCE = 0.1
"""Share of noise in common from which the kernel is repeated in the neighbouring slices."""

LONG_RANGE = 0.03
"""Scatter of the autocorrelation at far lags above which a pattern reaches beyond any small kernel."""

PAINTED_EXCESS = np.log(10.0)
"""Log power above its ring given to a painted bin that shows none itself."""

BRIDGED_GAP = 2
"""Neighbours without correlation of their own that a kernel reaches across, where the correlation changes
sign on its way out."""


@dataclass(frozen=True)
class Verdict:
    """What the analysis means, in words and numbers.

    Attributes
    ----------
    kind
        ``none``: no structure in the noise; ``kernel``: structure that Stage 2 can remove; ``long_range``: a
        pattern that reaches farther than a small kernel.
    summary
        One to three sentences for the user.
    expect_gain
        Whether Stage 2 is expected to help.
    direction_deg
        Of the kernel's longest extent, from X towards Y, 0 to 180 degrees; None for a single pixel.
    length_px
        Of the kernel's longest extent, in pixels.
    covered
        Share of the noise's squared autocorrelation that the kernel hides, 0 to 1.
    """

    kind: Literal["none", "kernel", "long_range"]
    summary: str
    expect_gain: bool
    direction_deg: float | None
    length_px: int
    covered: float


@dataclass(frozen=True, eq=False)
class NoiseAnalysis:
    """Where the noise has structure, in frequency and in lag.

    Attributes
    ----------
    spectrum
        Log power of the background, float32 (T, T), T odd, zero frequency in the middle.
    peaks
        Frequencies that make the kernel, bool (T, T), point-symmetric.
    autocorrelation
        Of the noise, against its isotropic part, float32 (L, L) or (3, L, L); lag 0 is in the middle.
    kernel
        bool (K, K) or (3, K, K): odd, centre True, point-symmetric.
    verdict
        What it means.
    background
        The measurement that all of this is derived from.
    config
        Settings it was derived with.
    mode
        ``2.5d`` gives a kernel of three slices.
    far_scatter
        Scatter of the autocorrelation at lags too far for a kernel: its standard error where the noise has no
        long-range pattern.
    """

    spectrum: np.ndarray
    peaks: np.ndarray
    autocorrelation: np.ndarray
    kernel: np.ndarray
    verdict: Verdict
    background: BackgroundSpectrum
    config: AnalysisConfig
    mode: Mode
    far_scatter: float

    def with_config(self, config: AnalysisConfig) -> NoiseAnalysis:
        """The same measurement with other thresholds; tile size and share of background stay as measured."""
        return _derive(self.background, find_peaks(self.background, config), config, self.mode)

    def with_peaks(self, peaks: np.ndarray) -> NoiseAnalysis:
        """The same measurement with these frequencies as the peaks, bool (T, T).

        A bin that is erased counts as ordinary background. One that is painted counts with the power
        measured there, or with ten times the background where that shows nothing.
        """
        peaks = np.asarray(peaks, dtype=bool)
        if peaks.shape != self.peaks.shape:
            raise KernelError(f"The peaks have shape {peaks.shape}, the spectrum {self.peaks.shape}.")
        return _derive(self.background, peaks | np.flip(peaks), self.config, self.mode)

    def with_kernel(self, kernel: np.ndarray) -> NoiseAnalysis:
        """The same measurement with a kernel set by hand.

        Raises
        ------
        KernelError
            If it is no kernel, or not one of this mode.
        """
        kernel = trim_kernel(validate_kernel(kernel, self.mode))
        return replace(
            self, kernel=kernel, verdict=_judge_by_hand(self.autocorrelation, kernel, self.far_scatter)
        )


def analyze(
    stack: Any, denoised: Any = None, *, mode: Mode = "2d", config: AnalysisConfig | None = None
) -> NoiseAnalysis:
    """Measure the structure of the noise and extract the kernel.

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

    Raises
    ------
    StackError
        If the stack cannot be denoised as it is.
    """
    stack = as_stack(stack, mode)
    config = config or AnalysisConfig()
    if denoised is not None:
        denoised = as_stack(denoised, mode)
        if denoised.shape != stack.shape:
            raise StackError(f"The denoised stack has shape {denoised.shape}, the raw one {stack.shape}.")
    background = background_spectrum(stack, denoised, config)
    return _derive(background, find_peaks(background, config), config, mode)


def _derive(
    background: BackgroundSpectrum, peaks: np.ndarray, config: AnalysisConfig, mode: Mode
) -> NoiseAnalysis:
    side = peaks.shape[0]
    peaks = peaks.copy()
    peaks[centre(peaks.shape)] = False
    log_power = (background.log_power + np.flip(background.log_power)) / 2
    rings = ring_median(log_power)
    excess = log_power - rings
    excess = np.where(np.abs(excess) >= config.min_excess / 2, excess, PAINTED_EXCESS)
    excess = np.where(peaks, excess, 0.0)

    whitened = _autocorrelation(np.exp(excess))
    # the image itself fills the lowest frequencies: take them as flat
    usable = frequency_radius(side) >= config.min_frequency
    flat = np.exp(np.where(usable, rings, np.median(rings[usable])) + excess)
    shape = _autocorrelation(flat)
    shape -= ring_median(shape)
    reach = min(config.max_lag, side // 4)
    far = _far_scatter(whitened)
    kernel = _extract(whitened, shape, far, reach, config)

    window = slice(side // 2 - reach, side // 2 + reach + 1)
    correlation = shape[window, window]
    if mode == "2.5d":
        assert background.cross_power is not None  # as_stack refuses 2.5D on fewer than three slices
        beside = _autocorrelation(np.where(usable, background.cross_power, 0.0), background.power.mean())
        beside = (beside - ring_median(beside))[window, window]
        correlation = np.stack([np.flip(beside), correlation, beside])
        shared = abs(background.coherence) >= MIN_COHERENCE
        kernel = np.stack([kernel & shared, kernel, kernel & shared])
    correlation[centre(correlation.shape)] = 1.0
    kernel = trim_kernel(kernel)
    return NoiseAnalysis(
        spectrum=background.log_power.astype(np.float32),
        peaks=peaks,
        autocorrelation=correlation.astype(np.float32),
        kernel=kernel,
        verdict=_judge(correlation, kernel, far, bool(peaks.any())),
        background=background,
        config=config,
        mode=mode,
        far_scatter=far,
    )


def _autocorrelation(power: np.ndarray, zero_lag: float | None = None) -> np.ndarray:
    """Inverse transform of a centred power spectrum, over its zero lag and the window's own fall-off."""
    correlation = fft.fftshift(fft.ifft2(fft.ifftshift(power)).real)
    zero_lag = correlation[centre(power.shape)] if zero_lag is None else zero_lag
    # the floor: where the window leaves hardly a pair of pixels, dividing by it would only raise noise
    return np.asarray(correlation / zero_lag / np.maximum(window_autocorrelation(power.shape[0]), 0.2))


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
        # the nearest carry most: shorten the reach rather than thin out the line
        found &= radius < np.sort(radius[found])[config.max_pixels]
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


def _judge(correlation: np.ndarray, kernel: np.ndarray, far_scatter: float, any_peaks: bool) -> Verdict:
    stacked = kernel if kernel.ndim == 3 else kernel[None]
    middle = stacked[stacked.shape[0] // 2]
    direction, length = _extent(middle)
    covered = _covered(correlation, kernel, far_scatter)
    if not (middle.sum() > 1 or stacked.sum() > 1):
        if any_peaks and far_scatter > LONG_RANGE:
            return Verdict(
                "long_range",
                "The noise has a regular pattern that reaches across the whole field. A small kernel "
                "cannot hide it, so Stage 2 is not expected to help; remove the pattern with a Fourier "
                "filter first.",
                expect_gain=False,
                direction_deg=None,
                length_px=1,
                covered=covered,
            )
        if stacked.shape[0] == 3:
            return Verdict(
                "none",
                "No structure found in the noise, and neighbouring slices do not share it. Stage 2 can use "
                "them to predict the slice between, with a single blind pixel.",
                expect_gain=True,
                direction_deg=None,
                length_px=1,
                covered=covered,
            )
        return Verdict(
            "none",
            "No structure found in the noise: it is independent from pixel to pixel, or alike in all "
            "directions. Stage 1 has done what can be done; Stage 2 would add nothing.",
            expect_gain=False,
            direction_deg=None,
            length_px=1,
            covered=covered,
        )
    if direction is None:
        where = "only between slices"
    else:
        along = {0: " (along X)", 90: " (along Y)"}.get(round(direction), "")
        where = f"along {direction:.0f}°{along}, over {length} pixels"
    slices = ", and in the neighbouring slices as well" if stacked.shape[0] == 3 and stacked[0].any() else ""
    summary = (
        f"The noise is correlated {where}{slices}. A kernel of {int(stacked.sum())} pixels hides "
        f"{covered:.0%} of that correlation. Stage 2 is expected to help."
    )
    if far_scatter > LONG_RANGE:
        summary += " Part of the pattern reaches farther than a kernel can and will stay."
    return Verdict("kernel", summary, True, direction, length, covered)


def _judge_by_hand(correlation: np.ndarray, kernel: np.ndarray, far_scatter: float) -> Verdict:
    direction, length = _extent(kernel[kernel.shape[0] // 2] if kernel.ndim == 3 else kernel)
    covered = _covered(correlation, kernel, far_scatter)
    summary = (
        f"The kernel set by hand, {int(kernel.sum())} pixels, hides {covered:.0%} of the correlation "
        "that was measured in the noise."
    )
    return Verdict("kernel", summary, bool(covered > 0), direction, length, covered)


def _extent(kernel: np.ndarray) -> tuple[float | None, int]:
    """Direction in degrees and length in pixels of the farthest pair of opposite pixels."""
    offsets = np.argwhere(kernel) - centre(kernel.shape)
    y, x = offsets[np.argmax(np.square(offsets).sum(axis=1))]
    if y == x == 0:
        return None, 1
    # image rows run downwards; microscopists measure angles upwards from X
    return float(np.degrees(np.arctan2(-y, x)) % 180), int(2 * max(abs(y), abs(x)) + 1)


def _covered(correlation: np.ndarray, kernel: np.ndarray, far_scatter: float) -> float:
    """Share of the squared autocorrelation, beyond chance, at the kernel's pixels."""
    energy = np.square(correlation)
    energy[centre(energy.shape)] = 0
    energy[energy < max(3 * far_scatter, MIN_ENERGY) ** 2] = 0  # chance, and what is too small to matter
    total = float(energy.sum())
    if total == 0:
        return 0.0
    hidden = embed_kernel(kernel, max(energy.shape[-1], *kernel.shape[-2:]))
    margin = (hidden.shape[-1] - energy.shape[-1]) // 2
    inner = slice(margin, margin + energy.shape[-1])
    return float(energy[hidden[..., inner, inner]].sum() / total)
