"""What was read off a stack, from which an analysis and its edits follow."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from napari_autostructn2v.config import AnalysisConfig, Mode
from napari_autostructn2v.io import VoxelSize
from napari_autostructn2v.noise.notch import NotchRule
from napari_autostructn2v.noise.patterns import Notch
from napari_autostructn2v.noise.spectrum import BackgroundSpectrum, background_spectrum, find_peaks
from napari_autostructn2v.noise.tiles import Tiles
from napari_autostructn2v.scale import Scale
from napari_autostructn2v.stack import Stack, as_stack


@dataclass(frozen=True, eq=False)
class NoiseMeasurement:
    """What was read off a stack: an analysis follows from it, and so do its edits, in milliseconds.

    Attributes
    ----------
    background
        Spectra of the background as it is.
    patterns
        All that is narrow in the spectra of whole slices.
    taken
        Those of them that are in the background too, and no lattice of the sample.
    remainder
        Spectra of the background without them; :attr:`background` itself if there are none.
    residual
        Spectra of original minus denoised, in the same places; None without Stage 1.
    outlined
        Whether a person has said where the background is.
    mode
        ``2.5d`` gives a kernel of three slices.
    voxel_size
        If known.
    tiles
        Where the spectra were measured.
    scale
        Of the stack: powers are in squares of its unit.
    """

    background: BackgroundSpectrum
    patterns: Notch
    taken: Notch
    remainder: BackgroundSpectrum
    residual: BackgroundSpectrum | None
    outlined: bool
    mode: Mode
    voxel_size: VoxelSize | None
    tiles: Tiles
    scale: Scale

    def spectrum_of(self, stack: Any) -> BackgroundSpectrum:
        """Spectra of another stack of the same shape, as a denoised one, in the same places.

        Parameters
        ----------
        stack
            Of the shape of the stack that was measured.
        """
        other = as_stack(stack)
        # at a level of its own: what was removed has another one
        on_unit = Stack(other.array, replace(other.scale, unit=self.scale.unit))
        return background_spectrum(on_unit, self.tiles)

    def limit_px(self, config: AnalysisConfig) -> tuple[float, float] | None:
        """The shortest period that the optics pass, in pixels along Y and along X; None if not known.

        Parameters
        ----------
        config
            Says it in nanometres.
        """
        size, limit = self.voxel_size, config.resolution_limit_nm
        if size is None or size.unit == "pixel" or limit == 0:
            return None
        return limit / size.to("nm").y, limit / size.to("nm").x

    def rule(self, peaks: np.ndarray, config: AnalysisConfig) -> NotchRule:
        """Which patterns to take away.

        Parameters
        ----------
        peaks
            Where they have to be among the tiles' frequencies as well, bool (T, T).
        config
            Says what of them.
        """
        return NotchRule(peaks, config.notch, self.limit_px(config))

    def example(self, stack: Stack) -> np.ndarray:
        """A piece of the background, to show what was measured: the middle one of all tiles, float32 (T, T).

        Parameters
        ----------
        stack
            The stack that was measured.
        """
        z, y, x = self.tiles.corners[len(self.tiles.corners) // 2]
        return stack.plane(z)[y : y + self.tiles.side, x : x + self.tiles.side]

    def find_peaks(self, config: AnalysisConfig) -> np.ndarray:
        """Frequencies that make kernel and notch, before a person edits them: bool (T, T), point-symmetric.

        Curtains are known from whole slices, and their line belongs to the peaks even where tiles, which are
        short, show little of it.

        Parameters
        ----------
        config
            As for :func:`~napari_autostructn2v.noise.spectrum.find_peaks`.
        """
        peaks = find_peaks(self.background, config)
        for part in self.patterns.curtains:
            peaks |= part.line(len(peaks))
        return peaks
