"""Long names: elided in the middle, whole in the tooltip; short titles of docks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hands import small_screen
from qtpy.QtCore import QEvent, QPoint
from qtpy.QtGui import QHelpEvent
from qtpy.QtWidgets import QApplication, QLabel, QTabBar, QToolTip

from napari_autostructn2v._napari.widgets.elided import elided

NAME = "20260317_grid3_square12_tomo004_bin4_ali_rec_wbp_full_field_final_version"


def tooltip_of(widget: Any) -> str:
    middle = widget.rect().center()
    QApplication.sendEvent(widget, QHelpEvent(QEvent.Type.ToolTip, middle, widget.mapToGlobal(QPoint(5, 5))))
    return str(QToolTip.text())


@pytest.mark.parametrize("longest", [7, 8, 40])
def test_both_ends_are_kept(longest: int) -> None:
    short = elided(NAME, longest)
    assert len(short) == longest and short.count("…") == 1
    head, tail = short.split("…")
    assert NAME.startswith(head) and NAME.endswith(tail) and abs(len(head) - len(tail)) <= 1
    assert elided("short", longest) == "short"


def test_long_names_are_cut_in_the_middle_and_told_whole(make_napari_viewer: Any, noisy: np.ndarray) -> None:
    viewer = small_screen(make_napari_viewer)
    viewer.add_image(noisy, name=NAME)
    viewer.add_image(noisy + 1, name=f"{NAME} denoised")
    _, dock = viewer.window.add_plugin_dock_widget("napari-autostructn2v", "Compare")
    dock.ways.ways["swipe"].click()
    QApplication.processEvents()
    assert dock.width() <= 400, "the dock has not grown"
    assert "…" in dock.second.shown_text() and dock.second.shown_text().endswith("denoised")
    assert f"<b>{NAME} denoised</b>" in tooltip_of(dock.second) and "The denoised" in tooltip_of(dock.second)
    shown = QLabel.text(dock.ways.shown)
    assert NAME not in shown and "…" in shown and NAME in dock.ways.shown.text()
    assert dock.ways.shown.minimumSizeHint().width() < dock.width() - 20, "no word is cut off"
    assert NAME in tooltip_of(dock.ways.shown)
    assert "…" not in dock.third.shown_text()


@pytest.mark.parametrize("title", ["Structured denoising", "Apply trained model", "Compare"])
def test_titles_of_docks_are_read_whole(make_napari_viewer: Any, title: str) -> None:
    viewer = make_napari_viewer(show=True)
    dock, widget = viewer.window.add_plugin_dock_widget("napari-autostructn2v", title)

    def on_the_bar() -> list[str]:
        return [label.text() for label in dock.titleBarWidget().findChildren(QLabel)]

    QApplication.processEvents()
    assert title in on_the_bar() and "napari" not in dock.windowTitle()
    for floating in (True, False):
        dock.setFloating(floating)
        assert title in on_the_bar()
    _, again = viewer.window.add_plugin_dock_widget("napari-autostructn2v", title)
    assert again is widget, "napari finds it by its own name"


def test_three_tabs_are_read_whole(make_napari_viewer: Any) -> None:
    viewer = small_screen(make_napari_viewer)
    for title in ("Structured denoising", "Compare", "Apply trained model"):
        viewer.window.add_plugin_dock_widget("napari-autostructn2v", title, tabify=True)
    QApplication.processEvents()
    (tabs,) = (bar for bar in viewer.window._qt_window.findChildren(QTabBar) if bar.count() == 3)
    assert tabs.sizeHint().width() <= tabs.width(), "no tab is cut"
