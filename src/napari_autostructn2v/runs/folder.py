"""A run on disk: what it was asked, how far it came, what it found.

::

    run.json                          input with its fingerprint, settings, seed and versions
    input.tif                         the input itself, where it is in no file of its own
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
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import tifffile

from napari_autostructn2v._version import __version__
from napari_autostructn2v.config import Config, Mode
from napari_autostructn2v.disk.atomic import make_folder, remove_leftovers, write_atomically
from napari_autostructn2v.disk.lock import LOCK, Hold
from napari_autostructn2v.errors import KernelError, ModelError, RunFolderError, of_another_run
from napari_autostructn2v.io import ImageFile, VoxelSize, write_stack
from napari_autostructn2v.io.image import stack_name
from napari_autostructn2v.io.slice_file import KeptStack, delete_kept, slices_done
from napari_autostructn2v.kernel import Edits, save_kernel
from napari_autostructn2v.learning.checkpoint import checkpoint_files
from napari_autostructn2v.learning.model import model_digest
from napari_autostructn2v.noise.analysis import NoiseAnalysis
from napari_autostructn2v.runs.input import file_facts, find_input, slices_digest
from napari_autostructn2v.runs.losses import Losses
from napari_autostructn2v.runs.record import EditsFile, Record
from napari_autostructn2v.runs.request import Origin, RunRequest
from napari_autostructn2v.runs.stage_spec import Approval
from napari_autostructn2v.stack import Stack

TrainingStage = Literal["stage1", "stage2"]

Made = Literal["predicted", "detail"]
"""What a model has made of the stack: the network, and the recovery after it."""

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
        """
        folder = cls(output.with_name(f"{stack_name(output)}_run"))
        earlier = cls(output.with_name(f"{output.name.split('.')[0]}_run"))
        return earlier if earlier._writes(output) and not folder._record.exists() else folder

    def _writes(self, output: Path) -> bool:
        try:
            return self.read_request().output == output.resolve()
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
            raise RunFolderError(
                f"{self.path} holds other files. Choose an empty or a new folder for the run."
            )
        hold = Hold(make_folder(self.path))
        for folder in (self.path, *(self.path / part for part in PARTS)):
            remove_leftovers(folder)
        return hold

    def _is_other(self, path: Path) -> bool:
        """Whether a file is none of those that are written before the record is."""
        ours = path.name.startswith((LOCK, ".partial-")) or path == self._region
        return not ours and not path.is_dir()

    @property
    def begun(self) -> bool:
        """Whether there is a run in it: its record is written first of all."""
        return self._record.exists()

    @property
    def _region(self) -> Path:
        return self.path / "analysis" / "region.tif"

    @property
    def _record(self) -> Path:
        return self.path / "run.json"

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
        asked = image if rewrite else image | settings
        # records of earlier versions have fewer entries
        different = [key for key, value in asked.items() if before.get(key, value) != value]
        if before and not rewrite and not _same(request.region, self.read_region()):
            different.append("region")
        if different:
            raise of_another_run(self.path, different)
        if before and not rewrite:
            return
        for part in PARTS:
            make_folder(self.path / part)
        self.write_region(request.region)
        # what follows is no part of what the run is: the input may be moved, the program be updated
        circumstances = {
            "input_dtype": str(stack.array.dtype),
            **file_facts(None if request.source is None else request.source.path),
            "output": before.get("output") if request.output is None else str(request.output.resolve()),
            "started": before.get("started", datetime.now().astimezone().isoformat(timespec="seconds")),
            "napari_autostructn2v": __version__,
            "versions": {"python": platform.python_version()}
            | {name: version(name) for name in ("numpy", "torch")},
        }
        self._write_json(self._record, {**image, **settings, **circumstances})

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
        record |= {"mode": mode, "config": config.model_dump(), "skipped": skipped}
        self.write_region(region)
        # Edits of one slice can be read in either mode, those of three in 2.5D alone: with the record first
        # on the way into 2.5D and last on the way out, they go together whenever the program ends.
        if mode == "2.5d":
            self._write_json(self._record, record)
        self.write_edits(peaks, kernel)
        if mode == "2d":
            self._write_json(self._record, record)

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
            content: dict[str, Any] = json.loads(text)
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
            return RunRequest.from_record(record, self.read_region())
        except KernelError as error:
            raise RunFolderError(f"{self._record} is damaged. Choose another run folder.") from error

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

        Raises
        ------
        DiskFullError, FileError
            If it cannot be written.
        """
        if not (self.path / INPUT).exists():
            write_stack(self.path / INPUT, source.array, voxel_size=source.voxel_size)

    def write_edits(self, peaks: Edits, kernel: Edits) -> None:
        """Keep what a person added to and erased from the peaks and the kernel."""
        make_folder(self.path / "analysis")
        self._write_json(
            self.path / "analysis" / "edits.json", {"peaks": peaks.to_json(), "kernel": kernel.to_json()}
        )

    def read_edits(self, mode: Mode) -> tuple[Edits, Edits]:
        """The edits of the peaks and of the kernel; none if none were kept.

        Parameters
        ----------
        mode
            Of the run, and so of the kernel.

        Raises
        ------
        RunFolderError
            If the file is damaged, or edits of the kernel have no place in the mode.
        """
        file = self.path / "analysis" / "edits.json"
        if not file.exists():
            return Edits(), Edits()
        try:
            content = EditsFile.model_validate_json(file.read_text()).model_dump()
        except (OSError, ValueError) as error:
            raise RunFolderError(f"The edits in {file} are damaged. Delete that file to go on.") from error
        kept = Edits.from_json(content["kernel"])
        kernel = kept.in_mode(mode)
        if len(kernel.added) + len(kernel.erased) < len(kept.added) + len(kept.erased):
            raise RunFolderError(
                f"The edits in {file} are of a kernel in three slices, and the run is in 2D. To go on with "
                f'them, set "mode" to "2.5d" in {self._record}; to go on without, delete that file.'
            )
        return Edits.from_json(content["peaks"]), kernel

    def write_region(self, region: np.ndarray | None) -> None:
        """Keep where noise was measured, bool (Y, X) or (Z, Y, X); nothing if it was found by itself."""
        file = self._region
        if region is None:
            file.unlink(missing_ok=True)
            return
        make_folder(file.parent)
        with write_atomically(file, overwrite=True) as beside:
            tifffile.imwrite(beside, region.astype(np.uint8), photometric="minisblack")

    def read_region(self) -> np.ndarray | None:
        """Where noise was measured; None if that was found by itself."""
        file = self._region
        return tifffile.imread(file) > 0 if file.exists() else None

    def model(self, stage: TrainingStage) -> Path:
        """Where the trained model of a stage is, once it is done."""
        return self.path / stage / "model.zip"

    def checkpoint(self, stage: TrainingStage) -> Path:
        """Where a training under way keeps its state."""
        return self.path / stage / "checkpoint.safetensors"

    def approve(self, approval: Approval) -> None:
        """Keep what Stage 2 is trained with, before it is.

        What a Stage 2 with something else has left goes out of the way; its model stays under a number.
        """
        before = self.read_approval()
        if before is not None and before.to_json() != approval.to_json():
            self.forget_checkpoints("stage2")
        model = self.model("stage2")
        if model.exists():
            names = [re.fullmatch(r"model_(\d+)", each.stem) for each in model.parent.glob("model_*.zip")]
            number = 1 + max((int(name[1]) for name in names if name), default=0)
            model.rename(model.with_name(f"model_{number}.zip"))
        with write_atomically(self.path / "stage2" / "approved.json", overwrite=True) as beside:
            beside.write_text(approval.to_json())

    def read_approval(self) -> Approval | None:
        """What Stage 2 is to be trained with; None if it was never started.

        Raises
        ------
        RunFolderError
            If the file is damaged.
        """
        file = self.path / "stage2" / "approved.json"
        try:
            return Approval.from_json(file.read_text()) if file.exists() else None
        except (OSError, ValueError) as error:
            raise RunFolderError(f"{file} is damaged. Delete that file to go on from the review.") from error

    def forget_checkpoints(self, stage: TrainingStage) -> None:
        """Delete the state of a training that is done, or not wanted any more."""
        for file in checkpoint_files(self.checkpoint(stage)):
            file.unlink(missing_ok=True)

    def losses(self, stage: TrainingStage) -> Losses:
        """The losses of a stage so far."""
        return Losses(self.path / stage / "losses.csv")

    def made(self, stage: TrainingStage, what: Made, stack: Stack, voxel_size: VoxelSize | None) -> KeptStack:
        """What the present model of a stage makes of the input, as far as it came: to be filled further.

        Parameters
        ----------
        stage, what
            Where it is kept.
        stack
            The input.
        voxel_size
            For the header of the file.

        Raises
        ------
        DiskFullError, FileError
            If there is nothing yet and it cannot be made.
        """
        owner = model_digest(self.model(stage))
        file = self._made_file(stage, what, owner)
        return KeptStack(file, stack.input_shape, owner, voxel_size, dtype=stack.scale.dtype)

    def write_made(
        self, stage: TrainingStage, what: Made, values: Any, stack: Stack, voxel_size: VoxelSize | None
    ) -> None:
        """Keep what the present model of a stage has made, unless it is there already.

        Parameters
        ----------
        stage, what
            Where it is kept.
        values
            All of it, shape of the input; read one slice at a time.
        stack
            The input.
        voxel_size
            For the header of the file.

        Raises
        ------
        DiskFullError, FileError
            If it cannot be written.
        """
        file, depth = self.made(stage, what, stack, voxel_size), stack.shape[0]
        if file.done == depth:
            return
        for z in range(depth):
            index = z if len(stack.input_shape) == 3 else ...
            file[index] = np.asarray(values[index])
        file.keep(depth)

    def read_made(self, stage: TrainingStage, what: Made, stack: Stack) -> np.ndarray | None:
        """What the present model of a stage has made, as a memory map; None if not all of it is there.

        Nothing is written: the folder may be one that can only be read.

        Parameters
        ----------
        stage, what
            Where it is kept.
        stack
            The input.

        Raises
        ------
        ModelError
            If the model is damaged.
        """
        owner = model_digest(self.model(stage))
        file = self._made_file(stage, what, owner)
        if slices_done(file) < stack.shape[0]:
            return None
        return tifffile.memmap(file, mode="r").reshape(stack.input_shape)

    def _made_file(self, stage: TrainingStage, what: Made, owner: str) -> Path:
        # by model: while another is tried, the results of those before it stay
        return self.path / stage / f"{what}_{owner[:8]}.tif"

    def slices_made(self, stage: TrainingStage) -> dict[Made, int]:
        """How many slices the models of a stage have come to, by what was made: the least of those begun."""
        begun = {what: self._made_files(stage, what) for what in get_args(Made)}
        return {what: min(map(slices_done, files)) for what, files in begun.items() if files}

    def _made_files(self, stage: TrainingStage, what: Made) -> list[Path]:
        return list((self.path / stage).glob(f"{what}_????????.tif"))

    def forget_earlier(self) -> None:
        """Delete what models before the present ones have made, and what was not finished.

        What the present models have made stays, so that the run opens at once, with its detail to choose.
        Only for whoever holds the folder.
        """
        for stage in get_args(TrainingStage):
            present = ""
            with suppress(ModelError):  # of a stage without a model nothing is of use
                present = model_digest(self.model(stage))[:8]
            for what in get_args(Made):
                for file in self._made_files(stage, what):
                    if file.stem != f"{what}_{present}":
                        delete_kept(file)

    def read_denoised(self, stage: TrainingStage, shape: tuple[int, ...]) -> np.ndarray:
        """The denoised stack of a stage that is done, as a memory map of the input's shape."""
        return tifffile.memmap(self._denoised(stage), mode="r").reshape(shape)

    def _denoised(self, stage: TrainingStage) -> Path:
        return self.path / stage / "denoised.tif"

    def write_denoised(self, stage: TrainingStage, denoised: Any, voxel_size: VoxelSize | None) -> None:
        """Keep the denoised stack of a stage."""
        write_stack(self._denoised(stage), denoised, voxel_size=voxel_size, overwrite=True)

    def write_analysis(self, analysis: NoiseAnalysis) -> None:
        """Keep what the noise analysis found, each part as a picture that other programs open."""
        folder = self.path / "analysis"
        save_kernel(folder / "kernel.tif", analysis.kernel, overwrite=True)
        for name, image in (
            ("spectrum", analysis.spectrum),
            ("peaks", analysis.peaks.astype(np.uint8)),
            ("autocorrelation", analysis.autocorrelation),
        ):
            with write_atomically(folder / f"{name}.tif", overwrite=True) as beside:
                tifffile.imwrite(beside, image, photometric="minisblack")
        self._write_json(
            folder / "analysis.json",
            {
                "mode": analysis.mode,
                "verdict": asdict(analysis.verdict),
                "config": analysis.config.model_dump(),
                "tiles": analysis.measured.background.tiles,
                "coherence_between_slices": analysis.measured.background.coherence,
                "far_scatter": analysis.far_scatter,
                "notch": {
                    "offsets": [
                        {"of": "rows" if part.axis == 0 else "columns", "fixed": bool(part.fixed.any())}
                        for part in analysis.notch.offsets
                    ],
                    "waves": [
                        {
                            "frequency": wave.frequency,
                            "height": wave.log_excess,
                            "fixed": wave.static_image is not None,
                        }
                        for wave in analysis.notch.waves
                    ],
                },
            },
        )

    @staticmethod
    def _write_json(path: Path, content: dict[str, Any]) -> None:
        with write_atomically(path, overwrite=True) as beside:
            beside.write_text(json.dumps(content, indent=1))


def _same(region: np.ndarray | None, other: np.ndarray | None) -> bool:
    if region is None or other is None:
        return region is other
    return np.array_equal(region, other)
