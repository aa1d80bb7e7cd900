"""The peaks of a spectrum one by one: where each is, what it repeats by, how strong it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from napari_autostructn2v.io import VoxelSize
from napari_autostructn2v.kernel import centre
from napari_autostructn2v.noise.analysis import NoiseAnalysis
from napari_autostructn2v.noise.spectrum import log_excess_over_ring

LARGE_GROUP_BINS = 60
"""Bins of a connected group, both halves, above which it is taken apart."""

SEED_DISTANCE_BINS = 8
"""Bins that the strongest bins of the parts of a large group are at least apart."""

DB_PER_LOG_POWER = 10 / np.log(10)
"""In one unit of natural log power."""


@dataclass(frozen=True, eq=False)
class Peak:
    """A connected group of frequencies and its mirror image; of a large one, a part.

    Attributes
    ----------
    frequency
        Of its strongest bin along Y and X, in cycles per pixel; of the two mirrored ones that with X > 0, or
        Y > 0 where X is 0.
    angle_deg
        Direction in which it repeats, in the pixels of a slice, from X upwards, 0 to 180 degrees.
    period_px
        In pixels, along that direction.
    period_nm
        In nanometres, perpendicular to its wave fronts; None if the voxel size is not known.
    strength_db
        Power over the median of its ring, in decibels; negative for a gap.
    at
        Its frequencies, both halves, as indices into the spectrum along Y and X: integers (bins,) each.
    side
        T, where the spectrum is (T, T).
    """

    frequency: tuple[float, float]
    angle_deg: float
    period_px: float
    period_nm: float | None
    strength_db: float
    at: tuple[np.ndarray, np.ndarray]
    side: int

    @property
    def bins(self) -> int:
        """How many frequencies it has, both halves."""
        return len(self.at[0])

    def holds(self, y: int, x: int) -> bool:
        """Whether a bin of the spectrum is one of them.

        Parameters
        ----------
        y, x
            Its indices into the spectrum.
        """
        return bool(((self.at[0] == y) & (self.at[1] == x)).any())

    @property
    def mask(self) -> np.ndarray:
        """Which these are, bool (T, T), point-symmetric."""
        mask = np.zeros((self.side, self.side), dtype=bool)
        mask[self.at] = True
        return mask


def list_peaks(analysis: NoiseAnalysis, peaks: np.ndarray, voxel_size: VoxelSize | None) -> list[Peak]:
    """Peaks of a spectrum, those that stand out most first.

    Parameters
    ----------
    analysis
        Whose background says how far they stand out.
    peaks
        bool (T, T), point-symmetric, as found or as edited.
    voxel_size
        Of a slice, whose edges along Y and X may differ; None, or in pixels, if not known.
    """
    peaks = peaks.copy()
    peaks[centre(peaks.shape)] = False
    side, middle = len(peaks), len(peaks) // 2
    excess = log_excess_over_ring(analysis.measured.background) * DB_PER_LOG_POWER
    groups, _ = ndimage.label(peaks, structure=np.ones((3, 3)))
    groups = np.minimum(groups, np.flip(groups))  # a group and its mirror image under one number
    y, x = np.indices(peaks.shape) - middle
    half = (x > 0) | ((x == 0) & (y > 0))
    groups = _taken_apart(groups, np.abs(excess), half)
    height = np.where(half, np.abs(excess), -1.0)
    found = []
    for at in _bins_of_each(groups):
        strongest = tuple(int(index[height[at].argmax()]) for index in at)
        fy, fx = ((index - middle) / side for index in strongest)
        found.append(
            Peak(
                frequency=(fy, fx),
                # image rows run downwards; microscopists measure angles upwards from X
                angle_deg=float(np.degrees(np.arctan2(-fy, fx)) % 180),
                period_px=float(1 / np.hypot(fy, fx)),
                period_nm=_nanometres(fy, fx, voxel_size),
                strength_db=float(excess[strongest]),
                at=at,
                side=side,
            )
        )
    return sorted(found, key=lambda peak: abs(peak.strength_db), reverse=True)


def _bins_of_each(groups: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Indices along Y and X of the bins of each group, (T, T); 0 is none. Of very many, too, in one pass."""
    y, x = np.nonzero(groups)
    numbers = groups[y, x]
    order = np.argsort(numbers, kind="stable")
    starts = np.flatnonzero(np.diff(numbers[order])) + 1
    for part in np.split(order, starts) if len(order) else ():
        yield y[part], x[part]


def _taken_apart(groups: np.ndarray, height: np.ndarray, half: np.ndarray) -> np.ndarray:
    """The groups, (T, T), point-symmetric, with those that are large divided among their strongest bins.

    A pattern of a reconstruction may well be one group of most of the spectrum: nobody wants to erase that
    at a stroke.
    """
    divided, middle = groups.copy(), np.array(centre(groups.shape))
    smooth = ndimage.gaussian_filter(height, 1.0)
    for y, x in _bins_of_each(groups):
        if len(y) <= LARGE_GROUP_BINS:
            continue
        y, x = y[half[y, x]], x[half[y, x]]
        bins = np.column_stack([y, x]) - middle
        left, parts = np.argsort(-smooth[y, x], kind="stable"), 0
        nearest, part = np.full(len(bins), np.inf), np.zeros(len(bins), dtype=int)
        while len(left):
            # to the nearer of a seed and its mirror image, and the other half likewise: parts are symmetric
            distance = _squared_distance(bins, bins[left[0]])
            nearer = distance < nearest
            nearest[nearer], part[nearer] = distance[nearer], parts
            left, parts = left[distance[left] > SEED_DISTANCE_BINS**2], parts + 1
        part += divided.max() + 1
        for same in (bins, -bins):
            divided[tuple((same + middle).T)] = part
    return divided


def _squared_distance(bins: np.ndarray, seed: np.ndarray) -> np.ndarray:
    """Of each bin to a seed or its mirror image, whichever is nearer, (n,)."""
    (y, x), (seed_y, seed_x) = bins.T, seed
    there = (y - seed_y) ** 2 + (x - seed_x) ** 2
    return np.asarray(np.minimum(there, (y + seed_y) ** 2 + (x + seed_x) ** 2))


def _nanometres(fy: float, fx: float, voxel_size: VoxelSize | None) -> float | None:
    if voxel_size is None or voxel_size.unit == "pixel":
        return None
    size = voxel_size.to("nm")
    return float(1 / np.hypot(fy / size.y, fx / size.x))
