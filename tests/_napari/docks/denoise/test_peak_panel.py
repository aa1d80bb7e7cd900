"""Peaks in the dock: marks and undo, the table and the layer, other spectra, settings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_autostructn2v import synthetic
from napari_autostructn2v._napari.canvas.layer_names import PEAK_OUTLINES, PEAKS, PICKED_PEAK, SPECTRUM
from napari_autostructn2v._napari.colours import PEAK_MARKS
from napari_autostructn2v._napari.docks.denoise.dock import StructuredDenoisingWidget
from napari_autostructn2v.kernel import Edits
from napari_autostructn2v.noise.review import Mark

FREE = (12, 50)


@pytest.fixture(scope="module")
def reviewed() -> dict[str, Any]:
    """A stack with lines along X and a hum."""
    made = synthetic.sample("lines_and_hum", shape=(8, 128, 128), structured=1.2)
    return {"image": made.noisy, "name": "both", "scale": (2.0, 1.5, 1.5), "units": ("nm",) * 3}


@pytest.fixture
def viewer(window_in_review: Any) -> Any:
    return window_in_review.viewer


@pytest.fixture
def dock(window_in_review: Any, hand: Any) -> Iterator[StructuredDenoisingWidget]:
    """Flown to the peaks."""
    with window_in_review.dock() as dock:
        hand.click(dock.review.to_spectrum)
        hand.over_noise()
        yield dock


def state(dock: Any) -> tuple[bytes, Edits]:
    return dock.workspace.review.labels(PEAKS).data.tobytes(), dock.session.review.peak_edits


def found_bin(dock: Any) -> tuple[int, int]:
    y, x = np.argwhere(dock.session.review.automatic.peaks)[0]
    return int(y), int(x)


def test_marks_and_undo_of_several_strokes(hand: Any, dock: Any) -> None:
    peaks = dock.workspace.review.labels(PEAKS)
    found, mirrored = found_bin(dock), tuple(n - 1 - i for n, i in zip(peaks.data.shape, FREE, strict=True))
    states = [state(dock)]
    hand.stroke(peaks, FREE)
    assert peaks.data[FREE] == peaks.data[mirrored] == Mark.ADDED
    states.append(state(dock))
    peaks.mode = "erase"
    hand.stroke(peaks, found)
    assert peaks.data[found] == Mark.ERASED
    states.append(state(dock))
    hand.stroke(peaks, FREE)
    assert peaks.data[FREE] == Mark.NONE
    states.append(state(dock))
    # what is so already is no edit, nor a step to undo
    hand.stroke(peaks, found)
    peaks.mode = "paint"
    hand.stroke(peaks, tuple(np.argwhere(peaks.data == Mark.FOUND)[-1]))
    assert state(dock) == states[-1]
    for expected in reversed(states[:-1]):
        hand.undo()
        assert state(dock) == expected
    assert dock.session.review.peak_edits == Edits()
    for expected in states[1:]:
        hand.redo()
        assert state(dock) == expected


def test_reset_is_a_step_that_is_undone_and_redone(hand: Any, viewer: Any, dock: Any) -> None:
    peaks, reset = dock.workspace.review.labels(PEAKS), dock.review.reset_peaks
    assert not reset.isEnabled()
    before = state(dock)
    hand.stroke(peaks, FREE)
    peaks.mode = "erase"
    hand.stroke(peaks, found_bin(dock))
    edited = state(dock)
    viewer.layers.selection.active = viewer.layers["both"]
    hand.click(reset)
    assert state(dock) == before and not dock.session.review.edited and not reset.isEnabled()
    for _ in range(2):
        hand.undo()
        assert state(dock) == edited and len(edited[1].added) == len(edited[1].erased) == 2
        hand.redo()
        assert state(dock) == before
    peaks.undo()
    assert state(dock) == edited


def test_any_label_brings_back_what_was_erased(hand: Any, dock: Any) -> None:
    peaks = dock.workspace.review.labels(PEAKS)
    found = found_bin(dock)
    before = state(dock)
    for label in (1, 2, 3, 7):
        peaks.mode = "erase"
        hand.stroke(peaks, found)
        peaks.mode = "paint"
        peaks.selected_label = label
        hand.stroke(peaks, found)
        hand.stroke(peaks, FREE)
        assert peaks.data[found] == Mark.FOUND and peaks.data[FREE] == Mark.ADDED, label
        hand.undo()
        hand.undo()
        assert peaks.data[found] == Mark.ERASED and peaks.data[FREE] == Mark.NONE, label
        hand.undo()
        assert state(dock) == before


def test_undo_after_another_threshold_is_no_new_edit(hand: Any, dock: Any) -> None:
    peaks = dock.workspace.review.labels(PEAKS)
    automatic = dock.session.review.automatic.peaks
    dock.session.choice.configure(sensitivity=30.0)
    weak = tuple(np.argwhere(automatic & ~dock.session.review.automatic.peaks)[0])
    dock.session.choice.configure(sensitivity=6.0)
    peaks.mode = "erase"
    hand.stroke(peaks, weak)
    dock.analysis.sensitivity.value = 30
    assert peaks.data[weak] == Mark.ERASED
    hand.undo()
    assert peaks.data[weak] == Mark.NONE and dock.session.review.peak_edits == Edits()


def test_marks_are_outlined_and_erased_bins_crossed_out(hand: Any, dock: Any) -> None:
    peaks, outlines = (dock.workspace.review.layers[key] for key in (PEAKS, PEAK_OUTLINES))

    def lines_of(mark: Mark) -> int:
        return int((outlines.edge_color == np.float32(PEAK_MARKS[mark])).all(axis=1).sum())

    assert lines_of(Mark.FOUND) >= 8 and not lines_of(Mark.ADDED) and not lines_of(Mark.ERASED)
    hand.stroke(peaks, FREE)
    assert lines_of(Mark.ADDED) == 2 * 4, "a square at either side"
    peaks.mode = "erase"
    hand.stroke(peaks, found_bin(dock))
    assert lines_of(Mark.ERASED) == 2 * (4 + 2), "with a cross in it"
    for mark in PEAK_MARKS:  # what is below shows through
        assert peaks.colormap.map(np.array([mark]))[0, 3] < 0.5
    hand.click(dock.review.reset_peaks)
    assert not lines_of(Mark.ADDED) and not lines_of(Mark.ERASED)
    peaks.mode = "paint"
    peaks.brush_size = 2 * len(peaks.data)
    peaks.mode = "erase"
    hand.stroke(peaks, FREE)
    hand.click(dock.review.reset_peaks)
    dock.session.mark_peaks(np.zeros_like(peaks.data))
    assert len(outlines.data) == len(outlines.edge_color)


def test_table_and_layer_are_linked(hand: Any, viewer: Any, dock: Any) -> None:
    panel, picked, noise = dock.peaks, dock.workspace.picked, dock.workspace.noise.model
    peaks = dock.workspace.review.labels(PEAKS)
    before = state(dock)
    assert panel.table.rowCount() == len(picked.peaks) >= 2
    assert panel.table.item(0, 0).text() == f"{picked.peaks[0].period_px:.3g}"
    panel.table.selectRow(1)
    assert picked.row == 1 and PICKED_PEAK in noise.layers and noise.layers.selection.active is peaks
    middle = len(peaks.data) // 2
    peaks.mode = "pan_zoom"
    target = np.rint(np.multiply(picked.peaks[0].frequency, len(peaks.data))).astype(int) + middle
    hand.stroke(peaks, tuple(target))
    assert picked.row == 0 and panel.table.selectionModel().selectedRows()[0].row() == 0
    zoom, before_zoom = noise.scene.camera.zoom, viewer.scene.camera.zoom
    hand.click(panel.zoom)
    hand.wait(hand.noise_rests)
    assert noise.scene.camera.zoom > zoom and viewer.scene.camera.zoom == before_zoom
    mask, count = picked.peaks[0].mask, len(picked.peaks)
    QTest.keyClick(panel.table, Qt.Key.Key_Delete)
    assert (peaks.data[mask] == Mark.ERASED).all() and panel.table.rowCount() == count - 1
    assert dock.workspace.noise.dock.legend.counts[Mark.ERASED].text() == f"{mask.sum()} erased"
    hand.undo()
    assert state(dock) == before and panel.table.rowCount() == count
    hand.stroke(peaks, (1, 1))
    assert picked.row is None and PICKED_PEAK not in noise.layers and not panel.delete.isEnabled()


def test_spectra_of_what_the_stages_leave(hand: Any, dock: Any) -> None:
    layer, choice = dock.workspace.review.layers[SPECTRUM], dock.workspace.spectrum
    raw = layer.data
    measured, run = dock.session.review.automatic.measured, dock.session.run
    choice.choose("stage2")
    assert choice.choice == "background", "there is none yet"
    choice.choose("residual")
    hand.wait(lambda: not choice.waiting)
    np.testing.assert_allclose(layer.data, measured.residual.log_power, rtol=1e-5)
    choice.choose("stage1")
    hand.wait(lambda: not choice.waiting)
    expected = measured.spectrum_of(run.stage1.denoised(run.recovery)).log_power
    np.testing.assert_allclose(layer.data, expected, rtol=1e-5)
    kept = layer.data
    choice.choose("background")
    assert layer.data is raw
    choice.choose("stage1")
    assert layer.data is kept
    status = layer.get_status(layer.data_to_world((31, 40)), world=True)["coordinates"]
    assert "0.143 cycles/px  period 7 px = 10.5 nm  log power" in status


def test_settings_act_at_once_and_keep_edits(hand: Any, dock: Any) -> None:
    peaks = dock.workspace.review.labels(PEAKS)
    hand.stroke(peaks, FREE)
    dock.analysis.max_pixels.value = 9
    assert 1 < dock.session.review.analysis.kernel.sum() <= 9
    found = (peaks.data == Mark.FOUND).sum()
    dock.analysis.min_excess.value = 2
    assert (peaks.data == Mark.FOUND).sum() < found and peaks.data[FREE] == Mark.ADDED
    dock.analysis.min_correlation.value = 0.5
    assert dock.session.choice.settings.config().analysis.min_correlation == 0.5
    dock.analysis.resolution_limit.value = 0.8
    assert dock.session.review.analysis.config.resolution_limit_nm == 0.8
