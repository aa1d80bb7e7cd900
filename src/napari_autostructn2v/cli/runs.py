"""Commands that make a run: run, resume, demo."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
    ProgressOption,
    QuietOption,
    RecoveryOption,
    ResolutionLimitOption,
    SecondOption,
    SeedOption,
    SetOption,
    StartOption,
    TensorBoardOption,
    TypeOption,
    refuse_own_input,
    region_of,
    settings_of,
)
from napari_autostructn2v.cli.progress import follow, say
from napari_autostructn2v.config import Config, ResultType
from napari_autostructn2v.errors import ConfigError

if TYPE_CHECKING:
    from napari_autostructn2v.cli.tensorboard_log import TensorBoardLog
    from napari_autostructn2v.io import ImageFile
    from napari_autostructn2v.runs.request import RunRequest
    from napari_autostructn2v.to_file import Outcome


def run(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="INPUT OUTPUT | INPUT... --out FOLDER",
            help="The stack (MRC, TIFF, OME-Zarr, DM4, EMD, SER, or a folder of slices), and where to write "
            "what is made of it; the suffix says how. With --out every name is an input: of several stacks "
            "of one noise one network is made.",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder for the results of one stack, or of several together.")
    ] = None,
    mode: ModeOption = "2d",
    preset: PresetOption = "balanced",
    kernel: KernelOption = None,
    notch: NotchOption = None,
    resolution_limit: ResolutionLimitOption = None,
    find_kernel: FindKernelOption = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    start_from: StartOption = None,
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
    dtype: TypeOption = None,
    overwrite: OverwriteOption = False,
    progress: ProgressOption = "bars",
    tensorboard: TensorBoardOption = None,
    quiet: QuietOption = False,
) -> None:
    """Denoise a stack: Stage 1, noise analysis, Stage 2.

    After Ctrl-C or a crash, the same command goes on where it stopped, and so does resume. Started
    by torchrun, the processes train together.
    """
    from napari_autostructn2v.io import read_stack
    from napari_autostructn2v.io.left_out import LeftOut
    from napari_autostructn2v.kernel import load_kernel
    from napari_autostructn2v.learning import distributed
    from napari_autostructn2v.learning.model import load_model
    from napari_autostructn2v.learning.training import train_along
    from napari_autostructn2v.runs.folder import RunFolder
    from napari_autostructn2v.runs.request import RunRequest
    from napari_autostructn2v.stack import as_stack
    from napari_autostructn2v.to_file import check_recordings, run_to_file

    start = None if start_from is None else load_model(start_from)
    settings = settings_of(
        preset,
        config,
        assignments,
        notch=notch,
        resolution_limit=resolution_limit,
        find_kernel=find_kernel,
        recovery=recovery,
        start=start,
    )
    hidden = None if kernel is None else load_kernel(kernel)

    def request(image: ImageFile, output: Path) -> RunRequest:
        shape = image.array.shape
        return RunRequest(
            mode=mode,
            config=settings,
            start=start,
            kernel=hidden,
            region=region_of(background, shape),
            left_out=LeftOut.from_texts(leave_out or ()).of(shape),
            box=None if train_on is None else Box.from_text(train_on, shape, STACK_FORM),
            mostly_blank=mostly_blank,
            seed=seed,
            source=image,
            output=output,
        )

    if out is not None and len(files) > 1:
        if second is not None or average or run_dir is not None:
            raise typer.BadParameter("--second, --average and --run-dir are of one stack alone.")
        _run_together(files, out, request, device, dtype, overwrite, progress == "json", tensorboard, quiet)
        return
    input, output = _one_stack(files, out)
    image = read_stack(input)
    other = None if second is None else read_stack(second)
    refuse_own_input(output, input)
    if average and other is None:
        raise typer.BadParameter("--average needs a second recording. Give --second as well.")
    if second is not None:
        refuse_own_input(output, second)
    check_recordings(output, mode, image, other, overwrite=overwrite, dtype=dtype)
    if not quiet:
        say(*image.notices, *(other.notices if other is not None else ()))
    asked = request(image, output)
    with distributed.process_group():
        if average and distributed.world_size() > 1:
            raise ConfigError("torchrun trains one network: leave out --average, and average afterwards.")
        if not distributed.is_leader():
            train_along(as_stack(image.array, mode, left_out=asked.left_out), device)
            return
        folder = run_dir or RunFolder.beside(output).path
        events = run_to_file(
            asked, folder, second=other, average=average, device=device, overwrite=overwrite, dtype=dtype
        )
        outcome = follow(events, quiet, lines=progress == "json", log=_log(tensorboard, image))
        if not quiet:
            _say_what_was_written(output, outcome)
        distributed.broadcast(None)


def _log(folder: Path | None, image: ImageFile) -> TensorBoardLog | None:
    """What writes for TensorBoard, if that is wanted."""
    from napari_autostructn2v.cli.tensorboard_log import TensorBoardLog

    return None if folder is None else TensorBoardLog(folder, image.array)


def _one_stack(files: list[Path], out: Path | None) -> tuple[Path, Path]:
    """The input and the output that were given."""
    from napari_autostructn2v.apply import result_paths
    from napari_autostructn2v.disk.atomic import make_folder
    from napari_autostructn2v.io.image import stack_name

    if out is not None:
        return files[0], result_paths([(stack_name(files[0]), files[0])], make_folder(out), "")[0]
    if len(files) != 2:
        raise typer.BadParameter(
            "Give INPUT and OUTPUT, or inputs alone and with --out the folder for their results."
        )
    return files[0], files[1]


def _run_together(
    inputs: list[Path],
    out: Path,
    request: Callable[[ImageFile, Path], RunRequest],
    device: str,
    dtype: ResultType | None,
    overwrite: bool,
    lines: bool,
    tensorboard: Path | None,
    quiet: bool,
) -> None:
    """Train on several stacks together, and write the result of each."""
    from napari_autostructn2v.apply import result_paths
    from napari_autostructn2v.disk.atomic import make_folder
    from napari_autostructn2v.io import read_stack
    from napari_autostructn2v.learning import distributed
    from napari_autostructn2v.to_file import check_recordings, run_together_to_files

    with distributed.process_group():
        if distributed.world_size() > 1:
            raise ConfigError("torchrun trains on one stack. Train on several with one process.")
    images = [read_stack(path) for path in inputs]
    outputs = result_paths([(image.name, image.path) for image in images], make_folder(out), "")
    requests = [request(image, output) for image, output in zip(images, outputs, strict=True)]
    for image, output in zip(images, outputs, strict=True):
        for other in images:
            refuse_own_input(output, other.path)
        check_recordings(output, requests[0].mode, image, None, overwrite=overwrite, dtype=dtype)
    if not quiet:
        say(*(notice for image in images for notice in image.notices))
    events = run_together_to_files(requests, device=device, overwrite=overwrite, dtype=dtype)
    made = follow(events, quiet, lines=lines, log=_log(tensorboard, images[0]))
    if not quiet:
        say(*(stack.sentence for stack in made.agreement.stacks), *made.agreement.sentences[:1])


def resume(
    folder: Annotated[Path, typer.Argument(help="Folder of a run, of this command line or of the window.")],
    output: Annotated[
        Path | None,
        typer.Argument(help="Where to write the denoised stack. Default: where the run was to write it."),
    ] = None,
    device: DeviceOption = "auto",
    dtype: TypeOption = None,
    overwrite: OverwriteOption = False,
    progress: ProgressOption = "bars",
    tensorboard: TensorBoardOption = None,
    quiet: QuietOption = False,
) -> None:
    """Finish a run that was stopped, killed or cut off by a power failure, from its folder alone.

    At most half a minute of training is done again, and the result is the same as without the interruption.
    """
    from napari_autostructn2v import pipeline
    from napari_autostructn2v.disk.lock import hold_output
    from napari_autostructn2v.io import check_stack_place
    from napari_autostructn2v.io.whole_numbers import type_in_file
    from napari_autostructn2v.runs.folder import RunFolder
    from napari_autostructn2v.stack import as_stack
    from napari_autostructn2v.to_file import Outcome, write_result

    run_folder = RunFolder(folder)
    target = output or run_folder.read_request().output
    if target is None:
        raise typer.BadParameter("The run does not say where its result is to go. Give OUTPUT as well.")
    image = run_folder.read_input()
    made = as_stack(image.array).scale.dtype
    check_stack_place(target, overwrite=overwrite, dtype=type_in_file(dtype, made))
    refuse_own_input(target, image.path)
    if not quiet:
        say(*image.notices)
    with hold_output(target):
        events = write_result(
            pipeline.resume(folder, device=device), folder, target, image, overwrite=overwrite, dtype=dtype
        )
        result = follow(events, quiet, lines=progress == "json", log=_log(tensorboard, image))
    if not quiet:
        _say_what_was_written(target, Outcome((result,)))


def _say_what_was_written(output: Path, outcome: Outcome) -> None:
    """The verdict, where the result is and how it came about, and what another recording says of it."""
    for result in outcome.results:
        say(result.analysis.verdict.brief, result.analysis.verdict.summary)
    if len(outcome.results) > 1:
        say(f"Written: {output}, the mean of both.")
    else:
        (result,) = outcome.results
        stages = "Stage 1 alone" if result.denoised is result.stage1 else "both stages"
        say(f"Written: {output}, denoised by {stages}.")
    for number, score in enumerate(outcome.scores, start=1):
        which = "" if len(outcome.scores) == 1 else f"Recording {number}: "
        say(*(which + sentence for sentence in score.sentences))
    if outcome.score_files:
        say(f"Written: {', '.join(map(str, outcome.score_files))}")


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
    typer.echo(result.analysis.verdict.brief)
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
