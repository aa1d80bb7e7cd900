"""The part of a run's folder that belongs to one stage of training: its model and what that has made."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import tifffile

from napari_autostructn2v.errors import ModelError
from napari_autostructn2v.io import VoxelSize, write_stack
from napari_autostructn2v.io.slice_file import KeptStack, delete_kept, slices_done
from napari_autostructn2v.learning.checkpoint import checkpoint_files
from napari_autostructn2v.learning.model import Model, model_digest
from napari_autostructn2v.runs.losses import Losses
from napari_autostructn2v.stack import Stack

TrainingStage = Literal["stage1", "stage2"]

Made = Literal["predicted", "detail"]
"""What a model has made of the stack: the network, and the recovery after it."""


@dataclass(frozen=True)
class StageFolder:
    """The folder of one stage.

    Attributes
    ----------
    path
        In the folder of the run.
    """

    path: Path

    @property
    def model(self) -> Path:
        """Where the trained model is, once it is done."""
        return self.path / "model.zip"

    @property
    def checkpoint(self) -> Path:
        """Where a training under way keeps its state."""
        return self.path / "checkpoint.safetensors"

    @property
    def losses(self) -> Losses:
        """The losses so far."""
        return Losses(self.path / "losses.csv")

    def share(self, model: Model) -> None:
        """Keep a model that was trained in another folder, unless there is one already.

        Parameters
        ----------
        model
            Of this stage.

        Raises
        ------
        DiskFullError, FileError
            If it cannot be written.
        """
        if not self.model.exists():
            model.save(self.model, overwrite=True)

    def forget_checkpoints(self) -> None:
        """Delete the state of a training that is done, or not wanted any more."""
        for file in checkpoint_files(self.checkpoint):
            file.unlink(missing_ok=True)

    def made(self, what: Made, stack: Stack, voxel_size: VoxelSize | None) -> KeptStack:
        """What the present model makes of the input, as far as it came: to be filled further.

        Parameters
        ----------
        what
            The prediction or the detail.
        stack
            The input.
        voxel_size
            For the header of the file.

        Raises
        ------
        DiskFullError, FileError
            If there is nothing yet and it cannot be made.
        """
        owner = model_digest(self.model)
        file = self._made_file(what, owner)
        return KeptStack(file, stack.input_shape, owner, voxel_size, dtype=stack.scale.dtype)

    def write_made(self, what: Made, values: Any, stack: Stack, voxel_size: VoxelSize | None) -> None:
        """Keep what the present model has made, unless it is there already.

        Parameters
        ----------
        what
            The prediction or the detail.
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
        file, depth = self.made(what, stack, voxel_size), stack.shape[0]
        if file.done == depth:
            return
        for z in range(depth):
            index = z if len(stack.input_shape) == 3 else ...
            file[index] = np.asarray(values[index])
        file.keep(depth)

    def read_made(self, what: Made, stack: Stack) -> np.ndarray | None:
        """What the present model has made, as a memory map; None if not all of it is there.

        Nothing is written: the folder may be one that can only be read.

        Parameters
        ----------
        what
            The prediction or the detail.
        stack
            The input.

        Raises
        ------
        ModelError
            If the model is damaged.
        """
        owner = model_digest(self.model)
        file = self._made_file(what, owner)
        if slices_done(file) < stack.shape[0]:
            return None
        try:
            return tifffile.memmap(file, mode="r").reshape(stack.input_shape)
        except (OSError, ValueError):  # damaged
            return None

    def _made_file(self, what: Made, owner: str) -> Path:
        # by model: while another is tried, the results of those before it stay
        return self.path / f"{what}_{owner[:8]}.tif"

    def slices_made(self) -> dict[Made, int]:
        """How many slices its models have come to, by what was made: the least of those begun."""
        begun = {what: self._made_files(what) for what in get_args(Made)}
        return {what: min(map(slices_done, files)) for what, files in begun.items() if files}

    def _made_files(self, what: Made) -> list[Path]:
        return list(self.path.glob(f"{what}_????????.tif"))

    def forget_earlier(self) -> None:
        """Delete what models before the present one have made, and what was not finished.

        What the present model has made stays, so that the run opens at once, with its detail to choose. Only
        for whoever holds the folder of the run.
        """
        present = ""
        with suppress(ModelError):  # of a stage without a model nothing is of use
            present = model_digest(self.model)[:8]
        for what in get_args(Made):
            for file in self._made_files(what):
                if file.stem != f"{what}_{present}":
                    delete_kept(file)

    def read_denoised(self, shape: tuple[int, ...]) -> np.ndarray:
        """The denoised stack of a stage that is done, as a memory map.

        Parameters
        ----------
        shape
            Of the input, (Z, Y, X) or (Y, X).
        """
        return tifffile.memmap(self._denoised, mode="r").reshape(shape)

    @property
    def _denoised(self) -> Path:
        return self.path / "denoised.tif"

    def write_denoised(self, denoised: Any, voxel_size: VoxelSize | None) -> None:
        """Keep the denoised stack.

        Parameters
        ----------
        denoised
            Shape of the input; read one slice at a time.
        voxel_size
            For the header of the file.

        Raises
        ------
        DiskFullError, FileError
            If it cannot be written.
        """
        write_stack(self._denoised, denoised, voxel_size=voxel_size, overwrite=True)
