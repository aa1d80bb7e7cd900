"""Commands that make a run: run, resume, demo."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Generator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_autostructn2v.box import STACK_FORM, Box
from napari_autostructn2v.cli.options import (
    BackgroundOption,
    BoxOption,
    ConfigOption,
    DeviceOption,
    FindKernelOption,
    KernelOption,
    LeaveOutOption,
    ModeOption,
    MostlyBlankOption,
    NotchOption,
    OverwriteOption,
    PresetOption,
    QuietOption,
    RecoveryOption,
    SecondOption,
    SeedOption,
    SetOption,
    refuse_own_input,
    region_of,
    settings_of,
)
from napari_autostructn2v.cli.progress import follow, say
from napari_autostructn2v.config import Config
from napari_autostructn2v.errors import ConfigError
from napari_autostructn2v.events import Event

if TYPE_CHECKING:
    from napari_autostructn2v import pipeline
    from napari_autostructn2v.io import ImageFile
    from napari_autostructn2v.judge import Score
    from napari_autostructn2v.runs.request import RunRequest


def run(
    input: Annotated[Path, typer.Argument(help="MRC, TIFF, OME-Zarr, DM4, EMD, SER, or a folder of slices.")],
    output: Annotated[Path, typer.Argument(help="Where to write the denoised stack; the suffix says how.")],
    mode: ModeOption = "2d",
    preset: PresetOption = "balanced",
    kernel: KernelOption = None,
    notch: NotchOption = None,
    find_kernel: FindKernelOption = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    background: BackgroundOption = None,
    train_on: BoxOption = None,
    leave_out: LeaveOutOption = None,
    second: SecondOption = None,
    average: Annotated[
        bool,
        typer.Option(
            "--average",
            help="Denoise the second recording as well, each with the model of the other, and write their "
            "mean: for half tomograms.",
        ),
    ] = False,
    mostly_blank: MostlyBlankOption = False,
    recovery: RecoveryOption = None,
    device: DeviceOption = "auto",
    seed: SeedOption = 0,
    run_dir: Annotated[
        Path | None,
        typer.Option(help="Folder of the run, which can be resumed. Default: OUTPUT's name + _run."),
    ] = None,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
) -> None:
    """Denoise a stack: Stage 1, noise analysis, Stage 2.

    After Ctrl-C or a crash, the same command goes on where it stopped, and so does resume. Started
    by torchrun, the processes train together.
    """
    from napari_autostructn2v import pipeline
    from napari_autostructn2v.disk.lock import hold_output
    from napari_autostructn2v.io import check_stack_place, read_stack
    from napari_autostructn2v.io.left_out import LeftOut
    from napari_autostructn2v.judge import refuse_other_shape, scoring
    from napari_autostructn2v.kernel import load_kernel
    from napari_autostructn2v.learning import distributed
    from napari_autostructn2v.learning.training import train_along
    from napari_autostructn2v.runs.folder import RunFolder
    from napari_autostructn2v.runs.request import RunRequest
    from napari_autostructn2v.stack import as_stack

    settings = settings_of(
        preset, config, assignments, notch=notch, find_kernel=find_kernel, recovery=recovery
    )
    image = read_stack(input)
    other = None if second is None else read_stack(second)
    check_stack_place(output, overwrite=overwrite, dtype=as_stack(image.array, mode).scale.dtype)
    refuse_own_input(output, input)
    if average and other is None:
        raise typer.BadParameter("--average needs a second recording. Give --second as well.")
    if other is not None:
        assert second is not None
        refuse_own_input(output, second)
        refuse_other_shape("second recording", other.array, image.array)
    if not quiet:
        say(*image.notices, *(other.notices if other is not None else ()))
    left_out = LeftOut.from_texts(leave_out or ()).of(image.array.shape)
    with distributed.process_group():
        if average and distributed.world_size() > 1:
            raise ConfigError("torchrun trains one network: leave out --average, and average afterwards.")
        if not distributed.is_leader():
            train_along(as_stack(image.array, mode, left_out=left_out), device)
            return
        folder = run_dir or RunFolder.beside(output).path
        with hold_output(output):
            request = RunRequest(
                mode=mode,
                config=settings,
                kernel=None if kernel is None else load_kernel(kernel),
                region=region_of(background, image.array.shape),
                left_out=left_out,
                box=None if train_on is None else Box.from_text(train_on, image.array.shape, STACK_FORM),
                mostly_blank=mostly_blank,
                seed=seed,
                source=image,
                output=output,
            )
            if average and other is not None:
                _finish_halves(request, image, other, folder, device, overwrite, quiet)
            else:
                events = pipeline.run(image.array, request, device=device, folder=folder)
                result = _finish(events, folder, output, image, overwrite, quiet)
                if other is not None:
                    scores = scoring(
                        result.denoised,
                        as_stack(image.array, left_out=left_out),
                        other.array,
                        voxel_size=image.voxel_size,
                    )
                    _write_scores(folder, [follow(scores, quiet, "Judging by the other recording")], quiet)
        distributed.broadcast(None)


def resume(
    folder: Annotated[Path, typer.Argument(help="Folder of a run, of this command line or of the window.")],
    output: Annotated[
        Path | None,
        typer.Argument(help="Where to write the denoised stack. Default: where the run was to write it."),
    ] = None,
    device: DeviceOption = "auto",
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
) -> None:
    """Finish a run that was stopped, killed or cut off by a power failure, from its folder alone.

    At most half a minute of training is done again, and the result is the same as without the interruption.
    """
    from napari_autostructn2v import pipeline
    from napari_autostructn2v.disk.lock import hold_output
    from napari_autostructn2v.io import check_stack_place
    from napari_autostructn2v.runs.folder import RunFolder
    from napari_autostructn2v.stack import as_stack

    run_folder = RunFolder(folder)
    target = output or run_folder.read_request().output
    if target is None:
        raise typer.BadParameter("The run does not say where its result is to go. Give OUTPUT as well.")
    image = run_folder.read_input()
    check_stack_place(target, overwrite=overwrite, dtype=as_stack(image.array).scale.dtype)
    refuse_own_input(target, image.path)
    if not quiet:
        say(*image.notices)
    with hold_output(target):
        events = pipeline.resume(folder, device=device)
        _finish(events, folder, target, image, overwrite, quiet)


def _finish(
    events: Generator[Event, Any, pipeline.Result],
    folder: Path,
    output: Path,
    image: ImageFile,
    overwrite: bool,
    quiet: bool,
) -> pipeline.Result:
    """Follow a run to its end, write its result, and clear away what earlier attempts have left."""
    from napari_autostructn2v.disk.waiting import retry_when_full
    from napari_autostructn2v.io import write_stack
    from napari_autostructn2v.runs.folder import RunFolder

    result = follow(events, quiet)
    write = partial(
        write_stack,
        output,
        result.denoised,
        voxel_size=image.voxel_size,
        heading=image.heading,
        overwrite=overwrite,
    )
    follow(retry_when_full(write, output.parent), quiet)
    run_folder = RunFolder(folder)
    with run_folder.hold():
        run_folder.forget_earlier()
    if not quiet:
        stages = "Stage 1 alone" if result.denoised is result.stage1 else "both stages"
        say(result.analysis.verdict.summary, f"Written: {output}, denoised by {stages}.")
    return result


def _finish_halves(
    request: RunRequest,
    first: ImageFile,
    second: ImageFile,
    folder: Path,
    device: str,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Follow the runs of two recordings to their end, write the mean of their results and both scores."""
    from napari_autostructn2v.disk.waiting import retry_when_full
    from napari_autostructn2v.halves import denoise_halves
    from napari_autostructn2v.io import write_stack
    from napari_autostructn2v.io.slice_file import ScratchStack
    from napari_autostructn2v.runs.folder import RunFolder
    from napari_autostructn2v.stack import as_stack

    output, folders = request.output, (folder, folder.with_name(f"{folder.name}_second"))
    assert output is not None
    stack = as_stack(first.array)
    with ScratchStack(stack.input_shape, output, stack.scale.dtype) as mean:
        halves = follow(denoise_halves(request, first, second, mean, folders=folders, device=device), quiet)
        write = partial(
            write_stack, output, mean, voxel_size=first.voxel_size, heading=first.heading, overwrite=overwrite
        )
        follow(retry_when_full(write, output.parent), quiet)
    for each in folders:
        with RunFolder(each).hold():
            RunFolder(each).forget_earlier()
    if not quiet:
        say(*(run.analysis.verdict.summary for run in halves.runs), f"Written: {output}, the mean of both.")
    _write_scores(folder, halves.scores, quiet)


def _write_scores(folder: Path, scores: Sequence[Score], quiet: bool) -> None:
    """Write what the other recording says of each result into the run folder, and say it."""
    from napari_autostructn2v.figures.score import write_score

    for number, score in enumerate(scores, start=1):
        name = "score" if len(scores) == 1 else f"score_{number}"
        written = write_score(folder, score, overwrite=True, name=name)
        if not quiet:
            which = "" if len(scores) == 1 else f"Recording {number}: "
            say(
                *(which + sentence for sentence in score.sentences),
                f"Written: {', '.join(map(str, written))}",
            )


def demo(
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("demo"),
    open: Annotated[bool, typer.Option("--open", help="Open the result in napari.")] = False,
    device: DeviceOption = "auto",
    quiet: QuietOption = False,
) -> None:
    """Run both stages on a generated tomogram with the noise of a back-projection."""
    from napari_autostructn2v import pipeline
    from napari_autostructn2v.disk.atomic import make_folder
    from napari_autostructn2v.figures.report import draw_report
    from napari_autostructn2v.io import VoxelSize, read_stack, write_stack
    from napari_autostructn2v.metrics import psnr
    from napari_autostructn2v.runs.request import RunRequest
    from napari_autostructn2v.synthetic import sample

    tomogram = sample("reconstruction", shape=(32, 192, 192))
    voxels = VoxelSize(tomogram.voxel_size, tomogram.voxel_size, tomogram.voxel_size)
    make_folder(out)
    noisy = read_stack(write_stack(out / "noisy.mrc", tomogram.noisy, voxel_size=voxels, overwrite=True))
    request = RunRequest("2.5d", Config.from_preset("balanced"), source=noisy)
    events = pipeline.run(noisy.array, request, device=device, folder=out / "run")
    result = follow(events, quiet)
    files = {
        "truth.mrc": tomogram.clean,
        "denoised.mrc": result.denoised,
        "denoised.tif": result.denoised,
    }
    for name, stack in files.items():
        write_stack(out / name, stack, voxel_size=voxels, overwrite=True)
    stacks = {
        "Noisy": tomogram.noisy,
        "Stage 1: Noise2Void": result.stage1,
        "Stage 2: StructN2V": result.denoised,
    }
    draw_report(out / "report.png", stacks, result.analysis, tomogram.clean, overwrite=True)
    for title, stack in stacks.items():
        typer.echo(f"{title + ':':21s} PSNR {psnr(stack, tomogram.clean):.2f} dB")
    typer.echo(result.analysis.verdict.summary)
    python = Path(sys.executable)
    shown = python.relative_to(Path.cwd()) if python.is_relative_to(Path.cwd()) else python
    # the plugin is named, or napari asks which reader to take
    napari = ["-m", "napari", "--plugin", "napari-autostructn2v", str(out / "truth.mrc"), str(out / "run")]
    typer.echo(f"Picture: {out / 'report.png'}")
    typer.echo("Open all of it in napari (press Home there; the truth lies under the noisy stack):")
    typer.echo(f"  {shown} {' '.join(napari)}")
    if open:
        subprocess.run([str(python), *napari], check=False)
