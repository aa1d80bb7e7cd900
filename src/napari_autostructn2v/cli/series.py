"""Commands for many stacks: batch, watch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_autostructn2v.cli.options import (
    ConfigOption,
    CoresOption,
    DeviceOption,
    GpusOption,
    MemoryOption,
    ModeOption,
    MostlyBlankOption,
    OverwriteOption,
    PresetOption,
    ProgressOption,
    QueueOption,
    QuietOption,
    RecoveryOption,
    SchedulerOption,
    SeedOption,
    SetOption,
    SlurmOption,
    WalltimeOption,
    WorkersOption,
    settings_of,
)
from napari_autostructn2v.cli.progress import ExitCode, follow, say
from napari_autostructn2v.config import Config


def batch(
    list_file: Annotated[
        Path,
        typer.Argument(
            metavar="LIST",
            help="A table (CSV) with the columns input, and if wanted second, output, mode, group; or a STAR "
            "file of RELION or Warp.",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder for the results of rows that name no output.")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="Model bundle (.zip) to apply to each. Default: train on each.")
    ] = None,
    mode: ModeOption = "2d",
    preset: PresetOption = "balanced",
    config: ConfigOption = None,
    assignments: SetOption = None,
    average: Annotated[
        bool,
        typer.Option(
            "--average",
            help="Denoise second recordings as well, each with the model of the other, and write their mean.",
        ),
    ] = False,
    per_group: Annotated[
        bool,
        typer.Option("--per-group", help="Train one network for all stacks of a group, see column group."),
    ] = False,
    mostly_blank: MostlyBlankOption = False,
    recovery: RecoveryOption = None,
    device: DeviceOption = "auto",
    seed: SeedOption = 0,
    workers: WorkersOption = None,
    slurm: SlurmOption = False,
    scheduler: SchedulerOption = None,
    cores: CoresOption = None,
    memory: MemoryOption = "32GB",
    gpus: GpusOption = 0,
    queue: QueueOption = None,
    walltime: WalltimeOption = "04:00:00",
    batch_dir: Annotated[
        Path | None,
        typer.Option(help="Folder for the summary and for what is done. Default: LIST's name + _batch."),
    ] = None,
    overwrite: OverwriteOption = False,
    progress: ProgressOption = "bars",
    quiet: QuietOption = False,
) -> None:
    """Train on each stack of a list and denoise it, or on each group of them, or apply a model to each.

    A row that fails is told, and the others go on. After Ctrl-C or a crash the same command goes on where it
    was. Writes summary.csv and summary.html, with verdict, kernel, figures and pictures of each.
    """
    from napari_autostructn2v.apply.cluster import SlurmJob, Workers
    from napari_autostructn2v.disk.atomic import make_folder
    from napari_autostructn2v.series.batch import work_through
    from napari_autostructn2v.series.batch_request import Batch
    from napari_autostructn2v.series.work_list import read_list

    if average and model is not None:
        raise typer.BadParameter("--average trains on both recordings: leave out --model.")
    if per_group and (average or model is not None):
        raise typer.BadParameter("--per-group trains one network for a group: leave out --average, --model.")
    job = SlurmJob(queue, walltime, cores or SlurmJob.cores, memory, gpus) if slurm else None
    shared = Workers.asked_for(workers, job, scheduler, cores)
    rows = read_list(list_file, out)
    if out is not None:
        make_folder(out)
    asked = Batch(
        rows=rows,
        folder=batch_dir or list_file.with_name(f"{list_file.stem}_batch"),
        config=settings_of(preset, config, assignments, recovery=recovery),
        mode=mode,
        model=model,
        average=average,
        per_group=per_group,
        seed=seed,
        device=device,
        mostly_blank=mostly_blank,
        threads=cores if shared is None else shared.threads,
        overwrite=overwrite,
    )
    if shared is None:
        records = follow(work_through(asked), quiet, lines=progress == "json")
    else:
        with shared.client() as client:
            events = work_through(asked.resolved(), client)
            records = follow(events, quiet, f"{len(rows)} stacks", lines=progress == "json")
    failed = sum(record.state == "failed" for record in records)
    if not quiet:
        say(f"Written: {asked.folder / 'summary.csv'}, {asked.folder / 'summary.html'}")
    if failed:
        say(f"{failed} of {len(rows)} rows failed; the same command tries them again.")
        raise typer.Exit(ExitCode.FAILED)


def watch(
    folder: Annotated[Path, typer.Argument(help="Folder into which stacks are written.")],
    model: Annotated[Path, typer.Option(help="Model bundle (.zip) to apply.")],
    out: Annotated[Path, typer.Option(help="Folder for the denoised stacks.")],
    recovery: RecoveryOption = None,
    average: Annotated[
        bool,
        typer.Option("--average", help="Average over mirror images: a little better, several times slower."),
    ] = False,
    still: Annotated[
        float | None,
        typer.Option(min=0, help="Seconds for which a file must not have grown. Default: 3."),
    ] = None,
    device: DeviceOption = "auto",
    progress: ProgressOption = "bars",
    quiet: QuietOption = False,
) -> None:
    """Denoise stacks as they are recorded: each once, in order, as soon as it is complete.

    Goes on until Ctrl-C. The same command takes up what came meanwhile, and a stack at which it was stopped
    or killed.
    """
    from napari_autostructn2v.series.watch import STILL_SECONDS, Watch
    from napari_autostructn2v.series.watch import watch as watching

    asked = Watch(
        folder=folder,
        model=model,
        out=out,
        recovery=Config().recovery if recovery is None else recovery,
        average=average,
        device=device,
        still=STILL_SECONDS if still is None else still,
    )
    follow(watching(asked), quiet, lines=progress == "json")
