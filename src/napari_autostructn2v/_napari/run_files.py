"""A session's run as a run folder, and back: nothing that was trained or painted is lost."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_autostructn2v.config import Config, Mode
from napari_autostructn2v.errors import AutoStructN2VError, RunFolderError
from napari_autostructn2v.io import ImageFile, read_stack, write_stack
from napari_autostructn2v.kernel import Edits
from napari_autostructn2v.run_folder import RunFolder, TrainingStage
from napari_autostructn2v.stack import Box

if TYPE_CHECKING:
    from napari_autostructn2v._napari.jobs import StageOutput
    from napari_autostructn2v._napari.review import Review
    from napari_autostructn2v._napari.state import Losses, Run

INPUT = "input.tif"
"""The input itself, in the run folder, where it is in no file that can be read again."""


@dataclass(frozen=True, eq=False)
class SavedRun:
    """What a run folder says of the run, its models aside."""

    folder: RunFolder
    image: ImageFile
    mode: Mode
    config: Config
    region: np.ndarray | None
    box: Box | None
    peak_edits: Edits
    kernel_edits: Edits


def save_run(
    path: Path,
    run: Run,
    review: Review,
    config: Config,
    region: np.ndarray | None,
    box: Box | None,
    losses: dict[str, Losses],
) -> None:
    """Write a run with its edits to a folder, a new one or the one it was saved to before.

    Raises
    ------
    RunFolderError
        If the folder holds something else.
    FileError
        If it cannot be written.
    """
    folder = RunFolder(path)
    source, voxel_size = run.source, run.source.voxel_size
    image = _readable(source.path, run.stack.input_shape)
    folder.open(
        run.stack, mode=run.mode, config=config, kernel=None, region=region, box=box, seed=0,
        source=image or ImageFile(source.array, voxel_size, source.name, path / INPUT, "TIFF"),
    )  # fmt: skip
    if image is None and not (path / INPUT).exists():
        write_stack(path / INPUT, source.array, voxel_size=voxel_size)
    outputs: dict[TrainingStage, StageOutput | None] = {"stage1": run.stage1, "stage2": run.stage2}
    for stage, output in outputs.items():
        if output is None:
            continue
        output.model.save(folder.model(stage), overwrite=True)
        folder.write_denoised(stage, output.denoised(run.recovery), voxel_size)
        curves = losses.get(stage)
        if curves is not None:
            folder.losses(stage).write(curves.training, curves.validation)
    folder.write_analysis(review.analysis)
    folder.write_region(region)
    folder.write_edits(review.peak_edits, review.kernel_edits)


def open_run(path: Path) -> SavedRun:
    """Read what a run folder says; the models are loaded later, as that takes a while.

    Raises
    ------
    RunFolderError
        If there is no run, none whose first stage is done, or its input is gone.
    """
    folder = RunFolder(path)
    record = folder.read_record()
    if not folder.model("stage1").exists():
        raise RunFolderError(
            f"The first stage of the run {path} is not done yet. Start the same command again to finish it."
        )
    source = record.get("input_path")
    image = _readable(Path(source) if source else None, tuple(record["input_shape"]))
    image = image or _readable(path / INPUT, tuple(record["input_shape"]))
    if image is None:
        raise RunFolderError(
            f"The input of the run, {source}, is not there any more. Move it back, or open its folder in "
            "napari to see the results alone."
        )
    # a copy of what was in no file is called input.tif
    image = replace(image, name=record.get("input") or image.name)
    box = record.get("box")
    peak_edits, kernel_edits = folder.read_edits()
    return SavedRun(
        folder=folder,
        image=image,
        mode=record["mode"],
        config=Config.model_validate(record["config"]),
        region=folder.read_region(),
        box=None if box is None else Box(*(tuple(span) for span in box)),
        peak_edits=peak_edits,
        kernel_edits=kernel_edits,
    )


def _readable(path: Path | None, shape: tuple[int, ...]) -> ImageFile | None:
    """The stack in a file, if it can be read again and is the one meant."""
    if path is None or not path.exists():
        return None
    try:
        image = read_stack(path)
    except AutoStructN2VError:
        return None
    return image if tuple(image.array.shape) == shape else None
