"""A trained model on other stacks: layers and files in a queue."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QAbstractButton, QApplication, QComboBox, QFileDialog, QLineEdit, QProgressBar

from napari_autostructn2v import Config, load_model, train
from napari_autostructn2v._napari.batch.queue import Entry, State
from napari_autostructn2v._napari.docks.apply.dock import ApplyModelWidget
from napari_autostructn2v._napari.docks.denoise.dock import StructuredDenoisingWidget
from napari_autostructn2v._napari.session.state import Phase
from napari_autostructn2v.events import finish
from napari_autostructn2v.io import VoxelSize, read_stack, write_stack
from napari_autostructn2v.kernel import POINT
from napari_autostructn2v.pipeline import denoise_with

VOXELS = VoxelSize(2, 1.5, 1.5)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, noisy: np.ndarray) -> Path:
    config = Config.from_preset("fast").stage1.model_copy(update={"steps": 2})
    return finish(train(noisy, POINT, config)).save(tmp_path_factory.mktemp("models") / "model.zip")


def open_dock(viewer: Any) -> ApplyModelWidget:
    widget = ApplyModelWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Apply trained model")
    return widget


@pytest.fixture
def widget(viewer: Any, noisy: np.ndarray) -> ApplyModelWidget:
    """A dock over one layer, which is selected and not yet queued."""
    viewer.add_image(noisy, name="other", scale=(2, 1, 1), units=("nm",) * 3)
    return open_dock(viewer)


@pytest.fixture
def files(tmp_path: Path, noisy: np.ndarray) -> list[Path]:
    """An MRC file, a truncated one, a TIFF file."""
    paths = [tmp_path / name for name in ("a.mrc", "short.mrc", "b.ome.tif")]
    for path in paths:
        write_stack(path, noisy, voxel_size=VOXELS)
    paths[1].write_bytes(paths[1].read_bytes()[:9000])
    return paths


@pytest.fixture
def long(viewer: Any, widget: Any, hand: Any, noisy: np.ndarray, model: Path) -> Entry:
    """An entry that is at work and will be for long; another waits behind it."""
    viewer.layers.clear()
    widget.path.value = model
    viewer.add_image(noisy, name="short")
    viewer.add_image(np.tile(noisy, (100, 1, 1)), name="long")
    for name in ("long", "short"):
        viewer.layers.selection = {viewer.layers[name]}
        hand.click(widget.add_layers)
    hand.click(widget.run)
    entry = widget._batch.entries[0]
    hand.wait(lambda: entry.share > 0)
    return entry


def states(widget: Any) -> list[tuple[str, str]]:
    """What the list says."""
    rows = [widget.entries.topLevelItem(i) for i in range(widget.entries.topLevelItemCount())]
    return [(row.text(0), row.text(1).split()[0]) for row in rows]


def select(widget: Any, *rows: int) -> None:
    for row in range(widget.entries.topLevelItemCount()):
        widget.entries.topLevelItem(row).setSelected(row in rows)


def drop(target: Any, paths: list[Path]) -> bool:
    """Drag paths from the desktop onto a widget; return whether it took them."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    how = (Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
    enter = QDragEnterEvent(QPoint(5, 5), *how)
    QApplication.sendEvent(target, enter)
    if not enter.isAccepted():
        return False
    event = QDropEvent(QPointF(5, 5), *how)
    QApplication.sendEvent(target, event)
    return event.isAccepted()


def over(widget: Any) -> bool:
    return not widget._batch.going and widget._batch.runner.job is None


def test_results_appear_in_the_place_of_their_layers(
    hand: Any, viewer: Any, widget: Any, model: Path, noisy: np.ndarray
) -> None:
    assert not widget.run.isEnabled() and "model" in widget.message.text()
    widget.path.value = model
    assert not widget.run.isEnabled() and "layers" in widget.message.text()
    viewer.add_image(noisy[0], name="slice")
    viewer.layers.select_all()
    hand.click(widget.add_layers)
    hand.click(widget.add_layers)
    assert states(widget) == [("other", "waiting"), ("slice", "waiting")], "each of them once"
    hand.click(widget.run)
    assert widget.cancel_all.isVisibleTo(widget) and not widget.run.isVisibleTo(widget)
    hand.wait(lambda: over(widget))
    assert states(widget) == [("other", "done"), ("slice", "done")]
    result = viewer.layers["other denoised"]
    np.testing.assert_allclose(result.scale, (2, 1, 1))
    np.testing.assert_allclose(result.extent.world, viewer.layers["other"].extent.world)
    np.testing.assert_array_equal(result.data, finish(denoise_with(noisy, load_model(model))))
    assert viewer.layers["slice denoised"].data.shape == noisy[0].shape
    # all of it again, the first results stay
    assert widget.run.text() == "Denoise again"
    hand.click(widget.run)
    hand.wait(lambda: over(widget))
    assert "other denoised [1]" in viewer.layers


def test_each_result_is_seen_beside_its_own_source(
    hand: Any, viewer: Any, widget: Any, model: Path, files: list[Path], noisy: np.ndarray
) -> None:
    before = viewer.add_image(noisy, name="next", scale=(2, 1, 1), units=("nm",) * 3)
    viewer.layers.selection = {before}
    widget.path.value = model
    hand.click(widget.add_layers)
    drop(widget.entries.viewport(), [files[0]])
    hand.click(widget.run)
    hand.wait(lambda: over(widget))

    def seen() -> list[str]:
        return [layer.name for layer in viewer.layers if layer.visible]

    assert seen() == ["a", "a denoised"] and viewer.canvas.grid.enabled
    row = widget.entries.topLevelItem(0)
    spot = widget.entries.visualItemRect(row).center()
    QTest.mouseClick(widget.entries.viewport(), Qt.MouseButton.LeftButton, pos=spot)
    hand.wait(lambda: seen() == ["next", "next denoised"])
    hand.click(widget.strip.buttons["denoised"])
    assert "next denoised" in seen() and "next" not in seen() and not viewer.canvas.grid.enabled


def test_files_of_several_kinds_with_a_truncated_one_among_them(
    hand: Any,
    viewer: Any,
    widget: Any,
    model: Path,
    files: list[Path],
    noisy: np.ndarray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    widget.path.value = model
    hand.click(widget.add_layers)
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *args: ([str(p) for p in files], ""))
    hand.click(widget.add_files)
    widget.output.value = True
    assert not widget.run.isEnabled() and "folder" in widget.message.text()
    out = tmp_path / "out"
    out.mkdir()
    (out / "b_clean.ome.tif").write_text("precious")
    widget.folder.value = out
    widget.ending.value = "_clean"
    hand.click(widget.run)
    hand.wait(lambda: over(widget))
    expected = [("other", "done"), ("a.mrc", "done"), ("short.mrc", "failed"), ("b.ome.tif", "failed")]
    assert states(widget) == expected
    assert "cut short" in widget.entries.topLevelItem(2).toolTip(1)
    assert "exists already" in widget.message.text(), "that of the last"
    select(widget, 2)
    assert "cut short" in widget.message.text()
    assert (out / "b_clean.ome.tif").read_text() == "precious"

    widget.replace.native.click()
    hand.click(widget.run)  # what has failed, once more
    hand.wait(lambda: over(widget))
    assert states(widget)[3] == ("b.ome.tif", "done")
    assert {path.name for path in out.iterdir()} == {"a_clean.mrc", "b_clean.ome.tif", "other_clean.tif"}
    right = finish(denoise_with(noisy, load_model(model)))
    for name in ("a_clean.mrc", "b_clean.ome.tif", "other_clean.tif"):
        written = read_stack(out / name)
        np.testing.assert_array_equal(np.asarray(written.array), right)
        assert written.voxel_size is not None and written.voxel_size.z == 2
    assert [layer.name for layer in viewer.layers] == ["other"]


def test_neither_a_source_nor_another_result_is_replaced(
    hand: Any, widget: Any, model: Path, files: list[Path], tmp_path: Path
) -> None:
    folder = tmp_path / "sub"
    folder.mkdir()
    twin = folder / "a.mrc"
    before = files[0].read_bytes()
    twin.write_bytes(before)
    widget.path.value = model
    widget._batch.configure(to_folder=True, folder=tmp_path, ending="", replace=True)
    drop(widget.entries.viewport(), [files[0]])
    hand.click(widget.run)
    hand.wait(lambda: over(widget))
    assert states(widget) == [("a.mrc", "failed")] and "source" in widget.message.text()
    assert files[0].read_bytes() == before
    drop(widget.entries.viewport(), [twin])
    widget.ending.value = "_new"
    hand.click(widget.run)
    hand.wait(lambda: over(widget))
    assert states(widget) == [("a.mrc", "done"), ("a.mrc", "done")]
    names = {path.name for path in tmp_path.glob("*_new.mrc")}
    assert names == {f"{tmp_path.name}_a_new.mrc", "sub_a_new.mrc"}, "they are told apart"


def test_a_dropped_file_becomes_two_layers(
    hand: Any, viewer: Any, widget: Any, model: Path, files: list[Path]
) -> None:
    widget.path.value = model
    assert drop(widget.entries.viewport(), [files[0], files[2], files[0]])
    assert states(widget) == [("a.mrc", "waiting"), ("b.ome.tif", "waiting")]
    data = QMimeData()
    data.setText("no file")
    enter = QDragEnterEvent(
        QPoint(5, 5),
        Qt.DropAction.CopyAction,
        data,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    QApplication.sendEvent(widget.entries.viewport(), enter)
    assert not enter.isAccepted()
    select(widget, 1)
    hand.click(widget.remove)
    hand.click(widget.run)
    hand.wait(lambda: over(widget))
    source, result = viewer.layers["a"], viewer.layers["a denoised"]
    np.testing.assert_allclose(source.scale, (2, 1.5, 1.5))
    np.testing.assert_allclose(result.extent.world, source.extent.world)
    assert "b" not in viewer.layers


def test_damaged_model_is_told(hand: Any, viewer: Any, widget: Any, tmp_path: Path) -> None:
    hand.click(widget.add_layers)
    for name, content in (("missing.zip", None), ("damaged.zip", b"PK nonsense")):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        widget.path.value = tmp_path / name
        hand.click(widget.run)
        hand.wait(lambda: over(widget))
        assert name in widget.message.text()
        assert states(widget) == [("other", "waiting")], "it is not the stack's fault"
        assert len(viewer.layers) == 1


def test_cancel_one_and_the_next_goes_on(hand: Any, viewer: Any, widget: Any, long: Entry) -> None:
    hand.wait(lambda: "left" in widget.bar.text())
    assert "0 of 2" in widget.bar.text()
    assert widget.entries.topLevelItem(0).text(1).endswith("%")
    select(widget, 0)
    hand.click(widget.cancel)
    hand.wait(lambda: over(widget))
    assert states(widget) == [("long", "cancelled"), ("short", "done")]
    assert "long denoised" not in viewer.layers and "short denoised" in viewer.layers


def test_cancel_all_and_start_again_at_once(hand: Any, viewer: Any, widget: Any, long: Entry) -> None:
    first = widget._batch.runner.job
    at_work: list[str] = []
    widget._batch.runner.started.connect(lambda job: at_work.append(inspect.getgeneratorstate(first.stream)))
    hand.click(widget.cancel_all)
    assert states(widget) == [("long", "cancelled"), ("short", "cancelled")]
    select(widget, 0)
    hand.click(widget.remove)
    hand.click(widget.run)
    hand.wait(lambda: over(widget))
    assert set(at_work) == {inspect.GEN_CLOSED}, "not before the one before has ended: they share the network"
    assert states(widget) == [("short", "done")]
    assert {layer.name for layer in viewer.layers} == {"long", "short", "short denoised"}


def test_cancelled_in_the_middle_of_a_file_leaves_nothing(
    hand: Any, widget: Any, model: Path, noisy: np.ndarray, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    write_stack(tmp_path / "long.tif", np.tile(noisy, (100, 1, 1)))
    widget._batch.configure(model=model, to_folder=True, folder=out)
    drop(widget.entries.viewport(), [tmp_path / "long.tif"])
    hand.click(widget.run)
    hand.wait(lambda: widget._batch.entries[0].share > 0)
    hand.click(widget.cancel_all)
    hand.wait(lambda: over(widget))
    assert not list(out.iterdir())


def test_removed_layer_leaves_the_queue(hand: Any, viewer: Any, widget: Any, long: Entry) -> None:
    viewer.layers.remove("long")
    hand.wait(lambda: over(widget))
    assert states(widget) == [("short", "done")]


def test_dock_closed_and_opened_again_while_it_works(
    hand: Any, viewer: Any, widget: Any, long: Entry
) -> None:
    hand.close_dock(widget)
    assert long.state is State.RUNNING
    again = open_dock(viewer)
    assert states(again) == [("long", "running"), ("short", "waiting")]
    assert again.path.value == again._batch.settings.model
    assert again.cancel_all.isVisibleTo(again)
    hand.click(again.cancel_all)
    hand.wait(lambda: over(again))


@pytest.mark.parametrize("shown", [False, True])
def test_closing_the_window_stops_it(hand: Any, viewer: Any, widget: Any, long: Entry, shown: bool) -> None:
    if shown:
        viewer.window.show()
    job = widget._batch.runner.job
    viewer.close()
    hand.wait(job.control.cancelled.is_set, 2.0)


def test_model_of_the_session(hand: Any, viewer: Any, widget: Any, noisy: np.ndarray) -> None:
    dock = StructuredDenoisingWidget(viewer)
    viewer.window.add_dock_widget(dock, name="Structured denoising")
    dock.data.preset.value, dock.data.steps.value = "fast", 2
    dock.result.recovery.value = 50
    widget.model.value = True
    assert "session has no model" in widget.message.text()
    hand.click(dock.stage1.run)
    hand.wait(lambda: dock.session.phase is Phase.REVIEW or dock.session.messages.error)
    layer = viewer.add_image(noisy[::-1], name="next")
    viewer.layers.selection = {layer}
    hand.click(widget.add_layers)
    hand.click(widget.run)
    hand.wait(lambda: over(widget))
    right = finish(denoise_with(noisy[::-1], dock.session.run.model, recovery=dock.session.run.recovery))
    np.testing.assert_array_equal(viewer.layers["next denoised"].data, right)
    assert dock.session.run.recovery == 0.5


def test_unsuitable_layers_are_told(hand: Any, viewer: Any, widget: Any, model: Path) -> None:
    viewer.layers.clear()
    widget.path.value = model
    viewer.add_image(np.zeros((64, 64, 3), np.uint8), name="colours")
    viewer.add_labels(np.zeros((64, 64), int), name="labels")
    viewer.layers.select_all()
    hand.click(widget.add_layers)
    assert "labels" in widget.message.text()
    hand.click(widget.run)
    hand.wait(lambda: over(widget))
    assert states(widget) == [("colours", "failed")] and "RGB" in widget.message.text()


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_fits_a_small_screen(make_napari_viewer: Any, noisy: np.ndarray, theme: str) -> None:
    viewer = make_napari_viewer(show=True)
    viewer.theme = theme
    viewer.window._qt_window.resize(1280, 800)
    viewer.add_image(noisy)
    widget = open_dock(viewer)
    widget.output.value = True
    QApplication.processEvents()
    assert viewer.window._qt_window.height() <= 800
    assert 300 <= widget.width() <= 400
    for kind in (QAbstractButton, QComboBox, QLineEdit, QProgressBar):
        for control in widget.findChildren(kind):
            parents = (control, control.parentWidget())
            assert any(each.toolTip() for each in parents), f"{kind.__name__} {control.objectName()}"
