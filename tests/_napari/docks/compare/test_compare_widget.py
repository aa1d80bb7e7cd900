"""The Compare dock: real drags, sliders, closing and deleting, files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hands import live
from PIL import Image
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog
from scipy import ndimage

from napari_autostructn2v._napari.docks.compare.dock import CompareWidget
from napari_autostructn2v.judge import score


@pytest.fixture
def dock(viewer: Any, noisy: np.ndarray) -> CompareWidget:
    place = {"scale": (2.0, 1.5, 1.5), "units": ("nm",) * 3}
    viewer.add_image(noisy, name="raw", opacity=0.8, **place)
    viewer.add_image(noisy + 1, name="hidden", visible=False, **place)
    smooth = ndimage.gaussian_filter(noisy, (0, 2, 2))
    viewer.add_image(smooth, name="smooth", translate=(0, 0, 130), **place)
    return open_dock(viewer)


def open_dock(viewer: Any) -> CompareWidget:
    dock = CompareWidget(viewer)
    viewer.window.add_dock_widget(dock, name="Compare")
    dock.second.choose(viewer.layers["smooth"])
    return dock


def look(viewer: Any) -> dict[str, Any]:
    return {
        layer.name: (tuple(layer.translate), layer.visible, layer.opacity, tuple(layer.contrast_limits))
        for layer in viewer.layers
    }


def start(hand: Any, dock: Any, way: str | None) -> None:
    hand.click(dock.ways.ways[way])


@pytest.mark.parametrize("end", ["button", "dock", "layer"])
def test_everything_is_as_before(hand: Any, viewer: Any, dock: Any, end: str) -> None:
    for way in ("row", "column", "swipe", "blink"):
        before = look(viewer)
        start(hand, dock, way)
        assert dock.comparison.way == way and not viewer.layers["smooth"].visible, "it lies elsewhere"
        dock.comparison.seen[0].contrast_limits = (-1, 1)
        smooth = viewer.layers["smooth"]
        if end == "button":
            start(hand, dock, None)
        elif end == "dock":
            hand.close_dock(dock)
        else:
            viewer.layers.remove(smooth)
            before.pop("smooth")
        assert look(viewer) == before, way
        live()
        raw, last = viewer.layers["raw"], viewer.layers[-1]
        limits = tuple(raw.contrast_limits)
        raw.contrast_limits = (-2, 2)
        assert tuple(last.contrast_limits) != (-2, 2), "nothing is linked any more"
        raw.contrast_limits = limits
        if end == "dock":
            dock = open_dock(viewer)
        elif end == "layer":
            viewer.add_layer(smooth)
            dock.second.choose(smooth)


@pytest.mark.parametrize("way", ["row", "column"])
def test_each_in_a_pane_with_one_contrast(hand: Any, viewer: Any, dock: Any, way: str) -> None:
    grid = viewer.canvas.grid
    grid.shape, grid.stride = (2, 2), -2  # as a person may have set it
    start(hand, dock, way)
    left, right = dock.comparison.seen
    assert left is viewer.layers["raw"] and left.name_overlay.visible
    np.testing.assert_allclose(left.extent.world, right.extent.world)
    assert grid.enabled and grid.actual_shape(viewer.layers) == ((1, 2) if way == "row" else (2, 1))
    np.testing.assert_allclose(left.contrast_limits, right.contrast_limits)
    left.contrast_limits = (-1, 1)
    assert tuple(right.contrast_limits) == (-1, 1)
    dock.ways.same_contrast.setChecked(False)
    assert tuple(left.contrast_limits) != tuple(right.contrast_limits)
    start(hand, dock, None)
    assert not left.name_overlay.visible
    assert (grid.enabled, grid.shape, grid.stride, grid.spacing) == (False, (2, 2), -2, 0)


def test_the_field_that_is_looked_at_stays(hand: Any, viewer: Any, dock: Any) -> None:
    camera = viewer.scene.camera
    camera.center, camera.zoom = (0, 40, 50), 12
    for way in ("blink", "row", "swipe", "column", None):
        start(hand, dock, way)
        assert tuple(camera.center) == (0, 40, 50)
        if way in ("row", "column"):
            assert 12 / 2 * 0.9 < camera.zoom < 12
        else:
            assert camera.zoom == pytest.approx(12)


def test_what_is_drawn_while_side_by_side_is_seen_on_the_image(hand: Any, viewer: Any, dock: Any) -> None:
    start(hand, dock, "row")
    points = viewer.add_points(ndim=3)
    assert dock.comparison.way is None and not viewer.canvas.grid.enabled
    assert points.visible and viewer.layers["raw"].visible


def test_neither_noise_nor_image_is_burnt_out(hand: Any, viewer: Any, dock: Any) -> None:
    start(hand, dock, "row")
    low, high = dock.comparison.seen[0].contrast_limits
    for name, most in (("raw", 0.006), ("smooth", 0.011)):
        plane = viewer.layers[name].data[2]
        assert np.mean((plane < low) | (plane > high)) <= most, name
    raw = viewer.layers["raw"].data[2]
    assert high - low < 0.95 * np.ptp(raw), "yet less wide than the noise"


def test_divider_is_dragged_and_follows_the_slider(hand: Any, viewer: Any, dock: Any) -> None:
    start(hand, dock, "swipe")
    swipe = dock.comparison._swipe
    camera = viewer.scene.camera.center
    hand.stroke(swipe.top, (40, 39.5), (40, 45), (40, 59.5))
    assert abs(swipe.column - 60) <= 1 and viewer.scene.camera.center == camera
    for z in (1, 3):
        viewer.dims.set_current_step(0, z)
        assert np.isnan(swipe.top.data[:, : swipe.column]).all()
        np.testing.assert_array_equal(
            swipe.top.data[:, swipe.column :], viewer.layers["smooth"].data[z][:, swipe.column :]
        )
    hand.stroke(swipe.top, (40, 10), (40, 20))
    assert abs(swipe.column - 60) <= 1, "a drag elsewhere moves the image"


def test_blinks(hand: Any, dock: Any) -> None:
    start(hand, dock, "blink")
    dock.ways.rate.setValue(10)
    seen = set()
    hand.wait(lambda: seen.add(tuple(c.opacity for c in dock.comparison.seen)) or len(seen) == 2, 3)
    assert seen == {(1, 0), (0, 1)}


@pytest.mark.parametrize("focus", ["canvas", "dock"])
def test_keys_move_the_divider_and_step_through_the_layers(
    hand: Any, viewer: Any, dock: Any, focus: str
) -> None:
    def press(key: Qt.Key) -> None:
        if focus == "dock":
            QTest.keyClick(dock, key)
        else:
            hand.key(key)

    start(hand, dock, "swipe")
    before = dock.comparison._swipe.column
    press(Qt.Key.Key_Period)
    press(Qt.Key.Key_Period)
    press(Qt.Key.Key_Comma)
    assert dock.comparison._swipe.column == before + 2
    start(hand, dock, "blink")
    press(Qt.Key.Key_Period)
    seen = dock.comparison.in_sight
    QTest.qWait(700)  # longer than a blink
    assert dock.comparison.in_sight == seen, "whoever steps is not hurried on"
    press(Qt.Key.Key_Comma)
    assert dock.comparison.in_sight != seen
    dock.compare(None)
    assert not {",", "."} & {str(key) for key in viewer.keymap}


def test_line_profile_follows(hand: Any, viewer: Any, dock: Any) -> None:
    hand.click(dock.profile.draw)
    line = dock.profile.line

    def curve() -> np.ndarray:
        return dock.profile.plot.listDataItems()[0].getData()[1]

    first = curve()
    np.testing.assert_allclose(first[0], viewer.layers["raw"].data[viewer.dims.current_step[0], 40, 20])
    viewer.dims.set_current_step(0, 0)
    hand.wait(lambda: not np.array_equal(curve(), first), 3)
    second = curve()
    line.data = [np.array([[10, 5], [60, 5]])]
    hand.wait(lambda: not np.array_equal(curve(), second), 3)
    assert len(dock.profile.plot.listDataItems()) == 2
    hand.click(dock.profile.draw)
    assert "profile line" not in viewer.layers


def test_an_end_of_the_line_is_dragged(hand: Any, viewer: Any, dock: Any) -> None:
    hand.click(dock.profile.draw)
    line = dock.profile.line
    viewer.reset_view()
    (start_end,) = line.data
    line.mode = "direct"
    before = dock.profile.plot.listDataItems()[0].getData()[0]
    hand.stroke(line, tuple(start_end[1]), (50, 62), (70, 70))
    (moved,) = line.data
    np.testing.assert_array_equal(moved[0], start_end[0])
    np.testing.assert_allclose(moved[1], (70, 70), atol=1)

    def length() -> float:
        return float(dock.profile.plot.listDataItems()[0].getData()[0][-1])

    expected = 1.5 * float(np.hypot(*(moved[1] - moved[0])))
    hand.wait(lambda: abs(length() - expected) < 2, 3)
    assert length() != before[-1], "the plot followed"


@pytest.mark.parametrize("way", ["row", "swipe", "blink"])
def test_the_window_closes_while_layers_are_compared(
    make_napari_viewer: Any, noisy: np.ndarray, way: str
) -> None:
    from hands import Hand

    viewer = make_napari_viewer(show=True)
    viewer.add_image(noisy, name="raw")
    viewer.add_image(noisy + 1, name="other")
    _, dock = viewer.window.add_plugin_dock_widget("napari-autostructn2v", "Compare")
    hand = Hand(viewer)
    start(hand, dock, way)
    hand.click(dock.profile.draw)
    comparison = dock.comparison
    viewer.close()
    hand.wait(lambda: comparison.way is None, 3)
    assert [layer.name for layer in viewer.layers if "compared" in layer.name] == []


def test_removed_and_measured(hand: Any, viewer: Any, dock: Any) -> None:
    hand.click(dock.difference.show_layer)
    np.testing.assert_allclose(
        np.asarray(dock.removed.data[2]), viewer.layers["raw"].data[2] - viewer.layers["smooth"].data[2]
    )
    hand.click(dock.difference.measure)
    hand.wait(lambda: dock.difference.text.isVisibleTo(dock) or dock.message.text())
    assert "what was removed" in dock.difference.text.text()
    viewer.layers.remove(dock.removed)
    assert dock.removed is None


def test_a_second_recording_judges(hand: Any, viewer: Any, dock: Any) -> None:
    panel = dock.judge
    hand.click(dock.sections[3].button)
    assert not panel.judge.isEnabled()
    raw, smooth = (viewer.layers[name].data for name in ("raw", "smooth"))
    again = viewer.add_image(smooth + np.random.default_rng(7).normal(size=raw.shape) * (raw - smooth).std())
    panel.recording.choose(again)
    hand.click(panel.judge)
    hand.wait(lambda: panel.text.isVisibleTo(dock) or dock.message.text())
    said = panel.text.text()
    assert score(smooth, raw, again.data).sentences[0] in said and "nm at a correlation of 0.5" in said
    assert panel.curve.isVisibleTo(dock)
    panel.recording.choose(viewer.layers["raw"])
    assert not panel.text.isVisibleTo(dock), "what was said is not of this one"
    hand.click(panel.judge)
    assert "a third layer" in dock.message.text()


def test_other_shapes_are_refused(viewer: Any, dock: Any) -> None:
    viewer.add_image(np.zeros((3, 20, 20)), name="small")
    dock.second.choose(viewer.layers["small"])
    assert "same shape" in dock.message.text() and not dock.ways.ways["row"].isEnabled()


@pytest.mark.parametrize("kind", ["png", "gif"])
def test_export(
    hand: Any, viewer: Any, dock: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path = tmp_path / f"out.{kind}"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args: (str(path), ""))
    hand.click(dock.png if kind == "png" else dock.gif)
    hand.wait(lambda: "Saved" in dock.message.text())
    with Image.open(path) as picture:
        assert picture.size == (2 * 400 + 6, 400 + 26)
        assert getattr(picture, "n_frames", 1) == (4 if kind == "gif" else 1)


def test_opened_from_the_result_and_closed_from_the_menu(make_napari_viewer: Any, noisy: np.ndarray) -> None:
    from hands import Hand

    from napari_autostructn2v._napari.docks.denoise.dock import StructuredDenoisingWidget

    viewer = make_napari_viewer(show=True)
    viewer.add_image(noisy, name="raw")
    viewer.add_image(noisy + 1, name="other")
    main = StructuredDenoisingWidget(viewer)
    viewer.window.add_dock_widget(main, name="Structured denoising")
    main.result.compare.setEnabled(True)
    hand = Hand(viewer)
    hand.click(main.result.compare)
    dock, widget = viewer.window.add_plugin_dock_widget("napari-autostructn2v", "Compare")
    assert dock.isVisible()
    start(hand, widget, "row")
    main.parent().raise_()
    hand.wait(lambda: not widget.visibleRegion().boundingRect().isValid())
    assert widget.comparison.way == "row", "another tab is in front, the comparison goes on"
    dock.hide()
    assert widget.comparison.way is None and viewer.layers["raw"].visible


def test_every_control_has_a_tooltip(dock: Any) -> None:
    from qtpy.QtWidgets import QAbstractSpinBox, QCheckBox, QComboBox, QProgressBar, QPushButton

    for kind in (QAbstractSpinBox, QCheckBox, QComboBox, QProgressBar, QPushButton):
        for widget in dock.findChildren(kind):
            assert widget.toolTip(), f"{kind.__name__} has no tooltip"
