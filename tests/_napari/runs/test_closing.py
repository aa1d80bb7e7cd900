"""The window closed as a person closes it, in every state: what is asked, what stops, what stays behind."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from hands import Gate, Hand, live, open_dock, threads_at_work, through_stage1
from napari._qt.dialogs.confirm_close_dialog import ConfirmCloseDialog
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QApplication, QFileDialog, QMessageBox

from napari_autostructn2v._napari.docks.apply.dock import ApplyModelWidget
from napari_autostructn2v._napari.docks.denoise.dock import StructuredDenoisingWidget
from napari_autostructn2v._napari.session import jobs
from napari_autostructn2v._napari.session.progress import Activity
from napari_autostructn2v.config import TrainingConfig
from napari_autostructn2v.io import read_stack
from napari_autostructn2v.learning import prediction
from napari_autostructn2v.runs import stages
from napari_autostructn2v.runs.folder import RunFolder
from napari_autostructn2v.runs.store import RunStore

FOR_LONG = TrainingConfig(steps=100_000, batch_size=2, patch_size=32, features=8, validation_interval=50)


SAVE = "Save the run and close"


class Closing:
    """Closes a window by its frame, answers what is asked, and notes it."""

    def __init__(self, hand: Hand) -> None:
        self.hand = hand
        self.window = hand.viewer.window._qt_window
        # else Qt deletes it, and the fixture of the viewer closes what is no more
        self.window.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, False)
        self.questions: list[str] = []
        """Ours."""
        self.of_napari = 0
        self.answer = ""
        self.napari_may = True
        self._timer = QTimer()
        self._timer.setInterval(20)
        self._timer.timeout.connect(self._reply)
        self._timer.start()

    def _reply(self) -> None:
        dialog = QApplication.activeModalWidget()
        if isinstance(dialog, ConfirmCloseDialog):
            self.of_napari += 1
            dialog.accept() if self.napari_may else dialog.reject()
        elif isinstance(dialog, QMessageBox):
            self.questions.append(dialog.text())
            (button,) = [b for b in dialog.buttons() if b.text().replace("&", "") == self.answer]
            button.click()

    def __call__(self, answer: str = "") -> list[str]:
        """Close, with this answer; return our questions."""
        self.answer, self.questions, self.of_napari = answer, [], 0
        self.hand.ask_to_close()
        self.hand.wait(
            lambda: (
                (self.answer in ("", "Close", "Close without saving") and self.closed)
                or (self.answer in ("Stay", SAVE) and self.questions)
                or (self.of_napari and not self.napari_may)
            )
        )
        live()
        return self.questions

    @property
    def closed(self) -> bool:
        return not self.window.isVisible()

    def stop(self) -> None:
        self._timer.stop()
        self._timer.timeout.disconnect(self._reply)
        del self.hand, self.window  # or the viewer would be found to have leaked


@pytest.fixture
def closing(hand: Hand, viewer: Any) -> Iterator[Closing]:
    viewer.window.show()
    closing = Closing(hand)
    yield closing
    closing.stop()


@pytest.fixture
def dock(viewer: Any, closing: Closing, noisy: np.ndarray, tmp_path: Path) -> StructuredDenoisingWidget:
    viewer.add_image(noisy, name="tiny")
    dock = open_dock(viewer, 2)
    dock.session.disk.store = RunStore(tmp_path / "runs")
    return dock


class Stops(pytest.MonkeyPatch):
    """Holds work up in the middle, to be let go on in the end."""

    def __init__(self) -> None:
        super().__init__()
        self._gates: list[Gate] = []

    def hold(self, module: Any, name: str, free: int = 0) -> Gate:
        """Nobody gets through a function any more, but for the first calls."""
        gate = Gate(free)
        self._gates.append(gate)
        self.setattr(module, name, gate.before(getattr(module, name)))
        return gate

    def let_go(self) -> None:
        for gate in self._gates:
            gate.open()


@pytest.fixture
def stops() -> Iterator[Stops]:
    stops = Stops()
    yield stops
    stops.let_go()
    stops.undo()


def edit(dock: StructuredDenoisingWidget) -> None:
    assert dock.session.review is not None
    grid = dock.session.review.kernel_grid.copy()
    middle = len(grid) // 2
    grid[middle, [middle - 2, middle + 2]] ^= True
    dock.session.edit_kernel(grid)


def trains(dock: StructuredDenoisingWidget) -> bool:
    progress = dock.session.monitor.progress
    return progress is not None and progress.activity is Activity.TRAINING and progress.done > 1


def to_training(hand: Hand, dock: StructuredDenoisingWidget, stops: Stops) -> None:
    dock.data.steps.value = 100_000
    hand.click(dock.stage1.run)
    hand.wait(lambda: trains(dock))


def to_rest(hand: Hand, dock: StructuredDenoisingWidget, stops: Stops) -> None:
    to_training(hand, dock, stops)
    hand.click(dock.stage1.pause)


def to_prediction(hand: Hand, dock: StructuredDenoisingWidget, stops: Stops) -> None:
    gate = stops.hold(prediction, "denoise_images", free=4)  # the preview, and slices until the first is told
    hand.click(dock.stage1.run)
    hand.wait(gate.reached.is_set)
    hand.wait(lambda: dock.session.monitor.progress.activity is Activity.DENOISING)


def to_analysis(hand: Hand, dock: StructuredDenoisingWidget, stops: Stops) -> None:
    gate = stops.hold(stages, "analyze")
    hand.click(dock.stage1.run)
    hand.wait(gate.reached.is_set)
    hand.wait(lambda: dock.session.monitor.progress.activity is Activity.ANALYSING)


def to_review(hand: Hand, dock: StructuredDenoisingWidget, stops: Stops) -> None:
    through_stage1(hand, dock)


def to_edits(hand: Hand, dock: StructuredDenoisingWidget, stops: Stops) -> None:
    through_stage1(hand, dock)
    edit(dock)


def to_another_analysis(hand: Hand, dock: StructuredDenoisingWidget, stops: Stops) -> None:
    through_stage1(hand, dock)
    gate = stops.hold(stages, "analyze")
    hand.click(dock.review.analyse_again)
    hand.wait(gate.reached.is_set)


def to_quick_look(hand: Hand, dock: StructuredDenoisingWidget, stops: Stops) -> None:
    stops.setattr(jobs, "QUICK_LOOK", FOR_LONG)
    through_stage1(hand, dock)
    hand.click(dock.review.quick_look)
    hand.wait(lambda: dock.workspace.quick_look.look.step > 0)


def to_stage2(hand: Hand, dock: StructuredDenoisingWidget, stops: Stops) -> None:
    through_stage1(hand, dock)
    dock.session.configure_training(steps=100_000)
    hand.click(dock.review.approve)
    hand.wait(lambda: trains(dock))


def to_stage2_with_edits(hand: Hand, dock: StructuredDenoisingWidget, stops: Stops) -> None:
    to_stage2(hand, dock, stops)
    edit(dock)


def to_result(hand: Hand, dock: StructuredDenoisingWidget, stops: Stops) -> None:
    through_stage1(hand, dock)
    hand.click(dock.review.skip)


def not_kept(dock: StructuredDenoisingWidget) -> None:
    dock.session.disk.store = None


def to_training_not_kept(hand: Hand, dock: StructuredDenoisingWidget, stops: Stops) -> None:
    not_kept(dock)
    to_training(hand, dock, stops)


def to_result_not_kept(hand: Hand, dock: StructuredDenoisingWidget, stops: Stops) -> None:
    not_kept(dock)
    to_result(hand, dock, stops)


def to_queue(hand: Hand, dock: StructuredDenoisingWidget, stops: Stops) -> None:
    through_stage1(hand, dock)
    stops.hold(prediction, "denoise_images", free=3)
    widget = ApplyModelWidget(dock.workspace.viewer)
    dock.workspace.viewer.window.add_dock_widget(widget, name="Apply trained model")
    dock.workspace.viewer.layers.selection = {dock.workspace.viewer.layers["tiny"]}
    hand.click(widget.add_layers)
    hand.click(widget.run)
    hand.wait(lambda: any(0 < entry.share < 1 for entry in dock.workspace.batch.entries))


def nothing(hand: Hand, dock: StructuredDenoisingWidget, stops: Stops) -> None:
    pass


Way = Callable[[Hand, StructuredDenoisingWidget, Stops], None]

ASKED: list[tuple[Way, tuple[str, ...], str]] = [
    (to_training, ("Stage 1 of tiny is at work (training, ", "of 100000)", "Resume … goes on"), "Close"),
    (to_rest, ("Stage 1 of tiny rests (training, ", "Resume … goes on"), "Close"),
    (to_prediction, ("Stage 1 of tiny is at work (denoising, ", "of 4)"), "Close"),
    (to_analysis, ("Stage 1 of tiny is at work (analysing the noise)",), "Close"),
    (to_edits, ("edits of the peaks", "Resume … has them"), "Close without saving"),
    (to_stage2, ("Stage 2 of tiny is at work", "Resume … goes on"), "Close"),
    (to_stage2_with_edits, ("Stage 2 of tiny is at work", "edits of the peaks"), "Close without saving"),
    (to_training_not_kept, ("not kept", "lost"), "Close"),
    (to_result_not_kept, ("result is in no file", "not kept"), "Close without saving"),
    (to_queue, ("Apply trained model is at work: 1 of 1 stacks",), "Close"),
]
UNASKED: list[Way] = [nothing, to_review, to_another_analysis, to_quick_look, to_result]


def named(case: Any) -> str:
    return getattr(case, "__name__", "")


def nothing_is_left(hand: Hand, dock: StructuredDenoisingWidget, tmp_path: Path) -> None:
    hand.wait(lambda: not threads_at_work())
    gc.collect()
    opened = [Path(file.path) for file in psutil.Process(os.getpid()).open_files()]
    ours = [path for path in opened if path.is_relative_to(tmp_path)]
    of_results = [path for path in ours if path.name.startswith(("predicted_", "detail_"))]
    assert ours == of_results
    # a prediction and its detail for each layer that the closed viewer still has
    assert len(of_results) <= 2 * len(dock.workspace.images.results)
    assert not list(tmp_path.rglob(".partial-*"))
    for run in RunStore(tmp_path / "runs").runs():
        RunFolder(run.path).hold().release()


@pytest.mark.parametrize(("way", "words", "answer"), ASKED, ids=named)
def test_one_question_where_something_would_be_interrupted_or_lost(
    hand: Hand,
    dock: StructuredDenoisingWidget,
    closing: Closing,
    stops: Stops,
    tmp_path: Path,
    way: Way,
    words: tuple[str, ...],
    answer: str,
) -> None:
    way(hand, dock, stops)
    job, phase, going = dock.session.runner.job, dock.session.phase, dock.workspace.batch.going
    (question,) = closing("Stay")
    assert all(each in question for each in words), question
    assert closing.of_napari == 0 and not closing.closed
    assert dock.session.runner.job is job and dock.session.phase is phase
    assert dock.workspace.batch.going is going
    assert job is None or not job.control.cancelled.is_set()
    assert len(closing(answer)) == 1
    assert closing.closed and closing.of_napari == 1, "napari asks as well, as it does of every window"
    assert job is None or job.control.cancelled.is_set()
    stops.let_go()
    nothing_is_left(hand, dock, tmp_path)
    kept = [run.stage for run in RunStore(tmp_path / "runs").runs()]
    assert len(kept) == (way not in (to_training_not_kept, to_result_not_kept))


@pytest.mark.parametrize("way", UNASKED, ids=named)
def test_no_question_where_nothing_is_lost(
    hand: Hand,
    dock: StructuredDenoisingWidget,
    closing: Closing,
    stops: Stops,
    tmp_path: Path,
    way: Way,
) -> None:
    way(hand, dock, stops)
    job = dock.session.runner.job or dock.workspace.quick_look.look.runner.job
    assert not closing() and closing.closed and closing.of_napari == 1
    assert job is None or job.control.cancelled.is_set()
    stops.let_go()
    nothing_is_left(hand, dock, tmp_path)


def test_a_window_that_stays_open_after_all_goes_on_training(
    hand: Hand, dock: StructuredDenoisingWidget, closing: Closing, stops: Stops
) -> None:
    to_training(hand, dock, stops)
    job = dock.session.runner.job
    closing.napari_may = False
    assert len(closing("Close")) == closing.of_napari == 1
    assert not closing.closed and dock.session.runner.job is job and not job.control.cancelled.is_set()
    dock.session.cancel()


def test_saved_from_the_question_it_closes_without_another(
    hand: Hand,
    dock: StructuredDenoisingWidget,
    closing: Closing,
    stops: Stops,
    tmp_path: Path,
) -> None:
    stops.setattr(QFileDialog, "getSaveFileName", lambda *args: (str(tmp_path / "kept"), ""))
    to_stage2_with_edits(hand, dock, stops)
    assert len(closing(SAVE)) == 1
    hand.wait(lambda: closing.closed)
    assert len(closing.questions) == 1
    assert (tmp_path / "kept" / "analysis" / "edits.json").exists()
    nothing_is_left(hand, dock, tmp_path)


def test_a_result_that_is_in_a_file_is_not_asked_about(
    hand: Hand,
    dock: StructuredDenoisingWidget,
    closing: Closing,
    stops: Stops,
    tmp_path: Path,
) -> None:
    to_result_not_kept(hand, dock, stops)
    stops.setattr(QFileDialog, "getSaveFileName", lambda *args: (str(tmp_path / "out.mrc"), ""))
    hand.save_result(dock)
    hand.wait(lambda: not dock.session.disk.only_in_memory(dock.session.run))
    assert not closing() and closing.closed


def test_what_is_being_saved_is_saved_whole(
    hand: Hand,
    dock: StructuredDenoisingWidget,
    closing: Closing,
    stops: Stops,
    tmp_path: Path,
) -> None:

    from napari_autostructn2v._napari.docks.denoise import dock as dock_module

    to_result(hand, dock, stops)
    target = tmp_path / "out.mrc"

    gate = stops.hold(dock_module, "write_stack")
    stops.setattr(QFileDialog, "getSaveFileName", lambda *args: (str(target), ""))
    hand.save_result(dock)
    hand.wait(gate.reached.is_set)
    assert not closing() and closing.closed
    assert not target.exists(), "it is still being saved"
    stops.let_go()
    nothing_is_left(hand, dock, tmp_path)
    np.testing.assert_array_equal(read_stack(target).array, dock.session.run.denoised)
