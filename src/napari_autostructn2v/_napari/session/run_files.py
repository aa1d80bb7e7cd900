"""A session's run as a run folder, and back: nothing that was trained or painted is lost."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_autostructn2v.config import Config, Mode
from napari_autostructn2v.io import ImageFile
from napari_autostructn2v.kernel import Edits
from napari_autostructn2v.runs.folder import INPUT, RunFolder, TrainingStage
from napari_autostructn2v.runs.input import is_input, readable, slices_digest
from napari_autostructn2v.runs.stage_spec import Approval
from napari_autostructn2v.stack import Box

if TYPE_CHECKING:
    from napari_autostructn2v._napari.session.progress import Losses
    from napari_autostructn2v._napari.session.state import Run, StageOutput
    from napari_autostructn2v.noise.review import Review


@dataclass(frozen=True, eq=False)
class SavedRun:
    """What a run folder says of the run, its models aside."""

    folder: RunFolder
    image: ImageFile
    mode: Mode
    config: Config
    region: np.ndarray | None
    box: Box | None
    seed: int
    peak_edits: Edits
    kernel_edits: Edits
    approval: Approval | None


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
    with ExitStack() as held:
        if run.folder is None or run.folder.path.resolve() != path.resolve():  # else this window holds it
            held.enter_context(folder.hold())
        trained = {
            stage: output.model.config
            for stage, output in (("stage1", run.stage1), ("stage2", run.stage2))
            if output is not None
        }
        write_record(folder, run, config.model_copy(update=trained), region, box)
        _write_results(folder, run, review, region, losses)


def write_record(
    folder: RunFolder, run: Run, config: Config, region: np.ndarray | None, box: Box | None
) -> None:
    """Write what the run is asked, and its input where that is in no file of its own.

    Raises
    ------
    RunFolderError
        If the folder holds another run.
    FileError
        If it cannot be written.
    """
    source = run.source
    image = readable(source.path)
    facts = {"input_shape": list(run.stack.input_shape), "input_slices": slices_digest(run.stack)}
    in_file = image is not None and is_input(image, facts)
    path = source.path if in_file and source.path is not None else folder.path / INPUT
    kept = ImageFile(source.array, source.voxel_size, source.name, path, "")
    folder.open(
        run.stack, mode=run.mode, config=config, kernel=None, region=region, box=box, seed=0, source=kept,
        rewrite=True,
    )  # fmt: skip
    if not in_file:
        folder.keep_input(kept)


def _write_results(
    folder: RunFolder, run: Run, review: Review, region: np.ndarray | None, losses: dict[str, Losses]
) -> None:
    voxel_size = run.source.voxel_size
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
        If there is no run, it is damaged, or its input was changed or is gone.
    """
    folder = RunFolder(path)
    asked, image = folder.read_settings(), folder.read_input()
    peak_edits, kernel_edits = folder.read_edits(asked.mode)
    return SavedRun(
        folder=folder,
        image=image,
        mode=asked.mode,
        config=asked.config,
        region=folder.read_region(),
        box=asked.box,
        seed=asked.seed,
        peak_edits=peak_edits,
        kernel_edits=kernel_edits,
        approval=folder.read_approval(),
    )
