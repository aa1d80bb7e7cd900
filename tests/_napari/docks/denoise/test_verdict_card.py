"""The verdict at a glance, whose it is, and background that is outlined with one click."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hands import Gate, live
from napari.layers import Shapes
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QLabel, QPushButton

from napari_autostructn2v import synthetic
from napari_autostructn2v._napari import actions, colours
from napari_autostructn2v._napari.docks.denoise.decision_bar import MAIN
from napari_autostructn2v._napari.docks.denoise.dock import StructuredDenoisingWidget
from napari_autostructn2v._napari.session.state import Phase
from napari_autostructn2v.noise import tiles


@pytest.fixture(scope="module")
def reviewed() -> dict[str, Any]:
    noisy = synthetic.sample("scan_lines", shape=(4, 96, 128), seed=1).noisy
    return {"image": noisy, "name": "lines", "scale": (2.0, 1.3, 1.3), "units": ("nm",) * 3}


@pytest.fixture
def viewer(window_in_review: Any) -> Any:
    return window_in_review.viewer


@pytest.fixture
def dock(window_in_review: Any) -> Iterator[StructuredDenoisingWidget]:
    with window_in_review.dock() as dock:
        yield dock


def orange(picture: QLabel) -> np.ndarray:
    """Where the pictogram is orange, bool (side, side)."""
    image = picture.pixmap().toImage()
    colour = [[QColor(image.pixel(x, y)) for x in range(image.width())] for y in range(image.height())]
    return np.array([[each.red() > each.blue() + 60 for each in row] for row in colour])


def test_the_card_says_it_at_a_glance(hand: Any, dock: Any) -> None:
    card, verdict = dock.review.card, dock.session.review.analysis.verdict
    assert card.pill.text() == "Stage 2 will help" and card.pill.isVisibleTo(dock.review)
    assert colours.CONCLUSIONS["helps"][0] in card.pill.styleSheet()
    assert card.whose.text() == "lines · 2D"
    assert card.sentence.text() == verdict.headline and "Streaks along X" in verdict.headline
    assert "nm" in verdict.headline and "px" not in verdict.headline
    assert card.hides.text() == f"kernel hides {verdict.covered:.0%}".replace("%", " %")
    assert card.takes.isHidden(), "there is no notch"
    marked = orange(card.picture)
    assert marked.any() and np.ptp(np.nonzero(marked)[1]) > 3 * np.ptp(np.nonzero(marked)[0]), (
        "a line along X"
    )
    assert not card.summary.isVisibleTo(card), "details are folded"
    hand.click(card.details.button)
    assert card.summary.isVisibleTo(card) and card.summary.text() == verdict.summary
    assert "peak bins" in card.numbers.text() and "±" in card.numbers.text()


def test_a_kernel_over_everything_asks_for_a_look(dock: Any) -> None:
    card, session = dock.review.card, dock.session
    height = card.height()
    session.edit_kernel(np.ones_like(session.review.kernel_grid))
    live()
    assert card.pill.text() == "Look first" and colours.CONCLUSIONS["look_first"][0] in card.pill.styleSheet()
    assert "hides more than the detail around it: expect blur" in card.sentence.text()
    assert dock.review.advice.text() == "Quick look" and dock.review.advice.styleSheet() == MAIN
    assert dock.review.approve.isEnabled() and dock.review.approve.styleSheet() != MAIN
    assert card.height() == height, "what stands below jumped"
    session.edit_kernel(np.zeros_like(session.review.kernel_grid) | (np.indices((31, 31)) == 15).all(axis=0))
    live()
    assert card.pill.text() == "Stage 2 adds nothing" and card.hides.isHidden()
    assert dock.review.skip.styleSheet() == MAIN and not orange(card.picture).any()
    assert card.height() == height


def test_what_is_of_another_image_is_greyed_and_says_so(hand: Any, viewer: Any, dock: Any) -> None:
    session, review = dock.session, dock.review
    source = viewer.layers["lines"]
    other = viewer.add_image(
        np.flip(source.data, axis=1).copy(), name="another", scale=source.scale, units=source.units
    )
    bar = dock.others[Phase.REVIEW]
    assert bar.isHidden() and review.isEnabled(), "an image that is there but not chosen changes nothing"
    dock.data.layer.choose(other)
    live()
    assert bar.text.text() == "This is of lines." and bar.start.text() == "Start with another"
    assert bar.isVisibleTo(dock) and dock.sections[Phase.DATA].button.isChecked()
    for panel in (review, dock.stage2, dock.result):
        assert not panel.isEnabled()
    assert not review.to_kernel.isEnabled() and not review.approve.isEnabled()
    assert bar.show_again.isEnabled() and bar.start.isEnabled()
    for end in (actions.approve, actions.skip):  # by a key as well
        end(viewer)
        assert session.phase is Phase.REVIEW and session.runner.job is None
    hand.click(bar.show_again)
    assert dock.workspace.chosen is source and dock.data.layer.layer() is source
    assert bar.isHidden() and review.isEnabled() and review.approve.isEnabled()

    # the image itself is gone: it comes back, and what was made of it
    run = session.run
    viewer.layers.remove("lines stage 1")
    viewer.layers.remove(source)
    dock.data.layer.choose(other)
    live()
    assert bar.text.text() == "This is of lines." and not dock.result.isEnabled()
    hand.click(bar.show_again)
    again = dock.workspace.chosen
    assert again is not other and again.name == "lines" and again.data is run.source.array
    np.testing.assert_array_equal(again.scale, source.scale)
    assert session.run is run and review.isEnabled() and "lines stage 1" in viewer.layers


def test_a_click_outlines_background_and_each_shape_is_measured_in(
    hand: Any, viewer: Any, dock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, review = dock.session, dock.review
    workspace, image = dock.workspace, dock.workspace.source_layer
    hand.wait(review.outline.isEnabled)
    hand.click(review.outline)
    layer = workspace.background.layer
    assert (
        isinstance(layer, Shapes) and viewer.layers.selection.active is layer and layer.mode == "add_polygon"
    )
    np.testing.assert_array_equal(layer.scale, image.scale[-2:])
    assert layer.units == image.units[-2:]
    assert review.background.layer() is layer and "Click around" in review.outline_message.text()
    assert not session.messages.error and session.runner.job is None, "nothing is drawn yet"

    def polygon(*corners: tuple[float, float]) -> None:
        viewer.reset_view()
        live()
        native = hand.canvas.native
        for corner in corners:
            hand._move(hand.at(layer, corner), Qt.MouseButton.NoButton)
            QTest.mouseClick(
                native, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, hand.at(layer, corner)
            )
            live()
        QTest.mouseDClick(
            native, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, hand.at(layer, corners[-1])
        )
        live()

    # too small: said beside the control, not at the head
    polygon((10, 10), (10, 14), (14, 14), (14, 10))
    assert len(layer.data) == 1
    hand.wait(lambda: session.runner.job is None and session.messages.error)
    assert "too small" in review.outline_message.text() and dock.message.isHidden()
    assert session.review.automatic.measured.tiles.outlined is False

    # two shapes, the second while the noise is measured for the first
    gate = Gate()
    monkeypatch.setattr(tiles, "_tiles_inside", gate.before(tiles._tiles_inside))
    polygon((2, 2), (2, 60), (90, 60), (90, 2))
    hand.wait(gate.reached.is_set)
    polygon((2, 66), (2, 124), (90, 124), (90, 66))
    gate.open()
    hand.wait(lambda: session.runner.job is None and session.review.automatic.measured.tiles.outlined)
    hand.wait(lambda: session.choice.region[40, 90] and session.runner.job is None)
    assert len(layer.data) == 3 and session.choice.region[40, 30]
    columns = {x for _, _, x in session.review.automatic.measured.tiles.corners}
    assert min(columns) < 40 and max(columns) > 60, "noise is measured in both"
    assert not session.messages.error and review.outline_message.isHidden()
    assert len(viewer.layers) == len({each.name for each in viewer.layers})
    before = len(viewer.layers)
    hand.click(review.outline)
    assert len(viewer.layers) == before, "the same layer is drawn in again"
    hand.wait(lambda: session.runner.job is None)


def test_what_is_confirmed_goes_at_the_next_click(hand: Any, dock: Any) -> None:
    messages, anywhere = dock.session.messages, dock.sections[Phase.DATA].button
    messages.confirm("Saved there.")
    live()
    assert dock.message.isVisibleTo(dock)
    hand.click(anywhere)
    hand.wait(lambda: not dock.message.isVisibleTo(dock))
    messages.notify("A warning stays.")
    hand.click(anywhere)
    assert dock.message.text() == "A warning stays."
    button = QPushButton("Confirms", dock)
    button.clicked.connect(lambda: messages.confirm("Done."))
    button.show()
    hand.click(button)
    hand.rest(0.1)
    assert dock.message.text() == "Done.", "not the click that it answers"
    button.deleteLater()
