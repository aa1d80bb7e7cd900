"""Which spectrum is shown under the peaks: that of the noise, or of what the stages leave of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from psygnal import Signal
from superqt.utils import create_worker

if TYPE_CHECKING:
    from napari_autostructn2v._napari.session.session import Session
    from napari_autostructn2v.noise.measurement import NoiseMeasurement
    from napari_autostructn2v.noise.review import Review
    from napari_autostructn2v.runs.output import StageOutput

SpectrumOf = Literal["background", "residual", "stage1", "stage2"]
Wanted = tuple["NoiseMeasurement", "StageOutput | None", float]
"""Where to measure, in which result (None for the residual), and with how much of its detail brought back."""


class SpectrumChoice:
    """The spectrum chosen to look at. Those of results are computed in a thread, and kept.

    All are measured in the same tiles, so that a peak is at the same place in each.
    """

    changed = Signal()
    """Another choice, or a spectrum that is ready now."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.choice: SpectrumOf = "background"
        self._kept: dict[SpectrumOf, tuple[Wanted, np.ndarray]] = {}
        self._busy = self._closed = False
        session.reviewed.connect(self._follow)
        session.changed.connect(self._follow)

    def choose(self, choice: SpectrumOf) -> None:
        """Show another spectrum."""
        if choice == self.choice or not self.available(choice):
            return
        self.choice = choice
        self._measure()
        self.changed.emit()

    def available(self, choice: SpectrumOf) -> bool:
        """Whether there is such a spectrum, computed or not."""
        return (
            self._session.review is not None if choice == "background" else self._wanted(choice) is not None
        )

    @property
    def waiting(self) -> bool:
        """Whether the chosen spectrum is still being computed, and another one shown as long."""
        wanted = self._wanted(self.choice)
        return wanted is not None and (self.choice not in self._kept or self._kept[self.choice][0] != wanted)

    def picture(self, review: Review) -> np.ndarray:
        """Log power to show under the peaks of ``review``, float32 (T, T)."""
        measured = review.automatic.measured
        for choice in (self.choice, "background"):
            if choice in self._kept:
                wanted, spectrum = self._kept[choice]
                # one with less of its detail brought back does until the next is ready
                if wanted[0] is measured:
                    return spectrum
        # another threshold makes another analysis with an equal spectrum: shown is the first of them
        self._kept["background"] = (measured, None, 0.0), review.automatic.spectrum
        return review.automatic.spectrum

    def close(self) -> None:
        """The window closes: what is still being computed is nobody's any more."""
        self._closed = True

    def _wanted(self, choice: SpectrumOf) -> Wanted | None:
        run, review = self._session.run, self._session.review
        if run is None or review is None or choice == "background":
            return None
        measured = review.automatic.measured
        if choice == "residual":
            return None if measured.residual is None else (measured, None, 0.0)
        output = run.stage1 if choice == "stage1" else run.stage2
        return None if output is None else (measured, output, run.recovery)

    def _follow(self) -> None:
        if self._session.review is None:
            self._kept.clear()
        if self.choice != "background" and not self.available(self.choice):
            self.choice = "background"
            self.changed.emit()
        self._measure()

    def _measure(self) -> None:
        """Compute the chosen spectrum if it is not there yet, one at a time."""
        choice, wanted = self.choice, self._wanted(self.choice)
        if self._busy or not self.waiting or wanted is None:
            return
        self._busy = True
        worker = create_worker(log_power, *wanted, _start_thread=False, _ignore_errors=True)
        worker.returned.connect(lambda spectrum: self._take_in(choice, wanted, spectrum))
        worker.errored.connect(self._give_up)
        worker.start()

    def _take_in(self, choice: SpectrumOf, wanted: Wanted, spectrum: np.ndarray) -> None:
        self._busy = False
        if self._closed:
            return
        self._kept[choice] = wanted, spectrum
        self._measure()  # another may be wanted by now
        self.changed.emit()

    def _give_up(self, error: BaseException) -> None:
        self._busy = False
        if self._closed:
            return
        self.choice = "background"
        self.changed.emit()
        self._session.messages.fail(f"The spectrum cannot be computed: {error}")


def log_power(measured: NoiseMeasurement, output: StageOutput | None, recovery: float) -> np.ndarray:
    """Log power of a result, or of the residual, in the tiles of a measurement, float32 (T, T)."""
    if output is not None:
        spectrum = measured.spectrum_of(output.denoised(recovery))
    else:
        assert measured.residual is not None
        spectrum = measured.residual
    return spectrum.log_power.astype(np.float32)
