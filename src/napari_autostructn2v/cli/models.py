"""Commands that use a trained model: apply, export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_autostructn2v.cli.options import (
    CoresOption,
    DeviceOption,
    GpusOption,
    LeaveOutOption,
    MemoryOption,
    OverwriteOption,
    ProgressOption,
    QueueOption,
    QuietOption,
    RecoveryOption,
    SchedulerOption,
    SlurmOption,
    TypeOption,
    WalltimeOption,
    WorkersOption,
    refuse_own_input,
)
from napari_autostructn2v.cli.progress import follow, say
from napari_autostructn2v.config import SHARED_LICENSE, Config


def apply(
    model: Annotated[Path, typer.Argument(help="Model bundle (.zip).")],
    inputs: Annotated[list[Path], typer.Argument(help="Stacks to denoise.")],
    out: Annotated[Path, typer.Option(help="Folder for the denoised stacks.")],
    recovery: RecoveryOption = None,
    leave_out: LeaveOutOption = None,
    average: Annotated[
        bool,
        typer.Option("--average", help="Average over mirror images: a little better, several times slower."),
    ] = False,
    device: DeviceOption = "auto",
    workers: WorkersOption = None,
    slurm: SlurmOption = False,
    scheduler: SchedulerOption = None,
    cores: CoresOption = None,
    memory: MemoryOption = "32GB",
    gpus: GpusOption = 0,
    queue: QueueOption = None,
    walltime: WalltimeOption = "04:00:00",
    dtype: TypeOption = None,
    overwrite: OverwriteOption = False,
    progress: ProgressOption = "bars",
    quiet: QuietOption = False,
) -> None:
    """Denoise stacks with a trained model, in the formats they came in.

    With --workers, --slurm or --scheduler many processes share the work: of several stacks each takes one at
    a time; a single stack is divided, and its result is OME-Zarr. After Ctrl-C or a crash the same command
    goes on where it stopped, in one process with the next slice.
    """
    from napari_autostructn2v.apply import result_paths
    from napari_autostructn2v.apply.cluster import SlurmJob, Workers
    from napari_autostructn2v.apply.distributed import denoise_divided, denoise_many
    from napari_autostructn2v.apply.tasks import Task
    from napari_autostructn2v.apply.whole import denoise_each
    from napari_autostructn2v.disk.atomic import make_folder
    from napari_autostructn2v.io import read_stack
    from napari_autostructn2v.io.left_out import LeftOut

    job = SlurmJob(queue, walltime, cores or SlurmJob.cores, memory, gpus) if slurm else None
    shared = Workers.asked_for(workers, job, scheduler, cores)
    folder = make_folder(out)
    images = [read_stack(path) for path in inputs]
    targets = result_paths([(image.name, image.path) for image in images], folder, "")
    if shared is not None and len(images) == 1:
        if dtype is not None:
            raise typer.BadParameter(
                "A stack that many processes divide is written part by part, in floats, as nobody knows the "
                "range of its values before it is done. Leave out --dtype, or let one process do it."
            )
        targets = [folder / f"{images[0].name}.zarr"]
    for image, target in zip(images, targets, strict=True):
        refuse_own_input(target, image.path)
    if not quiet:
        say(*(notice for image in images for notice in image.notices))
    # workers may have been started in another folder
    tasks = [
        Task(
            model.resolve(),
            source.resolve(),
            target.resolve(),
            Config().recovery if recovery is None else recovery,
            LeftOut.from_texts(leave_out or ()),
            average,
            device,
            cores if shared is None else shared.threads,
            overwrite,
            dtype=dtype,
        )
        for source, target in zip(inputs, targets, strict=True)
    ]
    if shared is None:
        follow(denoise_each(tasks), quiet, lines=progress == "json")
        return
    with shared.client() as client:
        if len(tasks) == 1:
            follow(denoise_divided(tasks[0], client), quiet, label=inputs[0].name, lines=progress == "json")
        else:
            follow(denoise_many(tasks, client), quiet, label=f"{len(tasks)} stacks", lines=progress == "json")
    if not quiet:
        say(*(f"Written: {target}" for target in targets))


def export(
    model: Annotated[Path, typer.Argument(help="Model bundle (.zip).")],
    output: Annotated[Path, typer.Argument(help="Package to write (.zip).")],
    name: Annotated[str, typer.Option(help="What the model is called in the zoo.")],
    author: Annotated[list[str], typer.Option(help="Who trained it. Give it once for each person.")],
    description: Annotated[
        str | None, typer.Option(help="What it is for, in a sentence. Default: in general terms.")
    ] = None,
    license: Annotated[str, typer.Option(help="SPDX identifier.")] = SHARED_LICENSE,
    example: Annotated[
        Path | None,
        typer.Option(help="Stack whose middle is published as the test image. Default: a generated one."),
    ] = None,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write a model as a package of the BioImage Model Zoo, for other programs to run."""
    from napari_autostructn2v.io import read_stack
    from napari_autostructn2v.learning.model import load_model
    from napari_autostructn2v.model_zoo import DESCRIPTION, export_model_zoo
    from napari_autostructn2v.model_zoo.card import notch_notice

    refuse_own_input(output, model)
    trained = load_model(model)
    export_model_zoo(
        trained,
        output,
        name=name,
        authors=author,
        description=description or DESCRIPTION,
        license=license,
        example=None if example is None else read_stack(example).array,
        overwrite=overwrite,
    )
    if (notice := notch_notice(trained)) is not None:
        say(notice)
    if not quiet:
        say(f"Written, and it passes the test run of the Model Zoo: {output}")
