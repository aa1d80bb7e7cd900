"""What the section Result says of a result by itself, and what can be done with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hands import Gate, Hand, open_dock, through_stage1
from qtpy.QtWidgets import QFileDialog

from napari_autostructn2v._napari.docks.denoise.quality_card import MARKS, TRIAL
from napari_autostructn2v._napari.session import appraisal as module
from napari_autostructn2v._napari.session.state import Phase
from napari_autostructn2v.io import read_stack


@pytest.fixture
def dock(viewer: Any, hand: Hand, noisy: np.ndarray) -> Any:
    """After both stages of a stack that has no voxel size."""
    viewer.add_image(noisy, name="tiny")
    made = open_dock(viewer, 2)
    through_stage1(hand, made)
    return made


def to_result(hand: Hand, dock: Any) -> None:
    attempts = len(dock.session.attempts)
    hand.click(dock.review.decision.approve)
    hand.wait(lambda: len(dock.session.attempts) > attempts or dock.session.messages.error)
    assert not dock.session.messages.error and dock.session.phase is Phase.RESULT


def test_it_fills_itself_and_never_shows_the_figures_of_another_result(
    hand: Hand, dock: Any, viewer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    card, appraisal = dock.result.card, dock.workspace.appraisal
    assert not card.isVisibleTo(dock.result), "nothing is done yet"
    gate = Gate(free=1)
    monkeypatch.setattr(module, "appraising", held_at(gate))
    to_result(hand, dock)
    hand.wait(lambda: appraisal.found is not None or appraisal.problem)
    assert not appraisal.problem
    first = appraisal.found
    assert [line.isVisibleTo(card) for line in card.lines] == [True] * 3
    for light, line, grade, title in zip(
        card.lights, card.lines, first.report.grades, ("Structured", "Image", "Pattern"), strict=True
    ):
        assert light.text() == MARKS[grade] and line.text().startswith(title)
    assert appraisal.was_a_trial
    assert (card.advice.text() == TRIAL) == first.report.adds_pattern

    # of the next attempt there are no figures until it was measured; that keeps nobody waiting
    to_result(hand, dock)
    hand.wait(gate.reached.is_set)
    assert appraisal.found is None and dock.session.runner.job is None
    assert not any(line.isVisibleTo(card) for line in card.lines)
    assert card.bar.isVisibleTo(card) and dock.result.save_result.isEnabled()
    hand.click(card.cancel)
    assert "cancelled" in card.message.text() and not card.bar.isVisibleTo(card)
    gate.open()
    hand.click(card.again)
    hand.wait(lambda: appraisal.found is not None)
    assert appraisal.found.report is not first.report and not card.message.isVisibleTo(card)

    # the earlier attempt once more, in the combo box that is there from the second attempt on
    assert dock.result.attempts.isVisibleTo(dock.result)
    dock.result.attempts.setCurrentIndex(0)
    dock.result.attempts.activated.emit(0)
    assert appraisal.found is None
    hand.wait(lambda: appraisal.found is not None)
    assert appraisal.found.report.as_dict() == first.report.as_dict()

    # another recording of the scene judges it
    again = viewer.add_image(np.array(viewer.layers["tiny"].data)[::-1], name="again")
    assert card.recording.isVisibleTo(card)
    card.recording.choose(again)
    hand.wait(lambda: appraisal.found is not None)
    assert appraisal.found.score is not None
    assert card.judged.text() == appraisal.found.score.sentences[0]

    # a run begun anew has no figures; the other recording is still one of its scene
    hand.click(dock.stage1.run)
    assert appraisal.found is None and not card.isVisibleTo(dock.result)
    hand.wait(lambda: dock.session.runner.job is None)


def held_at(gate: Gate) -> Any:
    """The measurement, behind a gate in its thread."""
    measure = module.appraising

    def held(*args: Any) -> Any:
        gate.enter()
        return (yield from measure(*args))

    return held


def test_a_result_is_saved_in_eight_bits_with_a_voxel_size_that_was_asked_for(
    hand: Hand, dock: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = dock.session
    hand.click(dock.review.decision.skip)
    for name, kind, dtype in (("a.tif", "bytes", np.uint8), ("b.mrc", "words", np.uint16)):
        monkeypatch.setattr(
            QFileDialog, "getSaveFileName", lambda *args, name=name: (str(tmp_path / name), "")
        )
        hand.save_result(dock, as_kind=kind, edge_nm=1.5)
        hand.wait(lambda: "Saved" in dock.message.text() or session.messages.error)
        assert not session.messages.error
        told = dock.message.text()
        assert "clipped" in told and f"0 is {float(np.min(session.run.denoised)):.2f}"[:5] in told
        saved = read_stack(tmp_path / name)
        assert saved.array.dtype == dtype and saved.voxel_size.x == pytest.approx(1.5)
        session.messages.confirm("")


def test_the_model_of_this_result_is_applied_to_more(hand: Hand, dock: Any, viewer: Any) -> None:
    hand.click(dock.review.decision.skip)
    hand.click(dock.result.apply)
    assert dock.workspace.batch.uses_session
    assert "Apply trained model" in "".join(viewer.window.dock_widgets)
