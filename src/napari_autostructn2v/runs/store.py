"""The runs that the window keeps by itself, one folder each, until they are deleted."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import get_args

from platformdirs import user_data_path

from napari_autostructn2v.config import Config
from napari_autostructn2v.disk.atomic import file_error
from napari_autostructn2v.disk.lock import Hold
from napari_autostructn2v.errors import RunFolderError
from napari_autostructn2v.runs.folder import RunFolder, TrainingStage

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
        """A folder for a new run of the input ``name``; it is made when it is held."""
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
        record, asked = folder.read_record(), folder.read_request()
        started = datetime.fromisoformat(record["started"]) if "started" in record else None
        stage = "done" if record.get("skipped") else _stage(folder, asked.config, record["input_shape"])
        return KeptRun(path, record.get("input") or path.name, started, stage, stage == "done", size)
    except (RunFolderError, ValueError):
        return KeptRun(path, path.name, None, "cannot be read", True, size)


def _stage(folder: RunFolder, config: Config, shape: list[int]) -> str:
    """How far a run came, by the files that are there."""
    approval = folder.read_approval()
    depth = shape[0] if len(shape) == 3 else 1
    for stage in get_args(TrainingStage):
        for what, done in folder.slices_made(stage).items():
            if done < depth:
                doing = "denoising" if what == "predicted" else "detail"
                return f"stage {stage[-1]}, {doing}, slice {done} of {depth}"
    if folder.model("stage2").exists():
        return "done"
    if approval is not None:
        return f"stage 2, {_steps(folder, 'stage2', approval.config.steps)}"
    if not folder.model("stage1").exists():
        return f"stage 1, {_steps(folder, 'stage1', config.stage1.steps)}"
    return "review" if (folder.path / "analysis" / "analysis.json").exists() else "noise analysis"


def _steps(folder: RunFolder, stage: TrainingStage, steps: int) -> str:
    rows = folder.losses(stage).read()
    return f"step {rows[-1][0] if rows else 0} of {steps}"
