"""What was understood of the image: size, values, voxel size, what a run takes, and whether 2.5D fits."""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget
from superqt.utils import create_worker

from napari_autostructn2v._napari import worker
from napari_autostructn2v._napari.session.job_runner import JobRunner
from napari_autostructn2v._napari.session.jobs import Failure, Job
from napari_autostructn2v._napari.widgets.panel_parts import button, message_label, show_message
from napari_autostructn2v.errors import StackError
from napari_autostructn2v.events import Event
from napari_autostructn2v.io.image import UNIT_SYMBOLS
from napari_autostructn2v.stack import as_stack
from napari_autostructn2v.survey import FEW_SLICES, GOES_ON, continuity, refuse_constant

if TYPE_CHECKING:
    from napari_autostructn2v._napari.session.state import Settings, Source
    from napari_autostructn2v._napari.workspace import Workspace
    from napari_autostructn2v.config import Config, Mode
    from napari_autostructn2v.estimate import Estimate


class DataHeader(QWidget):
    """A line on the data, one on the time that a run takes, and a suggestion. None of it keeps the person."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace, self._session = workspace, workspace.session
        self._of: Any = None
        """The array that is looked at."""
        self._goes_on: float | None = None
        """How far its slices go on into each other; None until that is known."""
        self._estimates: dict[Any, Estimate] = {}
        """Of this array, by the settings that they are of."""
        self._estimated: Any = None
        """What the running measurement is of."""
        self._problem = ""
        self.runner = JobRunner(lambda event: None, self._on_end)
        worker.serve(self.runner)
        self.destroyed.connect(lambda: self.runner.drop())
        self.facts = message_label()
        self.facts.setToolTip("What was understood of the image")
        self.time = message_label()
        self.time.setToolTip("Of a run with both stages, as set below, on this computer")
        self.measure = button(
            "How long?", "Measure for some seconds what a run takes here: time and memory", self._measure
        )
        self.suggestion = message_label()
        self.suggestion.setToolTip("Neighbouring slices show the same things, and so help each other")
        self.take = button("Use 2.5D", "Set the mode to 2.5D", self._use_25d)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.facts)
        for label, beside in ((self.time, self.measure), (self.suggestion, self.take)):
            row = QHBoxLayout()
            row.addWidget(label, 1)
            row.addWidget(beside, 0, Qt.AlignmentFlag.AlignTop)
            layout.addLayout(row)
        self.refresh()

    def refresh(self) -> None:
        """Show the data chosen."""
        choice, theme = self._session.choice, self._workspace.viewer.theme
        source = choice.source
        self.setVisible(source is not None and not choice.problem)
        self._look(source)
        if source is None:
            return
        show_message(self.facts, in_words(source, self._workspace.file_voxel_size.origin), "text", theme)
        found = self._estimates.get(_key(choice.settings))
        working = self.runner.job is not None
        words = "Measuring …" if working else self._problem or ("" if found is None else _takes(found))
        show_message(self.time, words, "text", theme)
        self.measure.setText("Cancel" if working else "How long?")
        self.measure.setVisible(found is None or working)
        self.measure.setEnabled(working or self._session.runner.job is None)
        slices = source.array.shape[0] if len(source.array.shape) == 3 else 1
        suited = slices >= FEW_SLICES and self._goes_on is not None and self._goes_on >= GOES_ON
        offered = suited and choice.settings.mode == "2d" and self._session.runner.job is None
        said = f"{slices} slices that go on into each other: 2.5D may do better."
        show_message(self.suggestion, said if offered else "", "text", theme)
        self.take.setVisible(offered)

    # ------------------------------------------------------------------ a look at some slices

    def _look(self, source: Source | None) -> None:
        array = None if source is None or self._session.choice.problem else source.array
        if array is self._of or (array is None and source is not None):
            return
        self._of, self._goes_on, self._problem, self._estimates = array, None, "", {}
        self.runner.drop()
        if array is None:
            return
        looking = create_worker(_look_at, array, _start_thread=False, _ignore_errors=True)
        looking.returned.connect(self._on_looked)
        looking.start()

    def _on_looked(self, found: tuple[Any, float, str]) -> None:
        array, goes_on, problem = found
        if array is not self._of:
            return
        self._goes_on = goes_on
        if problem:
            self._session.choice.refuse(array, problem)
        self.refresh()

    # ------------------------------------------------------------------ what a run takes

    def _measure(self) -> None:
        choice = self._session.choice
        if self.runner.job is not None:
            self.runner.drop()
        elif choice.source is not None:
            self._problem, self._estimated = "", _key(choice.settings)
            stream = _estimating(choice.source.array, choice.settings.mode, choice.settings.config())
            self.runner.start("estimate", stream)
        self.refresh()

    def _on_end(self, job: Job, outcome: object) -> None:
        if isinstance(outcome, Failure):
            self._problem = outcome.message
        elif outcome is not None:
            self._estimates[self._estimated] = outcome  # type: ignore[assignment]
        self.refresh()

    def _use_25d(self) -> None:
        self._session.choice.configure(mode="2.5d")


def _key(settings: Settings) -> Any:
    """What of the settings decides how long a run takes."""
    return settings.mode, settings.training, settings.recovery


def in_words(source: Source, origin: str) -> str:
    """Size, type, voxel size with its origin, and memory of the data."""
    shape, dtype, size = source.array.shape, source.array.dtype, source.voxel_size
    if size is None:
        voxel = "voxel size unknown"
    else:
        edges = [f"{edge:.4g}" for edge in (size.z, size.y, size.x)]
        length = edges[0] if len(set(edges)) == 1 else " × ".join(edges)
        voxel = f"voxel {length} {UNIT_SYMBOLS[size.unit]} ({origin})"
    room = math.prod(shape) * dtype.itemsize
    memory = f"{room / 1e9:.1f} GB" if room >= 1e9 else f"{room / 1e6:.1f} MB"
    return f"{' × '.join(map(str, shape))} · {dtype} · {voxel} · {memory}"


def _takes(found: Estimate) -> str:
    seconds = found.total_seconds
    time = f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
    if seconds >= 5400:
        time = f"{seconds / 3600:.1f} h"
    return f"About {time} and {found.memory / 1e9:.1f} GB of memory, on {found.device}"


def _look_at(array: Any) -> tuple[Any, float, str]:
    """How far slices go on into each other, and why the stack cannot be denoised; in a thread."""
    stack = as_stack(array)
    try:
        refuse_constant(stack)
        return array, continuity(stack) if stack.shape[0] >= FEW_SLICES else 0.0, ""
    except StackError as error:
        return array, 0.0, str(error)


def _estimating(array: Any, mode: Mode, config: Config) -> Generator[Event, Any, Estimate]:
    from napari_autostructn2v.estimate import estimate  # which imports PyTorch

    return (yield from estimate(array, mode=mode, config=config))
