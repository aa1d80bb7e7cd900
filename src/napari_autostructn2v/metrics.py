"""How good a denoised stack is: against the truth, where there is one, and by what was removed, where not.

Without a truth, four questions: how much weaker is the structured noise, does what was removed hold some of
the image, is it noise beyond the reach of the kernel, and has the result a pattern that the original has not.
Each of them alone can be fooled, by a blur or by doing nothing; together they cannot be so easily.

References
----------
Bartlett, M. S. On the theoretical specification and sampling properties of autocorrelated time-series.
Supplement to the Journal of the Royal Statistical Society 8 (1946), 27-41.

Buades, A., Coll, B. & Morel, J.-M. A review of image denoising algorithms, with a new one. Multiscale
Modeling & Simulation 4 (2005), 490-530.

Chen, Y. & Fomel, S. Random noise attenuation using local signal-and-noise orthogonalization. Geophysics 80
(2015), WD1-WD9.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import fft, ndimage

from napari_autostructn2v.errors import StackError
from napari_autostructn2v.events import SliceDone
from napari_autostructn2v.kernel import embed_kernel
from napari_autostructn2v.noise.added_pattern import AddedPattern, added_pattern
from napari_autostructn2v.noise.analysis import NoiseAnalysis, analyze
from napari_autostructn2v.noise.patterns import notched
from napari_autostructn2v.noise.rings import frequency_radius, ring_median
from napari_autostructn2v.noise.spectrum import (
    HANN_ERROR_FACTOR,
    BackgroundSpectrum,
    background_spectrum,
    find_peaks,
    full_from_rfft2_centred,
    log_excess_over_ring,
    power,
    tile_spectra,
)
from napari_autostructn2v.noise.tiles import Tiles, batches, choose_tiles, tile_corners
from napari_autostructn2v.stack import Stack, as_stack
from napari_autostructn2v.threads import THREADS

MAX_SLICES = 32
"""Slices that the figures are taken from: more would only cost time."""

FLAT_SHARE = 0.25
"""Share of the tiles, the flattest ones, that show what noise alone does."""

MAX_LEAKED_SHARE = 0.02
"""Share of what was removed that may go along with the image by chance."""

MAX_ADDED_SHARE = 0.005
"""Share of the power of the result's background from which on a pattern is called one. The ripples that are
seen beside a microtubule have 0.08, what is not seen in the result of stage 1 there 0.002."""

LARGE_CORRELATION = 0.03
"""Correlation beyond the kernel that is large enough to be seen in what was removed."""

CHANCE_STANDARD_ERRORS = 1.96
"""Standard errors that 95 % of chance correlations stay below."""

CHANCE_SHARE = 0.05
"""Share of chance correlations beyond so many standard errors."""

SHADING_BINS = 1.5
"""Bins of a tile's spectrum around zero frequency that hold only its shading."""

Grade = Literal["good", "look", "poor"]
"""What a figure says of a result: as it should be, worth a look, or not to be measured on."""

GRADES = {"left_db": (-6.0, -1.0), "leaked": (MAX_LEAKED_SHARE, 0.1), "added": (MAX_ADDED_SHARE, 0.02)}
"""Of each figure: up to where it is good, and up to where it is worth a look."""


@dataclass(frozen=True, eq=False)
class QualityReport:
    """What can be said of a denoised stack without knowing the truth.

    Attributes
    ----------
    structured_db
        By how many decibels the structured noise of the background is weaker, at the frequencies of its
        peaks. None if the original has none.
    at_least
        Whether so little of it is left that ``structured_db`` is only a lower limit.
    leaked
        Share of the removed power that goes along with the denoised image where there is structure, and not
        in flat background: the image in what was removed. A careful estimate, rather too low, 0 to 1.
    far_share
        Share of the lags beyond the kernel at which what was removed correlates with itself more than 95 % of
        chance correlations would: 0.05 if it is noise of the kernel's reach.
    far_largest
        Largest of those correlations, 0 to 1.
    added
        What stands out in the background of the denoised stack and not in that of the original.
    spectrum
        Mean log power of what was removed, float32 (T, T), zero frequency in the middle.
    """

    structured_db: float | None
    at_least: bool
    leaked: float
    far_share: float
    far_largest: float
    added: AddedPattern
    spectrum: np.ndarray

    @property
    def holds_image(self) -> bool:
        """Whether what was removed holds some of the image."""
        return self.leaked > MAX_LEAKED_SHARE

    @property
    def adds_pattern(self) -> bool:
        """Whether the denoised stack has a pattern that the original has not."""
        return self.added.share > MAX_ADDED_SHARE

    @property
    def grades(self) -> tuple[Grade, Grade, Grade]:
        """Of the structured noise, of the image taken and of the pattern added."""
        # where there was no structured noise, none is left
        left_db = -np.inf if self.structured_db is None else -self.structured_db
        structured, leaked, added = (
            _grade(value, *limits)
            for value, limits in zip((left_db, self.leaked, self.added.share), GRADES.values(), strict=True)
        )
        return structured, leaked, added

    @property
    def sentences(self) -> tuple[str, str, str, str]:
        """What structured noise, leakage, pattern and reach mean, for a person at a microscope."""
        return self.about_structured, self.about_image, self.about_pattern, self._about_reach()

    def as_dict(self) -> dict[str, Any]:
        """The figures by name, for files and programs."""
        return {
            "structured_db": self.structured_db,
            "at_least": self.at_least,
            "leaked": self.leaked,
            "added_share": self.added.share,
            "added_db": self.added.db,
            "added_frequency": list(self.added.frequency),
            "added_period_px": self.added.period if self.added.share else None,
            "far_share": self.far_share,
            "far_largest": self.far_largest,
        }

    @property
    def about_structured(self) -> str:
        """How much weaker the structured noise is, in a sentence."""
        if self.structured_db is None:
            return "No structured noise was found in the original, so there is none to weaken."
        if abs(self.structured_db) < 0.5:
            return "Structured noise is as strong as before."
        times = float(f"{10 ** (abs(self.structured_db) / 10):.2g}")
        limit = "at least " if self.at_least else ""
        return f"Structured noise is {limit}{abs(self.structured_db):.0f} dB " + (
            f"weaker ({times:,.9g} times less power)." if self.structured_db > 0 else "stronger."
        )

    @property
    def about_image(self) -> str:
        """Whether some of the image was removed, in a sentence."""
        if self.holds_image:
            return (
                f"What was removed holds some of the image: at least {self.leaked:.0%} of its power. Train "
                "longer, take a smaller kernel, or bring more detail back if not all of it is."
            )
        return (
            f"No image structure was measured in what was removed, or less than {MAX_LEAKED_SHARE:.0%}. "
            "What is smoothed away altogether escapes the measure: look for outlines."
        )

    @property
    def about_pattern(self) -> str:
        """Whether a pattern was added, in a sentence."""
        if not self.adds_pattern:
            return "No pattern was added: nothing stands out in the result that the original does not have."
        return (
            f"A pattern was added: ripples with a period of {self.added.period:.1f} px hold "
            f"{self.added.share:.1%} of the power in the background of the result. Bring back less "
            "detail, train longer, or take a smaller kernel, and compare."
        )

    def _about_reach(self) -> str:
        found = (
            f"Beyond the kernel {self.far_share:.0%} of the neighbours in it are correlated "
            f"({CHANCE_SHARE:.0%} by chance alone), at most by {self.far_largest:.2f}"
        )
        if self.far_largest > LARGE_CORRELATION and self.far_share > 2 * CHANCE_SHARE:
            return f"{found}: a pattern, or the image, reaches farther than the kernel."
        return f"{found}: too little to matter."


def _grade(value: float, good: float, look: float) -> Grade:
    return "good" if value <= good else "look" if value <= look else "poor"


def assess_quality(
    original: Any, denoised: Any, analysis: NoiseAnalysis | None = None
) -> Generator[SliceDone, None, QualityReport]:
    """Say how good a denoised stack is without knowing the truth.

    Parameters
    ----------
    original, denoised
        Shape (Z, Y, X) or (Y, X), the same for both, and on the same scale of values.
    analysis
        Of the original: its peaks, kernel and notch. It is analysed first if None.

    Yields
    ------
    SliceDone
        After each slice that was looked at.

    Raises
    ------
    StackError
        If they are no stacks of one shape, or the same stack.
    """
    raw = as_stack(original)
    made = as_stack(denoised, like=raw)
    if raw.shape != made.shape:
        raise StackError(
            f"The original has shape {raw.shape}, the denoised stack {made.shape}. "
            "Choose two stacks of the same shape."
        )
    analysis = analysis or analyze(raw, made)
    structured_db, at_least = _structured_db(raw, made, analysis)
    # what the notch takes is meant to be gone, however far it reaches
    given = notched(raw, analysis.notch) if analysis.notch else raw
    tiles = choose_tiles(raw, made, analysis.config.model_copy(update={"flat_share": FLAT_SHARE}))
    slices = sorted({z for z, _, _ in tiles.corners})
    slices = [slices[i] for i in np.unique(np.linspace(0, len(slices) - 1, MAX_SLICES).astype(int))]
    corners = tile_corners(raw, tiles.side)
    leakage, reach = _Leakage(tiles, corners), _Reach(analysis, raw.shape[1:])
    half = np.zeros((tiles.side, tiles.side // 2 + 1))
    for done, z in enumerate(slices, start=1):
        shown, removed = made.plane(z), given.plane(z)
        removed -= shown
        leakage.add(z, shown, removed)
        reach.add(removed)
        if analysis.notch:
            removed = raw.plane(z)
            removed -= shown
        for some in batches(corners):
            powers = power(tile_spectra(removed, corners[some], tiles.side))
            half += powers.sum(axis=0) / (len(corners) * len(slices))
        yield SliceDone(z=z, done=done, total=len(slices))
    if not half.any():
        raise StackError("The two stacks are the same: nothing was removed. Choose the original first.")
    far_share, far_largest = reach.beyond()
    return QualityReport(
        structured_db=structured_db,
        at_least=at_least,
        leaked=leakage.share(),
        far_share=far_share,
        far_largest=far_largest,
        added=added_pattern(background_spectrum(raw, tiles), background_spectrum(made, tiles)),
        spectrum=np.log(full_from_rfft2_centred(half) + np.finfo(np.float32).tiny).astype(np.float32),
    )


def _structured_db(raw: Stack, made: Stack, analysis: NoiseAnalysis) -> tuple[float | None, bool]:
    """By how much the power above the rings is lower, and whether nothing certain is left of it."""
    tiles = choose_tiles(raw, made, analysis.config)
    before = background_spectrum(raw, tiles)
    peaks = analysis.peaks
    if len(peaks) != tiles.side:  # outlined backgrounds have smaller tiles
        peaks = find_peaks(before, analysis.config)
    peaks = peaks & (log_excess_over_ring(before) > 0)
    if not peaks.any():
        return None, False
    after = background_spectrum(made, tiles)
    strength, left = (_above_rings(spectrum, peaks) for spectrum in (before, after))
    floor = 2 * _chance_above_rings(after, peaks)
    return float(10 * np.log10(strength / max(left, floor))), left < floor


def _above_rings(background: BackgroundSpectrum, peaks: np.ndarray) -> float:
    excess = np.exp(background.log_power) - np.exp(ring_median(background.log_power))
    return float(excess[peaks].sum())


def _chance_above_rings(background: BackgroundSpectrum, peaks: np.ndarray) -> float:
    """Standard error of :func:`_above_rings`, were there no structure; a bin and its mirror image are one."""
    rings = np.exp(ring_median(background.log_power))[peaks]
    return float(HANN_ERROR_FACTOR * background.standard_error * np.sqrt(2 * np.square(rings).sum()))


class _Leakage:
    """How much of what was removed goes along with the image, ring by ring of the spectrum.

    A filter that lets through the share H of a frequency leaves H(1 - H) of the image's power as the
    cross-spectrum of denoised and removed, and H² as the power of the denoised: from both follows what was
    removed, (1 - H)². Noise does the same, so what flat background shows is subtracted first.
    """

    def __init__(self, tiles: Tiles, corners: list[tuple[int, int]]) -> None:
        self._corners, self._side = corners, tiles.side
        self._flat = set(tiles.corners)
        self._sums = np.zeros((2, 3, tiles.side, tiles.side // 2 + 1))
        self._counts = np.zeros(2)

    def add(self, z: int, denoised: np.ndarray, removed: np.ndarray) -> None:
        """Take in a slice."""
        for some in batches(self._corners):
            corners = self._corners[some]
            image, noise = (tile_spectra(plane, corners, self._side) for plane in (denoised, removed))
            cross, shown, taken = np.real(image * noise.conj()), power(image), power(noise)
            flat = np.array([(z, *corner) in self._flat for corner in corners])
            for which, chosen in enumerate((flat, ~flat)):
                self._sums[which] += [powers[chosen].sum(axis=0) for powers in (cross, shown, taken)]
                self._counts[which] += chosen.sum()

    def share(self) -> float:
        """0 to 1; 0 where all is flat or nothing is."""
        if not self._counts.all():
            return 0.0
        flat, rest = self._sums / self._counts[:, None, None, None]
        radius = np.rint(frequency_radius(self._side) * self._side).astype(int)
        rings = np.arange(radius.max() + 1)
        cross, shown, taken = (
            ndimage.mean(full_from_rfft2_centred(half), radius, rings)
            for half in (*(rest - flat)[:2], rest[2])
        )
        seen = (rings > SHADING_BINS) & (shown > 0)
        leaked = np.minimum(np.square(np.maximum(cross, 0)) / np.where(seen, shown, 1), taken) * seen
        bins = np.bincount(radius.ravel()) * (rings > SHADING_BINS)
        return float((leaked * bins).sum() / max((taken * bins).sum(), np.finfo(float).tiny))


class _Reach:
    """Autocorrelation of what was removed, pooled over slices, and what of it lies beyond the kernel."""

    def __init__(self, analysis: NoiseAnalysis, shape: tuple[int, ...]) -> None:
        kernel = analysis.kernel if analysis.kernel.ndim == 2 else analysis.kernel[1]
        self._reach = analysis.config.max_lag + 1
        # beside a neighbour that shares noise there is always a little more of it
        grid = ndimage.binary_dilation(embed_kernel(kernel, 2 * self._reach + 1), np.ones((3, 3)))
        self._within = np.asarray(grid)
        self._shape = [fft.next_fast_len(n + self._reach, real=True) for n in shape]
        self._power = np.zeros((self._shape[0], self._shape[1] // 2 + 1), np.float32)
        self._pixels = 0

    def add(self, removed: np.ndarray) -> None:
        """Take in a slice."""
        # in single precision, for slices may be large
        self._power += power(fft.rfft2(removed - removed.mean(), self._shape, workers=THREADS))
        self._pixels += removed.size

    def beyond(self) -> tuple[float, float]:
        """Share of the lags that chance does not explain, and the largest correlation among them."""
        lags = np.arange(-self._reach, self._reach + 1)
        pooled = fft.irfft2(self._power, self._shape, workers=THREADS)[np.ix_(lags, lags)].astype(np.float64)
        correlation = pooled / max(pooled[self._reach, self._reach], np.finfo(float).tiny)
        # Bartlett: correlations within the kernel make those beyond it scatter more
        error = np.sqrt(np.square(correlation[self._within]).sum() / self._pixels)
        beyond = np.abs(correlation[~self._within])
        if not beyond.size:
            return 0.0, 0.0
        return float((beyond > CHANCE_STANDARD_ERRORS * error).mean()), float(beyond.max())


def scale_invariant_psnr(image: np.ndarray, truth: np.ndarray) -> float:
    """Peak signal-to-noise ratio in decibels, after the affine fit of the image to the truth.

    Self-supervised training does not know the scale of the truth, and contrast is set anew at display, so a
    gain and an offset are not counted as errors.

    Parameters
    ----------
    image, truth
        Arrays of one shape.
    """
    x, y = (_spread_out(a) for a in (image, truth))
    gain = np.mean(x * y) / max(np.mean(np.square(x)), np.finfo(float).tiny)
    error = np.mean(np.square(gain * x - y))
    return float(10 * np.log10(np.ptp(y) ** 2 / error))


psnr = scale_invariant_psnr
"""The name under which most people look for it."""


def _spread_out(image: np.ndarray) -> np.ndarray:
    """An image around 0 and up to 1 from there, whose squares are numbers whatever its scale."""
    centred = np.asarray(image, dtype=np.float64).ravel()
    centred = centred - centred.mean()
    return np.asarray(centred / (np.abs(centred).max() or 1.0))
