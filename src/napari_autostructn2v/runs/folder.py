"""A run on disk: what it was asked, how far it came, what it found.

::

    run.json                          input with its fingerprint, settings, seed and versions
    input.tif                         the input itself, where it is in no file of its own
    config.toml                       the settings, to be given again with --config
    start.zip                         model whose weights the training goes on from, if any
    left_out.tif                      pixels that were left out by hand, if any
    unmeasured.tif                    pixels that were never measured, if any: 1 blank, 2 replaced
    stage1/  checkpoint.safetensors   state of a training that is under way, and the one before
             previous_checkpoint…
             losses.csv               step, training loss, validation loss
             model.zip                once it is trained
             predicted_….tif          what the model has made of the stack so far, and the detail that is
             detail_….tif             brought back, each with a mark of how far it came; they stay when the
                                      run is done, so that it opens at once
             denoised.tif             once the stage is done
    analysis/ analysis.json           verdict, settings, numbers
              spectrum.tif peaks.tif autocorrelation.tif kernel.tif
              edits.json           what a person added and erased, if anything
              region.tif           background that was outlined, if any
    together/ 2/ 3/ …                folders as this one, of the other stacks of a run of the window
    stage2/  as stage1, and
             approved.json            what it was started with
             model_1.zip …            of earlier starts

Every file is written beside its place and renamed, so that each is whole or not there, whenever the program
ends.
"""

from __future__ import annotations

import json
import platform
import re
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

import numpy as np
from pydantic import TypeAdapter

from napari_autostructn2v._version import __version__
from napari_autostructn2v.config import Config, Mode
from napari_autostructn2v.disk.atomic import make_folder, remove_leftovers, write_atomically
from napari_autostructn2v.disk.lock import LOCK, Hold
from napari_autostructn2v.errors import RunFolderError, refuse_if_different
from napari_autostructn2v.events import finish
from napari_autostructn2v.io import ImageFile, write_stack
from napari_autostructn2v.io.image import stack_name
from napari_autostructn2v.kernel import Edits
from napari_autostructn2v.learning.model import load_model
from napari_autostructn2v.runs.analysis_folder import AnalysisFolder
from napari_autostructn2v.runs.input import file_facts, find_input, slices_digest
from napari_autostructn2v.runs.masks import mask_digest, read_mask, write_mask, write_unmeasured
from napari_autostructn2v.runs.record import RECORD, Record, write_json
from napari_autostructn2v.runs.request import Origin, RunRequest
from napari_autostructn2v.runs.stage_folder import StageFolder, TrainingStage
from napari_autostructn2v.runs.stage_spec import StageSpec
from napari_autostructn2v.settings_file import as_toml
from napari_autostructn2v.stack import Stack
from napari_autostructn2v.survey import Survey, survey

PARTS = ("stage1", "analysis", "stage2")

INPUT = "input.tif"
"""The input itself, in the run folder, where it is in no file that can be read again."""


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run."""

    path: Path

    @classmethod
    def beside(cls, output: Path) -> RunFolder:
        """The folder of the run that writes ``output``, where no other is named: its name + _run.

        Earlier versions took the name up to its first dot. Such a folder is gone on with if it is of this
        very output.

        Parameters
        ----------
        output
            The file that the run writes.
        """
        folder = cls(output.with_name(f"{stack_name(output)}_run"))
        earlier = cls(output.with_name(f"{output.name.split('.')[0]}_run"))
        return earlier if earlier._writes(output) and not folder._record.exists() else folder

    def _writes(self, output: Path) -> bool:
        try:
            return bool(self.read_record().get("output") == str(output.resolve()))
        except RunFolderError:  # there is none
            return False

    def hold(self) -> Hold:
        """Make the folder if it is not there, and keep others off it until this is released.

        What a killed process has left half written is cleared away.

        Raises
        ------
        BusyError
            If another process works in it.
        RunFolderError
            If it holds other files.
        FileError
            If it cannot be made.
        """
        if not self.begun and any(map(self._is_other, self.path.rglob("*"))):
            raise RunFolderError(f"{self.path} holds other files. Choose an empty or a new folder for it.")
        hold = Hold(make_folder(self.path))
        for folder in (self.path, *(self.path / part for part in PARTS)):
            remove_leftovers(folder)
        return hold

    def _is_other(self, path: Path) -> bool:
        """Whether a file is none of those that are written before the record is."""
        ours = path.name.startswith((LOCK, ".partial-")) or path in self._written_before
        return not ours and not path.is_dir()

    @property
    def begun(self) -> bool:
        """Whether there is a run in it: its record is written first of all."""
        return self._record.exists()

    @property
    def analysis(self) -> AnalysisFolder:
        """The part of the folder that belongs to the noise analysis."""
        return AnalysisFolder(self.path / "analysis")

    @property
    def _left_out(self) -> Path:
        return self.path / "left_out.tif"

    @property
    def _unmeasured(self) -> Path:
        return self.path / "unmeasured.tif"

    @property
    def _start(self) -> Path:
        return self.path / "start.zip"

    @property
    def _settings(self) -> Path:
        return self.path / "config.toml"

    @property
    def _written_before(self) -> tuple[Path, ...]:
        """What may be there, whole, when the record is not yet."""
        return self.analysis.region, self._left_out, self._unmeasured, self._settings, self._start

    @property
    def _record(self) -> Path:
        return self.path / RECORD

    def open(self, stack: Stack, request: RunRequest, *, rewrite: bool = False) -> None:
        """Write down what the run is asked, or check that the folder belongs to the same run.

        Parameters
        ----------
        stack
            The input.
        request
            What the run is asked.
        rewrite
            Whether other settings than those that are there replace them, as long as the input is the same.

        Raises
        ------
        RunFolderError
            If it was made for another input or other settings.
        FileError
            If it cannot be written.
        """
        image = {
            "input": request.name,
            "input_shape": list(stack.input_shape),
            "input_mean": stack.normalisation.mean,
            "input_std": stack.normalisation.std,
            "input_slices": slices_digest(stack),
            "seed": request.seed,
        }
        settings = request.settings()
        before = self.read_record() if self.begun else {}
        if before:
            there = before | {"left_out": mask_digest(read_mask(self._left_out))}
            asked = image | {"left_out": mask_digest(request.left_out)}
            if not rewrite:
                there["region"] = mask_digest(read_mask(self.analysis.region))
                there["config"] = Config().with_values(there.get("config", settings["config"])).model_dump()
                asked |= settings | {"region": mask_digest(request.region)}
            # earlier versions have fewer entries and settings, and all have some that decide nothing
            refuse_if_different(self.path, {key: there.get(key, asked[key]) for key in asked}, asked)
            if not rewrite:
                return
        for part in PARTS:
            make_folder(self.path / part)
        write_mask(self.analysis.region, request.region)
        write_mask(self._left_out, request.left_out)
        found = finish(survey(stack))  # of slices that were read before
        if found.pixels:
            write_unmeasured(self._unmeasured, stack)
        # what follows is no part of what the run is: the input may be moved, the program be updated
        circumstances = {
            "input_dtype": str(stack.array.dtype),
            **file_facts(None if request.source is None else request.source.path),
            "survey": TypeAdapter(Survey).dump_python(found, mode="json"),
            "output": before.get("output") if request.output is None else str(request.output.resolve()),
            "started": before.get("started", datetime.now().astimezone().isoformat(timespec="seconds")),
            "napari_autostructn2v": __version__,
            "versions": {"python": platform.python_version()}
            | {name: version(name) for name in ("numpy", "torch")},
        }
        self._write_settings(request.config)
        if request.start is not None:
            request.start.save(self._start, overwrite=True)
        write_json(self._record, {**image, **settings, **circumstances})

    def _write_settings(self, config: Config) -> None:
        with write_atomically(self._settings, overwrite=True) as beside:
            beside.write_text(as_toml(config))

    def write_review(
        self,
        mode: Mode,
        config: Config,
        region: np.ndarray | None,
        peaks: Edits,
        kernel: Edits,
        *,
        skipped: bool,
    ) -> None:
        """Write down what a person has chosen and edited by now, for what is still to come.

        Parameters
        ----------
        mode, config
            In place of those that the run was asked. A kernel that was given for the other mode goes.
        region
            Where noise is measured, bool (Y, X) or (Z, Y, X); None if that is found by itself.
        peaks, kernel
            Edits; those of the kernel in ``mode``.
        skipped
            Whether Stage 2 is not wanted.

        Raises
        ------
        RunFolderError
            If there is no record, or it is damaged.
        FileError
            If it cannot be written.
        """
        record = self.read_record()
        if record["mode"] != mode:
            record["kernel"] = None
        self._write_settings(config)
        record |= {"mode": mode, "config": config.model_dump(), "skipped": skipped}
        write_mask(self.analysis.region, region)
        # Edits of one slice can be read in either mode, those of three in 2.5D alone: with the record first
        # on the way into 2.5D and last on the way out, they go together whenever the program ends.
        if mode == "2.5d":
            write_json(self._record, record)
        self.analysis.write_edits(peaks, kernel)
        if mode == "2d":
            write_json(self._record, record)

    def read_record(self) -> dict[str, Any]:
        """What ``run.json`` says.

        Raises
        ------
        RunFolderError
            If there is none, or it is damaged.
        """
        try:
            text = self._record.read_text()
            Record.model_validate_json(text)
            content: dict[str, Any] = {"together": [], "start": None} | json.loads(text)
        except OSError as error:
            raise RunFolderError(f"{self.path} is no run folder: run.json cannot be read.") from error
        except ValueError as error:
            raise RunFolderError(
                f"{self._record} is damaged. Choose another run folder, or delete it."
            ) from error
        return content

    def read_request(self) -> RunRequest:
        """What the run was asked, but for its source, which may be gone: :meth:`read_input` looks for it.

        Raises
        ------
        RunFolderError
            If there is no record, or it is damaged.
        """
        record = Record.model_validate(self.read_record())
        try:
            start = None if record.start is None else load_model(self._start)
            masks = read_mask(self.analysis.region), read_mask(self._left_out)
            return RunRequest.from_record(record, *masks, start)
        except ValueError as error:
            raise RunFolderError(f"{self._record} is damaged. Choose another run folder.") from error

    def read_survey(self) -> Survey | None:
        """What of the input was never measured; None of a run of an earlier version, which left nothing out.

        Raises
        ------
        RunFolderError
            If there is no record, or it is damaged.
        """
        return Record.model_validate(self.read_record()).survey

    def read_input(self) -> ImageFile:
        """The input, from where it was or from the run folder itself.

        Raises
        ------
        RunFolderError
            If it is there no more, or was changed since.
        """
        return find_input(self.read_record(), self.path / INPUT)

    def keep_input(self, source: Origin) -> None:
        """Write the input itself into the folder, for a run whose input is in no file that can be read again.

        Parameters
        ----------
        source
            The input.

        Raises
        ------
        DiskFullError, FileError
            If it cannot be written.
        """
        if not (self.path / INPUT).exists():
            write_stack(self.path / INPUT, source.array, voxel_size=source.voxel_size)

    def stage(self, stage: TrainingStage) -> StageFolder:
        """The part of the folder that belongs to a stage.

        Parameters
        ----------
        stage
            Its name.
        """
        return StageFolder(self.path / stage)

    def forget_earlier(self) -> None:
        """Delete what models before the present ones have made; only for whoever holds the folder."""
        for stage in get_args(TrainingStage):
            self.stage(stage).forget_earlier()

    def approve(self, approval: StageSpec) -> None:
        """Keep what Stage 2 is trained with, before it is.

        What a Stage 2 with something else has left goes out of the way; its model stays under a number.

        Parameters
        ----------
        approval
            The kernel and all else that decides the training.

        Raises
        ------
        RunFolderError
            If the approval of before is damaged.
        FileError
            If this one cannot be written.
        """
        before = self.read_approval()
        if before is not None and before.to_json() != approval.to_json():
            self.stage("stage2").forget_checkpoints()
        model = self.stage("stage2").model
        if model.exists():
            names = [re.fullmatch(r"model_(\d+)", each.stem) for each in model.parent.glob("model_*.zip")]
            number = 1 + max((int(name[1]) for name in names if name), default=0)
            model.rename(model.with_name(f"model_{number}.zip"))
        with write_atomically(self.path / "stage2" / "approved.json", overwrite=True) as beside:
            beside.write_text(approval.to_json())

    def read_approval(self) -> StageSpec | None:
        """What Stage 2 is to be trained with; None if it was never started.

        Raises
        ------
        RunFolderError
            If the file is damaged.
        """
        file = self.path / "stage2" / "approved.json"
        try:
            return StageSpec.from_json(file.read_text()) if file.exists() else None
        except (OSError, ValueError) as error:
            raise RunFolderError(f"{file} is damaged. Delete that file to go on from the review.") from error
