"""Where kernels are kept: files, and the user's library."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtWidgets import QComboBox, QFileDialog, QGridLayout, QInputDialog, QLabel, QMessageBox, QWidget

from napari_autostructn2v._napari.widgets.panel_parts import button
from napari_autostructn2v.errors import AutoStructN2VError
from napari_autostructn2v.kernel import load_kernel, save_kernel

if TYPE_CHECKING:
    from napari_autostructn2v._napari.workspace import Workspace
    from napari_autostructn2v.kernel.library import KernelLibrary

OPEN = "Kernels (*.json *.npy *.tif *.tiff)"
SAVE = "JSON (*.json);;NumPy (*.npy);;TIFF (*.tif)"


class KernelStorage(QWidget):
    """Takes kernels from files and from the library, and keeps them there.

    Parameters
    ----------
    workspace
        Whose kernel.
    library
        Kernels kept under names.
    ask_for_file
        Given a title, a name and kinds of files, returns the path to write to, or None.
    """

    def __init__(
        self,
        workspace: Workspace,
        library: KernelLibrary,
        ask_for_file: Callable[[str, str, str], Path | None],
    ) -> None:
        super().__init__()
        self._workspace, self._session, self._library = workspace, workspace.session, library
        self._ask_for_file = ask_for_file
        self.load = button(
            "Load …", "Take the kernel from a .json, .npy or .tif file, in place of this one", self._load
        )
        self.save = button("Save …", "Write this kernel as a .json, .npy or .tif file", self._save)
        self.kept = QComboBox()
        self.kept.setToolTip("Kernels you have kept on this computer, for any stack")
        self.use = button("Use", "Take the kept kernel in place of this one", self._use)
        self.keep = button("Keep as …", "Keep this kernel under a name, for other stacks", self._keep)
        self.forget = button("Forget", "Delete the kept kernel for good", self._forget)

        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.addWidget(QLabel("File"), 0, 0)
        grid.addWidget(self.load, 0, 1)
        grid.addWidget(self.save, 0, 2)
        grid.addWidget(QLabel("Library"), 1, 0)
        grid.addWidget(self.kept, 1, 1, 1, 2)
        grid.addWidget(self.use, 2, 0)
        grid.addWidget(self.keep, 2, 1)
        grid.addWidget(self.forget, 2, 2)
        self._list()

    def _list(self, chosen: str = "") -> None:
        self.kept.clear()
        self.kept.addItems(self._library.names())
        self.kept.setCurrentIndex(max(self.kept.findText(chosen), 0) if self.kept.count() else -1)
        for widget in (self.kept, self.use, self.forget):
            widget.setEnabled(self.kept.count() > 0)

    def _load(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, "Load a kernel", "", OPEN)
        if chosen:
            self._take(lambda: load_kernel(chosen), Path(chosen).name)

    def _use(self) -> None:
        name = self.kept.currentText()
        self._take(lambda: self._library.load(name), name)

    def _take(self, load: Callable[[], np.ndarray], name: str) -> None:
        review = self._session.review
        if review is not None:
            self._try(
                lambda: self._workspace.review.draw_kernel(review.on_grid(load())),
                f"The kernel is that of {name} now.",
            )

    def _save(self) -> None:
        run, review = self._session.run, self._session.review
        if run is None or review is None:
            return
        path = self._ask_for_file("Save the kernel", f"{run.source.name}_kernel.json", SAVE)
        if path is not None:
            kernel = review.analysis.kernel
            self._try(lambda: save_kernel(path, kernel, overwrite=True), f"Saved {path}.")

    def _keep(self) -> None:
        review = self._session.review
        name, agreed = QInputDialog.getText(self, "Keep the kernel", "Name")
        if review is not None and agreed:
            kernel = review.analysis.kernel
            self._try(lambda: self._list(self._library.save(name, kernel)), "The kernel is in the library.")

    def _forget(self) -> None:
        name = self.kept.currentText()
        answer = QMessageBox.question(self, "Forget a kernel", f"Delete the kept kernel {name} for good?")
        if answer == QMessageBox.StandardButton.Yes:
            self._try(lambda: self._library.forget(name), f"The kernel {name} is forgotten.")
            self._list()

    def _try(self, action: Callable[[], object], notice: str) -> None:
        """Say in the dock what was done, or what went wrong that the person can do something about."""
        try:
            action()
        except AutoStructN2VError as error:
            self._session.messages.fail(str(error))
        else:
            self._session.messages.confirm(notice)
