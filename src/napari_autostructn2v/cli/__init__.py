"""The command line: the functions of the package, with progress bars and exit codes."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from enum import IntEnum
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from napari_autostructn2v import __version__
from napari_autostructn2v.config import SHARED_LICENSE, AnalysisConfig, Config, Mode, NotchChoice, Preset
from napari_autostructn2v.error_report import told
from napari_autostructn2v.errors import FileError
from napari_autostructn2v.events import (
    Event,
    Notice,
    SliceDone,
    StageStarted,
    Step,
    TrainingStarted,
    Validation,
    Waiting,
)

if TYPE_CHECKING:
    import numpy as np

    from napari_autostructn2v import pipeline
    from napari_autostructn2v.apply.cluster import Workers
    from napari_autostructn2v.io import VoxelSize
    from napari_autostructn2v.stack import Box

Result = TypeVar("Result")

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
console = Console(stderr=True)


class ExitCode(IntEnum):
    """What a script can tell the outcome by. 2 is a wrong command line, as everywhere."""

    OK = 0
    FAILED = 3
    INTERRUPTED = 130


ModeOption = Annotated[Mode, typer.Option(help="2d: slice by slice; 2.5d: with both neighbouring slices.")]
PresetOption = Annotated[Preset, typer.Option(help="fast to try, balanced, high to publish.")]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]
SeedOption = Annotated[int, typer.Option(help="The same seed gives the same result on one processor.")]
KernelOption = Annotated[
    Path | None, typer.Option(help="Kernel to use instead of the one found: .npy, .tif or .json.")
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only errors.")]
NotchOption = Annotated[
    NotchChoice,
    typer.Option(
        help="Long-range patterns to take away: auto leaves alone what looks like a lattice of the sample."
    ),
]
FindKernelOption = Annotated[bool, typer.Option(help="Look for a kernel; if not, it is a single pixel.")]
BackgroundOption = Annotated[
    str | None,
    typer.Option(
        metavar="Y0:Y1,X0:X1",
        help="A box, in pixels, where the stack shows nothing but noise. Default: its flattest parts.",
    ),
]
BoxOption = Annotated[
    str | None,
    typer.Option(
        metavar="Z0:Z1,Y0:Y1,X0:X1",
        help="Part of the stack to train on, in pixels. All of the stack is denoised. Default: all of it.",
    ),
]
RecoveryOption = Annotated[
    float, typer.Option(min=0, max=1, help="How much of the detail lost in denoising is brought back.")
]
OverwriteOption = Annotated[bool, typer.Option(help="Replace output files that exist.")]


def _say_version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_say_version, is_eager=True, help="Say which version this is."),
    ] = False,
) -> None:
    """Remove structured noise from electron tomograms and other image stacks, with no clean data."""


def main() -> None:
    """Run the command line and exit with a code that a script can use."""
    try:
        app()
    except Exception as error:
        console.print("[red]Error:[/red]", Text(told(error)), highlight=False, soft_wrap=True)
        sys.exit(ExitCode.FAILED)


@app.command()
def run(
    input: Annotated[Path, typer.Argument(help="MRC, TIFF, OME-TIFF, OME-Zarr, or a folder of TIFF slices.")],
    output: Annotated[Path, typer.Argument(help="Where to write the denoised stack; the suffix says how.")],
    mode: ModeOption = "2d",
    preset: PresetOption = "balanced",
    kernel: KernelOption = None,
    notch: NotchOption = "auto",
    find_kernel: FindKernelOption = True,
    background: BackgroundOption = None,
    train_on: BoxOption = None,
    recovery: RecoveryOption = 1.0,
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
    from napari_autostructn2v.io import check_stack_place, hold_output, read_stack
    from napari_autostructn2v.kernel import load_kernel
    from napari_autostructn2v.learning import distributed
    from napari_autostructn2v.learning.training import train_along
    from napari_autostructn2v.runs.folder import RunFolder
    from napari_autostructn2v.stack import as_stack

    image = read_stack(input)
    check_stack_place(output, overwrite=overwrite, dtype=as_stack(image.array, mode).scale.dtype)
    _refuse_own_input(output, input)
    config = Config.from_preset(preset)
    with distributed.together():
        if not distributed.lead():
            train_along(image.array, device)
            return
        folder = run_dir or RunFolder.beside(output).path
        with hold_output(output):
            events = pipeline.run(
                image.array,
                mode=mode,
                config=config.model_copy(
                    update={"analysis": _analysis_config(notch, find_kernel), "recovery": recovery}
                ),
                kernel=None if kernel is None else load_kernel(kernel),
                region=_region(background, image.array.shape),
                box=_box(train_on),
                device=device,
                seed=seed,
                folder=folder,
                source=image,
                output=output,
            )
            _finish(events, folder, output, image.voxel_size, overwrite, quiet)
        distributed.tell(None)


@app.command()
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
    from napari_autostructn2v.io import check_stack_place, hold_output
    from napari_autostructn2v.runs.folder import RunFolder
    from napari_autostructn2v.stack import as_stack

    run_folder = RunFolder(folder)
    target = output or run_folder.read_settings().output
    if target is None:
        raise typer.BadParameter("The run does not say where its result is to go. Give OUTPUT as well.")
    image = run_folder.read_input()
    check_stack_place(target, overwrite=overwrite, dtype=as_stack(image.array).scale.dtype)
    _refuse_own_input(target, image.path)
    with hold_output(target):
        events = pipeline.resume(folder, device=device)
        _finish(events, folder, target, image.voxel_size, overwrite, quiet)


def _finish(
    events: Generator[Event, Any, pipeline.Result],
    folder: Path,
    output: Path,
    voxel_size: VoxelSize | None,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Follow a run to its end, write its result, and clear away what only was there to go on from."""
    from napari_autostructn2v.disk.waiting import when_there_is_room
    from napari_autostructn2v.io import write_stack
    from napari_autostructn2v.runs.folder import RunFolder

    result = _follow(events, quiet)
    write = partial(write_stack, output, result.denoised, voxel_size=voxel_size, overwrite=overwrite)
    _follow(when_there_is_room(write, output.parent), quiet)
    run_folder = RunFolder(folder)
    with run_folder.hold():
        run_folder.forget_made()
    if not quiet:
        stages = "Stage 1 alone" if result.denoised is result.stage1 else "both stages"
        console.print(result.analysis.verdict.summary, f"Written: {output}, denoised by {stages}.", sep="\n")


@app.command()
def analyze(
    input: Annotated[Path, typer.Argument(help="The raw stack.")],
    denoised: Annotated[
        Path | None, typer.Option(help="The same stack after Stage 1, if there is one.")
    ] = None,
    mode: ModeOption = "2d",
    notch: NotchOption = "auto",
    find_kernel: FindKernelOption = True,
    background: BackgroundOption = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write to. Default: INPUT's name + _noise.")
    ] = None,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
) -> None:
    """Say what structure the noise has; write the kernel (.tif) and a picture (.png)."""
    from napari_autostructn2v.figures.report import draw_analysis
    from napari_autostructn2v.io import check_place, make_folder, read_stack
    from napari_autostructn2v.kernel import save_kernel
    from napari_autostructn2v.noise.analysis import analyze

    image = read_stack(input)
    folder = out or Path(f"{image.name}_noise")
    if folder.is_dir():
        for name in ("kernel.tif", "noise.png"):
            check_place(folder / name, overwrite=overwrite)
    analysis = analyze(
        image.array,
        None if denoised is None else read_stack(denoised).array,
        mode=mode,
        config=_analysis_config(notch, find_kernel),
        region=_region(background, image.array.shape),
        voxel_size=image.voxel_size,
    )
    make_folder(folder)
    save_kernel(folder / "kernel.tif", analysis.kernel, overwrite=overwrite)
    draw_analysis(folder / "noise.png", analysis, overwrite=overwrite)
    if not quiet:
        typer.echo(analysis.verdict.summary)
        for z in analysis.kernel if analysis.kernel.ndim == 3 else [analysis.kernel]:
            typer.echo("\n".join(" ".join("█" if pixel else "·" for pixel in row) for row in z) + "\n")
        typer.echo(f"Written: {folder / 'kernel.tif'}, {folder / 'noise.png'}")


@app.command()
def apply(
    model: Annotated[Path, typer.Argument(help="Model bundle (.zip).")],
    inputs: Annotated[list[Path], typer.Argument(help="Stacks to denoise.")],
    out: Annotated[Path, typer.Option(help="Folder for the denoised stacks.")],
    recovery: RecoveryOption = 1.0,
    average: Annotated[
        bool,
        typer.Option("--average", help="Average over mirror images: a little better, several times slower."),
    ] = False,
    device: DeviceOption = "auto",
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Divide the work among so many processes, or Slurm jobs with --slurm."),
    ] = None,
    slurm: Annotated[
        bool, typer.Option("--slurm", help="Start the workers as jobs of a Slurm cluster.")
    ] = False,
    scheduler: Annotated[
        str | None, typer.Option(help="Use the workers of this Dask scheduler, such as tcp://node:8786.")
    ] = None,
    cores: Annotated[
        int | None,
        typer.Option(
            min=1, help="Threads of a worker. Default: a fair share of this machine; with --slurm 8."
        ),
    ] = None,
    memory: Annotated[str, typer.Option(help="Of a Slurm job.")] = "32GB",
    gpus: Annotated[int, typer.Option(min=0, help="Of a Slurm job.")] = 0,
    queue: Annotated[str | None, typer.Option(help="Partition for Slurm jobs.")] = None,
    walltime: Annotated[str, typer.Option(help="Of a Slurm job.")] = "04:00:00",
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
) -> None:
    """Denoise stacks with a trained model, in the formats they came in.

    With --workers, --slurm or --scheduler many processes share the work: of several stacks each takes one at
    a time; a single stack is divided, and its result is OME-Zarr. After Ctrl-C or a crash the same command
    goes on where it stopped.
    """
    import torch

    from napari_autostructn2v.apply import denoise_to_file, result_path
    from napari_autostructn2v.apply.cluster import SlurmJob, Workers
    from napari_autostructn2v.io import check_stack_place, make_folder, read_stack
    from napari_autostructn2v.learning.model import load_model
    from napari_autostructn2v.stack import as_stack

    job = SlurmJob(queue, walltime, cores or SlurmJob.cores, memory, gpus) if slurm else None
    shared = Workers.asked_for(workers, job, scheduler, cores)
    trained = load_model(model)
    folder = make_folder(out)
    images = [read_stack(path) for path in inputs]  # lazily: a bad one is found before the first is done
    targets = [result_path(image.name, image.path, folder, "") for image in images]
    if len(set(targets)) < len(targets):
        raise FileError(
            "Two of the inputs have the same name, and so would their outputs. Apply them in turn."
        )
    if shared is not None and len(images) == 1:
        targets = [folder / f"{images[0].name}.zarr"]
    for image, target in zip(images, targets, strict=True):
        dtype = as_stack(image.array, trained.mode, trained.config.depth).scale.dtype
        _refuse_own_input(target, image.path)
        if shared is None:  # else what is there may be of the work that goes on
            check_stack_place(target, overwrite=overwrite, dtype=dtype)
    if shared is not None:
        _apply_shared(shared, model, inputs, targets, recovery, average, device, overwrite, quiet)
        return
    if cores is not None:
        torch.set_num_threads(cores)
    for image, target in zip(images, targets, strict=True):
        events = denoise_to_file(
            image.array,
            trained,
            target,
            voxel_size=image.voxel_size,
            recovery=recovery,
            average=average,
            device=device,
            overwrite=overwrite,
        )
        _follow(events, quiet, label=image.name)
        if not quiet:
            console.print(f"Written: {target}", highlight=False)


def _apply_shared(
    workers: Workers,
    model: Path,
    inputs: list[Path],
    targets: list[Path],
    recovery: float,
    average: bool,
    device: str,
    overwrite: bool,
    quiet: bool,
) -> None:
    from napari_autostructn2v.apply.distributed import denoise_divided, denoise_many
    from napari_autostructn2v.apply.tasks import Task

    # workers may have been started in another folder
    tasks = [
        Task(
            model.resolve(),
            source.resolve(),
            target.resolve(),
            recovery,
            average,
            device,
            workers.threads,
            overwrite,
        )
        for source, target in zip(inputs, targets, strict=True)
    ]
    with workers.client() as client:
        if len(tasks) == 1:
            _follow(denoise_divided(tasks[0], client), quiet, label=inputs[0].name)
        else:
            _follow(denoise_many(tasks, client), quiet, label=f"{len(tasks)} stacks")
    if not quiet:
        for target in targets:
            console.print(f"Written: {target}", highlight=False)


@app.command()
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

    _refuse_own_input(output, model)
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
        console.print(notice, highlight=False)
    if not quiet:
        console.print(f"Written, and it passes the test run of the Model Zoo: {output}", highlight=False)


@app.command()
def info(file: Annotated[Path, typer.Argument(help="A stack or a model bundle.")]) -> None:
    """Say what a stack or a model bundle holds."""
    if file.suffix.lower() == ".zip":
        from napari_autostructn2v.learning.model import load_model

        model = load_model(file)
        shape = " × ".join(map(str, model.kernel.shape))
        facts = {
            "model": file.name,
            "mode": model.mode.upper(),
            "kernel": f"{shape}, {int(model.kernel.sum())} pixels",
            "notch": "none" if model.notch is None else f"{int(model.notch.peaks.sum())} peak bins",
            "network": f"U-Net, {model.config.features} features, depth {model.config.depth}",
            **{key.replace("_", " "): value for key, value in model.provenance.items()},
        }
    else:
        from napari_autostructn2v.io import read_stack

        image = read_stack(file)
        size = image.voxel_size
        facts = {
            "file": file.name,
            "format": image.format,
            "shape": " × ".join(map(str, image.array.shape)) + " (" + "ZYX"[-len(image.array.shape) :] + ")",
            "values": str(image.array.dtype),
            "voxel size": "unknown"
            if size is None
            else f"{size.z:g} × {size.y:g} × {size.x:g} {size.unit} (ZYX)",
        }
    for key, value in facts.items():
        typer.echo(f"{key + ':':18s} {value}")


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("demo"),
    open: Annotated[bool, typer.Option("--open", help="Open the result in napari.")] = False,
    device: DeviceOption = "auto",
    quiet: QuietOption = False,
) -> None:
    """Run both stages on a generated tomogram with the noise of a back-projection."""
    from napari_autostructn2v import pipeline
    from napari_autostructn2v.figures.report import draw_report
    from napari_autostructn2v.io import VoxelSize, make_folder, read_stack, write_stack
    from napari_autostructn2v.metrics import psnr
    from napari_autostructn2v.runs.folder import RunFolder
    from napari_autostructn2v.synthetic import sample

    tomogram = sample("reconstruction", shape=(32, 192, 192))
    voxels = VoxelSize(tomogram.voxel_size, tomogram.voxel_size, tomogram.voxel_size)
    make_folder(out)
    noisy = read_stack(write_stack(out / "noisy.mrc", tomogram.noisy, voxel_size=voxels, overwrite=True))
    events = pipeline.run(
        noisy.array,
        mode="2.5d",
        config=Config.from_preset("balanced"),
        device=device,
        folder=out / "run",
        source=noisy,
    )
    result = _follow(events, quiet)
    files = {
        "truth.mrc": tomogram.clean,
        "denoised.mrc": result.denoised,
        "denoised.tif": result.denoised,
    }
    for name, stack in files.items():
        write_stack(out / name, stack, voxel_size=voxels, overwrite=True)
    RunFolder(out / "run").forget_made()
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


def _analysis_config(notch: NotchChoice, find_kernel: bool) -> AnalysisConfig:
    return AnalysisConfig(notch=notch, find_kernel=find_kernel)


def _region(box: str | None, shape: tuple[int, ...]) -> np.ndarray | None:
    """The box of ``--background`` as a region of a slice."""
    if box is None:
        return None
    import numpy as np

    (y0, y1), (x0, x1) = _spans(box, "Y0:Y1,X0:X1")
    height, width = shape[-2:]
    if not (y0 < y1 <= height and x0 < x1 <= width):
        raise typer.BadParameter(f"The box {box} does not lie in slices of {height} × {width} pixels.")
    region = np.zeros((height, width), dtype=bool)
    region[y0:y1, x0:x1] = True
    return region


def _box(text: str | None) -> Box | None:
    """The box of ``--train-on``."""
    if text is None:
        return None
    from napari_autostructn2v.stack import Box

    z, y, x = _spans(text, "Z0:Z1,Y0:Y1,X0:X1")
    return Box(z, y, x)


def _spans(text: str, form: str) -> list[tuple[int, int]]:
    """First and last index of each axis, as ``form`` has them."""
    match = re.fullmatch(",".join([r"(\d+):(\d+)"] * form.count(":")), text.replace(" ", ""))
    if match is None:
        example = ",".join(["0:100", "20:220", "20:220"][: form.count(":")])
        raise typer.BadParameter(f"{text!r} is no box. Write {form}, for example {example}.")
    numbers = list(map(int, match.groups()))
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def _refuse_own_input(output: Path, input: Path) -> None:
    if output.resolve() == input.resolve():
        raise FileError(f"{output} would replace its own input. Choose another name or folder.")


def _follow(events: Generator[Event, Any, Result], quiet: bool, label: str = "") -> Result:
    """Run a stream of events to its end under progress bars; Ctrl-C closes it, so that it can be resumed."""
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
        disable=quiet,
    )
    with _interruptible() as interrupted, progress:
        bars = _Bars(progress, label)
        while True:
            if interrupted:
                events.close()
                progress.stop()
                console.print("Stopped. The same command goes on from here.")
                raise typer.Exit(ExitCode.INTERRUPTED)
            try:
                bars.show(next(events))
            except StopIteration as end:
                result: Result = end.value
                return result


class _Bars:
    def __init__(self, progress: Progress, label: str) -> None:
        self._progress = progress
        self._stage = label
        self._device = ""
        self._waiting = ""
        self._training: TaskID | None = None
        self._prediction: TaskID | None = None

    def show(self, event: Event) -> None:
        """Move the bar that an event belongs to."""
        if self._waiting and not isinstance(event, Waiting):
            self._waiting = ""
            self._progress.console.print("Going on.", highlight=False)
        match event:
            case StageStarted(stage=stage):
                self._stage = {
                    "stage1": "Stage 1: denoising",
                    "analysis": "Noise analysis",
                    "stage2": "Stage 2: denoising",
                    "recovery": "Bringing detail back",
                }[stage]
                self._training = self._prediction = None
            case TrainingStarted(steps=steps, step=step, device=device):
                if device != self._device:
                    self._device = device
                    self._progress.console.print(f"Training on {device}", highlight=False)
                self._training = self._progress.add_task(
                    self._stage.replace("denoising", "training"), total=steps, completed=step, note=""
                )
            case Step(step=step) if self._training is not None:
                self._progress.update(self._training, completed=step)
            case Validation(loss=loss) if self._training is not None:
                self._progress.update(self._training, note=f"loss {loss:.4f}")
            case SliceDone(done=done, total=total):
                if self._prediction is None:
                    self._prediction = self._progress.add_task(self._stage, total=total, note="")
                self._progress.update(self._prediction, completed=done, total=total)
            case Waiting(reason=reason) if not self._waiting:
                self._waiting = reason
                self._progress.console.print(
                    f"{reason} The run waits, and goes on by itself; Ctrl-C ends it.", highlight=False
                )
            case Notice(message=message):
                self._progress.console.print(message, highlight=False)


@contextmanager
def _interruptible() -> Iterator[list[int]]:
    """A list that holds something after Ctrl-C: to look at between two steps, not in the middle of one."""
    seen: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        if seen:  # asked twice: at once
            raise KeyboardInterrupt
        seen.append(number)

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield seen
    finally:
        signal.signal(signal.SIGINT, before)
