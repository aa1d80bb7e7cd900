"""The whole way of a newcomer: from the real sample to a saved stack, in few clicks and few layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hands import CountingHand, live, small_screen
from qtpy.QtWidgets import QFileDialog

from napari_autostructn2v._napari import PLUGIN
from napari_autostructn2v._napari.docks.denoise.dock import StructuredDenoisingWidget
from napari_autostructn2v._napari.session.state import Phase
from napari_autostructn2v.io import read_stack


def test_from_the_real_sample_to_a_saved_stack(
    make_napari_viewer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer = small_screen(make_napari_viewer)
    hand = CountingHand(viewer)
    first, second = viewer.open_sample(PLUGIN, "two_scans")
    _, dock = viewer.window.add_plugin_dock_widget(PLUGIN, "Structured denoising")
    assert isinstance(dock, StructuredDenoisingWidget)
    live()
    session = dock.session
    assert dock.workspace.chosen is first, "the scan that is seen"
    assert "nm" in dock.data.header.facts.text()
    dock.data.preset.value, dock.data.steps.value = "fast", 4

    hand.click(dock.stage1.run)
    hand.wait(lambda: session.phase is Phase.REVIEW or session.messages.error)
    assert not session.messages.error
    camera = viewer.scene.camera.center
    assert {layer.name for layer in viewer.layers} == {"first scan", "second scan", "first scan stage 1"}
    assert "along X" in dock.review.card.sentence.text(), "as the scan runs"
    hand.click(dock.review.approve)
    hand.wait(lambda: session.phase is Phase.RESULT or session.messages.error)
    assert not session.messages.error
    seen = {layer.name for layer in viewer.layers if layer.visible}
    assert seen == {"first scan", "first scan stage 1", "first scan denoised"} and len(viewer.layers) == 4
    assert viewer.scene.camera.center == camera, "nobody has moved it"

    dock.result.card.recording.choose(second)
    appraisal = dock.workspace.appraisal
    hand.wait(lambda: appraisal.found is not None and appraisal.found.score is not None)
    assert "dB" in dock.result.card.judged.text()

    path = tmp_path / "denoised.mrc"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args: (str(path), ""))
    hand.save_result(dock)
    hand.wait(lambda: "Saved" in dock.message.text() or session.messages.error)
    assert not session.messages.error
    saved = read_stack(path)
    np.testing.assert_allclose(np.squeeze(saved.array), viewer.layers["first scan denoised"].data, rtol=1e-6)
    assert saved.voxel_size.x == pytest.approx(first.scale[-1], rel=1e-3)
    assert hand.clicks == 4, "run, approve, save and its answer"
