"""How much nearer to the truth a result is than its recording, and how sure that is.

References
----------
Efron, B. & Tibshirani, R. J. An Introduction to the Bootstrap. Chapman & Hall (1993), chapter 13.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np
from scipy import ndimage

from napari_autostructn2v.judge.blocks import Blocks
from napari_autostructn2v.judge.drift import shifted

RESAMPLINGS = 2000
"""Of the bootstrap: enough for an interval of 95 %."""

LEVEL_SIGMA = 3.0
"""Blur, in pixels, of what the noise of the two recordings is compared around."""

SURE = 3.0
"""Standard errors by which the noise of one recording must exceed that of the other to be told apart."""


class Sums:
    """Squared differences in independent blocks, and what follows from them.

    Parameters
    ----------
    blocks
        Of each slice.
    """

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks
        self._parts: list[np.ndarray] = []

    def add(
        self,
        made: np.ndarray,
        first: np.ndarray,
        second: np.ndarray,
        valid: np.ndarray,
        shift: np.ndarray | None = None,
    ) -> None:
        """Take in a slice.

        Parameters
        ----------
        made, first, second
            The result, and the slice in both recordings, (Y, X).
        valid
            Where both were measured, bool (Y, X).
        shift
            How far the second one lies from the first, in pixels: what that does is taken out again. None
            for not at all.
        """
        between, apart = np.square(first - second), np.square(made - second)
        if shift is not None and np.any(shift):
            # not of the shifted slice itself: what lies between pixels has less noise than they have
            change = 2 * (shifted(second, -shift) - second)
            between -= change * (first - first.mean())
            apart -= change * (made - made.mean())
        level = ndimage.gaussian_filter((first + second) / 2, LEVEL_SIGMA)
        uneven = (first - second) * (first + second - 2 * level)
        self._parts.append(
            np.stack([self._blocks.sums(values * valid) for values in (valid, between, apart, uneven)])
        )

    def gain(self) -> float:
        """In dB."""
        return float(self._decibels(self._found.sum(axis=1)))

    def interval(self) -> tuple[float, float]:
        """Of the gain, 95 %, by drawing the blocks anew."""
        rng = np.random.default_rng(0)
        count = self._found.shape[1]
        even = np.full(count, 1 / count)
        drawn = [self._decibels(self._found @ rng.multinomial(count, even)) for _ in range(RESAMPLINGS)]
        low, high = np.quantile(drawn, 0.025, method="lower"), np.quantile(drawn, 0.975, method="higher")
        return float(low), float(high)

    def noise(self) -> tuple[float, float]:
        """Standard deviations of the noise of the first and of the second recording."""
        sums = self._found.sum(axis=1)
        half, tilt = sums[1] / 2, self._tilt(sums)
        return math.sqrt((half + tilt) / sums[0]), math.sqrt(max(half - tilt, 0) / sums[0])

    @cached_property
    def _found(self) -> np.ndarray:
        """Pixels, and the sums of what is added up, of each block that was measured."""
        parts = np.concatenate(self._parts, axis=1)
        return np.asarray(parts[:, parts[0] > 0])

    @cached_property
    def _is_uneven(self) -> bool:
        """Whether the noise of one recording can be told from that of the other."""
        pixels, *_, uneven = self._found.sum(axis=1)
        error = np.sqrt(np.square(self._found[3] - uneven / pixels * self._found[0]).sum())
        return bool(abs(uneven) > SURE * error)

    def _tilt(self, sums: np.ndarray) -> Any:
        """Half the difference of the two variances, where they can be told apart."""
        return sums[3] / 2 if self._is_uneven else 0.0

    def _decibels(self, sums: np.ndarray) -> float:
        _, between, apart, _ = sums
        tilt = self._tilt(sums)
        noise, left = between / 2 + tilt, apart - between / 2 + tilt
        return (
            10 * math.log10(noise / left) if left > 0 and noise > 0 else math.inf if left <= 0 else -math.inf
        )
