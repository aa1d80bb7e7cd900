"""The advanced settings: what is chosen is what is trained."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hands import open_dock, through_stage1

from napari_autostructn2v._napari.docks.denoise.dock import StructuredDenoisingWidget
from napari_autostructn2v.config import Config


@pytest.fixture
def dock(viewer: Any, noisy: np.ndarray) -> StructuredDenoisingWidget:
    viewer.add_image(noisy, name="tiny", scale=(2.0, 1.5, 1.5), translate=(0, 7, 3), units=("nm",) * 3)
    dock = open_dock(viewer, 2)
    return dock


def test_the_box_and_the_slices_that_are_chosen_are_trained_on(
    hand: Any, viewer: Any, dock: Any, noisy: np.ndarray
) -> None:
    # drawn in the world, over pixels 10 to 49 along Y and 20 to 69 along X
    low, high = np.array([10 - 0.5, 20 - 0.5]) * 1.5 + (7, 3), np.array([49 + 0.5, 69 + 0.5]) * 1.5 + (7, 3)
    viewer.add_shapes([np.array([low, high])], shape_type="rectangle", name="box", units=("nm",) * 2)
    panel = dock.data.training
    panel.field.choose(viewer.layers["box"])
    panel.some_slices.setChecked(True)
    panel.first.setValue(1)
    panel.last.setValue(2)
    through_stage1(hand, dock)
    model = dock.session.run.stage1.model
    assert model.provenance["trained_on"] == [(1, 3), (10, 50), (20, 70)]
    assert dock.session.run.denoised.shape == noisy.shape


def test_an_empty_shapes_layer_is_told_before_anything_starts(hand: Any, viewer: Any, dock: Any) -> None:
    viewer.add_shapes(name="box")
    dock.data.training.field.choose(viewer.layers["box"])
    hand.click(dock.stage1.run)
    assert "no shape in box" in dock.message.text()
    assert dock.session.runner.job is None


def test_another_preset_sets_the_training_anew(dock: Any) -> None:
    fields = dock.data.training.fields
    fields["features"].value = 40
    assert dock.session.choice.settings.config().stage2.features == 40
    dock.data.preset.value = "high"
    high = Config.from_preset("high").stage1
    assert high.steps == 2000 and fields["features"].value == high.features != 40
    assert dock.data.steps.value == high.steps
    fields["patch_size"].value = 70
    assert "multiple of 4" in dock.message.text()
    assert dock.session.choice.settings.training.patch_size == high.patch_size
