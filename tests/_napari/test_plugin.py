"""The plugin as napari finds it through its manifest."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_autostructn2v._napari import worker
from napari_autostructn2v._napari.canvas.voxel_sizes import voxel_size
from napari_autostructn2v._napari.docks.apply.dock import ApplyModelWidget
from napari_autostructn2v._napari.docks.compare.dock import CompareWidget
from napari_autostructn2v._napari.docks.denoise.dock import StructuredDenoisingWidget
from napari_autostructn2v.io import VoxelSize

PLUGIN = "napari-autostructn2v"


@pytest.mark.parametrize(
    ("title", "kind"),
    [
        ("Structured denoising", StructuredDenoisingWidget),
        ("Apply trained model", ApplyModelWidget),
        ("Compare", CompareWidget),
    ],
)
def test_docks_open_once(viewer: Any, title: str, kind: type) -> None:
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, title)
    assert isinstance(widget, kind)
    _, again = viewer.window.add_plugin_dock_widget(PLUGIN, title)
    assert again is widget


def test_what_the_first_job_needs_is_loaded_before_there_is_one(
    viewer: Any, hand: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    load, loaded = worker._load, threading.Event()
    monkeypatch.setattr(worker, "_load", lambda: (load(), loaded.set()))
    viewer.window.add_plugin_dock_widget(PLUGIN, "Structured denoising")
    hand.wait(loaded.is_set)
    assert {"torch.optim", "torch._dynamo"} <= set(sys.modules)


def test_docks_know_the_viewer_and_not_its_proxy(viewer: Any) -> None:
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, "Structured denoising")
    assert type(widget.workspace.viewer).__name__ == "Viewer"


@pytest.mark.parametrize("key", ["reconstruction_noise", "scan_lines", "hum"])
def test_samples_open(viewer: Any, key: str) -> None:
    (layer,) = viewer.open_sample(PLUGIN, key)
    assert layer.data.ndim == 3


def test_the_real_sample_is_a_pair(viewer: Any) -> None:
    """So that a newcomer can judge by the second scan at once."""
    first, second = viewer.open_sample(PLUGIN, "two_scans")
    assert (first.name, second.name) == ("first scan", "second scan") and not second.visible
    assert voxel_size(first) == VoxelSize(0.788, 0.788, 0.788)
    noise, shared = (
        (first.data.astype(float) - second.data).var() / 2,
        np.cov(first.data.ravel(), second.data.ravel()),
    )
    assert noise > 0.3 * shared[0, 1] > 0, "of one scene, with noise of their own"


def test_mrc_is_written_and_opened(viewer: Any, tmp_path: Path, noisy: np.ndarray) -> None:
    layer = viewer.add_image(noisy, scale=(2, 1, 1), units=("nm",) * 3)
    path = tmp_path / "stack.mrc"
    assert layer.save(str(path)) == [str(path)]
    (opened,) = viewer.open(path, plugin=None)
    np.testing.assert_allclose(opened.scale, (2, 1, 1))
    np.testing.assert_allclose(opened.data, noisy, rtol=1e-6)
