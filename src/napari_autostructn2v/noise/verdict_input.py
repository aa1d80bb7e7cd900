"""What the noise analysis has found, as a verdict needs it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from napari_autostructn2v.io import VoxelSize
from napari_autostructn2v.kernel import centre, embed_kernel, mirrored
from napari_autostructn2v.noise.patterns import Notch

LONG_RANGE_SCATTER = 0.03
"""Scatter of the autocorrelation at far lags above which a pattern reaches beyond any small kernel."""

FEW_TILES = 8
"""Tiles below which a spectrum is too rough to tell structure from chance."""

LEAST_HIDDEN = 0.25
"""Share of the squared autocorrelation that a kernel has to hide, found or set by hand: what stays visible
lets the noise pass."""

WIDE_PIXELS, WIDE_SHARE = 60, 0.25
"""Pixels of a kernel in a slice, or share of the lags that were measured, above which it may blur."""

NEAREST_VISIBLE = 4.0
"""Pixels from the centre to the nearest visible one from which a wide kernel hides whole detail."""

MAX_LINE_PIXELS = 31
"""Pixels of a kernel, in a slice, above which it is no line any more."""


@dataclass(frozen=True, eq=False)
class VerdictInput:
    """What a verdict is made of.

    Attributes
    ----------
    correlation
        Autocorrelation of the noise, (L, L) or (3, L, L).
    far_scatter
        Its scatter at lags too far for a kernel.
    kernel
        bool (K, K) or (3, K, K).
    by_hand
        Whether a person has set the kernel.
    given_up
        Share of the squared autocorrelation that a kernel hid which is not proposed for that; None if there
        was none.
    notch, notched
        Patterns taken away, and the share of the variance that they have.
    left_alone
        Waves that are not taken away because they may be a lattice of the sample.
    limit_px
        The shortest period that the optics pass, in pixels along Y and along X; None if it is not known.
    confirmed
        Share of the peaks that the residual of Stage 1 confirms, if known.
    any_peaks
        Whether anything stands out in the spectrum.
    isotropic
        Whether the noise is correlated alike in all directions; None where that cannot be told from fine
        detail.
    coherence
        Share of the noise that neighbouring slices have in common.
    tiles, noiseless
        Tiles that were averaged, and whether they hold hardly any noise.
    serial
        Whether the images of neighbouring slices do not go on from one to the next.
    single
        Whether there is but one slice.
    voxel_size
        If known.
    """

    correlation: np.ndarray
    far_scatter: float
    kernel: np.ndarray
    by_hand: bool
    given_up: float | None
    notch: Notch
    notched: float
    left_alone: Notch
    limit_px: tuple[float, float] | None
    confirmed: float | None
    any_peaks: bool
    isotropic: bool | None
    coherence: float
    tiles: int
    noiseless: bool
    serial: bool
    single: bool
    voxel_size: VoxelSize | None

    @property
    def slices_do_not_tell(self) -> str:
        """Begins what is said where there are too few slices to see what goes on through them."""
        return "One slice does not tell" if self.single else "So few slices do not tell"

    @property
    def lattice(self) -> bool:
        """Whether a pattern was left alone because it may be a lattice of the sample."""
        return bool(self.left_alone)

    @property
    def risky(self) -> bool:
        """Whether the kernel may well cost more detail than it takes noise.

        In serial sections nothing but the background's own spectrum says what of it is noise, so that a wide
        kernel comes out with gaps, and their images are fine enough to suffer from a wide blind spot: in
        trials with streaks Stage 2 lost half a decibel there.
        """
        return self.serial and not self.by_hand and bool(self.middle.sum() > MAX_LINE_PIXELS)

    @property
    def stacked(self) -> bool:
        """Whether the kernel has three slices."""
        return self.kernel.ndim == 3

    @property
    def round(self) -> bool:
        """Whether the kernel is that of noise which is alike in all directions, and no more."""
        return bool(self.isotropic) and not self.by_hand and np.array_equal(self.middle, self.middle.T)

    @property
    def middle(self) -> np.ndarray:
        """The kernel in its own slice."""
        return self.kernel[1] if self.stacked else self.kernel


MIN_CORRELATION = 0.02
"""Autocorrelation that is too small to matter to the network."""

WEAK = 0.2
"""Correlation below which a kernel takes structure away at the cost of as much detail. Lines in white noise,
Stage 2 less Stage 1: -0.2 to -0.5 dB at 0.1, +0.1 and -0.4 dB at 0.18, +0.9 and -0.1 dB at 0.28, the first of
each on a generated tomogram, the second on serial sections."""

ROUNDING_SCATTER = 1e-6
"""Scatter of the autocorrelation below which it is nothing but rounding."""


def structured(found: VerdictInput) -> bool:
    """Whether any neighbours certainly share noise.

    Parameters
    ----------
    found
        What the analysis has found.
    """
    return bool(certain_correlation(found).any())


def covered(found: VerdictInput) -> float:
    """Share of the squared autocorrelation, beyond chance, at the kernel's pixels.

    Parameters
    ----------
    found
        What the analysis has found.
    """
    return share_hidden(kernel_on_lags(found), certain_correlation(found))


def hides_enough(found: VerdictInput) -> bool:
    """Whether a kernel hides enough of the correlation to help.

    A pixel whose mirror image stays visible does not count: the noise that it shares passes there.

    Parameters
    ----------
    found
        What the analysis has found.
    """
    kernel = kernel_on_lags(found)
    return share_hidden(kernel & mirrored(kernel), certain_correlation(found)) >= LEAST_HIDDEN


def hides_mostly_detail(found: VerdictInput) -> bool:
    """Whether a kernel is so wide that it hides more than the detail around it.

    A wide kernel does if most of its pixels share no noise with the centre, or if nothing near the centre
    stays visible. A long line does not: detail shows beside it.

    Parameters
    ----------
    found
        What the analysis has found.
    """
    middle, correlation = kernel_on_lags(found), certain_correlation(found)
    if found.stacked:
        middle, correlation = middle[1], correlation[1]
    pixels = int(found.middle.sum())
    if pixels <= min(WIDE_PIXELS, WIDE_SHARE * middle.size):
        return False
    needed = np.count_nonzero(correlation[middle])
    nearest = ndimage.distance_transform_edt(np.pad(found.middle, 1))[centre(np.pad(found.middle, 1).shape)]
    return bool(needed < pixels / 2 or nearest >= NEAREST_VISIBLE)


def weak(found: VerdictInput) -> bool:
    """Whether a kernel that was found hides so little correlation that it may cost as much as it gives.

    Parameters
    ----------
    found
        What the analysis has found.
    """
    if found.by_hand or found.notch or found.kernel.sum() == 1:
        return False
    hidden = np.where(kernel_on_lags(found), certain_correlation(found), 0)
    return bool(np.abs(hidden).max() < WEAK)


def share_hidden(kernel: np.ndarray, correlation: np.ndarray) -> float:
    """Share of the squared autocorrelation at a kernel's pixels; 0 if there is none.

    Parameters
    ----------
    kernel
        bool, on the grid of the autocorrelation.
    correlation
        What of it is certain.
    """
    energy = np.square(correlation, dtype=np.float64)
    total = float(energy.sum())
    return float(energy[kernel].sum() / total) if total else 0.0


def certain_correlation(found: VerdictInput, errors: float = 3.0) -> np.ndarray:
    """The autocorrelation without lag 0, chance, and what is too small to matter.

    Parameters
    ----------
    found
        What the analysis has found.
    errors
        Standard errors from which a correlation is certain.
    """
    # where nothing stands out in the spectrum there is nothing to correlate, and not even a scatter
    if found.far_scatter <= ROUNDING_SCATTER and not found.isotropic:
        return np.zeros_like(found.correlation)
    return beyond_chance(found.correlation, errors * found.far_scatter)


def beyond_chance(correlation: np.ndarray, error: float) -> np.ndarray:
    """An autocorrelation without lag 0, chance, and what is too small to matter.

    Parameters
    ----------
    correlation
        (L, L) or (3, L, L), lag 0 in the middle.
    error
        What chance does not reach.
    """
    certain = np.where(np.abs(correlation) < max(error, MIN_CORRELATION), 0, correlation)
    certain[centre(correlation.shape)] = 0
    return certain


def middle_correlation(found: VerdictInput) -> np.ndarray:
    """The autocorrelation within a slice on the grid of the kernel, (K, K); 0 beyond what was measured.

    Parameters
    ----------
    found
        What the analysis has found.
    """
    correlation = found.correlation[1] if found.stacked else found.correlation
    reach = len(correlation) // 2
    lags = np.indices(found.middle.shape) - np.array(centre(found.middle.shape))[:, None, None]
    inside = (np.abs(lags) <= reach).all(axis=0)
    return np.where(inside, correlation[tuple(np.clip(lags + reach, 0, 2 * reach))], 0)


def kernel_on_lags(found: VerdictInput) -> np.ndarray:
    """The kernel on the grid of the autocorrelation, bool; what is larger is cut off.

    Parameters
    ----------
    found
        What the analysis has found.
    """
    side = found.correlation.shape[-1]
    hidden = embed_kernel(found.kernel, max(side, *found.kernel.shape[-2:]))
    margin = (hidden.shape[-1] - side) // 2
    return hidden[..., margin : margin + side, margin : margin + side]
