"""Opening a dock of the plugin: the same one that the menu opens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from napari_autostructn2v._napari import PLUGIN

if TYPE_CHECKING:
    from napari.viewer import Viewer

DockName = Literal["Structured denoising", "Apply trained model", "Compare"]


def show_dock(viewer: Viewer, name: DockName) -> None:
    """Open a dock by its name in the manifest, as a tab beside the others, and bring it to the front."""
    dock, _ = viewer.window.add_plugin_dock_widget(PLUGIN, name, tabify=True)
    dock.show()
    dock.raise_()
