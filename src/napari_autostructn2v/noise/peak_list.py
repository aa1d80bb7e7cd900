"""The peaks of a spectrum one by one: where each is, what it repeats by, how strong it is."""

from __future__ import annotations

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
    bins
        How many frequencies it has, both halves.
    mask
        Which, bool (T, T), point-symmetric.
    """

    frequency: tuple[float, float]
    angle_deg: float
    period_px: float
    period_nm: float | None
    strength_db: float
    bins: int
    mask: np.ndarray


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
    for group in np.unique(groups[peaks]):
        mask = groups == group
        strongest = np.unravel_index(np.where(mask, height, -1.0).argmax(), mask.shape)
        fy, fx = (float(index - middle) / side for index in strongest)
        found.append(
            Peak(
                frequency=(fy, fx),
                # image rows run downwards; microscopists measure angles upwards from X
                angle_deg=float(np.degrees(np.arctan2(-fy, fx)) % 180),
                period_px=float(1 / np.hypot(fy, fx)),
                period_nm=_nanometres(fy, fx, voxel_size),
                strength_db=float(excess[strongest]),
                bins=int(mask.sum()),
                mask=mask,
            )
        )
    return sorted(found, key=lambda peak: abs(peak.strength_db), reverse=True)


def _taken_apart(groups: np.ndarray, height: np.ndarray, half: np.ndarray) -> np.ndarray:
    """The groups, (T, T), point-symmetric, with those that are large divided among their strongest bins.

    A pattern of a reconstruction may well be one group of most of the spectrum: nobody wants to erase that
    at a stroke.
    """
    divided, middle = groups.copy(), np.array(centre(groups.shape))
    smooth = ndimage.gaussian_filter(height, 1.0)
    for group in np.flatnonzero(np.bincount(groups[groups > 0]) > LARGE_GROUP_BINS):
        mask = groups == group
        bins, seeds = np.argwhere(mask) - middle, np.argwhere(mask & half) - middle
        seeds = seeds[np.argsort(-smooth[tuple((seeds + middle).T)], kind="stable")]
        distances = []
        while len(seeds):
            # to the nearer of a seed and its mirror image: the parts are as symmetric as the group
            distances.append(_distance(bins, seeds[0]))
            seeds = seeds[_distance(seeds, seeds[0]) > SEED_DISTANCE_BINS]
        divided[mask] = divided.max() + 1 + np.argmin(distances, axis=0)
    return divided


def _distance(bins: np.ndarray, seed: np.ndarray) -> np.ndarray:
    """Of each bin to a seed or its mirror image, whichever is nearer, (n,)."""
    return np.asarray(np.minimum(np.hypot(*(bins - seed).T), np.hypot(*(bins + seed).T)))


def _nanometres(fy: float, fx: float, voxel_size: VoxelSize | None) -> float | None:
    if voxel_size is None or voxel_size.unit == "pixel":
        return None
    size = voxel_size.to("nm")
    return float(1 / np.hypot(fy / size.y, fx / size.x))
