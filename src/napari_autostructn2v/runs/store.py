"""The runs that the window keeps by itself, one folder each, until they are deleted."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import get_args

from platformdirs import user_data_path

from napari_autostructn2v.disk.atomic import file_error
from napari_autostructn2v.disk.lock import Hold
from napari_autostructn2v.errors import RunFolderError
from napari_autostructn2v.runs.companions import companion_folders
from napari_autostructn2v.runs.folder import RunFolder
from napari_autostructn2v.runs.record import Record
from napari_autostructn2v.runs.stage_folder import TrainingStage

MAX_NAME = 60
"""Characters of a run's name: with the date it has to suit every file system."""


@dataclass(frozen=True)
class KeptRun:
    """What a list of runs says of one.

    Attributes
    ----------
    name
        Of its input.
    started
        None where the record cannot be read.
    stage
        How far it came, in words.
    done
        Whether there is nothing left to do.
    bytes
        Its size on disk.
    """

    path: Path
    name: str
    started: datetime | None
    stage: str
    done: bool
    bytes: int


@dataclass(frozen=True)
class RunStore:
    """A folder of run folders."""

    folder: Path

    @classmethod
    def of_user(cls) -> RunStore:
        """The runs in the user's data directory."""
        return cls(user_data_path("napari-autostructn2v", appauthor=False) / "runs")

    def new(self, name: str) -> RunFolder:
        """A folder for a new run; it is made when it is held.

        Parameters
        ----------
        name
            Of the input.
        """
        safe = re.sub(r"[^\w.()+-]", "_", name)[:MAX_NAME].strip(" .") or "run"
        stem = f"{datetime.now():%Y-%m-%d_%H-%M-%S}_{safe}"
        number = 1
        while (path := self.folder / (stem if number == 1 else f"{stem}_{number}")).exists():
            number += 1
        return RunFolder(path)

    def runs(self) -> list[KeptRun]:
        """All of them, the latest first."""
        folders = [path for path in self.folder.glob("*") if path.is_dir()]
        return [_kept(path) for path in sorted(folders, key=lambda path: path.name, reverse=True)]

    @staticmethod
    def delete(run: KeptRun) -> None:
        """Delete a run for good.

        Parameters
        ----------
        run
            One of :meth:`runs`.

        Raises
        ------
        BusyError
            If it is in use.
        FileError
            If it cannot be deleted.
        """
        with Hold(run.path):
            try:
                shutil.rmtree(run.path)
            except OSError as error:
                raise file_error(error, run.path) from error


def _kept(path: Path) -> KeptRun:
    folder = RunFolder(path)
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    try:
        record = Record.model_validate(folder.read_record())
        started = None if record.started is None else datetime.fromisoformat(record.started)
        stage = "done" if record.skipped else _stage(folder, record)
        for other in companion_folders(folder):  # with the networks of the first
            if stage == "done" and not record.skipped:
                stage = _slices_left(other, Record.model_validate(other.read_record())) or stage
        others = len(record.together) - 1
        name = (record.input or path.name) + (f" and {others} more" if others > 0 else "")
        return KeptRun(path, name, started, stage, stage == "done", size)
    except (RunFolderError, ValueError):
        return KeptRun(path, path.name, None, "cannot be read", True, size)


def _stage(folder: RunFolder, record: Record) -> str:
    """How far a run came, by the files that are there."""
    approval = folder.read_approval()
    if left := _slices_left(folder, record):
        return left
    if folder.stage("stage2").model.exists():
        return "done"
    if approval is not None:
        return f"stage 2, {_steps(folder, 'stage2', approval.config.steps)}"
    if not folder.stage("stage1").model.exists():
        return f"stage 1, {_steps(folder, 'stage1', record.config.stage1.steps)}"
    return "review" if (folder.path / "analysis" / "analysis.json").exists() else "noise analysis"


def _slices_left(folder: RunFolder, record: Record) -> str:
    """How far a stage came that was cut off while it denoised; nothing if none was."""
    depth = record.input_shape[0] if len(record.input_shape) == 3 else 1
    for stage in get_args(TrainingStage):
        for what, done in folder.stage(stage).slices_made().items():
            if done < depth:
                doing = "denoising" if what == "predicted" else "detail"
                return f"stage {stage[-1]}, {doing}, slice {done} of {depth}"
    return ""


def _steps(folder: RunFolder, stage: TrainingStage, steps: int) -> str:
    rows = folder.stage(stage).losses.read()
    return f"step {rows[-1][0] if rows else 0} of {steps}"
