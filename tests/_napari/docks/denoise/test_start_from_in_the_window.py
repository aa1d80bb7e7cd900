"""A run of the window that goes on from a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hands import open_dock, through_stage1
from qtpy.QtWidgets import QFileDialog

from napari_autostructn2v import TrainingConfig, train
from napari_autostructn2v._napari.docks.denoise.start_combo import FROM_FILE, NOTHING, TRAINED_HERE
from napari_autostructn2v._napari.session.state import Phase
from napari_autostructn2v.events import finish
from napari_autostructn2v.runs.folder import RunFolder

SMALL = TrainingConfig(
    steps=4, batch_size=2, patch_size=32, features=16, validation_interval=2, validation_patches=4
)


@pytest.fixture
def model(noisy: np.ndarray, tmp_path: Path) -> Path:
    made = finish(train(noisy, np.ones((1, 5), bool), SMALL, device="cpu", name="yesterday"))
    return made.save(tmp_path / "model.zip")


def test_both_stages_go_on_from_the_model_of_a_file(
    hand: Any, viewer: Any, noisy: np.ndarray, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer.add_image(noisy, name="tiny")
    dock = open_dock(viewer)
    session, combo = dock.session, dock.data.training.start
    as_preset = session.choice.settings.training
    broken = tmp_path / "broken.zip"
    broken.write_bytes(model.read_bytes()[:2000])

    def choose(path: Path) -> None:
        monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *args: (str(path), ""))
        combo.activated.emit(FROM_FILE)

    choose(broken)
    hand.wait(lambda: session.messages.error)
    assert "damaged" in session.messages.error and combo.currentIndex() == NOTHING
    choose(model)
    hand.wait(lambda: session.choice.start is not None)
    assert combo.currentText() == "yesterday"
    training = session.choice.settings.training
    assert training.features == 16 and training.steps == as_preset.steps // 4, "of its size, in fewer steps"
    dock.data.preset.value = "fast"
    assert session.choice.settings.training.features == 16, "another preset is gone on from as well"
    dock.data.steps.value = 2
    through_stage1(hand, dock)
    hand.click(dock.review.approve)
    hand.wait(lambda: session.phase is Phase.RESULT or session.messages.error)
    assert not session.messages.error
    for output in (session.run.stage1, session.run.stage2):
        assert output.model.provenance["started_from"] == "yesterday"

    combo.activated.emit(NOTHING)
    assert session.choice.start is None and session.choice.settings.training.features != 16
    save = session.save_to(tmp_path / "run")
    assert save is not None
    save()
    kept = RunFolder(tmp_path / "run").read_request().start
    assert kept is not None and kept.provenance["input"] == "yesterday", "as the run was begun"


def test_the_model_trained_here(hand: Any, viewer: Any, noisy: np.ndarray) -> None:
    viewer.add_image(noisy, name="tiny")
    dock = open_dock(viewer, 2)
    session, combo = dock.session, dock.data.training.start
    assert not combo.model().item(TRAINED_HERE).isEnabled(), "there is none yet"
    through_stage1(hand, dock)
    combo.activated.emit(TRAINED_HERE)
    assert session.choice.start is session.run.stage1.model and combo.currentText() == "tiny"
