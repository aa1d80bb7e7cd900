"""Saving a run, opening one, and the question before something is lost with the window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image
from qtpy.QtWidgets import QFileDialog, QMessageBox
from superqt.utils import create_worker

from napari_autostructn2v._napari import colours
from napari_autostructn2v._napari.canvas.layer_names import LEFT_OUT_BY_HAND, TRAINING_FIELD
from napari_autostructn2v._napari.canvas.placement import Placement
from napari_autostructn2v._napari.canvas.slices import full_shape, grey_values
from napari_autostructn2v._napari.canvas.voxel_sizes import image_layer, voxel_size
from napari_autostructn2v._napari.napari_private import main_window
from napari_autostructn2v._napari.runs.closing import unsaved_work_text
from napari_autostructn2v._napari.runs.resume_dialog import ResumeDialog
from napari_autostructn2v._napari.session.run_files import open_run
from napari_autostructn2v._napari.session.state import Source
from napari_autostructn2v._napari.worker import error_text_of
from napari_autostructn2v.box import Box
from napari_autostructn2v.errors import AutoStructN2VError

if TYPE_CHECKING:
    from napari.layers import Labels, Layer, Shapes
    from napari.viewer import Viewer

    from napari_autostructn2v._napari.batch.queue import Batch
    from napari_autostructn2v._napari.session.session import Session
    from napari_autostructn2v.io import ImageFile


class RunDialogs:
    """Asks for folders and takes a viewer's run there and back.

    Parameters
    ----------
    viewer
        Whose windows ask, and whose layers show a run.
    session, batch
        What would be interrupted or lost.
    choose
        Takes a layer as the data.
    train_with
        Takes the layers that are trained on together with those data.
    train_in
        Takes an outline as the part of each slice to train on.
    leave_out
        Takes a layer as the pixels to leave out.
    """

    def __init__(
        self,
        viewer: Viewer,
        session: Session,
        batch: Batch,
        choose: Callable[[Image], None],
        train_with: Callable[[Sequence[Image]], None],
        train_in: Callable[[Shapes], None],
        leave_out: Callable[[Labels], None],
    ) -> None:
        self._viewer, self._session, self._batch = viewer, session, batch
        self._choose, self._train_with = choose, train_with
        self._train_in, self._leave_out = train_in, leave_out
        self.dialog: ResumeDialog | None = None
        self._answered = False
        """Whether the person has said that the window is to close once the run is saved."""

    def save(self) -> None:
        """Ask where to, and save the run there."""
        path = self._ask_folder()
        if path is not None:
            self._save(path, close=False)

    def open(self) -> None:
        """Ask for a run folder, and go on with what is in it."""
        chosen = QFileDialog.getExistingDirectory(main_window(self._viewer), "Open the folder of a run")
        if chosen:
            self.open_folder(Path(chosen))

    def resume(self) -> None:
        """List the runs that are kept on this computer, and go on with the one chosen."""
        if self._session.disk.store is not None:
            self.dialog = ResumeDialog(main_window(self._viewer), self._session.disk.store, self.open_folder)
            self.dialog.open()

    def open_folder(self, folder: Path, instead_of: Sequence[Layer] = ()) -> None:
        """Go on with the run in a folder, in place of layers that only showed it, or say why not."""
        if self._session.runner.job is not None:
            self._session.messages.fail(
                "Another run is at work. Wait for it or cancel it, then open this one."
            )
            return
        try:
            saved = open_run(folder)
        except AutoStructN2VError as error:
            self._session.messages.fail(str(error))
            return
        # before others are added: napari 0.9.2 can crash when it draws again what was removed after that
        for layer in instead_of:
            self._viewer.layers.remove(layer)
        *others, layer = [self._layer_of(each.image) for each in (*saved.companions, saved)]
        self._choose(layer)
        self._train_with(others)
        path = saved.image.path
        source = Source(layer.name, grey_values(layer), voxel_size(layer), path, saved.image.heading)
        self._session.reopen(saved, source)
        self._outline_training(saved.request.box, layer)
        self._outline_left_out(saved.request.left_out, layer)

    def _layer_of(self, file: ImageFile) -> Image:
        """The layer of this very file; a new one if there is none."""
        for layer in self._viewer.layers:
            of_file = isinstance(layer, Image) and layer.source.path is not None
            if (
                of_file
                and Path(layer.source.path).resolve() == file.path.resolve()
                and full_shape(layer) == tuple(file.array.shape)
                and voxel_size(layer) == file.voxel_size
            ):
                return layer
        array, meta, _ = image_layer(file)
        return self._viewer.add_image(array, **meta)

    def _outline_training(self, box: Box | None, image: Image) -> None:
        """Show the part of each slice that is trained on, as it was drawn for the first stage."""
        height, width = image.data.shape[-2:]
        if box is None or (box.y, box.x) == ((0, height), (0, width)):
            return
        (y0, y1), (x0, x1) = box.y, box.x
        corners = np.array([(y0, x0), (y0, x1), (y1, x1), (y1, x0)]) - 0.5
        layer = self._viewer.add_shapes(
            [corners],
            name=TRAINING_FIELD,
            face_color=colours.TRANSPARENT,
            edge_color=colours.TRAINING_FIELD,
            **Placement.of(image).on_grid(2),
        )
        self._train_in(layer)
        self._session.changed.emit()

    def _outline_left_out(self, mask: np.ndarray | None, image: Image) -> None:
        """Show what is left out by hand: the next run leaves it out as well, if it is not changed."""
        if mask is None:
            return
        layer = self._viewer.add_labels(
            mask.astype(np.uint8),
            name=LEFT_OUT_BY_HAND,
            visible=False,  # what is left out is shown in the colours of what is found
            **Placement.of(image).on_grid(mask.ndim),
        )
        self._leave_out(layer)
        self._session.changed.emit()

    def may_close(self) -> bool:
        """Whether the window may close at once. Asks, once, if something would be interrupted or lost."""
        session = self._session
        lost = unsaved_work_text(session, self._batch)
        if not lost or self._answered:
            return True
        question = QMessageBox(main_window(self._viewer))
        question.setWindowTitle("Close the window?")
        question.setIcon(QMessageBox.Icon.Question)
        question.setText(lost)
        save, close = None, "Close"
        run, unsaved = session.run, session.disk.unsaved(session.review)
        autosaved = run is not None and run.autosaved
        if session.save_to(Path()) is not None and (unsaved or not autosaved):
            save = question.addButton("Save the run and close", QMessageBox.ButtonRole.AcceptRole)
            close = "Close without saving"
        leave = question.addButton(close, QMessageBox.ButtonRole.DestructiveRole)
        stay = question.addButton("Stay", QMessageBox.ButtonRole.RejectRole)
        question.setDefaultButton(stay)
        question.setEscapeButton(stay)
        question.exec()
        answer = question.clickedButton()
        question.deleteLater()
        if save is not None and answer is save:
            path = session.disk.saved_in or self._ask_folder()
            if path is not None:
                self._save(path, close=True)
        return answer is leave

    def _ask_folder(self) -> Path | None:
        name = "run" if self._session.run is None else f"{self._session.run.source.name}_run"
        suggested = self._session.disk.saved_in or Path(name)
        chosen, _ = QFileDialog.getSaveFileName(
            main_window(self._viewer), "Save the run as a folder", str(suggested), "Run folder (*)"
        )
        return Path(chosen) if chosen else None

    def _save(self, path: Path, *, close: bool) -> None:
        write, run, review = self._session.save_to(path), self._session.run, self._session.review
        if write is None or run is None or review is None:
            return

        def done(problem: str) -> None:
            if problem:
                self._session.messages.fail(problem)
                return
            self._session.disk.note_saved(path, run, review)
            self._session.messages.confirm(f"Saved the run in {path}.", path)
            if close:
                self._answered = True
                main_window(self._viewer).close()
                self._answered = False

        worker = create_worker(error_text_of, write, _start_thread=False, _ignore_errors=True)
        worker.returned.connect(done)
        self._session.messages.confirm(f"Saving the run in {path.name} …")
        worker.start()
