"""Writes a run of the session to a run folder, with all that was trained and painted, and opens it again."""

from __future__ import annotations

import math
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_autostructn2v.disk.atomic import check_room
from napari_autostructn2v.io import ImageFile
from napari_autostructn2v.kernel import Edits
from napari_autostructn2v.runs.companions import companion_folder, companion_folders
from napari_autostructn2v.runs.folder import INPUT, RunFolder
from napari_autostructn2v.runs.input import is_input, readable, slices_digest
from napari_autostructn2v.runs.output import StageOutput
from napari_autostructn2v.runs.request import RunRequest
from napari_autostructn2v.runs.stage_folder import TrainingStage
from napari_autostructn2v.runs.stage_spec import StageSpec
from napari_autostructn2v.stack import Stack

if TYPE_CHECKING:
    from napari_autostructn2v._napari.session.progress import Losses
    from napari_autostructn2v._napari.session.state import Run
    from napari_autostructn2v.noise.review import Review
    from napari_autostructn2v.together import Member


STACKS_OF_A_STAGE = 3
"""What the network made, the detail brought back, and their sum; the first two lie in a run's own folder."""


@dataclass(frozen=True, eq=False)
class SavedRun:
    """What a run folder says about the run. The models are loaded later."""

    folder: RunFolder
    image: ImageFile
    request: RunRequest
    peak_edits: Edits
    kernel_edits: Edits
    approval: StageSpec | None
    companions: tuple[SavedRun, ...] = ()
    """Of the other stacks that are trained on together with this one."""


def members_of(run: Run, request: RunRequest) -> list[Member]:
    """The stacks of a run with what is asked of each: its own, and those that are trained on with it.

    Reads a few slices of each. What was outlined on the first is of the first.
    """
    from napari_autostructn2v.together import Member  # imports torch, which takes seconds

    if not run.companions:
        return [Member(run.stack, request, run.folder, 1)]
    stacks = [run.stack, *(each.stack for each in run.companions)]
    request = replace(request, together=tuple(map(slices_digest, stacks)))
    others = [
        Member(
            each.stack,
            replace(request, source=each.source, region=None, left_out=None),
            None if run.folder is None else companion_folder(run.folder, number),
            number,
        )
        for number, each in enumerate(run.companions, start=2)
    ]
    return [Member(run.stack, request, run.folder, 1), *others]


def result_bytes(members: Iterable[Member]) -> int:
    """How large what a network makes of all of these stacks is, in bytes."""
    return sum(each.stack.scale.dtype.itemsize * math.prod(each.stack.input_shape) for each in members)


def save_run(path: Path, run: Run, request: RunRequest, review: Review, losses: dict[str, Losses]) -> None:
    """Write a run with its edits to a folder, a new one or the one it was saved to before.

    Raises
    ------
    RunFolderError
        If the folder holds something else.
    DiskFullError
        If there is no room for all of it; nothing is written then.
    FileError
        If it cannot be written.
    """
    folder = RunFolder(path)
    outputs: dict[TrainingStage, StageOutput] = {}
    if run.stage1 is not None:
        outputs["stage1"] = run.stage1
    if run.stage2 is not None:
        outputs["stage2"] = run.stage2
    trained: dict[str, Any] = {stage: output.model.config for stage, output in outputs.items()}
    request = replace(request, config=request.config.model_copy(update=trained))
    with ExitStack() as held:
        own = run.folder is not None and run.folder.path.resolve() == path.resolve()
        members = members_of(run, request)
        check_room(path, len(outputs) * (1 if own else STACKS_OF_A_STAGE) * result_bytes(members))
        if not own:  # which this window holds already
            held.enter_context(folder.hold())
        for member, analysis in zip(members, review.analyses, strict=True):
            first = member.number == 1
            place = folder if first else companion_folder(folder, member.number)
            voxel_size = member.request.voxel_size
            write_record(place, member.stack, member.request)
            for stage, of_all in outputs.items():
                of_stage, output = place.stage(stage), (of_all, *of_all.others)[member.number - 1]
                output.model.save(of_stage.model, overwrite=True)
                of_stage.write_made("predicted", output.predicted, member.stack, voxel_size)
                of_stage.write_made("detail", output.detail, member.stack, voxel_size)
                of_stage.write_denoised(output.denoised(run.recovery), voxel_size)
                if stage in losses:
                    of_stage.losses.write(losses[stage].training, losses[stage].validation)
            place.analysis.write(analysis)
            if first:  # whose edits are those of all
                place.analysis.write_edits(review.peak_edits, review.kernel_edits)
            if not own:  # of a run saved here before; its own may have attempts that are still looked at
                place.forget_earlier()


def autosave(run: Run, request: RunRequest, review: Review) -> None:
    """Write edits and settings of a run into the folder that it is autosaved in.

    Raises
    ------
    RunFolderError
        If the folder no longer holds the run.
    FileError
        If it cannot be written.
    """
    assert run.folder is not None and run.stage1 is not None
    # the first stage is trained: its settings are those it was trained with, not those chosen by now
    config = request.config.model_copy(update={"stage1": run.stage1.model.config})
    run.folder.write_review(
        run.mode, config, request.region, review.peak_edits, review.kernel_edits, skipped=run.skipped
    )
    for folder in companion_folders(run.folder):
        folder.write_review(run.mode, config, None, Edits(), Edits(), skipped=run.skipped)


def write_record(folder: RunFolder, stack: Stack, request: RunRequest) -> None:
    """Write what the run is asked, and its input where that is in no file of its own.

    Raises
    ------
    RunFolderError
        If the folder holds another run.
    FileError
        If it cannot be written.
    """
    source = request.source
    assert source is not None
    image = readable(source.path)
    facts = {"input_shape": list(stack.input_shape), "input_slices": slices_digest(stack)}
    in_file = image is not None and is_input(image, facts)
    if not in_file:
        source = ImageFile(source.array, source.voxel_size, source.name, folder.path / INPUT, "")
    folder.open(stack, replace(request, source=source), rewrite=True)
    if not in_file:
        folder.keep_input(source)


def open_run(path: Path) -> SavedRun:
    """Read what a run folder says; the models are loaded later, as that takes a while.

    Raises
    ------
    RunFolderError
        If there is no run, it is damaged, or its input was changed or is gone.
    """
    folder = RunFolder(path)
    request, image = folder.read_request(), folder.read_input()
    edits = folder.analysis.read_edits(request.mode)
    others = companion_folders(folder)[: max(len(request.together) - 1, 0)]  # a run before may have had more
    companions = tuple(open_run(each.path) for each in others)
    return SavedRun(folder, image, replace(request, source=image), *edits, folder.read_approval(), companions)
