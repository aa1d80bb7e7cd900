"""The review as a value: an automatic analysis, the person's edits over it, and what follows from both."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum
from functools import cached_property
from typing import Any

import numpy as np

from napari_autostructn2v.config import AnalysisConfig
from napari_autostructn2v.kernel import Edits, Offset, centre, embed_kernel, trim_kernel, validate_kernel
from napari_autostructn2v.noise.analysis import NoiseAnalysis


class Mark(IntEnum):
    """What a bin of the spectrum is. All bins together hold the edits, so that an undo brings those back."""

    NONE = 0
    FOUND = 1
    ADDED = 2
    ERASED = 3


@dataclass(frozen=True, eq=False)
class Review:
    """Peaks drive the kernel; kernel pixels set or erased by hand win over those that follow from peaks."""

    automatic: NoiseAnalysis
    peak_edits: Edits = field(default_factory=Edits)
    kernel_edits: Edits = field(default_factory=Edits)

    @cached_property
    def peaks(self) -> np.ndarray:
        """Spectrum bins that make the kernel, edits included, bool (T, T)."""
        return self.peak_edits.apply(self.automatic.peaks)

    @cached_property
    def peak_marks(self) -> np.ndarray:
        """Each bin as found, added by hand or erased by hand, a :class:`Mark` as uint8 (T, T)."""
        marks = np.where(self.automatic.peaks, Mark.FOUND, Mark.NONE).astype(np.uint8)
        nowhere = np.zeros(marks.shape, dtype=bool)
        marks[Edits(added=self.peak_edits.added).apply(nowhere)] = Mark.ADDED
        marks[Edits(added=self.peak_edits.erased).apply(nowhere)] = Mark.ERASED
        return marks

    @cached_property
    def from_peaks(self) -> NoiseAnalysis:
        """The analysis with the edited peaks, before any edit of the kernel."""
        if self.peak_edits == Edits():
            return self.automatic
        return self.automatic.with_peaks(self.peaks)

    @cached_property
    def kernel_grid(self) -> np.ndarray:
        """The kernel on the whole grid of lags it can be painted on, bool (L, L) or (3, L, L)."""
        return self.kernel_edits.apply(self.grid_from_peaks)

    @cached_property
    def grid_from_peaks(self) -> np.ndarray:
        """The kernel that the peaks make, before any edit of it, shape of :attr:`kernel_grid`."""
        return embed_kernel(self.from_peaks.kernel, self.automatic.autocorrelation.shape[-1])

    @cached_property
    def analysis(self) -> NoiseAnalysis:
        """The analysis with all edits: its kernel is what the second stage trains with."""
        if self.kernel_edits == Edits():
            return self.from_peaks
        return self.from_peaks.with_kernel(trim_kernel(self.kernel_grid))

    def with_peak_marks(self, marks: np.ndarray) -> Review:
        """The review with the edits that ``marks`` hold, uint8 (T, T).

        Edits outside the grid are kept, not applied.

        Parameters
        ----------
        marks
            A :class:`Mark` for each bin, uint8 (T, T).
        """
        middle = np.array(centre(marks.shape))

        def edited(mark: Mark, before: frozenset[Offset]) -> frozenset[Offset]:
            here = {tuple(map(int, index - middle)) for index in np.argwhere(marks == mark)}
            return frozenset(here | {o for o in before if (np.abs(o) > middle).any()})

        edits = Edits(edited(Mark.ADDED, self.peak_edits.added), edited(Mark.ERASED, self.peak_edits.erased))
        return replace(self, peak_edits=edits)

    def with_automatic(self, automatic: NoiseAnalysis) -> Review:
        """The review of another analysis of the same data, in either mode; the edits stay on top.

        Parameters
        ----------
        automatic
            Without any edit.
        """
        return replace(self, automatic=automatic, kernel_edits=self.kernel_edits.in_mode(automatic.mode))

    def with_config(self, config: AnalysisConfig) -> Review:
        """The review of the same measurement with other thresholds; the edits stay on top.

        Parameters
        ----------
        config
            Its tile size and share of background are not used: those are as measured.
        """
        return replace(self, automatic=self.automatic.with_config(config))

    def with_kernel_grid(self, grid: np.ndarray) -> Review:
        """The review after a stroke left the kernel as ``grid``, bool, shape of :attr:`kernel_grid`.

        Parameters
        ----------
        grid
            bool, shape of :attr:`kernel_grid`.
        """
        edits = self.kernel_edits.updated(self.kernel_grid, grid, self.grid_from_peaks)
        return replace(self, kernel_edits=edits)

    def on_grid(self, kernel: np.ndarray) -> np.ndarray:
        """A kernel from elsewhere on the whole grid, bool, shape of :attr:`kernel_grid`.

        Parameters
        ----------
        kernel
            bool (K, K) or (3, K, K).

        Raises
        ------
        KernelError
            If it is of the other mode, or larger than the grid.
        """
        kernel = trim_kernel(validate_kernel(kernel, self.automatic.mode))
        return embed_kernel(kernel, self.kernel_grid.shape[-1])

    @property
    def edits_record(self) -> dict[str, Any]:
        """The edits as the record of a model keeps them."""
        return {"peaks": self.peak_edits.to_json(), "kernel": self.kernel_edits.to_json()}

    @property
    def edited(self) -> bool:
        """Whether the person changed anything."""
        return self.peak_edits != Edits() or self.kernel_edits != Edits()
