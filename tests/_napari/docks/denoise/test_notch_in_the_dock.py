"""Notch, kernel switch and outlined background in the dock."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from napari_autostructn2v import load_model, synthetic
from napari_autostructn2v._napari.canvas.image_layers import ImageLayers
from napari_autostructn2v._napari.canvas.layer_names import PEAKS
from napari_autostructn2v._napari.canvas.outline import outlined_region
from napari_autostructn2v._napari.docks.denoise.dock import StructuredDenoisingWidget
from napari_autostructn2v._napari.session.session import Session
from napari_autostructn2v._napari.session.state import Phase
from napari_autostructn2v.computed import ComputedArray
from napari_autostructn2v.errors import StackError
from napari_autostructn2v.noise.review import Mark
from napari_autostructn2v.runs.output import StageOutput

SHAPE = (8, 100, 100)


@pytest.fixture(scope="module")
def reviewed() -> dict[str, Any]:
    """A stack with lines along X and a hum."""
    made = synthetic.sample("lines_and_hum", shape=SHAPE, structured=1.5)
    return {"image": made.noisy, "name": "both", "scale": (2.0, 1.5, 1.5), "units": ("nm",) * 3}


@pytest.fixture
def viewer(window_in_review: Any) -> Any:
    return window_in_review.viewer


@pytest.fixture
def dock(window_in_review: Any) -> Iterator[StructuredDenoisingWidget]:
    with window_in_review.dock() as dock:
        yield dock


def test_the_notch_is_proposed_and_can_be_switched_off(hand: Any, dock: Any) -> None:
    review = dock.review
    assert "wave" in review.card.summary.text() and "nm" in review.card.summary.text()
    assert "notch of 1 part;" in review.card.numbers.text()
    kernel = dock.session.review.analysis.kernel
    review.notch.value = "off"
    assert "no notch;" in review.card.numbers.text() and not dock.session.review.analysis.notch
    review.notch.value = "auto"
    np.testing.assert_array_equal(dock.session.review.analysis.kernel, kernel)
    review.find_kernel.value = False
    analysis = dock.session.review.analysis
    assert analysis.kernel.tolist() == [[True]] and analysis.notch
    assert dock.workspace.review.labels("kernel").data.sum() == 1


def test_what_the_notch_takes_is_a_layer_that_follows_the_peaks(hand: Any, viewer: Any, dock: Any) -> None:
    hand.click(dock.review.pattern)
    pattern = viewer.layers["both pattern"]
    assert pattern.data.shape == SHAPE and dock.review.pattern.text() == "Hide pattern"
    shown = np.asarray(pattern.data[3])
    truth = viewer.layers["both"].data[3]
    assert np.corrcoef(shown.ravel(), truth.ravel())[0, 1] > 0.3
    assert pattern not in [dock.data.layer.layer()]
    assert "both pattern" not in [dock.data.layer.itemText(i) for i in range(dock.data.layer.count())]
    # erase the peaks: nothing is taken any more
    peaks = dock.workspace.review.labels(PEAKS)
    dock.session.mark_peaks(np.where(peaks.data == Mark.FOUND, Mark.ERASED, Mark.NONE))
    assert "both pattern" not in viewer.layers
    hand.click(dock.review.reset_peaks)
    hand.click(dock.review.pattern)
    hand.click(dock.review.pattern)
    assert "both pattern" not in viewer.layers and dock.review.pattern.text() == "Show pattern"


def test_stage_2_trains_on_what_the_notch_leaves(hand: Any, viewer: Any, dock: Any, tmp_path: Any) -> None:
    hand.click(dock.review.approve)
    hand.wait(lambda: dock.session.phase is Phase.RESULT or dock.session.messages.error)
    model = dock.session.run.model
    assert model.notch == dock.session.review.analysis.notch_rule
    assert load_model(model.save(tmp_path / "model.zip")).notch == model.notch


def test_noise_is_measured_where_a_shape_is_drawn(hand: Any, viewer: Any, dock: Any) -> None:
    before = dock.session.review.automatic
    corners = np.array([[10, 20], [10, 120], [120, 120], [120, 20]])  # in nanometres
    viewer.add_shapes([corners], shape_type="polygon", name="background")
    combo = dock.review.background
    combo.setCurrentIndex(combo.findText("background"))
    hand.wait(lambda: dock.session.review.automatic is not before or dock.session.messages.error)
    assert not dock.session.messages.error
    assert dock.session.review.automatic.measured.outlined
    combo.setCurrentIndex(0)
    hand.wait(lambda: not dock.session.review.automatic.measured.outlined)


def test_an_outline_that_cannot_be_used_is_told(hand: Any, viewer: Any, dock: Any) -> None:
    before = dock.session.review
    viewer.add_labels(np.zeros((5, 7), int), name="of another")
    combo = dock.review.background
    combo.setCurrentIndex(combo.findText("of another"))
    assert "shape" in dock.review.outline_message.text()
    assert dock.session.review is before, "the review is as it was"
    viewer.add_labels(np.zeros(SHAPE, int), name="empty")
    combo.setCurrentIndex(combo.findText("empty"))
    hand.wait(lambda: dock.session.runner.job is None)
    assert "empty" in dock.review.outline_message.text() and dock.session.review is before


def test_shapes_and_labels_as_regions(make_napari_viewer: Any) -> None:
    viewer = make_napari_viewer()
    image = viewer.add_image(np.zeros((3, 40, 50)), scale=(1, 2, 2), translate=(0, 10, 20))
    square = np.array([[20, 30], [20, 60], [40, 60], [40, 30]])
    shapes = viewer.add_shapes([square], shape_type="polygon")
    region = outlined_region(shapes, image)
    assert region.shape == (40, 50)
    inside = np.argwhere(region)
    np.testing.assert_allclose(inside.min(axis=0), (5, 5), atol=1)
    np.testing.assert_allclose(inside.max(axis=0), (15, 20), atol=1)
    labels = viewer.add_labels(np.ones((3, 40, 50), int))
    assert outlined_region(labels, image).all()
    with pytest.raises(StackError, match="no shape"):
        outlined_region(viewer.add_shapes(), image)
    with pytest.raises(StackError, match="shape"):
        outlined_region(viewer.add_labels(np.ones((4, 4), int)), image)


def test_the_pattern_is_seen_beside_the_result(hand: Any, viewer: Any, dock: Any) -> None:
    hand.click(dock.review.pattern)
    hand.click(dock.review.approve)
    hand.wait(lambda: dock.session.phase is Phase.RESULT or dock.session.messages.error)
    seen = {layer.name for layer in viewer.layers if layer.visible}
    assert seen == {"both", "both stage 1", "both denoised", "both pattern"}
    hand.click(dock.review.pattern)
    assert "both pattern" not in viewer.layers and viewer.layers["both denoised"].visible


def one_bright_pixel(z: int) -> np.ndarray:
    plane = np.zeros((20, 30), np.float32)
    plane[3, 4] = -5
    return plane


@pytest.mark.parametrize("shape", [(20, 30), (3, 20, 30)])
def test_the_whole_slice_tells_how_strong_the_pattern_is(
    make_napari_viewer: Any, shape: tuple[int, ...]
) -> None:
    viewer = make_napari_viewer()
    images = ImageLayers(viewer, Session())
    images.start(viewer.add_image(np.zeros(shape), name="image"))
    images.show_pattern(ComputedArray(shape, one_bright_pixel))
    assert viewer.layers["image pattern"].contrast_limits == [-5, 5]


def both(output: StageOutput) -> tuple[np.ndarray, np.ndarray]:
    return np.array(output.predicted), np.array(output.detail)


def test_the_slider_brings_detail_back(hand: Any, viewer: Any, dock: Any) -> None:
    predicted, detail = both(dock.session.run.stage1)
    layer = viewer.layers["both stage 1"]
    np.testing.assert_array_equal(layer.data, predicted + detail)
    dock.result.recovery.value = 0
    np.testing.assert_array_equal(layer.data, predicted)
    np.testing.assert_array_equal(dock.session.run.denoised, predicted)
    dock.result.recovery.value = 50
    np.testing.assert_allclose(layer.data, predicted + 0.5 * detail, rtol=1e-6)
    hand.click(dock.review.approve)
    hand.wait(lambda: dock.session.phase is Phase.RESULT or dock.session.messages.error)
    predicted, detail = both(dock.session.run.stage2)
    np.testing.assert_allclose(viewer.layers["both denoised"].data, predicted + 0.5 * detail, rtol=1e-6)
