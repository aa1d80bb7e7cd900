"""A run folder that is opened as any file shows what is in it; from here the review goes on in one click."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari.utils.notifications import Notification, NotificationSeverity, notification_manager

from napari_autostructn2v._napari.session.run_files import open_run
from napari_autostructn2v.errors import AutoStructN2VError

PLUGIN = "napari-autostructn2v"
# napari shows the first forty letters, and the rest on demand
OFFER = (
    "To review this run, open it in the dock: here, or later with Open run … under Data. These layers only "
    "show what the run has left."
)


def offer_to_go_on(folder: Path) -> None:
    """Ask in a notification whether to go on with the run in a folder, if that is possible."""
    try:
        open_run(folder)
    except AutoStructN2VError:  # it is yet to be finished, or its input is gone: there is only this to see
        return
    notification_manager.dispatch(
        Notification(
            OFFER, NotificationSeverity.INFO, actions=(("Go on with this run", lambda _: go_on(folder)),)
        )
    )


def go_on(folder: Path) -> None:
    """Open a run in the session of the present viewer, in place of the layers that only show it."""
    import napari

    from napari_autostructn2v._napari.workspace import unwrapped, workspace_of  # which needs the readers

    viewer: Any = unwrapped(napari.current_viewer())
    dock, _ = viewer.window.add_plugin_dock_widget(PLUGIN, "Structured denoising")
    dock.show()
    dock.raise_()
    shown = [layer for layer in viewer.layers if layer.source.path == str(folder)]
    workspace_of(viewer).runs.open_folder(folder, instead_of=shown)
