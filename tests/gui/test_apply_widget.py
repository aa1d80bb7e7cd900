"""A saved model on another layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_autostructn2v import Config, train
from napari_autostructn2v._napari.apply_widget import ApplyModelWidget
from napari_autostructn2v.events import finish
from napari_autostructn2v.kernel import POINT


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, noisy: np.ndarray) -> Path:
    config = Config.from_preset("fast").stage1.model_copy(update={"steps": 2})
    return finish(train(noisy, POINT, config)).save(tmp_path_factory.mktemp("models") / "model.zip")


@pytest.fixture
def widget(viewer: Any, noisy: np.ndarray) -> ApplyModelWidget:
    viewer.add_image(noisy, name="other", scale=(2, 1, 1), units=("nm",) * 3)
    widget = ApplyModelWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Apply trained model")
    return widget


def test_result_appears_beside_the_layer(hand: Any, viewer: Any, widget: Any, model: Path) -> None:
    assert not widget.run.isEnabled()
    widget.path.value = model
    hand.click(widget.run)
    assert widget.cancel.isVisibleTo(widget)
    hand.wait(lambda: "other denoised" in viewer.layers)
    result = viewer.layers["other denoised"]
    np.testing.assert_allclose(result.scale, (2, 1, 1))
    assert result.extent.world[0, 2] > viewer.layers["other"].extent.world[1, 2]
    assert widget.run.isEnabled()


def test_damaged_model_is_told(hand: Any, viewer: Any, widget: Any, tmp_path: Path) -> None:
    for name, content in (("missing.zip", None), ("damaged.zip", b"PK nonsense")):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        widget.path.value = tmp_path / name
        hand.click(widget.run)
        hand.wait(lambda: widget.message.text())
        assert name in widget.message.text()
        assert len(viewer.layers) == 1


def test_cancel(hand: Any, viewer: Any, widget: Any, model: Path, noisy: np.ndarray) -> None:
    viewer.layers.clear()
    viewer.add_image(np.tile(noisy, (50, 1, 1)), name="long")
    widget.path.value = model
    hand.click(widget.run)
    hand.wait(lambda: widget.bar.value() > 0)
    hand.click(widget.cancel)
    hand.rest(0.3)
    assert widget.run.isEnabled()
    assert [layer.name for layer in viewer.layers] == ["long"]


def test_dock_closed_while_it_works(
    hand: Any, viewer: Any, widget: Any, model: Path, noisy: np.ndarray
) -> None:
    viewer.layers.clear()
    viewer.add_image(np.tile(noisy, (50, 1, 1)), name="long")
    widget.path.value = model
    hand.click(widget.run)
    hand.wait(lambda: widget.bar.value() > 0)
    job = widget._job
    hand.close_dock(widget)
    hand.wait(job.control.cancelled.is_set, 2.0)
    hand.rest(0.2)
    assert [layer.name for layer in viewer.layers] == ["long"]
