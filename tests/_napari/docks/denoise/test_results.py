"""What is shown of a result: its spectrum, its array, the answer to a click far down."""

from __future__ import annotations

from typing import Any

import numpy as np
from hands import Hand, live, open_dock, small_screen, through_stage1
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_autostructn2v._napari.canvas.layer_names import SPECTRUM
from napari_autostructn2v._napari.session.state import Phase


def test_the_spectrum_of_a_result(make_napari_viewer: Any, noisy: np.ndarray) -> None:
    viewer = small_screen(make_napari_viewer)
    hand = Hand(viewer)
    viewer.add_image(noisy, name="tiny")
    dock = open_dock(viewer, 2)
    through_stage1(hand, dock)
    session, combo = dock.session, dock.peaks.spectrum
    dock.parts["Peaks"].button.setChecked(True)
    dock.workspace.review.ensure()
    layer = dock.workspace.review.layers[SPECTRUM]
    background = np.array(layer.data)
    hand.click(dock.review.approve)
    hand.wait(lambda: session.phase is Phase.RESULT or session.messages.error)
    assert not session.messages.error
    for _ in range(combo.count()):
        combo.setFocus()
        QTest.keyClick(combo, Qt.Key.Key_Down)
    assert combo.currentIndex() == combo.count() - 1
    hand.wait(lambda: dock.workspace.spectrum.choice == "stage2" and not dock.workspace.spectrum.waiting)
    wanted = session.review.automatic.measured.spectrum_of(session.run.denoised).log_power
    np.testing.assert_allclose(layer.data, wanted, rtol=1e-5)
    assert not np.allclose(layer.data, background)
    for _ in range(combo.count()):
        QTest.keyClick(combo, Qt.Key.Key_Up)
    hand.wait(lambda: np.array_equal(layer.data, background))

    # a result that is kept aside stays as it is
    hand.click(dock.review.decision.approve)
    hand.wait(lambda: len(session.attempts) == 2 or session.messages.error)
    first = np.array(session.run.denoised)
    np.testing.assert_array_equal(viewer.layers["tiny denoised"].data, first)
    dock.sections[Phase.RESULT].button.setChecked(True)
    hand.choose(dock.result.more, dock.result.keep)
    dock.result.recovery.value = 40
    np.testing.assert_array_equal(viewer.layers["tiny denoised 2"].data, first)
    np.testing.assert_array_equal(viewer.layers["tiny denoised"].data, session.run.stage2.denoised(0.4))

    # every section open, and scrolled to the end: what is told is seen
    for section in dock.sections.values():
        section.button.setChecked(True)
    live()
    dock.result.setFocus()
    session.messages.confirm("Saved.")
    hand.wait(lambda: dock.message.visibleRegion().boundingRect().height() == dock.message.height() > 0)
    told = dock.message.styleSheet()
    session.messages.notices = ["The kernel was cut to 61 pixels."]
    session.changed.emit()
    assert dock.message.styleSheet() != told, "a warning is of another colour than an answer to a click"
    session.messages.confirm("Saved.")
    from qtpy.QtWidgets import QScrollArea

    bar = dock.findChild(QScrollArea).verticalScrollBar()
    assert bar.maximum() > 0
    bar.setValue(bar.maximum())
    hand.wait(lambda: dock.message.visibleRegion().boundingRect().height() == dock.message.height())
