"""Commands by key, from the palette and the Layers menu."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from app_model.types import KeyBinding
from hands import open_dock
from napari._app_model import get_app_model
from napari._qt.widgets.qt_keyboard_settings import ShortcutEditor
from napari.settings import get_settings
from napari.utils.action_manager import action_manager
from napari.utils.shortcuts import default_shortcuts
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

from napari_autostructn2v._napari import actions
from napari_autostructn2v._napari.canvas.layer_names import PEAKS
from napari_autostructn2v._napari.docks.denoise.dock import StructuredDenoisingWidget
from napari_autostructn2v._napari.session.state import Phase

CTRL_ALT = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.AltModifier


@pytest.fixture
def dock(viewer: Any, noisy: np.ndarray) -> StructuredDenoisingWidget:
    viewer.add_image(noisy, name="tiny")
    dock = open_dock(viewer, 2)
    return dock


@pytest.fixture
def own_settings() -> Iterator[None]:
    """Shortcuts as they were, once the test is over."""
    yield
    get_settings().shortcuts.reset()
    actions.register()


def test_the_whole_way_by_keys(hand: Any, viewer: Any, dock: Any) -> None:
    session = dock.session
    hand.key(Qt.Key.Key_R, CTRL_ALT)
    assert session.phase is Phase.STAGE1
    hand.key(Qt.Key.Key_X, CTRL_ALT)
    assert session.runner.job is None and session.phase is Phase.DATA
    hand.key(Qt.Key.Key_A, CTRL_ALT)
    assert session.phase is Phase.DATA, "there is nothing to approve"
    hand.key(Qt.Key.Key_R, CTRL_ALT)
    hand.wait(lambda: session.phase is Phase.REVIEW or session.messages.error)
    hand.key(Qt.Key.Key_E, CTRL_ALT)
    peaks = dock.workspace.review.labels(PEAKS)
    noise = dock.workspace.noise
    assert noise.shown and noise.model.layers.selection.active is peaks and peaks.mode == "paint"
    hand.over_noise()
    hand.key(Qt.Key.Key_5, CTRL_ALT)
    hand.wait(lambda: not noise.shown)  # the key is as good on the canvas of the noise
    hand.over(viewer.layers["tiny"])
    hand.key(Qt.Key.Key_N, CTRL_ALT)
    assert session.phase is Phase.RESULT and session.run.skipped
    hand.key(Qt.Key.Key_A, CTRL_ALT)
    assert session.phase is Phase.STAGE2
    hand.key(Qt.Key.Key_X, CTRL_ALT)
    assert session.runner.job is None


def test_shortcuts_clash_with_none_of_napari(dock: Any) -> None:
    own = {f"{actions.PLUGIN}:{key}" for key in actions.SHORTCUTS}
    taken = {str(binding) for bindings in default_shortcuts.values() for binding in bindings}
    taken |= {str(rule.keybinding) for rule in get_app_model().keybindings}
    ours = [str(binding) for name in own for binding in action_manager._shortcuts[name]]
    assert len(ours) == len(set(ours)) == len(own)
    assert not taken & set(ours)


def test_a_shortcut_is_changed_in_the_preferences(
    qtbot: Any, hand: Any, viewer: Any, dock: Any, own_settings: None
) -> None:
    preferences = viewer.window._open_preferences_dialog()
    editor = preferences.findChild(ShortcutEditor)
    table = editor._table
    texts = [table.item(row, editor._action_name_col).text() for row in range(table.rowCount())]
    row = texts.index("Denoising: run stage 1")
    assert "R" in table.item(row, editor._shortcut_col).text()
    table.setCurrentCell(row, editor._shortcut_col)
    table.item(row, editor._shortcut_col).setText("Ctrl+Alt+J")
    QApplication.processEvents()
    name = f"{actions.PLUGIN}:run_stage1"
    assert get_settings().shortcuts.shortcuts[name] == [KeyBinding.from_str("Ctrl+Alt+J")]
    preferences.accept()
    hand.key(Qt.Key.Key_R, CTRL_ALT)
    assert dock.session.runner.job is None
    hand.key(Qt.Key.Key_J, CTRL_ALT)
    assert dock.session.phase is Phase.STAGE1
    dock.session.cancel()
    StructuredDenoisingWidget(viewer).deleteLater()  # registers once more, as the next start of napari does
    assert [str(binding) for binding in action_manager._shortcuts[name]] == ["Ctrl+Alt+J"]


def test_commands_are_in_the_palette(hand: Any, viewer: Any, noisy: np.ndarray) -> None:
    app = get_app_model()
    listed = {item.command.id for item in app.menus.get_menu(app.menus.COMMAND_PALETTE_ID)}
    held = {"blink"}  # which ends as the key is let go
    assert {f"{actions.PLUGIN}.{key}" for key in actions.SHORTCUTS.keys() - held} <= listed
    viewer.add_image(noisy, name="tiny")
    # with no dock open: it opens, and takes the image
    app.commands.execute_command(f"{actions.PLUGIN}.run_stage1")
    session = actions.workspace_of(viewer).session
    assert session.phase is Phase.STAGE1
    app.commands.execute_command(f"{actions.PLUGIN}.cancel")
    assert session.runner.job is None
    assert any("Structured denoising" in name for name in viewer.window.dock_widgets)


def test_docks_are_in_the_layers_menu(viewer: Any) -> None:
    from napari._app_model.constants import MenuId

    listed = {item.command.id for item in get_app_model().menus.get_menu(MenuId.LAYERS_FILTER)}
    assert {f"{actions.PLUGIN}.denoise", f"{actions.PLUGIN}.apply"} <= listed
