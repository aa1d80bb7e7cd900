"""The run on disk: the folder it is autosaved in while it goes on, and what the person has saved."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_autostructn2v._napari.session.state import Run
from napari_autostructn2v.disk.lock import Hold
from napari_autostructn2v.errors import FileError
from napari_autostructn2v.kernel import Edits
from napari_autostructn2v.noise.review import Review
from napari_autostructn2v.runs.companions import companion_folders
from napari_autostructn2v.runs.folder import RunFolder
from napari_autostructn2v.runs.output import StageOutput
from napari_autostructn2v.runs.store import RunStore

if TYPE_CHECKING:
    from napari_autostructn2v._napari.session.run_files import SavedRun


@dataclass(frozen=True)
class _Before:
    """The run before, as it was on disk."""

    run: Run | None
    hold: Hold | None
    folder: RunFolder | None
    saved_in: Path | None
    saved_edits: tuple[Edits, Edits]


class RunOnDisk:
    """Holds the folder of the present run, and knows which edits and which result are in files.

    The folder of the run before stays held until the present run has something of its own.
    """

    def __init__(self, store: RunStore | None = None) -> None:
        self.store = store
        """Where each run is autosaved; None autosaves none."""
        self.saved_in: Path | None = None
        """The folder that the person saved this run in or opened it from."""
        self._hold: Hold | None = None
        self._folder: RunFolder | None = None
        """The folder that is held."""
        self._before: _Before | None = None
        self._given_up: Hold | None = None
        """On the folder of a run that was given up, in which its thread may still write for a moment."""
        self._saved_edits: tuple[Edits, Edits] = Edits(), Edits()
        self._saved_result: StageOutput | None = None

    # ------------------------------------------------------------------ the folder

    def new_folder(self, name: str, before: Run | None) -> RunFolder | None:
        """The folder for a new run of the data called ``name``, held; None if there is none to write to."""
        folder = self.hold(None if self.store is None else self.store.new(name), before)
        self.saved_in, self._saved_edits = None, (Edits(), Edits())
        return folder

    def hold(self, folder: RunFolder | None, before: Run | None) -> RunFolder | None:
        """Keep others off a folder, until another run has come as far as to replace its run.

        Parameters
        ----------
        folder
            The folder of the run that begins.
        before
            The run whose folder was held so far. That folder stays held until :meth:`settle`.

        Returns
        -------
        RunFolder | None
            The folder; None if it cannot be written to.

        Raises
        ------
        BusyError
            If another process works in it. The folder before stays held.
        """
        held = self._folder
        if folder is not None and held is not None and folder.path.resolve() == held.path.resolve():
            return folder
        self._let_go_of_given_up()
        hold = None
        if folder is not None:
            try:
                hold = folder.hold()
            except FileError:
                folder = None
        self.settle()
        self._before = _Before(before, self._hold, self._folder, self.saved_in, self._saved_edits)
        self._hold, self._folder = hold, folder
        return folder

    def settle(self) -> None:
        """Let others use the folder of the run before: the present run takes its place."""
        before, self._before = self._before, None
        if before is not None:
            _release(before.hold, before.run)

    def go_back(self) -> None:
        """Give the present run up for the run before, as that was."""
        before, self._before = self._before, None
        if before is not None:
            self._let_go_of_given_up()
            self._given_up = self._hold
            self._hold, self._folder = before.hold, before.folder
            self.saved_in, self._saved_edits = before.saved_in, before.saved_edits

    def release(self, run: Run | None) -> None:
        """Let others use the folder of ``run``; if the run is done, delete its earlier attempts there."""
        self.settle()
        self._let_go_of_given_up()
        _release(self._hold, run)
        self._hold = self._folder = None

    def _let_go_of_given_up(self) -> None:
        if self._given_up is not None:
            self._given_up.release()
            self._given_up = None

    # ------------------------------------------------------------------ what is saved

    def unsaved(self, review: Review | None) -> bool:
        """Whether there are edits in the review that the person has not saved."""
        return review is not None and _edits(review) != self._saved_edits

    def only_in_memory(self, run: Run | None) -> bool:
        """Whether the run has a result that the person has not saved."""
        output = None if run is None else run.output
        return output is not None and output is not self._saved_result

    def note_saved(self, path: Path, run: Run, review: Review) -> None:
        """Remember that the run, as it was then and with this review, was saved in ``path``."""
        self.saved_in, self._saved_edits = path, _edits(review)
        self.note_result_saved(run)

    def note_result_saved(self, run: Run) -> None:
        """Remember that the result of the run, as it was then, is in a file."""
        self._saved_result = run.output

    def note_opened(self, saved: SavedRun, run: Run) -> None:
        """Remember that the run, as it is now, was opened from its folder."""
        self.saved_in = None if run.folder is None else saved.folder.path
        self._saved_edits = saved.peak_edits, saved.kernel_edits
        self.note_result_saved(run)


def _release(hold: Hold | None, run: Run | None) -> None:
    """Let others use a folder; delete the earlier attempts of its run if that is done."""
    if hold is None:
        return
    if run is not None and run.folder is not None and run.done:
        for folder in (run.folder, *companion_folders(run.folder)):
            folder.forget_earlier()
    hold.release()


def _edits(review: Review) -> tuple[Edits, Edits]:
    return review.peak_edits, review.kernel_edits
