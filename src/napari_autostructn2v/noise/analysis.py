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

from napari_autostructn2v.config import AnalysisConfig, Mode
from napari_autostructn2v.errors import KernelError, StackError
from napari_autostructn2v.io import VoxelSize
from napari_autostructn2v.kernel import POINT, centre, trim_kernel, united, validate_kernel
from napari_autostructn2v.noise.autocorrelation import (
    MIN_COHERENCE,
    autocorrelation_of,
    baseline,
    extended_inwards,
    far_scatter_of,
    isotropically_correlated,
    less_rings,
    own_power,
    slices_independent,
)
from napari_autostructn2v.noise.kernel_extraction import extract_kernel, strongest
from napari_autostructn2v.noise.measurement import NoiseMeasurement
from napari_autostructn2v.noise.notch import NotchRule, find_notch
from napari_autostructn2v.noise.patterns import Notch, notched
from napari_autostructn2v.noise.rings import frequency_radius, ring_median
from napari_autostructn2v.noise.spectrum import (
    background_spectrum,
    log_excess_over_ring,
)
from napari_autostructn2v.noise.tiles import choose_tiles
from napari_autostructn2v.noise.verdict import Verdict, judge
from napari_autostructn2v.noise.verdict_input import LEAST_HIDDEN, VerdictInput, beyond_chance, share_hidden
from napari_autostructn2v.noise.weak_lines import with_weak_line
from napari_autostructn2v.residual import residual_of
from napari_autostructn2v.stack import as_stack

CONFIRMING_STANDARD_ERRORS = 3.0
"""Standard errors by which the residual of Stage 1 has to depart from its ring to confirm a peak."""


PAINTED_LOG_EXCESS = np.log(10.0)
"""Log power above its ring given to a painted bin that shows none itself."""


@dataclass(frozen=True, eq=False, repr=False)
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
        Patterns that may be a lattice of the sample: no notch, no kernel.
    autocorrelation
        Of the noise that the notch leaves, against its isotropic part, float32 (L, L) or (3, L, L); lag 0 is
        in the middle.
    kernel
        bool (K, K) or (3, K, K): odd, centre True, point-symmetric unless a person has set it.
    measured
        What all of this is derived from.
    config
        Settings it was derived with.
    far_scatter
        Scatter of the autocorrelation at lags too far for a kernel: its standard error where the noise has no
        long-range pattern.
    isotropic
        Whether the noise is correlated alike in all directions; None where that cannot be told from fine
        detail.
    by_hand
        Whether a person has set the kernel.
    given_up
        Share of the correlation that a kernel hid which is not proposed; None if there was none.
    """

    spectrum: np.ndarray
    peaks: np.ndarray
    notch: Notch
    left_alone: Notch
    autocorrelation: np.ndarray
    kernel: np.ndarray
    measured: NoiseMeasurement
    config: AnalysisConfig
    far_scatter: float
    isotropic: bool | None
    by_hand: bool = False
    given_up: float | None = None

    def __repr__(self) -> str:
        return f"<NoiseAnalysis: {self.verdict.summary}>"

    @property
    def mode(self) -> Mode:
        """``2.5d`` if the kernel has three slices."""
        return self.measured.mode

    @cached_property
    def verdict(self) -> Verdict:
        """What it means."""
        return judge(_verdict_input(self))

    @property
    def notch_rule(self) -> NotchRule | None:
        """How to find the same patterns in a stack, this one or another; None if there are none."""
        return self.measured.rule(self.peaks, self.config) if self.notch else None

    def with_config(self, config: AnalysisConfig) -> NoiseAnalysis:
        """The same measurement with other thresholds; tile size and share of background stay as measured.

        Parameters
        ----------
        config
            Other thresholds.
        """
        return _derive(self.measured, self.measured.find_peaks(config), config)

    def with_peaks(self, peaks: np.ndarray) -> NoiseAnalysis:
        """The same measurement with these frequencies as the peaks, bool (T, T).

        A bin that is erased counts as ordinary background. One that is painted goes to the notch if it is a
        narrow peak of whole slices; if not, it counts as measured, or ten times where that shows nothing.

        Parameters
        ----------
        peaks
            bool (T, T); each bin counts with its mirror image.
        """
        peaks = np.asarray(peaks, dtype=bool)
        if peaks.shape != self.peaks.shape:
            raise KernelError(f"The peaks have shape {peaks.shape}, the spectrum {self.peaks.shape}.")
        peaks = peaks | np.flip(peaks)
        found = self.measured.find_peaks(self.config)
        edited = _derive(self.measured, peaks, self.config, found)
        if (found & ~peaks).any():
            return edited
        # painting only adds: its wave must not pass for scatter
        as_found = np.array_equal(self.peaks, found) and not self.by_hand
        before = self if as_found else _derive(self.measured, found, self.config)
        far = min(edited.far_scatter, before.far_scatter)
        return replace(edited, kernel=united(edited.kernel, before.kernel), far_scatter=far)

    def with_kernel(self, kernel: np.ndarray) -> NoiseAnalysis:
        """The same measurement with a kernel set by hand.

        Parameters
        ----------
        kernel
            bool (K, K) or (3, K, K).

        Raises
        ------
        KernelError
            If it is no kernel, or not one of this mode.
        """
        kernel = trim_kernel(validate_kernel(kernel, self.mode))
        return replace(self, kernel=kernel, by_hand=True, given_up=None)

    def with_common_kernel(self, kernel: np.ndarray) -> NoiseAnalysis:
        """The same measurement with the kernel that several stacks have in common.

        Parameters
        ----------
        kernel
            bool (K, K) or (3, K, K), found by the analyses of all.
        """
        return replace(self, kernel=kernel, given_up=None)


def analyze(
    stack: Any,
    denoised: Any = None,
    *,
    mode: Mode = "2d",
    config: AnalysisConfig | None = None,
    region: np.ndarray | None = None,
    left_out: np.ndarray | None = None,
    voxel_size: VoxelSize | None = None,
) -> NoiseAnalysis:
    """Measure the structure of the noise; extract the kernel and the notch.

    Parameters
    ----------
    stack
        The raw data, shape (Z, Y, X) or (Y, X).
    denoised
        The same stack after Stage 1: it tells background from structure, and what Stage 1 let through. The
        raw data are used if None.
    mode
        ``"2.5d"`` gives a kernel of three slices.
    config
        Thresholds.
    region
        Outlined background, bool (Y, X) or (Z, Y, X): noise is measured there and nowhere else. The flattest
        tiles are taken if None.
    left_out
        Pixels to leave out, bool (Y, X) or (Z, Y, X), besides those that are found by themselves.
    voxel_size
        Tells which waves are finer than the microscope resolves; and for lengths in words.

    Raises
    ------
    StackError
        If the stack cannot be denoised as it is, or the region or what is left out does not suit it.
    """
    stack = as_stack(stack, mode, left_out=left_out)
    config = config or AnalysisConfig()
    if denoised is not None:
        denoised = as_stack(denoised, mode, like=stack)
        if denoised.shape != stack.shape:
            raise StackError(f"The denoised stack has shape {denoised.shape}, the raw one {stack.shape}.")
    tiles = choose_tiles(stack, denoised, config, region)
    background = background_spectrum(stack, tiles)
    residual = None
    if denoised is not None:
        residual = background_spectrum(residual_of(stack, denoised), tiles)
    measured = NoiseMeasurement(
        background, find_notch(stack), Notch(), background, residual, tiles.outlined, mode, voxel_size, tiles,
        stack.scale,
    )  # fmt: skip
    peaks = measured.find_peaks(config)
    rule = measured.rule(peaks, config)
    taken, _ = (replace(rule, choice="auto") if rule.choice == "off" else rule).among(measured.patterns)
    if taken:
        remainder = background_spectrum(notched(stack, taken), tiles)
        measured = replace(measured, taken=taken, remainder=remainder)
    return _derive(measured, peaks, config)


def _derive(
    measured: NoiseMeasurement, peaks: np.ndarray, config: AnalysisConfig, found: np.ndarray | None = None
) -> NoiseAnalysis:
    """What follows from some peaks; a person may have edited those that were ``found``."""
    found = peaks if found is None else found
    erased, edited = (found & ~peaks).any(), (found != peaks).any()
    side = peaks.shape[0]
    peaks = peaks.copy()
    peaks[centre(peaks.shape)] = False
    notch, left_alone = measured.rule(peaks, config).among(measured.patterns)
    notched = notch.on_tiles(side)
    background = measured.remainder if notch else measured.background
    log_power = np.where(notched, background.log_power, measured.background.log_power)
    log_power = (log_power + np.flip(log_power)) / 2
    rings = ring_median(log_power)
    excess = log_power - rings
    shown = np.abs(excess) >= np.where(notched, config.min_excess, config.min_excess / 2)
    # what a notch leaves, and what a painted notch was never measured without, is no structure
    measured_there = ~notched | measured.taken.on_tiles(side)
    unseen = np.where(notched, 0.0, PAINTED_LOG_EXCESS)
    excess = np.where(shown & measured_there, excess, unseen)
    excess = np.where(peaks & ~left_alone.on_tiles(side), excess, 0.0)

    whitened = autocorrelation_of(np.exp(excess))
    # the image itself fills the lowest frequencies: take them as flat
    usable = frequency_radius(side) >= config.min_frequency
    flat = np.exp(np.where(usable, rings, np.median(rings[usable])) + excess)
    reach = min(config.max_lag, side // 4)
    far = far_scatter_of(whitened)
    window = slice(side // 2 - reach, side // 2 + reach + 1)
    shape = less_rings(autocorrelation_of(flat), reach + 1)
    correlation = shape[1:-1, 1:-1].copy()
    kernel = extract_kernel(whitened[window, window], shape, far, config)
    isotropic = None
    if (power := own_power(background, measured.outlined)) is not None:
        own, profile = power
        isotropic, directed = isotropically_correlated(profile), bool(kernel.sum() > 1)
        if isotropic or directed:
            own = np.where(peaks & ~left_alone.on_tiles(side), own, profile) if directed else profile
            complete = autocorrelation_of(extended_inwards(own))
            smallest = config.min_correlation
            if directed:
                complete -= baseline(complete)
                # beside a line, what the images of two slices do not share must not thicken it
                smallest = max(2 * smallest, 8 * far_scatter_of(complete))
            correlation = complete[window, window].copy()
            kernel = strongest(kernel | (np.abs(correlation) >= smallest), correlation, config)
    if not erased:
        kernel, correlation, far = with_weak_line(kernel, correlation, far, background, isotropic)
        kernel = strongest(kernel, correlation, config) if kernel.size > 1 else kernel
    given_up = None
    if not edited and kernel.sum() > 1:
        hidden = share_hidden(kernel, beyond_chance(correlation, 3 * far))
        if hidden < LEAST_HIDDEN:
            kernel, given_up = POINT, hidden
    if not config.find_kernel:
        kernel = POINT
    if measured.mode == "2.5d":
        assert background.cross_power is not None  # as_stack refuses 2.5D on fewer than three slices
        beside = autocorrelation_of(np.where(usable, background.cross_power, 0.0), background.power.mean())
        beside = less_rings(beside, reach)
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
        isotropic=isotropic,
        given_up=given_up,
    )


def _verdict_input(analysis: NoiseAnalysis) -> VerdictInput:
    measured, notch = analysis.measured, analysis.notch
    raw, rest = (np.exp(b.log_power) for b in (measured.background, measured.remainder))
    seen = frequency_radius(len(raw)) >= analysis.config.min_frequency
    at = notch.on_tiles(len(raw)) & seen
    confirmed = None
    if measured.residual is not None and analysis.peaks.any():
        # up or down: what a blind spot cannot predict stands out there, what it lets through is a dip
        departures = log_excess_over_ring(measured.residual) / measured.residual.regional_error
        confirmed = float((np.abs(departures[analysis.peaks]) > CONFIRMING_STANDARD_ERRORS).mean())
    return VerdictInput(
        correlation=analysis.autocorrelation,
        far_scatter=analysis.far_scatter,
        kernel=analysis.kernel,
        by_hand=analysis.by_hand,
        given_up=analysis.given_up,
        notch=notch,
        notched=float(np.maximum(raw - rest, 0)[at].sum() / raw[seen].sum()),
        left_alone=analysis.left_alone,
        limit_px=measured.limit_px(analysis.config),
        confirmed=confirmed,
        any_peaks=bool(analysis.peaks.any()),
        isotropic=analysis.isotropic,
        coherence=(measured.remainder if notch else measured.background).coherence,
        tiles=measured.background.tiles,
        noiseless=measured.background.noiseless,
        serial=slices_independent(measured.remainder if notch else measured.background),
        single=measured.background.cross_power is None,
        voxel_size=measured.voxel_size,
    )
