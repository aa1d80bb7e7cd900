"""Several layers trained on together: ticked in the list, told where they disagree, each with its result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hands import Hand, open_dock, through_stage1
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog, QStyle, QStyleOptionViewItem

from napari_autostructn2v import synthetic
from napari_autostructn2v._napari.session.state import Phase
from napari_autostructn2v.io import VoxelSize, write_stack
from napari_autostructn2v.learning.model import load_model
from napari_autostructn2v.runs.folder import RunFolder


def scan_lines(seed: int, *, turned: bool = False) -> np.ndarray:
    stack = synthetic.sample("scan_lines", shape=(4, 112, 112), seed=seed).noisy
    return np.ascontiguousarray(stack.swapaxes(1, 2)) if turned else stack


def tick(dock: Any, name: str) -> None:
    """Click on the box before a layer's name."""
    names = dock.data.training.companions.list
    (item,) = names.findItems(name, Qt.MatchFlag.MatchExactly)
    names.scrollToItem(item)
    option = QStyleOptionViewItem()
    names.initViewItemOption(option)
    option.rect = names.visualItemRect(item)
    option.features |= QStyleOptionViewItem.ViewItemFeature.HasCheckIndicator
    box = names.style().subElementRect(QStyle.SubElement.SE_ItemViewItemCheckIndicator, option, names)
    before = item.checkState()
    at: QPoint = box.center()
    QTest.mouseClick(names.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, at)
    assert names.findItems(name, Qt.MatchFlag.MatchExactly)[0].checkState() is not before


def ticked(dock: Any) -> list[str]:
    names = dock.data.training.companions.list
    items = [names.item(row) for row in range(names.count())]
    return [item.text() for item in items if item.checkState() is Qt.CheckState.Checked]


def test_two_layers_from_the_list_to_their_results(
    make_napari_viewer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer = make_napari_viewer(show=True)
    hand = Hand(viewer)
    place = {"scale": (2.0, 1.5, 1.5), "units": ("nm",) * 3}
    viewer.add_image(np.zeros((2, 64, 64, 3), np.uint8), name="colours")
    viewer.add_image(scan_lines(3)[:2], name="thin", **place)
    viewer.add_image(scan_lines(4), name="finer", scale=(1, 1, 1), units=("nm",) * 3)
    viewer.add_image(scan_lines(2, turned=True), name="turned", translate=(6, 30, -45), **place)
    viewer.add_image(scan_lines(1), name="usual", **place)
    dock = open_dock(viewer, 4)
    dock.data.layer.choose(viewer.layers["usual"])
    hand.click(dock.data.advanced.button)
    companions, session = dock.data.training.companions, dock.session
    hand.wait(companions.list.isVisible)
    assert "usual" not in [companions.list.item(row).text() for row in range(companions.list.count())]

    # what cannot go is told beside the list, before any work begins, and Stage 1 waits
    dock.data.mode.value = "2.5d"
    for wrong, words in (("colours", "RGB"), ("thin", "thin: "), ("finer", "finer has 1 × 1 nm")):
        tick(dock, wrong)
        assert words in companions.message.text() and companions.message.isVisible()
        assert not dock.stage1.run.isEnabled()
        tick(dock, wrong)
        assert not companions.message.isVisible() and dock.stage1.run.isEnabled()
    dock.data.mode.value = "2d"
    tick(dock, "turned")
    hand.click(dock.data.training.some_slices)
    assert "as a whole" in companions.message.text() and not dock.stage1.run.isEnabled()
    hand.click(dock.data.training.some_slices)
    assert ticked(dock) == ["turned"]
    hand.click(dock.data.advanced.button)
    assert "together with turned" in dock.data.message.text(), "though the list is not seen"

    through_stage1(hand, dock)
    review = session.review
    assert review is not None and review.agreement is not None
    told = dock.review.card.together.text()
    assert "The noise of the two stacks differs" in told and "turned: " in told and "along 0°" in told
    assert "usual: " in dock.review.card.summary.text(), "each by its kernel, direction and strength"
    assert min(review.analysis.kernel.shape) > 1, "one kernel that suits both"

    hand.click(dock.review.approve)
    hand.wait(lambda: session.phase is Phase.RESULT or session.messages.error)
    assert not session.messages.error and "turned" in dock.result.summary.text()
    model = session.run.stage2.model
    assert model.each_normalised and model.provenance["input"] == "usual, turned"
    for name in ("usual", "turned"):
        image, denoised = viewer.layers[name], viewer.layers[f"{name} denoised"]
        assert denoised.data.shape == image.data.shape
        corner = (3, 10, 20)
        np.testing.assert_allclose(denoised.data_to_world(corner), image.data_to_world(corner))
        removed = np.asarray(image.data) - np.asarray(denoised.data)
        assert 0 < removed.std() < image.data.std(), "of that image, and of no other"
    detail = session.run.stage2.others[0].detail
    for z in range(4):  # such a short training finds none
        detail[z] = np.full((112, 112), 5, np.float32)
    with_detail = np.asarray(viewer.layers["turned denoised"].data)
    dock.result.recovery.value = 0
    np.testing.assert_array_less(np.asarray(viewer.layers["turned denoised"].data), with_detail - 1)

    # saved, and opened again in one go
    folder = tmp_path / "kept"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args: (str(folder), ""))
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *args: str(folder))
    before = np.asarray(viewer.layers["turned denoised"].data)
    hand.choose(dock.result.more, dock.result.save_run)
    hand.wait(lambda: session.disk.saved_in is not None or session.messages.error)
    assert not session.messages.error
    kept = [load_model(RunFolder(each).stage("stage2").model) for each in (folder, folder / "together" / "2")]
    assert kept[0].weights_digest() == kept[1].weights_digest()
    viewer.layers.clear()
    hand.click(dock.data.open_run)
    hand.wait(lambda: session.phase is Phase.RESULT or session.messages.error)
    assert not session.messages.error and ticked(dock) == ["turned"]
    np.testing.assert_allclose(
        np.asarray(viewer.layers["turned denoised"].data), before, rtol=1e-4, atol=1e-4
    )
    assert "The noise of the two stacks differs" in dock.review.card.together.text()


def test_files_are_added_and_trained_on(
    viewer: Any, hand: Hand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer.add_image(scan_lines(1), name="usual", scale=(1, 1, 1), units=("nm",) * 3)
    dock = open_dock(viewer, 4)
    files = [
        write_stack(tmp_path / f"{name}.mrc", scan_lines(seed), voxel_size=VoxelSize(1, edge, edge))
        for seed, (name, edge) in enumerate((("same", 1.0), ("coarser", 2.0)))
    ]
    broken = tmp_path / "broken.mrc"
    broken.write_bytes(files[0].read_bytes()[:3000])
    companions = dock.data.training.companions

    def add(*paths: Path) -> None:
        monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *args: (list(map(str, paths)), ""))
        hand.click(companions.add_files)

    add(broken)
    assert "broken.mrc" in dock.session.messages.error and not ticked(dock)
    add(*files)
    assert set(ticked(dock)) == {"same", "coarser"} and "coarser has 2 × 2 nm" in companions.message.text()
    viewer.layers.remove("coarser")
    assert ticked(dock) == ["same"] and dock.session.ready and not companions.message.text()
    dock.data.layer.choose(viewer.layers["same"])
    assert not ticked(dock), (
        "another image is chosen: it is not trained on with what was ticked for the first"
    )
