"""Sharing a model from the dock."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hands import open_dock, through_stage1
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QAbstractButton, QComboBox, QFileDialog, QLineEdit, QTextEdit

from napari_autostructn2v import model_zoo, synthetic
from napari_autostructn2v._napari.docks.denoise.dock import StructuredDenoisingWidget
from napari_autostructn2v._napari.docks.denoise.zoo_dialog import ZooDialog
from napari_autostructn2v._napari.session.state import Phase

# the zoo's library leaves it to Python to close the files that it reads
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@pytest.fixture
def dock(viewer: Any, hand: Any) -> StructuredDenoisingWidget:
    """After stage 1 of a stack large enough for an example."""
    viewer.add_image(synthetic.sample("scan_lines", shape=(4, 112, 112), seed=1).noisy, name="ünder test")
    dock = open_dock(viewer)
    assert not dock.result.open_zoo.isEnabled()
    dock.data.preset.value, dock.data.steps.value = "fast", 2
    through_stage1(hand, dock)
    dock.sections[Phase.RESULT].button.setChecked(True)
    return dock


def opened(hand: Any, dock: StructuredDenoisingWidget) -> ZooDialog:
    hand.choose(dock.result.more, dock.result.open_zoo)
    (dialog,) = dock.findChildren(ZooDialog)
    return dialog


def test_a_model_is_shared(hand: Any, dock: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zoo = pytest.importorskip("bioimageio.core", reason="the extra 'zoo' is not installed")
    target = tmp_path / "shared.zip"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args: (str(target), ""))
    dialog = opened(hand, dock)
    assert dialog.name.text() == "nder test denoising"
    assert not dialog.export.isEnabled() and "author" in dialog.notice.text()
    QTest.keyClicks(dialog.authors, "Ada Lovelace, Emmy Noether")
    assert dialog.export.isEnabled() and not dialog.notice.isVisibleTo(dialog)
    dialog.name.setText("σ")
    assert not dialog.export.isEnabled() and "the name" in dialog.notice.text()
    dialog.name.setText("Test of the dock")
    dialog.example.setChecked(True)
    hand.click(dialog.export)
    hand.wait(
        lambda: (
            any(n.startswith("Saved") for n in dock.session.messages.notices) or dock.session.messages.error
        )
    )
    assert not dock.session.messages.error
    assert zoo.test_model(target, devices=["cpu"]).status == "passed"
    with zipfile.ZipFile(target) as package:
        with package.open("input.npy") as file:
            image = np.load(file)
        assert "Ada Lovelace, Emmy Noether" in package.read("README.md").decode()
    np.testing.assert_array_equal(image[0, 0], dock.session.choice.source.array[2, :112, :112])


def test_what_the_zoo_refuses_is_told(
    hand: Any, dock: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("bioimageio.core", reason="the extra 'zoo' is not installed")
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args: (str(tmp_path / "a.zip"), ""))
    dialog = opened(hand, dock)
    dialog.authors.setText("Ada Lovelace")
    dialog.license.setEditText("all mine")
    hand.click(dialog.export)
    hand.wait(lambda: dock.session.messages.error)
    assert "SPDX" in dock.message.text()
    assert not list(tmp_path.iterdir())


def test_without_the_extra_it_says_what_to_install(
    hand: Any, dock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_zoo, "find_spec", lambda name: None)
    hand.choose(dock.result.more, dock.result.open_zoo)
    assert "pip install 'napari-autostructn2v[zoo]'" in dock.message.text()
    assert not dock.findChildren(ZooDialog)


def test_every_control_has_a_tooltip(hand: Any, dock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_zoo, "find_spec", lambda name: object())
    dialog = opened(hand, dock)
    for kind in (QAbstractButton, QComboBox, QLineEdit, QTextEdit):
        for widget in dialog.findChildren(kind):
            if widget.parent() is not dialog.license:  # its line is a part of it
                assert widget.toolTip(), widget
    dialog.reject()
    hand.wait(lambda: not dialog.isVisible())
