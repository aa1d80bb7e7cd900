"""What the section Data says of an image before anything is run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hands import Hand, open_dock

from napari_autostructn2v import synthetic
from napari_autostructn2v.stack import as_stack
from napari_autostructn2v.survey import GOES_ON, continuity


def test_size_values_voxels_and_memory(viewer: Any, noisy: np.ndarray) -> None:
    viewer.add_image(noisy, name="tiny", scale=(2, 1.5, 1.5), units=("nm",) * 3)
    dock = open_dock(viewer)
    assert dock.data.header.facts.text() == "4 × 80 × 80 · float32 · voxel 2 × 1.5 × 1.5 nm (layer) · 0.1 MB"
    viewer.layers["tiny"].scale = (1, 1, 1)
    viewer.layers["tiny"].units = ("pixel",) * 3
    assert "voxel size unknown" in dock.data.header.facts.text()


def test_slices_that_go_on_into_each_other_suggest_25d(viewer: Any, hand: Hand) -> None:
    """Which is never switched by itself, and not suggested where slices have nothing in common."""
    tomogram = synthetic.sample("white", shape=(24, 64, 64)).noisy
    viewer.add_image(tomogram, name="tomogram")
    dock = open_dock(viewer)
    header, settings = dock.data.header, dock.session.choice
    hand.wait(lambda: header.take.isVisibleTo(header))
    assert "24 slices" in header.suggestion.text() and settings.settings.mode == "2d"
    hand.click(header.take)
    assert settings.settings.mode == "2.5d" and not header.take.isVisibleTo(header)

    dock.data.mode.value = "2d"
    apart = np.random.default_rng(0).permutation(tomogram) * np.array([1, -1] * 12)[:, None, None]
    viewer.add_image(apart.astype(np.float32), name="apart")
    dock.data.layer.choose(viewer.layers["apart"])
    hand.wait(lambda: header._goes_on is not None)
    assert not header.take.isVisibleTo(header)


@pytest.mark.parametrize("value", [3.0, np.nan])
def test_a_stack_that_shows_nothing_is_told_before_it_is_run(viewer: Any, hand: Hand, value: float) -> None:
    viewer.add_image(np.full((4, 64, 64), value, np.float32), name="nothing", contrast_limits=(0, 1))
    dock = open_dock(viewer)
    hand.wait(lambda: dock.session.choice.problem)
    assert not dock.stage1.run.isEnabled() and dock.data.message.text() == dock.session.choice.problem
    assert not dock.data.header.isVisibleTo(dock.data)


def test_the_time_is_measured_when_a_person_asks(viewer: Any, hand: Hand, noisy: np.ndarray) -> None:
    viewer.add_image(noisy, name="tiny")
    dock = open_dock(viewer, 2)
    header = dock.data.header
    assert not header.time.text()
    hand.click(header.measure)
    assert header.measure.text() == "Cancel"
    hand.wait(lambda: header.runner.job is None)
    assert "of memory, on" in header.time.text() and not header.measure.isVisibleTo(header)
    dock.data.steps.value = 3
    assert not header.time.text(), "it was of other settings"
    dock.data.steps.value = 2
    assert "of memory" in header.time.text(), "what is known is not measured again"


def test_how_far_slices_go_on() -> None:
    tomogram = synthetic.sample("scan_lines", shape=(6, 64, 64)).noisy
    assert continuity(as_stack(tomogram)) > GOES_ON
    assert continuity(as_stack(np.random.default_rng(0).normal(size=(6, 64, 64)))) < 0.3
    assert continuity(as_stack(tomogram[0])) == 0
