"""The kernel tools in the dock: every one is a stroke that Ctrl+Z takes back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hands import Hand, open_dock, small_screen, through_stage1
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QFileDialog, QInputDialog, QMessageBox

from napari_autostructn2v._napari.canvas.layer_names import KERNEL, LAGS
from napari_autostructn2v._napari.docks.denoise.dock import StructuredDenoisingWidget
from napari_autostructn2v._napari.session.state import Phase
from napari_autostructn2v._napari.widgets.panel_parts import Section
from napari_autostructn2v.kernel import library, load_kernel, save_kernel, validate_kernel
from napari_autostructn2v.kernel.shapes import box, cross, line, thickened


@pytest.fixture(autouse=True)
def own_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "user_data_path", lambda *args, **options: tmp_path / "data")


def in_review(viewer: Any, hand: Any, noisy: np.ndarray, mode: str) -> StructuredDenoisingWidget:
    viewer.add_image(noisy, name="tiny", scale=(2.0, 1.5, 1.5), units=("nm",) * 3)
    dock = open_dock(viewer)
    dock.data.mode.value = mode
    dock.data.preset.value, dock.data.steps.value = "fast", 2
    through_stage1(hand, dock)
    open_tools(hand, dock)
    return dock


def open_tools(hand: Hand, dock: StructuredDenoisingWidget) -> None:
    tools = next(s for s in dock.findChildren(Section) if "Kernel tools" in s.button.text())
    assert not dock.kernel.isVisibleTo(dock), "closed until it is wanted"
    hand.click(tools.button)


@pytest.fixture(scope="module")
def reviewed(noisy: np.ndarray) -> dict[str, Any]:
    return {"image": noisy, "name": "tiny", "scale": (2.0, 1.5, 1.5), "units": ("nm",) * 3}


@pytest.fixture
def viewer(window_in_review: Any) -> Any:
    return window_in_review.viewer


@pytest.fixture
def dock(window_in_review: Any, hand: Any) -> Iterator[StructuredDenoisingWidget]:
    with window_in_review.dock() as dock:
        open_tools(hand, dock)
        hand.over_noise()
        yield dock


def grid_of(dock: StructuredDenoisingWidget) -> np.ndarray:
    return dock.session.review.kernel_grid


def undo_from(widget: Any) -> None:
    """Ctrl+Z where the keyboard is after a click, on a button of the dock."""
    QTest.keyClick(widget, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    QApplication.processEvents()


def test_each_tool_is_one_step_that_is_undone_and_redone(viewer: Any, hand: Any, dock: Any) -> None:
    tools, layer = dock.kernel, dock.workspace.review.labels(KERNEL)
    viewer.layers.selection.active = viewer.layers["tiny"]
    tools.angle.setValue(90)
    tools.length.setValue(7)
    states = [grid_of(dock)]
    for tool, expected in (
        (tools.draw, lambda grid: line(grid, 90, 7)),
        (tools.thicken, thickened),
        (tools.erase, lambda grid: line(grid, 90, 7, value=False)),
    ):
        hand.click(tool)
        np.testing.assert_array_equal(grid_of(dock), expected(states[-1]))
        np.testing.assert_array_equal(layer.data > 0, grid_of(dock))
        assert (grid_of(dock) != states[-1]).any()
        states.append(grid_of(dock))
    assert dock.session.review.edited and "Edited by hand" in dock.review.card.numbers.text()
    for state in states[-2::-1]:
        undo_from(tools.erase)
        np.testing.assert_array_equal(layer.data > 0, state)
        np.testing.assert_array_equal(grid_of(dock), state)
    assert not dock.session.review.edited
    for state in states[1:]:
        hand.redo()
        np.testing.assert_array_equal(grid_of(dock), state)


def test_a_stroke_between_two_tools_is_undone_in_its_turn(hand: Any, dock: Any) -> None:
    tools, layer = dock.kernel, dock.workspace.review.labels(KERNEL)
    hand.click(dock.review.to_kernel)
    hand.wait(hand.noise_rests)
    found = grid_of(dock)
    tools.angle.setValue(90)
    hand.click(tools.draw)
    drawn = grid_of(dock)
    hand.stroke(layer, (1, 2))
    assert grid_of(dock)[1, 2] and grid_of(dock)[-2, -3]
    hand.click(tools.thicken)
    for _ in range(2):
        hand.undo()
    np.testing.assert_array_equal(grid_of(dock), drawn)
    hand.undo()
    np.testing.assert_array_equal(grid_of(dock), found)


def test_reset_is_a_step_that_is_undone_and_redone(viewer: Any, hand: Any, dock: Any) -> None:
    tools, reset = dock.kernel, dock.review.reset_kernel
    found = grid_of(dock)
    assert not reset.isEnabled()
    tools.angle.setValue(90)
    hand.click(tools.draw)
    drawn, edits = grid_of(dock), dock.session.review.kernel_edits
    viewer.layers.selection.active = viewer.layers["tiny"]
    hand.click(reset)
    np.testing.assert_array_equal(grid_of(dock), found)
    assert not dock.session.review.edited and not reset.isEnabled()
    undo_from(reset)
    np.testing.assert_array_equal(grid_of(dock), drawn)
    assert dock.session.review.kernel_edits == edits
    hand.redo()
    np.testing.assert_array_equal(grid_of(dock), found)
    dock.workspace.review.labels(KERNEL).undo()
    assert dock.session.review.kernel_edits == edits


def test_a_kernel_may_be_drawn_one_sided(
    hand: Any, dock: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools, layer = dock.kernel, dock.workspace.review.labels(KERNEL)
    hand.click(dock.review.to_kernel)
    hand.wait(hand.noise_rests)
    found = grid_of(dock)
    middle = len(found) // 2
    assert tools.mirror.value, "as noise is"
    tools.mirror.value = False
    hand.stroke(layer, (middle - 2, middle + 1))
    one_sided = grid_of(dock)
    assert (one_sided != found).sum() == 1 and one_sided[middle - 2, middle + 1]
    kernel = dock.session.review.analysis.kernel
    assert (kernel != kernel[::-1, ::-1]).any() and "one-sided" in dock.review.card.summary.text()
    tools.mirror.value = True
    np.testing.assert_array_equal(grid_of(dock), one_sided)
    hand.stroke(layer, (middle - 3, middle))
    assert (grid_of(dock) != one_sided).sum() == 2
    hand.undo()
    np.testing.assert_array_equal(grid_of(dock), one_sided)

    # a file and a reset give what they hold, whether strokes are mirrored or not
    hand.click(dock.review.reset_kernel)
    np.testing.assert_array_equal(grid_of(dock), found)
    path = save_kernel(tmp_path / "one-sided.json", kernel)
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *args: (str(path), ""))
    hand.click(tools.storage.load)
    np.testing.assert_array_equal(grid_of(dock), one_sided)
    hand.undo()
    np.testing.assert_array_equal(grid_of(dock), found)
    hand.redo()
    hand.click(dock.review.approve)
    hand.wait(lambda: dock.session.phase is Phase.RESULT or dock.session.messages.error)
    np.testing.assert_array_equal(dock.session.run.model.kernel, kernel)


def test_the_mirror_stays_off_in_a_dock_opened_again(viewer: Any, hand: Any, dock: Any) -> None:
    dock.kernel.mirror.value = False
    hand.close_dock(dock)
    again = StructuredDenoisingWidget(viewer)
    assert not again.kernel.mirror.value
    again.deleteLater()


def test_thin_and_the_other_shapes(hand: Any, dock: Any) -> None:
    tools = dock.kernel
    hand.click(tools.thicken)
    thick = grid_of(dock)
    hand.click(tools.thin)
    assert grid_of(dock).sum() < thick.sum()
    tools.shape.value = "box"
    assert tools.rows.isVisibleTo(dock) and not tools.angle.isVisibleTo(dock)
    tools.rows.setValue(3)
    tools.columns.setValue(5)
    before = grid_of(dock)
    hand.click(tools.draw)
    np.testing.assert_array_equal(grid_of(dock), box(before, 3, 5))
    tools.shape.value = "cross"
    assert tools.length.isVisibleTo(dock) and not tools.rows.isVisibleTo(dock)
    before = grid_of(dock)
    hand.click(tools.erase)
    np.testing.assert_array_equal(grid_of(dock), cross(before, tools.length.value(), value=False))
    assert not tools.slices.native.isVisibleTo(dock)


def test_sizes_are_odd(hand: Any, dock: Any) -> None:
    size = dock.kernel.length
    size.selectAll()
    QTest.keyClicks(size, "6")
    QTest.keyClick(size, Qt.Key.Key_Return)
    assert size.value() == 7


def test_numbers_follow_the_kernel(hand: Any, dock: Any) -> None:
    tools = dock.kernel
    hand.click(dock.review.to_kernel)
    tools.shape.value = "box"
    for side in (3, 5, 7, 9, 11, 13):
        tools.rows.setValue(side)
        tools.columns.setValue(side)
        hand.click(tools.draw)
        analysis = dock.session.review.analysis
        rows, columns = analysis.kernel.shape
        assert tools.numbers.text().startswith(f"{rows} × {columns}, {analysis.kernel.sum()} pixels, ")
        assert f"hides {analysis.verdict.covered:.0%}" in tools.numbers.text()
    covered = dock.session.review.analysis.verdict.covered
    tools.rows.setValue(grid_of(dock).shape[0])
    tools.columns.setValue(grid_of(dock).shape[1])
    hand.click(tools.draw)
    assert dock.session.review.analysis.verdict.covered >= covered
    assert "hides 100%" in tools.numbers.text()
    hand.click(tools.erase)
    assert tools.numbers.text().startswith("1 × 1, 1 pixel, hides 0%")


@pytest.mark.parametrize("suffix", ["json", "npy", "tif"])
def test_what_is_saved_is_loaded_and_undone(
    hand: Any, dock: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    tools, path = dock.kernel, tmp_path / f"mine.{suffix}"
    tools.angle.setValue(45)
    hand.click(tools.draw)
    drawn, kernel = grid_of(dock), dock.session.review.analysis.kernel
    # without a suffix the kind chosen in the dialog says it
    monkeypatch.setattr(
        QFileDialog, "getSaveFileName", lambda *args: (str(path.with_suffix("")), f"x (*.{suffix})")
    )
    hand.click(tools.storage.save)
    assert "Saved" in dock.message.text()
    np.testing.assert_array_equal(load_kernel(path), kernel)

    hand.click(tools.erase)
    erased = grid_of(dock)
    assert (erased != drawn).any()
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *args: (str(path), ""))
    hand.click(tools.storage.load)
    np.testing.assert_array_equal(grid_of(dock), drawn)
    assert path.name in dock.message.text()
    undo_from(tools.storage.load)
    np.testing.assert_array_equal(grid_of(dock), erased)
    hand.redo()
    np.testing.assert_array_equal(grid_of(dock), drawn)


@pytest.mark.parametrize(
    ("kernel", "words"),
    [
        (np.ones((1, 99), bool), "does not fit"),
        (np.ones((3, 1, 3), bool), "2D"),
        (None, "cannot be read"),
    ],
)
def test_a_file_that_does_not_suit_is_refused(
    hand: Any, dock: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernel: Any, words: str
) -> None:
    path = tmp_path / "kernel.json"
    if kernel is None:
        path.write_text("[[1, 1")
    else:
        save_kernel(path, kernel)
    before = dock.session.review
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *args: (str(path), ""))
    hand.click(dock.kernel.storage.load)
    assert words in dock.message.text()
    assert dock.session.review is before


def test_a_file_with_wide_empty_margins_fits(
    hand: Any, dock: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = np.zeros((99, 99), bool)
    wide[49, 47:52] = True
    path = save_kernel(tmp_path / "wide.npy", wide)
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *args: (str(path), ""))
    hand.click(dock.kernel.storage.load)
    assert dock.session.review.analysis.kernel.tolist() == [[True] * 5]


def test_dialogs_that_are_dismissed_change_nothing(
    hand: Any, dock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = dock.session.review
    for name in ("getOpenFileName", "getSaveFileName"):
        monkeypatch.setattr(QFileDialog, name, lambda *args: ("", ""))
    monkeypatch.setattr(QInputDialog, "getText", lambda *args: ("name", False))
    storage = dock.kernel.storage
    for each in (storage.load, storage.save, storage.keep):
        hand.click(each)
    assert dock.session.review is before and not storage.kept.count() and not dock.session.messages.error


def test_the_library(viewer: Any, hand: Any, dock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tools, storage = dock.kernel, dock.kernel.storage
    assert not storage.use.isEnabled() and not storage.forget.isEnabled()
    tools.angle.setValue(90)
    hand.click(tools.draw)
    drawn = grid_of(dock)
    monkeypatch.setattr(QInputDialog, "getText", lambda *args: ("../up and down", True))
    hand.click(storage.keep)
    name = storage.kept.currentText()
    assert name.endswith("up and down") and "/" not in name
    hand.click(storage.keep)
    assert "already" in dock.message.text(), "a kernel is not replaced unasked"

    hand.click(tools.erase)
    erased = grid_of(dock)
    hand.click(storage.use)
    np.testing.assert_array_equal(grid_of(dock), drawn)
    assert not dock.session.messages.error
    hand.undo()
    np.testing.assert_array_equal(grid_of(dock), erased)

    # another dock, or another day: it is still there
    hand.close_dock(dock)
    again = StructuredDenoisingWidget(viewer)
    viewer.window.add_dock_widget(again, name="Structured denoising")
    storage = again.kernel.storage
    assert storage.kept.currentText() == name
    monkeypatch.setattr(QMessageBox, "question", lambda *args: QMessageBox.StandardButton.No)
    hand.click(storage.forget)
    assert storage.kept.count() == 1
    monkeypatch.setattr(QMessageBox, "question", lambda *args: QMessageBox.StandardButton.Yes)
    hand.click(storage.forget)
    assert storage.kept.count() == 0 and not storage.forget.isEnabled()


def test_a_damaged_kernel_in_the_library_is_told(hand: Any, dock: Any, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "kernels"
    folder.mkdir(parents=True)
    (folder / "torn.json").write_text("[[1, ")
    storage = dock.kernel.storage
    storage._list()
    before = dock.session.review
    hand.click(storage.use)
    assert "torn" in dock.message.text() and dock.session.review is before


def test_in_three_slices(
    make_napari_viewer: Any, noisy: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer = make_napari_viewer()
    hand = Hand(viewer)
    dock = in_review(viewer, hand, noisy, "2.5d")
    tools = dock.kernel
    assert tools.slices.native.isVisibleTo(dock)
    layer = dock.workspace.review.labels(KERNEL)
    found = grid_of(dock)
    tools.angle.setValue(45)
    hand.click(tools.draw)
    assert (grid_of(dock) != found).any(axis=(1, 2)).tolist() == [False, True, False]
    middle_only = grid_of(dock)
    tools.slices.value = "all"
    hand.click(tools.draw)
    np.testing.assert_array_equal(grid_of(dock), line(middle_only, 45, tools.length.value(), slices="all"))
    assert (grid_of(dock) != middle_only).any(axis=(1, 2)).tolist() == [True, False, True]
    validate_kernel(dock.session.review.analysis.kernel, "2.5d")
    assert "in 3 slices" in tools.numbers.text()
    side = grid_of(dock).shape[-1]
    assert not layer.data[:, [side, 2 * side + 1]].any(), "the gaps between the blocks stay empty"
    undo_from(tools.draw)
    np.testing.assert_array_equal(grid_of(dock), middle_only)

    path = save_kernel(tmp_path / "flat.json", np.ones((1, 3), bool))
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *args: (str(path), ""))
    hand.click(tools.storage.load)
    assert "2.5D" in dock.message.text()
    np.testing.assert_array_equal(grid_of(dock), middle_only)
    save_kernel(path, np.ones((3, 3, 3), bool), overwrite=True)
    hand.click(tools.storage.load)
    assert grid_of(dock).sum() == 27


def test_the_ground_below_the_kernel(viewer: Any, hand: Any, dock: Any) -> None:
    tools, layers = dock.kernel, dock.workspace.review.layers
    lags, kernel = layers[LAGS], layers[KERNEL]
    assert tools.heat.value and lags.colormap.map(1.0)[0][:3].any()
    tools.heat.value = False
    assert not lags.colormap.map(1.0)[0][:3].any(), "dark in every theme"
    hand.click(tools.draw)
    assert not tools.heat.value, "an edit does not bring it back"
    tools.heat.value = True
    assert lags.visible and lags.colormap.map(1.0)[0][:3].any()
    tools.opacity.value = 40
    assert kernel.opacity == 0.4
    kernel.opacity = 0.8  # napari's own slider
    assert tools.opacity.value == 80


def test_status_says_the_correlation(dock: Any, hand: Any) -> None:
    review = dock.workspace.review
    correlation = dock.session.review.from_peaks.autocorrelation
    middle = correlation.shape[0] // 2
    for key in (LAGS, KERNEL):
        layer = review.layers[key]
        status = layer.get_status(layer.data_to_world((middle, middle + 1)), world=True)
        assert f"dx +1 px: correlation {correlation[middle, middle + 1]:+.3f}" in status["coordinates"]


def test_a_kernel_layer_that_was_deleted_comes_back(viewer: Any, hand: Any, dock: Any) -> None:
    dock.workspace.noise.model.layers.remove("kernel")
    dock.kernel.angle.setValue(90)
    before = grid_of(dock)
    hand.click(dock.kernel.draw)
    assert (grid_of(dock) != before).any()
    hand.undo()
    np.testing.assert_array_equal(grid_of(dock), before)


def test_without_a_review_there_is_nothing_to_draw_on(make_napari_viewer: Any) -> None:
    dock = StructuredDenoisingWidget(make_napari_viewer())
    assert not dock.kernel.draw.isEnabled() and not dock.kernel.storage.load.isEnabled()
    dock.deleteLater()


@pytest.mark.parametrize(("mode", "edge"), [("2d", 9.9), ("2.5d", 5.5)])
def test_every_pixel_is_seen_and_answers_to_its_click(
    make_napari_viewer: Any, noisy: np.ndarray, mode: str, edge: float
) -> None:
    viewer = small_screen(make_napari_viewer)
    hand = Hand(viewer)
    dock = in_review(viewer, hand, noisy, mode)
    hand.click(dock.review.to_kernel)
    hand.wait(hand.noise_rests)
    layer = dock.workspace.review.labels(KERNEL)
    rows, columns = layer.data.shape
    first, second = hand.at(layer, (0, 0)), hand.at(layer, (rows - 1, columns - 1))
    assert (second.x() - first.x()) / (columns - 1) >= edge, "pixels of the screen"
    assert first.x() > 0 and second.x() < hand.canvas.native.width(), "all slices of the kernel"
    rng = np.random.default_rng(0)
    for y, x in zip(rng.integers(rows, size=25), rng.integers(columns, size=25), strict=True):
        before = layer.data[y, x]
        layer.mode = "erase" if before else "paint"
        protected = (y, x) == (rows // 2, columns // 2) or (mode == "2.5d" and x % (rows + 1) == rows)
        hand.stroke(layer, (y, x))
        assert (layer.data[y, x] != before) != protected, (y, x)
