"""The review as a value: an automatic analysis, the person's edits over it, and what follows from both."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum
from functools import cached_property
from typing import Any

import numpy as np

from napari_autostructn2v.config import AnalysisConfig
from napari_autostructn2v.kernel import Edits, Offset, centre, embed_kernel, trim_kernel, validate_kernel
from napari_autostructn2v.noise.agreement import Agreement, agree
from napari_autostructn2v.noise.analysis import NoiseAnalysis
from napari_autostructn2v.noise.notch import NotchRule


class Mark(IntEnum):
    """What a bin of the spectrum is. All bins together hold the edits, so that an undo brings those back."""

    NONE = 0
    FOUND = 1
    ADDED = 2
    ERASED = 3


@dataclass(frozen=True, eq=False)
class Review:
    """Peaks drive the kernel; kernel pixels set or erased by hand win over those that follow from peaks.

    Where stacks are trained on together, the peaks are those of the first, edits of peaks are made in the
    spectra of all, and what follows from them is one kernel and one notch for all.
    """

    automatic: NoiseAnalysis
    peak_edits: Edits = field(default_factory=Edits)
    kernel_edits: Edits = field(default_factory=Edits)
    others: tuple[NoiseAnalysis, ...] = ()
    """Of the other stacks that are trained on together with this one, without any edit."""
    names: tuple[str, ...] = ()
    """Of this stack and the others; empty if it is alone."""

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
        if self._agreed is None:
            return self._each_from_peaks[0]
        return self._each_from_peaks[0].with_common_kernel(self._agreed.kernel)

    @cached_property
    def _each_from_peaks(self) -> tuple[NoiseAnalysis, ...]:
        """The analysis of each stack by itself, with the edited peaks."""
        if self.peak_edits == Edits():
            return self.automatic, *self.others
        side = len(self.automatic.peaks)
        return tuple(
            # in the smaller spectrum of a smaller stack, the same bin is another frequency
            each.with_peaks(self.peak_edits.apply(each.peaks)) if len(each.peaks) == side else each
            for each in (self.automatic, *self.others)
        )

    @cached_property
    def _agreed(self) -> Agreement | None:
        """What the stacks have in common, before any edit of the kernel; None of a stack that is alone."""
        if not self.others:
            return None
        found = agree(self._each_from_peaks, self.names)
        room = self.automatic.autocorrelation.shape[-1]  # no more can be painted on
        beyond = max(0, max(found.kernel.shape[-2:]) - room) // 2
        if not beyond:
            return found
        whole = embed_kernel(found.kernel, room + 2 * beyond)
        return replace(found, kernel=trim_kernel(whole[..., beyond:-beyond, beyond:-beyond]))

    @cached_property
    def agreement(self) -> Agreement | None:
        """What the stacks that are trained on together have in common; None of a stack that is alone."""
        return None if self._agreed is None else replace(self._agreed, kernel=self.analysis.kernel)

    @property
    def analyses(self) -> tuple[NoiseAnalysis, ...]:
        """Of each stack, with all edits and the kernel for all."""
        kernel = self.analysis.kernel
        others = self._each_from_peaks[1:]
        return self.analysis, *(each.with_common_kernel(kernel) for each in others)

    @property
    def notch_rule(self) -> NotchRule | None:
        """How the notch finds its patterns, in this stack and those that are trained on with it."""
        return self.analysis.notch_rule if self._agreed is None else self._agreed.notch

    @property
    def expect_gain(self) -> bool:
        """Whether Stage 2 is expected to help this stack, or one that is trained on with it."""
        return any(each.verdict.expect_gain for each in self.analyses)

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

    def with_automatic(self, other: Review) -> Review:
        """The review of another analysis of the same data, in either mode; the edits stay on top.

        Parameters
        ----------
        other
            Whose edits do not count.
        """
        kernel_edits = self.kernel_edits.in_mode(other.automatic.mode)
        return replace(other, peak_edits=self.peak_edits, kernel_edits=kernel_edits)

    def with_config(self, config: AnalysisConfig) -> Review:
        """The review of the same measurement with other thresholds; the edits stay on top.

        Parameters
        ----------
        config
            Its tile size and share of background are not used: those are as measured.
        """
        others = tuple(each.with_config(config) for each in self.others)
        return replace(self, automatic=self.automatic.with_config(config), others=others)

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
