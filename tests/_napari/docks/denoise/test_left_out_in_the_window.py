"""What is left out: chosen by hand, said, shown over the image; the same in a run that is opened again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hands import open_dock, through_stage1

from napari_autostructn2v._napari.canvas.layer_names import LEFT_OUT, LEFT_OUT_BY_HAND
from napari_autostructn2v._napari.canvas.placement import is_derived
from napari_autostructn2v._napari.docks.denoise.dock import StructuredDenoisingWidget
from napari_autostructn2v._napari.session.state import Phase
from napari_autostructn2v.config import Config
from napari_autostructn2v.events import finish
from napari_autostructn2v.io import read_stack, write_stack
from napari_autostructn2v.pipeline import run
from napari_autostructn2v.runs.request import RunRequest
from napari_autostructn2v.unmeasured import BLANK, REPLACED

FRAME = 8
"""Columns at the left that are black."""
HOT = (2, 40, 40)
SCALE, TRANSLATE = np.array((2.0, 1.5, 1.5)), np.array((0.0, 7.0, 3.0))


@pytest.fixture
def framed(noisy: np.ndarray) -> np.ndarray:
    framed = noisy.copy()
    framed[:, :, :FRAME] = framed.min() - 1
    framed[HOT] = 1000
    return framed


@pytest.fixture
def dock(viewer: Any, framed: np.ndarray) -> StructuredDenoisingWidget:
    viewer.add_image(
        framed, name="tiny", scale=SCALE, translate=TRANSLATE, units=("nm",) * 3, contrast_limits=(-3, 3)
    )
    return open_dock(viewer, 2)


def box_over(viewer: Any, low: tuple[int, int], high: tuple[int, int]) -> Any:
    """A Shapes layer with a box over these pixels, the last ones included."""
    corners = [np.array(low) - 0.5, np.array(high) + 0.5] * SCALE[1:] + TRANSLATE[1:]
    return viewer.add_shapes([corners], shape_type="rectangle", name="box", units=("nm",) * 2)


def test_what_was_never_measured_is_said_and_shown(
    hand: Any, viewer: Any, framed: np.ndarray, dock: StructuredDenoisingWidget
) -> None:
    bar, image = dock.left_out, viewer.layers["tiny"]
    assert not bar.isVisibleTo(dock)
    through_stage1(hand, dock)
    assert bar.isVisibleTo(dock)
    assert bar.text.text() == "10 % of the stack is blank (a frame) and is left out. 1 pixel is hot."
    active = viewer.layers.selection.active
    hand.click(bar.show_pixels)
    layer = viewer.layers[LEFT_OUT]
    expected = np.zeros(framed.shape, np.uint8)
    expected[:, :, :FRAME], expected[HOT] = BLANK, REPLACED
    np.testing.assert_array_equal(layer.data, expected)
    np.testing.assert_allclose(layer.extent.world, image.extent.world)
    assert layer.units == image.units and is_derived(layer)
    assert viewer.layers.selection.active is active, "the brush stays where it was"
    assert bar.show_pixels.text() == "Hide"
    hand.click(bar.show_pixels)
    assert LEFT_OUT not in viewer.layers and bar.show_pixels.text() == "Show"
    hand.click(bar.show_pixels)
    viewer.layers.remove(LEFT_OUT)
    assert bar.show_pixels.text() == "Show", "a person may delete the layer as well"

    hand.click(bar.show_pixels)
    dock.session.messages.confirm("Saved.")
    assert "10 %" in bar.text.text(), "no other message takes its place"
    dock.data.steps.value = 100_000
    hand.click(dock.stage1.run)
    assert LEFT_OUT not in viewer.layers, "it was of the run before"
    hand.wait(lambda: "10 %" in bar.text.text())
    hand.click(dock.stage1.cancel)
    assert "10 %" in bar.text.text() and bar.show_pixels.isVisibleTo(dock), "the run before is back"


def test_what_a_shape_outlines_is_left_out(
    hand: Any, viewer: Any, framed: np.ndarray, dock: StructuredDenoisingWidget
) -> None:
    box = box_over(viewer, (20, 30), (39, 49))
    dock.data.left_out.choose(box)
    through_stage1(hand, dock)
    assert "left out by hand" in dock.left_out.text.text()
    run = dock.session.run
    assert run is not None and run.denoised is not None
    inside = np.zeros(framed.shape, bool)
    inside[:, 20:40, 30:50] = True
    np.testing.assert_array_equal(run.stack.left_out, inside[0])
    same = np.asarray(run.denoised) == framed
    assert same[inside].all() and same[:, :, FRAME:][~inside[:, :, FRAME:]].mean() < 0.01
    hand.click(dock.left_out.show_pixels)
    assert (np.asarray(viewer.layers[LEFT_OUT].data)[inside] == BLANK).all()

    viewer.layers.remove(box)
    assert dock.workspace.left_out_outline is None and dock.session.run is run


def test_an_outline_beside_the_image_is_told_before_anything_starts(
    hand: Any, viewer: Any, dock: StructuredDenoisingWidget
) -> None:
    dock.data.left_out.choose(box_over(viewer, (200, 200), (220, 220)))
    hand.click(dock.stage1.run)
    assert "Nothing in box lies over tiny" in dock.message.text()
    assert dock.session.runner.job is None and dock.session.phase is Phase.DATA
    viewer.add_labels(np.ones((5, 5), int), name="small")
    dock.data.left_out.choose(viewer.layers["small"])
    hand.click(dock.stage1.run)
    assert "small have shape (5, 5), the image (4, 80, 80)" in dock.message.text()


def test_a_run_that_is_opened_again_shows_the_same(
    hand: Any, viewer: Any, framed: np.ndarray, tmp_path: Path
) -> None:
    mask = np.zeros(framed.shape[1:], bool)
    mask[60:, 60:] = True
    short = Config.from_preset("fast").stage1.model_copy(update={"steps": 2})
    source = read_stack(write_stack(tmp_path / "tiny.mrc", framed))
    request = RunRequest("2d", Config(stage1=short, stage2=short), left_out=mask, source=source)
    finish(run(source.array, request, folder=tmp_path / "run"))

    dock = open_dock(viewer)
    dock.workspace.runs.open_folder(tmp_path / "run")
    hand.wait(lambda: dock.session.runner.job is None)
    assert not dock.session.messages.error
    assert "(a frame, left out by hand)" in dock.left_out.text.text()
    hand.click(dock.left_out.show_pixels)
    shown = np.asarray(viewer.layers[LEFT_OUT].data)
    assert (shown[:, mask] == BLANK).all() and (shown[:, :, :FRAME] == BLANK).all()
    assert shown[HOT] == REPLACED
    by_hand = viewer.layers[LEFT_OUT_BY_HAND]
    assert dock.data.left_out.layer() is by_hand, "another run of the same data leaves out the same"
    np.testing.assert_array_equal(by_hand.data > 0, mask)
