"""Does all that is made of a turned, sheared or registered image lie as the image does?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hands import Hand, open_dock, through_stage1

from napari_autostructn2v._napari.canvas.outline import outlined_field
from napari_autostructn2v._napari.canvas.placement import Placement, lies_with
from napari_autostructn2v._napari.docks.compare.dock import CompareWidget
from napari_autostructn2v._napari.workspace import workspace_of

EXCHANGED = np.eye(4)
EXCHANGED[1:3, 1:3] = [[0, 1], [1, 0]]  # rows and columns, as a registration gives it

TURNS: dict[str, dict[str, Any]] = {
    "rotated": {"rotate": 30},
    "sheared": {"shear": [0, 0, 0.4]},
    "exchanged": {"affine": EXCHANGED},
    "mirrored": {"scale": (2, -1, 1)},
    "all of it": {"rotate": -70, "shear": [0, 0, 0.2], "affine": EXCHANGED, "translate": (5, 6, 7)},
}

CORNERS = [(0, 0, 0), (0, 79, 0), (0, 0, 79), (3, 79, 79)]


def each_way(viewer: Any, noisy: np.ndarray, turns: Sequence[str] = tuple(TURNS)) -> Iterator[Any]:
    """An image turned in each way, one after another: a window takes long to open."""
    for turn in turns:
        viewer.layers.clear()
        yield viewer.add_image(noisy, name="tomo", **{"scale": (2, 1, 1), **TURNS[turn]})


def lies_along(layer: Any, image: Any) -> bool:
    """Whether a layer lies where the image does; a slice where the first slice does."""
    there = [np.array(image.data_to_world(corner))[-layer.ndim :] for corner in CORNERS]
    here = [np.array(layer.data_to_world(corner[-layer.ndim :])) for corner in CORNERS]
    return all(np.allclose(b, a) for a, b in zip(there, here, strict=True))


@pytest.mark.parametrize("turn", ["sheared", "all of it"])
def test_results_preview_and_pattern(viewer: Any, hand: Hand, noisy: np.ndarray, turn: str) -> None:
    image = viewer.add_image(noisy, **{"scale": (2, 1, 1), **TURNS[turn]})
    dock = open_dock(viewer, steps=3)
    previews: list[bool] = []
    images = dock.workspace.images

    def look_at_preview() -> None:
        z = dock.workspace.images.preview.world_to_data(image.data_to_world((0, 0, 0)))[0]
        corners = [image.data_to_world((-z, *corner)) for corner in ((0, 0), (79, 79))]
        here = [images.preview.data_to_world((0, *corner)) for corner in ((0, 0), (79, 79))]
        previews.append(np.allclose(here, corners) and np.isclose(z, -viewer.dims.current_step[0]))

    images.previewed.connect(look_at_preview)
    through_stage1(hand, dock)
    assert previews and all(previews)
    result = images.results["stage1"]
    assert lies_along(result, image)
    for name in ("scale", "rotate", "shear"):
        np.testing.assert_array_equal(getattr(result, name), getattr(image, name))
    np.testing.assert_array_equal(np.array(result.affine), np.array(image.affine))
    np.testing.assert_array_equal(result.translate, image.translate)
    assert result.units == image.units and lies_with(result, image)
    images.show_pattern(dock.session.run.stack.array)
    assert images.pattern is not None and lies_along(images.pattern, image)


def test_what_is_compared(viewer: Any, noisy: np.ndarray) -> None:
    dock = CompareWidget(viewer)
    viewer.window.add_dock_widget(dock)
    comparison = dock.comparison
    for image in each_way(viewer, noisy, ("mirrored", "all of it")):
        elsewhere = {**Placement.of(image).on_grid(3), "translate": (0, 300, 0)}
        other = viewer.add_image(image.data + 1, **elsewhere)
        for way in ("row", "column"):
            comparison.enter(way, [image, other])
            assert all(lies_with(seen, image) for seen in comparison.seen)
        comparison.enter("swipe", [image, other])
        swipe = comparison._swipe
        for column in (10, 55):
            swipe.move_to(column)
            for row in (-0.5, 79.5):
                divider = swipe.divider.data_to_world((row, -0.5))
                np.testing.assert_allclose(
                    divider, np.array(image.data_to_world((0, row, column - 0.5)))[-2:]
                )
        comparison.leave()


def test_what_is_drawn_on_it(viewer: Any, noisy: np.ndarray) -> None:
    """Shapes mean the pixels under them, drawn in the world by a person or on the image's grid by a run."""
    box = np.array([(9.6, 19.6), (9.6, 49.4), (29.4, 49.4), (29.4, 19.6)])
    for image in each_way(viewer, noisy):
        by_hand = viewer.add_shapes([np.array([image.data_to_world((0, *corner))[-2:] for corner in box])])
        again = viewer.add_shapes([box], **Placement.of(image).on_grid(2))
        assert outlined_field(by_hand, image) == outlined_field(again, image) == ((10, 30), (20, 50))


@pytest.mark.filterwarnings("ignore:Non-orthogonal")
def test_an_image_turned_out_of_its_slices_is_shown_as_napari_shows_it(
    viewer: Any, noisy: np.ndarray
) -> None:
    image = viewer.add_image(noisy, scale=(2, 1, 1), rotate=(0, 20, 0))
    preview = viewer.add_image(noisy[0], **Placement.of(image).on_grid(2))
    there = np.array(image.data_to_world((0, 10, 20)))[-2:] - image.data_to_world((0, 0, 0))[-2:]
    np.testing.assert_allclose(
        np.array(preview.data_to_world((10, 20))) - preview.data_to_world((0, 0)), there
    )
    workspace_of(viewer).choose(image)
    assert workspace_of(viewer).session.choice.problem == ""
