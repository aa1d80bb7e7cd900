"""Ripples that denoising has added: what stands out in the spectrum of a result and not in the original's.

A network that is trained too briefly, or whose kernel is long, passes the noise of some frequencies on and
writes what is periodic in the image into the background beside it. There, in the flattest tiles, nothing but
noise should be left, whose averaged spectrum falls smoothly from zero frequency on. An image has no peak of
its own there either: the spectra of edges and walls are ridges that fall along the ray from the centre, and
the spectrum of a blur falls in all directions. So a maximum from which every way to stronger frequencies
leads down first is a pattern, and one that the original shows less plainly at that frequency was added.

Two shapes of maximum are looked for, in the logarithm of the power:

- a *spot*, as of waves of one period and direction: a bin that lies above the mean of the two bins at one
  distance on either side of it, in whatever direction they are. A falling curve that is convex, as that of
  images is, never does; a Gaussian blur does by little.
- a *band*, as of waves that change their direction from place to place: a maximum that is cut off from the
  rest by a valley of a certain depth (an h-maximum). It may be long, and no bin of it a spot.

References
----------
Soille, P. Morphological Image Analysis, 2nd edition (2004), chapter 6: h-maxima by reconstruction.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from napari_autostructn2v.noise.rings import frequency_radius
from napari_autostructn2v.noise.spectrum import BackgroundSpectrum

SPOT_HEIGHT = 1.8
"""By how much the log power of a spot exceeds what lies on either side. Blurs of 3 px reach 1.5, perfect
results of generated stacks 1.3, ripples of a tenth of the image's contrast 1.8 at 8 px and 6 at 4 px."""

SPOT_REACH = 4
"""How far the bins on either side are: a wave's peak is that wide in tiles with a Hann window."""

DIRECTIONS = 8
"""Of the bins on either side, in half a turn."""

BAND_DEPTH = 1.5
"""Depth in log power of the valley around a band. What is left beside a microtubule has 3.7, and what
Stage 1 leaves of noise there 0.9."""

LOWEST_FREQUENCY, HIGHEST_FREQUENCY = 0.06, 0.46
"""Cycles per pixel between which patterns are looked for. Below is the image, and above are the corners of
the spectrum, where filters of a few pixels have lobes that nobody sees."""

RIM = 2
"""Bins around a maximum from which its power is counted."""


@dataclass(frozen=True)
class AddedPattern:
    """The pattern that a result has and its original has not.

    Attributes
    ----------
    share
        Of the power that the background of the result has, 0 to 1; 0 if there is no pattern.
    db
        By how many decibels its strongest frequency stands out from those around it.
    frequency
        The strongest one, along Y and X, in cycles per pixel; Y is not negative.
    """

    share: float
    db: float
    frequency: tuple[float, float]

    @property
    def period(self) -> float:
        """Of the strongest frequency, in pixels; infinite if there is no pattern."""
        radius = float(np.hypot(*self.frequency))
        return 1 / radius if radius else float("inf")


NOTHING_ADDED = AddedPattern(0.0, 0.0, (0.0, 0.0))


def added_pattern(original: BackgroundSpectrum, result: BackgroundSpectrum) -> AddedPattern:
    """Find what stands out in the background of a result and not in that of its original.

    Parameters
    ----------
    original, result
        Averaged spectra of the same tiles, the flattest ones of the result.
    """
    # neighbouring bins share the width of the window, so their mean is as sharp and scatters less
    before, after = (ndimage.uniform_filter(s.log_power, 3, mode="wrap") for s in (original, result))
    side = len(after)
    power, radius = np.exp(after), frequency_radius(side)
    background = power[radius * side > 1.5].sum()
    found: list[tuple[float, float, tuple[float, float]]] = []
    share = 0.0
    for inside in _maxima(before, after):
        top = np.unravel_index(int(np.argmax(np.where(inside, after, -np.inf))), after.shape)
        if not LOWEST_FREQUENCY <= radius[top] <= HIGHEST_FREQUENCY:
            continue
        floor = after[_rim(inside)].mean()
        share += float(np.maximum(power[inside] - np.exp(floor), 0).sum() / background)
        y, x = ((int(index) - side // 2) / side for index in top)
        # its mirror image is another maximum, and the same wave
        frequency = (y, x) if (y, x) > (0, 0) else (-y, -x)
        found.append((float(after[top]), float(10 / np.log(10) * (after[top] - floor)), frequency))
    if not found:
        return NOTHING_ADDED
    _, db, frequency = max(found)
    return AddedPattern(min(share, 1.0), db, frequency)


def _rim(inside: np.ndarray) -> np.ndarray:
    return np.asarray(ndimage.binary_dilation(inside, np.ones((3, 3)), iterations=RIM) & ~inside)


def _maxima(before: np.ndarray, after: np.ndarray) -> Iterator[np.ndarray]:
    """Bins of each spot and band of the result, bool (T, T), that the original shows less plainly."""
    spots = _above_both_sides(after) - np.maximum(_above_both_sides(before), 0) >= SPOT_HEIGHT
    above = after - _without_maxima(after, BAND_DEPTH)
    gain = after - before
    taken = np.zeros(after.shape, dtype=bool)
    labels, count = ndimage.label(above > 0, np.ones((3, 3)))
    for inside in (labels == label for label in range(1, count + 1)):
        # what reaches as far as the image's own frequencies is a part of its slope
        is_apart = frequency_radius(len(after))[inside].min() >= LOWEST_FREQUENCY
        is_deep = above[inside].max() >= BAND_DEPTH * (1 - 1e-6)
        if is_apart and is_deep and gain[inside].mean() - gain[_rim(inside)].mean() >= BAND_DEPTH / 2:
            taken |= inside
            yield inside
    labels, count = ndimage.label(spots & ~taken, np.ones((3, 3)))
    for label in range(1, count + 1):
        yield labels == label


def _above_both_sides(log_power: np.ndarray) -> np.ndarray:
    """By how much each bin exceeds the mean of two on opposite sides of it, in the worst direction."""
    least = np.full(log_power.shape, np.inf)
    for angle in np.pi * np.arange(DIRECTIONS) / DIRECTIONS:
        step = SPOT_REACH * np.array([np.sin(angle), np.cos(angle)])
        sides = [ndimage.shift(log_power, sign * step, order=1, mode="grid-wrap") for sign in (1, -1)]
        least = np.minimum(least, log_power - (sides[0] + sides[1]) / 2)
    return least


def _without_maxima(log_power: np.ndarray, depth: float) -> np.ndarray:
    """The same with every maximum cut down to the valley around it, by at most ``depth``."""
    made = log_power - depth
    while True:
        grown = np.minimum(ndimage.grey_dilation(made, (3, 3), mode="wrap"), log_power)
        if np.array_equal(grown, made):
            return made
        made = grown
