"""Painting with napari's own tools: what is drawn at one side appears at the other, in one undo step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_autostructn2v._napari.review.mirror import Mirror

SIDE = 15
CENTRE = (SIDE // 2, SIDE // 2)


@pytest.fixture
def layer(viewer: Any) -> Any:
    viewer.add_image(np.zeros((5, 40, 40)))
    data = np.zeros((SIDE, SIDE), dtype=np.uint8)
    data[CENTRE] = 1
    layer = viewer.add_labels(data, scale=(8, 8), translate=(0, 50))
    layer.brush_size = 1
    viewer.reset_view()
    return layer


@pytest.fixture
def edits(layer: Any) -> list[np.ndarray]:
    """The state after each edit the mirror tells of."""
    seen: list[np.ndarray] = []
    protected = np.zeros((SIDE, SIDE), dtype=bool)
    protected[CENTRE] = True
    layer.mirror = Mirror(layer, protected, lambda: seen.append(layer.data.copy()))
    return seen


def is_symmetric(data: np.ndarray) -> bool:
    return bool((data == data[::-1, ::-1]).all())


def draw(hand: Any, layer: Any, tool: str) -> None:
    if tool == "polygon":
        layer.mode = "polygon"
        corners = [(2, 2), (2, 5), (5, 5), (5, 2)]
        for point in corners:
            pixel = hand.at(layer, point)
            hand._move(pixel, Qt.MouseButton.NoButton)
            QTest.mouseClick(
                hand.canvas.native, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, pixel
            )
        QTest.mouseDClick(
            hand.canvas.native, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, pixel
        )
    elif tool == "fill":
        layer.mode = "fill"
        hand.stroke(layer, (0, 0))
    else:
        layer.mode = tool
        hand.stroke(layer, (3, 2), (3, 5), (6, 7))


@pytest.mark.parametrize("tool", ["paint", "polygon", "fill"])
def test_drawing_is_mirrored_in_one_undo_step(hand: Any, layer: Any, edits: Any, tool: str) -> None:
    before = layer.data.copy()
    draw(hand, layer, tool)
    drawn = layer.data.copy()
    assert (drawn != before).sum() >= 2
    assert is_symmetric(drawn)
    assert len(edits) == 1
    np.testing.assert_array_equal(edits[-1], drawn)

    layer.mode = "paint"
    hand.undo()
    np.testing.assert_array_equal(layer.data, before)
    hand.redo()
    np.testing.assert_array_equal(layer.data, drawn)
    assert len(edits) == 3


def test_the_centre_cannot_be_erased(hand: Any, layer: Any, edits: Any) -> None:
    layer.mode = "erase"
    layer.brush_size = 5
    hand.stroke(layer, CENTRE, (7, 9))
    assert layer.data[CENTRE] == 1
    assert layer.data.sum() == 1


def test_erasing_is_mirrored(hand: Any, layer: Any, edits: Any) -> None:
    draw(hand, layer, "paint")
    painted = layer.data.sum()
    layer.mode = "erase"
    hand.stroke(layer, (3, 2), (3, 4))
    assert is_symmetric(layer.data)
    assert layer.data.sum() == painted - 6


def test_a_call_of_paint_is_mirrored_and_undone_as_one(layer: Any, edits: Any) -> None:
    before = layer.data.copy()
    layer.paint((1, 1), 1)
    assert layer.data[1, 1] == layer.data[-2, -2] == 1
    layer.undo()
    np.testing.assert_array_equal(layer.data, before)


def test_what_the_program_writes_is_no_edit(hand: Any, layer: Any, edits: Any) -> None:
    other = np.ones_like(layer.data)
    layer.mirror.write(other)
    assert not edits
    np.testing.assert_array_equal(layer.data, other)
    layer.mode = "erase"
    hand.stroke(layer, (0, 0))
    assert layer.data.sum() == SIDE**2 - 2


@pytest.mark.parametrize("tool", ["paint", "polygon", "fill"])
def test_off_nothing_is_mirrored_and_on_again_only_strokes_are(
    hand: Any, layer: Any, edits: Any, tool: str
) -> None:
    layer.mirror.on = False
    before = layer.data.copy()
    draw(hand, layer, tool)
    one_sided = layer.data.copy()
    if tool == "fill":  # which reaches all that is empty, both sides of the centre
        assert one_sided.all()
    else:
        assert (one_sided[SIDE // 2 + 1 :] == before[SIDE // 2 + 1 :]).all() and one_sided.sum() > 5
    np.testing.assert_array_equal(edits[-1], one_sided)
    layer.mirror.on = True
    np.testing.assert_array_equal(layer.data, one_sided)
    layer.mode = "erase"
    hand.stroke(layer, (1, 13))
    layer.mode = "paint"
    hand.stroke(layer, (1, 13))
    assert layer.data[1, 13] and layer.data[13, 1]
    for _ in range(2 if tool == "fill" else 1):
        hand.undo()
    np.testing.assert_array_equal(layer.data, one_sided)
    np.testing.assert_array_equal(edits[-1], one_sided)
    hand.undo()
    np.testing.assert_array_equal(layer.data, before)
    np.testing.assert_array_equal(edits[-1], before)
    hand.redo()
    np.testing.assert_array_equal(edits[-1], one_sided)
    # an undo to what is one-sided is no stroke to be mirrored with the next one
    hand.stroke(layer, (0, 7))
    assert (layer.data != one_sided).sum() == (0 if tool == "fill" else 2)


def test_off_the_centre_cannot_be_erased_either(hand: Any, layer: Any, edits: Any) -> None:
    layer.mirror.on = False
    layer.mode = "erase"
    layer.brush_size = 5
    hand.stroke(layer, CENTRE, (7, 9))
    assert layer.data[CENTRE] == layer.data.sum() == 1


def test_what_is_written_as_it_is_is_not_mirrored(layer: Any, edits: Any) -> None:
    before = layer.data.copy()
    with layer.mirror.exact():
        layer.data_setitem((np.array([2]), np.array([3])), 1)
    assert layer.mirror.on and layer.data.sum() == 2 and len(edits) == 1
    layer.undo()
    np.testing.assert_array_equal(layer.data, before)


def test_every_pixel_answers_to_its_click(hand: Any, layer: Any, edits: Any) -> None:
    layer.mode = "paint"
    for point in [(0, 0), (0, 14), (4, 9), (8, 8), (13, 1)]:
        hand.stroke(layer, point)
        assert layer.data[point] == 1
        assert layer.data[tuple(SIDE - 1 - p for p in point)] == 1


def test_the_thumbnail_shows_what_was_drawn_and_taken_back(hand: Any, layer: Any, edits: Any) -> None:
    before = layer.thumbnail.copy()
    draw(hand, layer, "paint")
    assert (layer.thumbnail != before).any()
    hand.undo()
    np.testing.assert_array_equal(layer.thumbnail, before)
