"""Saving a run, opening one, and the question before edits are lost with the window."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.qt.threading import create_worker
from qtpy.QtWidgets import QFileDialog, QMessageBox

from napari_autostructn2v._napari.files import image_layer, voxel_size
from napari_autostructn2v._napari.run_files import open_run
from napari_autostructn2v._napari.state import Source
from napari_autostructn2v._napari.worker import written
from napari_autostructn2v.errors import AutoStructN2VError

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_autostructn2v._napari.workspace import Workspace


class RunDialogs:
    """Asks for folders and takes a workspace's run there and back."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._session = workspace.session

    @property
    def _window(self) -> Any:
        return self._workspace.viewer.window._qt_window

    def save(self) -> None:
        """Ask where to, and save the run there."""
        path = self._ask_folder()
        if path is not None:
            self._save(path, close=False)

    def open(self) -> None:
        """Ask for a run folder, and go on with what is in it."""
        chosen = QFileDialog.getExistingDirectory(self._window, "Open the folder of a run")
        if chosen:
            self.open_folder(Path(chosen))

    def open_folder(self, folder: Path, instead_of: Sequence[Layer] = ()) -> None:
        """Go on with the run in a folder, in place of layers that only showed it, or say why not."""
        if self._session.job is not None:
            self._session.tell("", "Another run is at work. Wait for it or cancel it, then open this one.")
            return
        try:
            saved = open_run(folder)
            array, meta, _ = image_layer(saved.image)
        except AutoStructN2VError as error:
            self._session.tell("", str(error))
            return
        # before others are added: napari 0.9.2 can crash when it draws again what was removed after that
        for layer in instead_of:
            self._workspace.viewer.layers.remove(layer)
        layer = self._workspace.viewer.add_image(array, **meta)
        self._workspace.choose(layer)
        source = Source(layer.name, array, voxel_size(layer), saved.image.path)
        self._session.reopen(saved, source)

    def may_close(self) -> bool:
        """Whether the window may close at once. Asks if that would lose edits."""
        if not self._session.unsaved:
            return True
        answer = QMessageBox.question(
            self._window,
            "Edits are not saved",
            "Your edits of the peaks and the kernel are in no file yet. Save the run before closing?",
            QMessageBox.StandardButton.Save
            | QMessageBox.StandardButton.Discard
            | QMessageBox.StandardButton.Cancel,
            QMessageBox.StandardButton.Save,
        )
        if answer == QMessageBox.StandardButton.Save:
            path = self._session.folder or self._ask_folder()
            if path is not None:
                self._save(path, close=True)
        return bool(answer == QMessageBox.StandardButton.Discard)

    def _ask_folder(self) -> Path | None:
        name = "run" if self._session.run is None else f"{self._session.run.source.name}_run"
        suggested = self._session.folder or Path(name)
        chosen, _ = QFileDialog.getSaveFileName(
            self._window, "Save the run as a folder", str(suggested), "Run folder (*)"
        )
        return Path(chosen) if chosen else None

    def _save(self, path: Path, *, close: bool) -> None:
        write, review = self._session.save_to(path), self._session.review
        if write is None or review is None:
            return

        def done(problem: str) -> None:
            if problem:
                self._session.tell("", problem)
                return
            self._session.saved(path, review)
            if close:
                self._window.close()

        worker = create_worker(written, write, _start_thread=False, _ignore_errors=True)
        worker.returned.connect(done)
        self._session.tell(f"Saving the run in {path.name} …")
        worker.start()
