"""The dock widget in a real viewer: clicks, strokes, threads."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hands import Gate, open_dock, small_screen, threads_at_work, through_stage1
from qtpy.QtWidgets import QApplication, QFileDialog, QScrollArea

from napari_autostructn2v import load_model, synthetic
from napari_autostructn2v._napari.canvas.layer_names import KERNEL, PEAKS, SPECTRUM
from napari_autostructn2v._napari.canvas.placement import is_derived
from napari_autostructn2v._napari.docks.denoise.decision_bar import MAIN
from napari_autostructn2v._napari.docks.denoise.dock import StructuredDenoisingWidget
from napari_autostructn2v._napari.session.progress import Activity, Progress
from napari_autostructn2v._napari.session.state import Phase
from napari_autostructn2v._napari.widgets.elided import ElidedCombo
from napari_autostructn2v.io import read_stack
from napari_autostructn2v.learning.training_data import TrainingData

SCALE = (2.0, 1.5, 1.5)


@pytest.fixture
def image(viewer: Any, noisy: np.ndarray) -> Any:
    return viewer.add_image(noisy, name="tiny", scale=SCALE, translate=(0, 7, 3), units=("nm",) * 3)


@pytest.fixture
def dock(viewer: Any, image: Any) -> StructuredDenoisingWidget:
    return open_dock(viewer, 2)


@pytest.fixture
def in_review(hand: Any, dock: StructuredDenoisingWidget) -> StructuredDenoisingWidget:
    through_stage1(hand, dock)
    return dock


@pytest.fixture
def slow(hand: Any, dock: StructuredDenoisingWidget) -> StructuredDenoisingWidget:
    """A dock whose first stage is at work and will be for long."""
    dock.data.steps.value = 100_000
    hand.click(dock.stage1.run)
    hand.wait(
        lambda: (
            dock.session.monitor.progress is not None
            and dock.session.monitor.progress.activity is Activity.TRAINING
        )
    )
    return dock


def test_results_are_seen_with_the_layer_they_are_of(hand: Any, viewer: Any, image: Any, dock: Any) -> None:
    viewer.add_image(np.zeros_like(image.data), name="another", scale=SCALE, translate=(0, 7, 3))
    assert viewer.layers[-1].name == "another", "which now hides the image"
    hand.click(dock.stage1.run)
    hand.wait(lambda: dock.session.phase is Phase.REVIEW or dock.session.messages.error)
    order = [layer.name for layer in viewer.layers]
    assert order.index("tiny") > order.index("another")
    assert [layer.name for layer in viewer.layers if layer.visible] == ["tiny", "tiny stage 1"]


def settle(hand: Any, dock: StructuredDenoisingWidget) -> None:
    """Wait until the camera of the noise has arrived."""
    hand.wait(hand.noise_rests)


def test_the_whole_way(
    hand: Any, viewer: Any, image: Any, dock: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = dock.session
    threads = set()
    session.previewed.connect(lambda event: threads.add(threading.current_thread()))
    previewed = []
    session.previewed.connect(lambda event: previewed.append(dock.workspace.images.preview.name))

    hand.click(dock.stage1.run)
    assert dock.stage1.cancel.isVisibleTo(dock)
    hand.wait(lambda: session.phase is Phase.REVIEW or session.messages.error)
    assert not session.messages.error
    assert threads == {threading.main_thread()}
    assert previewed and previewed[0] == "tiny preview"
    assert {layer.name for layer in viewer.layers} == {"tiny", "tiny stage 1"}
    assert "neighbour" in dock.review.card.summary.text() or dock.review.card.summary.text()

    # paint a peak: it is mirrored and the kernel follows
    hand.click(dock.review.to_spectrum)
    settle(hand, dock)
    peaks, kernel = (dock.workspace.review.labels(key) for key in (PEAKS, KERNEL))
    assert dock.workspace.noise.model.layers.selection.active is peaks and peaks.mode == "paint"
    assert {layer.name for layer in viewer.layers} == {"tiny", "tiny stage 1"}, "it has a canvas of its own"
    before, kernel_before = peaks.data.copy(), kernel.data.copy()
    point = (12, 50)
    mirrored = tuple(n - 1 - p for n, p in zip(peaks.data.shape, point, strict=True))
    assert not before[point]
    hand.stroke(peaks, point)
    assert peaks.data[point] and peaks.data[mirrored] and (peaks.data > 0).sum() == (before > 0).sum() + 2
    assert session.review.peaks[mirrored]
    hand.undo()
    np.testing.assert_array_equal(peaks.data, before)
    assert not session.review.edited
    np.testing.assert_array_equal(kernel.data, kernel_before)

    # erase a pixel of the kernel, bring it back, erase it again
    hand.click(dock.review.to_kernel)
    settle(hand, dock)
    middle = kernel.data.shape[0] // 2
    neighbour = next((y, x) for y, x in np.argwhere(kernel.data) if (y, x) != (middle, middle))
    kernel.mode = "erase"
    hand.stroke(kernel, neighbour)
    assert kernel.data.sum() == kernel_before.sum() - 2
    hand.undo()
    np.testing.assert_array_equal(kernel.data, kernel_before)
    hand.redo()
    hand.stroke(kernel, (middle, middle))
    assert kernel.data[middle, middle]
    assert "Edited by hand" in dock.review.card.numbers.text()
    edited = session.review.analysis.kernel
    assert edited.sum() == kernel_before.sum() - 2

    hand.click(dock.review.approve)
    hand.wait(lambda: session.phase is Phase.RESULT or session.messages.error)
    assert not session.messages.error
    result = viewer.layers["tiny denoised"]
    np.testing.assert_allclose(result.scale, image.scale)
    assert result.units == image.units
    assert result.data.shape == image.data.shape
    np.testing.assert_allclose(result.extent.world, image.extent.world)

    saving = {
        "out.mrc": lambda: hand.save_result(dock),
        "model.zip": lambda: hand.choose(dock.result.more, dock.result.save_model),
    }
    for name, save in saving.items():
        monkeypatch.setattr(
            QFileDialog, "getSaveFileName", lambda *args, name=name: (str(tmp_path / name), "")
        )
        save()
        hand.wait(
            lambda: any(n.startswith("Saved") for n in session.messages.notices) or session.messages.error
        )
        assert not session.messages.error
        session.messages.confirm("")
    saved = read_stack(tmp_path / "out.mrc")
    np.testing.assert_allclose(np.asarray(saved.array), result.data, rtol=1e-6)
    assert (saved.voxel_size.z, saved.voxel_size.x, saved.voxel_size.unit) == (2.0, 1.5, "nm")
    np.testing.assert_array_equal(load_model(tmp_path / "model.zip").kernel, edited)


def test_a_single_slice(hand: Any, viewer: Any, noisy: np.ndarray) -> None:
    viewer.add_image(noisy[0], name="slice")
    dock = open_dock(viewer)
    dock.data.preset.value = "fast"
    dock.data.steps.value = 2
    dock.data.unattended.value = True
    hand.click(dock.stage1.run)
    hand.wait(lambda: dock.session.phase is Phase.RESULT or dock.session.messages.error)
    assert not dock.session.messages.error
    assert dock.workspace.images.results["stage1"].data.shape == noisy[0].shape


def test_painting_goes_to_the_layer_under_the_press(hand: Any, viewer: Any, in_review: Any) -> None:
    dock = in_review
    hand.click(dock.review.to_spectrum)
    settle(hand, dock)
    hand.click(dock.workspace.noise.dock.fit)
    settle(hand, dock)
    kernel = dock.workspace.review.labels(KERNEL)
    before = kernel.data.sum()
    hand.stroke(kernel, (2, 2))
    assert dock.workspace.noise.model.layers.selection.active is kernel
    assert kernel.data[2, 2] and kernel.data.sum() == before + 2


def test_25d_kernel_is_mirrored_between_the_outer_slices(hand: Any, viewer: Any, image: Any) -> None:
    dock = open_dock(viewer)
    dock.data.mode.value = "2.5d"
    dock.data.preset.value, dock.data.steps.value = "fast", 2
    through_stage1(hand, dock)
    hand.click(dock.review.to_kernel)
    settle(hand, dock)
    kernel = dock.workspace.review.labels(KERNEL)
    side = kernel.data.shape[0]
    assert kernel.data.shape == (side, 3 * side + 2)
    noise = dock.workspace.noise.model
    names = noise.layers["kernel slices"]
    assert list(names.text.values) == ["z-1", "z", "z+1"]
    blocks = (kernel.world_to_data(names.data_to_world(point))[-1] // (side + 1) for point in names.data)
    assert list(blocks) == [0, 1, 2], "each stands below its block"
    assert is_derived(names) and noise.layers.selection.active is kernel
    middle = side // 2
    hand.stroke(kernel, (middle + 3, middle + 1))  # slice z-1
    grid = dock.session.review.kernel_grid
    assert grid[0, middle + 3, middle + 1] and grid[2, middle - 3, middle - 1]
    assert dock.session.review.analysis.kernel.shape[0] == 3
    gap_before = kernel.data[:, side].sum()
    hand.stroke(kernel, (middle, side))
    assert kernel.data[:, side].sum() == gap_before == 0


def test_the_decision_is_always_in_sight(hand: Any, make_napari_viewer: Any, noisy: np.ndarray) -> None:
    viewer = small_screen(make_napari_viewer)
    viewer.add_image(noisy, name="tiny")
    dock = open_dock(viewer)
    dock.data.preset.value, dock.data.steps.value = "fast", 2
    review, section = dock.review, dock.sections[Phase.REVIEW].button
    assert not review.decision.isVisible(), "there is nothing to decide yet"
    hand.click(dock.stage1.run)
    hand.wait(lambda: dock.session.phase is Phase.REVIEW or dock.session.messages.error)
    for part in dock.parts.values():
        part.button.setChecked(True)
    QApplication.processEvents()
    for each in (review.approve, review.analyse_again, review.skip):
        assert each.visibleRegion().boundingRect() == each.rect(), f"{each.text()} is cut off"
    analysis = dock.session.review.analysis
    buttons = (review.approve, review.analyse_again, review.skip, review.advice)
    places = [each.geometry() for each in buttons]
    for conclusion, advice, bright in (
        ("helps", None, review.approve),
        ("adds_nothing", None, review.skip),
        ("helps", "2.5d", review.advice),
        ("look_first", "quick_look", review.advice),
        ("look_first", "outline", review.advice),
    ):
        found = replace(
            analysis.verdict, conclusion=conclusion, advice=advice, headline="A long sentence. " * 6
        )
        analysis.__dict__["verdict"] = found
        dock.session.changed.emit()
        QApplication.processEvents()
        standing_out = [each for each in buttons if each.styleSheet() == MAIN]
        assert standing_out == [bright], "what the verdict advises stands out"
        assert [each.geometry() for each in buttons] == places, "a button jumped under the pointer"
        for each in standing_out:
            assert each.visibleRegion().boundingRect() == each.rect(), f"{each.text()} is cut off"
            assert each.fontMetrics().horizontalAdvance(each.text()) < each.width() - 8
    section.setChecked(False)
    assert review.approve.isVisible(), "a closed section is no end of the review"
    hand.click(review.skip)
    assert dock.session.phase is Phase.RESULT and not review.approve.isVisible()
    section.setChecked(True)
    assert review.approve.isVisible()


def test_what_the_verdict_advises_is_a_click_away(hand: Any, viewer: Any) -> None:
    made = synthetic.sample("reconstruction", shape=(6, 96, 96), seed=1)
    viewer.add_image(made.noisy, name="tomogram")
    dock = open_dock(viewer)
    dock.data.preset.value, dock.data.steps.value = "fast", 2
    review, session = dock.review, dock.session
    assert not review.advice.isVisibleTo(review)
    hand.click(dock.stage1.run)
    hand.wait(lambda: session.phase is Phase.REVIEW or session.messages.error)
    first = session.run.stage1
    assert "2.5D may do better" in review.card.summary.text() and review.advice.text() == "Try 2.5D"
    hand.click(review.to_kernel)
    hand.click(review.advice)
    hand.wait(lambda: session.runner.job is None)
    assert not session.messages.error and session.run.stage1 is first
    noise = dock.workspace.noise.model
    assert noise.layers.selection.active is dock.workspace.review.labels(KERNEL)
    assert dock.data.mode.value == "2.5d" and session.review.analysis.kernel.ndim == 3
    assert "kernel slices" in noise.layers
    assert "2.5D may" not in review.card.summary.text() and not review.advice.isVisibleTo(review)


def test_a_lattice_is_taken_at_a_click(hand: Any, viewer: Any, in_review: Any) -> None:
    review, session = in_review.review, in_review.session
    found = replace(session.review.analysis.verdict, advice="all_patterns")
    session.review.analysis.__dict__["verdict"] = found  # as of a stack with a lattice
    session.reviewed.emit()
    hand.click(review.advice)
    assert session.choice.settings.notch == "all" and review.notch.value == "all"


def test_threshold_keeps_what_was_painted(hand: Any, in_review: Any) -> None:
    dock = in_review
    hand.click(dock.review.to_spectrum)
    settle(hand, dock)
    peaks = dock.workspace.review.labels(PEAKS)
    hand.stroke(peaks, (12, 50))
    found = peaks.data.sum()
    dock.analysis.sensitivity.value = 30
    assert peaks.data[12, 50] and peaks.data.sum() < found
    hand.click(dock.review.reset_peaks)
    assert not peaks.data[12, 50]
    hand.undo()
    assert peaks.data[12, 50]


def test_status_says_the_period(in_review: Any) -> None:
    in_review.workspace.review.ensure()
    spectrum = in_review.workspace.review.layers[SPECTRUM]
    rows, columns = spectrum.data.shape
    status = spectrum.get_status(spectrum.data_to_world((rows // 2, columns // 2 + 9)), world=True)
    assert "period 7 px = 10.5 nm" in status["coordinates"]


def test_cancel_ends_the_training(hand: Any, viewer: Any, slow: Any) -> None:
    hand.click(slow.stage1.cancel)
    hand.wait(lambda: not threads_at_work())
    assert slow.session.phase is Phase.DATA
    assert [layer.name for layer in viewer.layers] == ["tiny"]
    assert slow.stage1.run.isEnabled()


def test_stop_keeps_the_network(hand: Any, slow: Any) -> None:
    hand.wait(slow.stage1.stop.isEnabled)
    assert "/ 100000" in slow.stage1.bar.text()
    slow.session.monitor.progress = Progress(Activity.WAITING)
    slow.stage1.refresh()
    assert slow.stage1.bar.text() == "Waiting for room on the disk …", (
        "said where nobody knows how long it takes"
    )
    hand.wait(slow.stage1.stop.isEnabled)
    hand.click(slow.stage1.stop)
    hand.wait(lambda: slow.session.phase is Phase.REVIEW or slow.session.messages.error)
    assert not slow.session.messages.error


def test_removed_layer_stops_its_training(hand: Any, viewer: Any, image: Any, slow: Any) -> None:
    viewer.layers.remove(image)
    hand.wait(lambda: not threads_at_work())
    assert slow.session.phase is Phase.DATA
    assert "was removed" in slow.message.text()
    assert not slow.stage1.run.isEnabled()


@pytest.mark.parametrize("shown", [False, True])
def test_closing_the_window_stops_the_training(hand: Any, viewer: Any, slow: Any, shown: bool) -> None:
    if shown:
        viewer.window.show()
    job = slow.session.runner.job
    viewer.close()
    hand.wait(lambda: not threads_at_work())
    assert job.control.cancelled.is_set()


def test_dock_closed_and_opened_again_goes_on(hand: Any, viewer: Any, in_review: Any) -> None:
    session = in_review.session
    hand.close_dock(in_review)
    session.mark_peaks(np.zeros_like(session.review.peak_marks))  # what is gone is not told
    again = open_dock(viewer)
    assert again.session is session
    assert again.session.phase is Phase.REVIEW
    assert again.data.layer.layer() is viewer.layers["tiny"]
    assert again.review.approve.isEnabled()
    assert again.data.steps.value == 2


def test_unsuitable_layers_are_refused_in_the_dock(viewer: Any) -> None:
    dock = open_dock(viewer)
    assert "Open" in dock.data.message.text()
    for data, words in (
        (np.zeros((8, 8, 8)), "too small"),
        (np.zeros((64, 64, 3), np.uint8), "RGB"),
    ):
        viewer.layers.clear()
        viewer.add_image(data)
        assert words in dock.data.message.text()
        assert not dock.stage1.run.isEnabled()
    viewer.layers.clear()
    viewer.add_image(np.random.default_rng(0).normal(size=(64, 64)))
    assert dock.stage1.run.isEnabled()
    dock.data.mode.value = "2.5d"
    assert "three" in dock.data.message.text()


def test_engine_errors_are_shown_in_the_dock(hand: Any, viewer: Any, noisy: np.ndarray) -> None:
    noisy = noisy.copy()
    noisy[1:] = 0
    viewer.add_image(noisy)
    dock = open_dock(viewer)
    hand.click(dock.stage1.run)
    hand.wait(lambda: dock.session.messages.error)
    assert "75 % of the stack is blank" in dock.message.text()
    assert dock.stage1.run.isEnabled()


def test_preview_follows_the_slider(hand: Any, viewer: Any, slow: Any) -> None:
    shown = []
    slow.session.previewed.connect(lambda event: shown.append(event.z))
    viewer.dims.set_current_step(0, 3)
    hand.wait(lambda: shown)
    assert shown[0] == 3


def test_every_control_has_a_tooltip(dock: Any) -> None:
    from qtpy.QtWidgets import QAbstractSpinBox, QCheckBox, QComboBox, QProgressBar, QPushButton

    for kind in (QAbstractSpinBox, QCheckBox, QComboBox, QProgressBar, QPushButton):
        for widget in dock.findChildren(kind):
            assert widget.toolTip(), f"{kind.__name__} {widget.objectName()} has no tooltip"


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_fits_a_small_screen(make_napari_viewer: Any, noisy: np.ndarray, theme: str) -> None:
    viewer = make_napari_viewer(show=True)
    viewer.theme = theme
    viewer.window._qt_window.resize(1280, 800)
    viewer.add_image(noisy)
    dock = open_dock(viewer)
    for section in dock.sections.values():
        section.button.setChecked(True)
    QApplication.processEvents()
    assert viewer.window._qt_window.height() <= 800
    assert 300 <= dock.width() <= 400
    beside_the_bar = dock.findChild(QScrollArea).viewport().width()
    for section in dock.sections.values():
        assert section.minimumSizeHint().width() <= beside_the_bar, section.button.text()
    for combo in dock.findChildren(ElidedCombo):
        assert combo.shown_text() == combo.currentText(), "only names that a person gives may be too long"


def test_every_result_of_stage_2_can_be_had_back(hand: Any, viewer: Any, in_review: Any) -> None:
    session, panel = in_review.session, in_review.result
    hand.click(in_review.review.approve)
    hand.wait(lambda: session.phase is Phase.RESULT or session.messages.error)
    first = session.run.stage2
    session.edit_kernel(np.pad(np.ones((1, 1), bool), session.review.kernel_grid.shape[0] // 2))
    hand.click(in_review.review.approve)
    hand.wait(lambda: len(session.attempts) == 2 or session.messages.error)
    assert panel.attempts.currentIndex() == 1 and "1 × 1" in panel.attempts.currentText()
    hand.choose(panel.more, panel.keep)
    assert not viewer.layers["tiny denoised 2"].visible

    panel.attempts.setCurrentIndex(0)
    panel.attempts.activated.emit(0)
    assert session.run.stage2 is first
    np.testing.assert_array_equal(viewer.layers["tiny denoised"].data, first.denoised(1.0))
    assert not np.array_equal(np.asarray(viewer.layers["tiny denoised 2"].data), first.denoised(1.0))
    folder = session.run.folder.path / "stage2"
    assert len(list(folder.glob("predicted_*.tif"))) == 2
    hand.choose(panel.more, panel.forget)
    assert [attempt.output for attempt in session.attempts] == [first]
    assert [file.name for file in folder.glob("predicted_*.tif")] == [first.predicted.path.name]
    assert np.isfinite(viewer.layers["tiny denoised 2"].data).all(), "what is shown still can be read"
    assert not panel.forget.isEnabled()


def test_the_window_answers_in_the_middle_of_a_step(
    hand: Any, slow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long a step takes; how soon it answers is measured by benchmarks/speed.py answers."""
    gate = Gate()
    monkeypatch.setattr(TrainingData, "draw", gate.before(TrainingData.draw))
    hand.wait(gate.reached.is_set)
    section = slow.sections[Phase.DATA].button
    opened = section.isChecked()
    hand.click(section)
    assert section.isChecked() is not opened
    hand.click(slow.stage1.cancel)
    assert slow.session.phase is Phase.DATA and threads_at_work(), "nobody has waited for the step to end"
    gate.open()
    hand.wait(lambda: not threads_at_work())
