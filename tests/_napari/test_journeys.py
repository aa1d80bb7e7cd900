"""The ways of those who know what they want, each in a window of its own: layers and clicks are counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hands import CountingHand, live, open_dock, small_screen
from PIL import Image
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QFileDialog

from napari_autostructn2v import synthetic
from napari_autostructn2v._napari import PLUGIN
from napari_autostructn2v._napari.canvas.layer_names import PEAKS
from napari_autostructn2v._napari.docks.compare.dock import CompareWidget
from napari_autostructn2v._napari.docks.denoise.decision_bar import MAIN
from napari_autostructn2v._napari.session.state import Phase
from napari_autostructn2v.io import VoxelSize, read_stack, write_stack
from napari_autostructn2v.noise.review import Mark

STEPS = 4
NM = VoxelSize(2.0, 1.5, 1.5)


@pytest.fixture
def viewer(make_napari_viewer: Any) -> Any:
    return small_screen(make_napari_viewer)


@pytest.fixture
def hand(viewer: Any) -> CountingHand:
    return CountingHand(viewer)


@pytest.fixture
def tomogram(tmp_path: Path) -> Path:
    """A stack with streaks along X."""
    made = synthetic.sample("reconstruction", shape=(6, 96, 96), seed=1)
    return write_stack(tmp_path / "tomo.mrc", made.noisy, voxel_size=NM)


def answer(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """Have this path chosen in every dialog for files."""
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args: (str(path), ""))
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *args: str(path))


def until(hand: CountingHand, dock: Any, phase: Phase) -> None:
    """Wait for the end of what was clicked."""
    session = dock.session
    hand.wait(lambda: session.messages.error or (session.phase is phase and session.runner.job is None))
    assert not session.messages.error


def names(viewer: Any) -> list[str]:
    return [layer.name for layer in viewer.layers]


def saved(hand: CountingHand, dock: Any) -> None:
    hand.save_result(dock)
    hand.wait(lambda: "Saved" in dock.message.text() or dock.session.messages.error)
    assert not dock.session.messages.error


def test_of_noise_without_structure_stage_1_is_kept_and_saved(
    viewer: Any, hand: CountingHand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = synthetic.sample("scan_lines", shape=(6, 96, 96), structured=0.0, white=1.0)
    viewer.add_image(made.noisy, name="plain", scale=(1, 1, 1), units=("nm",) * 3)
    dock = open_dock(viewer, STEPS)
    hand.click(dock.stage1.run)
    until(hand, dock, Phase.REVIEW)
    assert dock.review.card.pill.text() == "Stage 2 adds nothing"
    assert dock.review.skip.styleSheet() == MAIN and dock.review.approve.styleSheet() != MAIN
    hand.click(dock.review.skip)
    until(hand, dock, Phase.RESULT)
    assert names(viewer) == ["plain", "plain stage 1"], "nothing is added to what is kept"
    assert "stage 2 was skipped" in dock.result.summary.text()
    answer(monkeypatch, tmp_path / "kept.tif")
    saved(hand, dock)
    kept = read_stack(tmp_path / "kept.tif")
    np.testing.assert_allclose(kept.array, viewer.layers["plain stage 1"].data, rtol=1e-6)
    assert hand.clicks == 4, "run, keep, save and its answer"
    opened: list[str] = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: opened.append(url.toLocalFile()))
    hand.click(dock.open_folder)
    assert opened == [str(tmp_path)]
    assert dock.open_folder.isHidden() and not dock.message.text(), "it goes at the next click"


def test_peaks_are_edited_below_the_image_and_approved(
    viewer: Any, hand: CountingHand, tomogram: Path
) -> None:
    viewer.open(tomogram, plugin=PLUGIN)
    dock = open_dock(viewer, STEPS)
    hand.click(dock.stage1.run)
    until(hand, dock, Phase.REVIEW)
    camera = viewer.scene.camera.zoom
    hand.click(dock.review.to_spectrum)
    hand.over_noise()
    peaks, found = dock.workspace.review.labels(PEAKS), dock.session.review
    free = next(map(tuple, np.argwhere(found.peak_marks[2:-2, 2:-2] == Mark.NONE) + 2))
    hand.stroke(peaks, free)
    added = dock.session.review.peak_marks
    assert added[free] == Mark.ADDED and added[::-1, ::-1][free] == Mark.ADDED
    hand.undo()
    np.testing.assert_array_equal(dock.session.review.peak_marks, found.peak_marks)
    hand.redo()
    legend = dock.workspace.noise.dock.legend
    assert legend.counts[Mark.ADDED].text() == "2 added"
    assert names(viewer) == ["tomo", "tomo stage 1"], "what is painted on is in no one's way"
    hand.click(dock.review.approve)
    until(hand, dock, Phase.RESULT)
    assert names(viewer) == ["tomo", "tomo stage 1", "tomo denoised"]
    assert dock.session.review.peak_marks[free] == Mark.ADDED, "the edit is that of the run"
    assert hand.clicks == 3 and viewer.scene.camera.zoom <= camera


def test_a_review_is_taken_to_slices_together_and_seen_in_another_cut(
    viewer: Any, hand: CountingHand, tomogram: Path
) -> None:
    (image,) = viewer.open(tomogram, plugin=PLUGIN)
    dock = open_dock(viewer, STEPS)
    hand.click(dock.stage1.run)
    until(hand, dock, Phase.REVIEW)
    first = dock.session.run.stage1
    assert dock.review.advice.text() == "Try 2.5D" and dock.review.advice.styleSheet() == MAIN
    hand.click(dock.review.advice)
    until(hand, dock, Phase.REVIEW)
    assert dock.session.run.stage1 is first, "without another training"
    assert dock.data.mode.value == "2.5d" and "2.5D" in dock.review.card.whose.text()
    assert dock.review.approve.styleSheet() == MAIN
    hand.click(dock.review.approve)
    until(hand, dock, Phase.RESULT)
    result = viewer.layers["tomo denoised"]
    assert dock.session.run.stage2.model.mode == "2.5d" and len(viewer.layers) == 3
    viewer.dims.order = (1, 0, 2)  # as napari's button that rolls the axes
    live()
    assert result.visible and image.visible
    np.testing.assert_array_equal(result.corner_pixels, image.corner_pixels)
    place = (3, 40, 50)
    np.testing.assert_allclose(result.data_to_world(place), image.data_to_world(place))
    assert hand.clicks == 3


def test_a_new_stage_1_is_given_up_and_then_another_stack_taken(
    viewer: Any, hand: CountingHand, tomogram: Path
) -> None:
    viewer.open(tomogram, plugin=PLUGIN)
    dock = open_dock(viewer, STEPS)
    session = dock.session
    hand.click(dock.stage1.run)
    until(hand, dock, Phase.REVIEW)
    run, review = session.run, session.review
    dock.data.steps.value = 400
    hand.click(dock.stage1.run)
    hand.wait(lambda: session.monitor.at_step)
    hand.click(dock.stage1.cancel)
    hand.wait(lambda: session.runner.job is None)
    assert session.run is run and session.phase is Phase.REVIEW
    assert session.review.peak_edits == review.peak_edits
    assert names(viewer) == ["tomo", "tomo stage 1"] and "Resume" in dock.message.text()
    assert hand.clicks == 3

    viewer.layers.select_all()
    viewer.layers.remove_selected()
    live()
    other = viewer.add_image(np.flip(run.source.array, axis=1).copy(), name="other", scale=(2, 1.5, 1.5))
    live()
    assert dock.workspace.chosen is other
    bar = dock.others[Phase.REVIEW]
    assert bar.text.text() == "This is of tomo." and not dock.review.isEnabled()
    assert dock.sections[Phase.DATA].button.isChecked(), "where one goes on"
    dock.data.steps.value = STEPS
    hand.click(dock.stage1.run)
    until(hand, dock, Phase.REVIEW)
    assert dock.review.isEnabled() and bar.isHidden() and dock.review.card.whose.text().startswith("other")
    assert names(viewer) == ["other", "other stage 1"] and hand.clicks == 4


def test_what_is_compared_and_what_is_taken_of_it(
    viewer: Any, hand: CountingHand, tomogram: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (raw,) = viewer.open(tomogram, plugin=PLUGIN)
    viewer.add_image(np.asarray(raw.data) + 1, name="other", scale=raw.scale, units=raw.units)
    _, dock = viewer.window.add_plugin_dock_widget(PLUGIN, "Compare")
    assert isinstance(dock, CompareWidget)
    live()
    camera = viewer.scene.camera
    camera.center, camera.zoom = (0, 60, 70), 12
    before = [(layer.name, layer.visible, layer.opacity) for layer in viewer.layers]
    for way in ("row", "blink", None):
        hand.click(dock.ways.ways[way])
    assert tuple(camera.center) == (0, 60, 70) and camera.zoom == pytest.approx(12)
    assert [(layer.name, layer.visible, layer.opacity) for layer in viewer.layers] == before
    for button in dock.ways.ways.values():
        assert button.mapTo(dock, button.rect().topLeft()).x() > 6, "at the edge of the dock"

    answer(monkeypatch, tmp_path / "part.png")
    hand.click(dock.sections[-1].button)
    hand.click(dock.png)
    hand.wait(lambda: "Saved" in dock.message.text())
    rows, columns = (end - start + 1 for start, end in raw.corner_pixels[:, -2:].T)
    assert columns < 60, "only a part of 96 columns is seen"
    zoom = -(-360 // columns)
    with Image.open(tmp_path / "part.png") as picture:
        assert picture.size == (2 * columns * zoom + 6, rows * zoom + 26)
    assert hand.clicks == 5 and len(viewer.layers) == 2


def test_a_run_is_taken_up_on_another_day_in_the_layer_that_is_open(
    viewer: Any,
    hand: CountingHand,
    tomogram: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make_napari_viewer: Any,
) -> None:
    viewer.open(tomogram, plugin=PLUGIN)
    dock = open_dock(viewer, STEPS)
    hand.click(dock.stage1.run)
    until(hand, dock, Phase.REVIEW)
    answer(monkeypatch, tmp_path / "kept")
    hand.choose(dock.result.more, dock.result.save_run)
    hand.wait(lambda: dock.session.disk.saved_in is not None or dock.session.messages.error)
    assert not dock.session.messages.error and hand.clicks == 2
    kernel = dock.session.review.analysis.kernel
    viewer.close()

    another = make_napari_viewer()
    again = open_dock(another)
    hand = CountingHand(another)
    (image,) = another.open(tomogram, plugin=PLUGIN)
    hand.click(again.data.open_run)
    until(hand, again, Phase.REVIEW)
    assert names(another) == ["tomo", "tomo stage 1"], "no second copy"
    assert again.workspace.source_layer is image
    np.testing.assert_array_equal(again.session.review.analysis.kernel, kernel)
    hand.click(again.review.approve)
    until(hand, again, Phase.RESULT)
    assert names(another) == ["tomo", "tomo stage 1", "tomo denoised"] and hand.clicks == 2
