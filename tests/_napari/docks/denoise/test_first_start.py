"""What is told on the first start of a computer, and only then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hands import open_dock

from napari_autostructn2v._napari.docks.denoise import dock as dock_module
from napari_autostructn2v._napari.widgets.told_once import told_before


def test_how_to_get_a_graphics_card_to_compute_is_told_once(
    hand: Any, viewer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    told: list[str] = []
    monkeypatch.setattr(dock_module, "show_info", told.append)
    monkeypatch.setattr(dock_module, "device_here", lambda: ("CPU (2 threads)", "Install the other build."))
    dock = open_dock(viewer)
    hand.wait(lambda: dock.session.monitor.device == "CPU (2 threads)")
    assert told == ["Install the other build."]
    assert told_before("graphics card")


def test_where_nothing_can_be_kept_nothing_is_told_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "napari-autostructn2v").write_text("a file where the folder would be")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert told_before("anything")
