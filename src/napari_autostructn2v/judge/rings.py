"""At which frequencies a result goes along with a second recording: Fourier ring and shell correlation.

References
----------
Saxton, W. O. & Baumeister, W. The correlation averaging of a regularly arranged bacterial cell envelope
protein. Journal of Microscopy 127 (1982), 127-138.

Harauz, G. & van Heel, M. Exact filters for general geometry three dimensional reconstruction. Optik 73
(1986), 146-156.

Rosenthal, P. B. & Henderson, R. Optimal determination of particle orientation, absolute hand, and contrast
loss in single-particle electron cryomicroscopy. Journal of Molecular Biology 333 (2003), 721-745.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import fft

from napari_autostructn2v.threads import THREADS

THRESHOLDS = (0.5, 0.143)
"""Correlations at which a resolution is read."""

TAPER = 0.25
"""Share of each axis over which the ends fade out, so that they make no cross in the spectrum."""

SMOOTHING = 3
"""Rings that are averaged before a threshold is looked for: one alone may fall below it by chance."""


@dataclass(frozen=True, eq=False)
class Correlation:
    """Correlation with the second recording, ring by ring, or shell by shell, of the spectrum.

    Attributes
    ----------
    frequency
        Of each ring, in cycles per ``unit``.
    denoised, raw
        Correlation of the result, and of the first recording as it was, -1 to 1.
    unit
        Of a length.
    """

    frequency: np.ndarray
    denoised: np.ndarray
    raw: np.ndarray
    unit: str

    def resolution(self, threshold: float, *, of_raw: bool = False) -> float | None:
        """The period down to which the correlation is above a threshold, in ``unit``; None if it always is.

        Parameters
        ----------
        threshold
            0.5, or 0.143 as for half maps.
        of_raw
            Of the first recording instead of the result.
        """
        curve = np.convolve(
            np.pad(self.raw if of_raw else self.denoised, SMOOTHING // 2, mode="edge"),
            np.full(SMOOTHING, 1 / SMOOTHING),
            mode="valid",
        )
        below = np.flatnonzero(curve < threshold)
        if not below.size:
            return None
        first = int(below[0])
        if first == 0:
            return float(1 / self.frequency[0])
        above, under = curve[first - 1], curve[first]
        share = (above - threshold) / (above - under)
        return float(1 / (self.frequency[first - 1] + share * np.diff(self.frequency)[first - 1]))


class RingSums:
    """Adds up spectra of slices, or of volumes, and tells their correlation.

    Parameters
    ----------
    shape
        Of what is added, (Y, X) or (Z, Y, X).
    spacing
        Lengths of a voxel's edges, one for each axis.
    unit
        Of these.
    """

    def __init__(self, shape: tuple[int, ...], spacing: Sequence[float], unit: str) -> None:
        self._unit = unit
        axes = [fft.fftfreq(n, edge) for n, edge in zip(shape[:-1], spacing, strict=False)]
        axes.append(fft.rfftfreq(shape[-1], spacing[-1]))
        radius = np.sqrt(sum(np.square(axis) for axis in np.ix_(*axes)))
        # a ring is as wide as a bin of the longest axis, and the last is the Nyquist frequency
        self._width = min(1 / (n * edge) for n, edge in zip(shape, spacing, strict=True))
        self._count = int(0.5 / max(spacing) / self._width)
        self._ring = np.rint(radius / self._width).astype(np.int32).ravel()
        self._ring[self._ring > self._count] = self._count + 1
        weight = np.full(len(axes[-1]), 2.0)  # the other half of the spectrum is the same
        weight[0] = 1
        if shape[-1] % 2 == 0:
            weight[-1] = 1
        self._weight = weight
        from scipy.signal.windows import tukey  # most of a second, and there may be no second recording

        self._taper = np.ones((), np.float32)  # in single precision, for slices may be large
        for n in shape:
            self._taper = self._taper[..., None] * tukey(n, TAPER).astype(np.float32)
        self._sums = np.zeros((5, self._count + 2))

    def add(self, denoised: np.ndarray, raw: np.ndarray, second: np.ndarray) -> None:
        """Take in a slice, or a volume.

        Parameters
        ----------
        denoised, raw, second
            Of the shape of these sums.
        """
        made, first, other = (self._spectrum(values) for values in (denoised, raw, second))
        for row, product in enumerate(
            (
                np.real(made * other.conj()),
                np.real(first * other.conj()),
                np.abs(made) ** 2,
                np.abs(first) ** 2,
                np.abs(other) ** 2,
            )
        ):
            product *= self._weight
            self._sums[row] += np.bincount(self._ring, product.ravel(), self._count + 2)

    def _spectrum(self, values: np.ndarray) -> np.ndarray:
        return np.asarray(fft.rfftn((values - values.mean()) * self._taper, workers=THREADS))

    def correlation(self) -> Correlation:
        """Of all that was added."""
        made, first, own, of_raw, other = self._sums[:, 1 : self._count + 1]
        tiny = np.finfo(np.float64).tiny
        return Correlation(
            np.arange(1, self._count + 1) * self._width,
            made / np.sqrt(np.maximum(own * other, tiny)),
            first / np.sqrt(np.maximum(of_raw * other, tiny)),
            self._unit,
        )
