"""What a person sees and can copy when a job ends in an error."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hands import Hand
from qtpy.QtWidgets import QApplication

from napari_autostructn2v._napari.docks.denoise.dock import StructuredDenoisingWidget
from napari_autostructn2v._napari.session import jobs, session
from napari_autostructn2v.errors import StackError
from napari_autostructn2v.events import StageStarted


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "crop the stack"),
        (OSError(28, "No space left on device"), "disk is full"),
        (KeyError("conv.weight"), "report it"),
    ],
)
def test_an_error_is_told_and_its_report_can_be_copied(
    viewer: Any, hand: Hand, noisy: np.ndarray, monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    def breaking(*_: Any) -> jobs.Stream:
        yield StageStarted("stage1")
        raise error

    monkeypatch.setattr(session, "stage1", breaking)
    viewer.add_image(noisy, name="noisy")
    widget = StructuredDenoisingWidget(viewer)
    viewer.window.add_dock_widget(widget)
    assert widget.copy_report.isHidden()
    widget.session.start_stage1()
    hand.wait(lambda: widget.session.messages.error)
    assert words in widget.message.text()
    assert not widget.copy_report.isHidden()
    hand.click(widget.copy_report)
    report = QApplication.clipboard().text()
    assert type(error).__name__ in report and "in breaking" in report
    assert '"shape": [4, 80, 80]' in report and "napari 0" in report
    assert "Copied" in widget.copy_report.text()

    widget.session.messages.confirm("Saved.")
    assert widget.copy_report.isHidden(), "there is nothing to report any more"
    widget.session.messages.fail("The disk is full.")
    assert widget.copy_report.isHidden(), "of this there is no more to say"
    flat = StackError("All values are the same.")
    widget.session.messages.fail(str(flat), flat)
    assert widget.copy_report.isHidden(), "this is of the person's data, and no matter for an issue"
