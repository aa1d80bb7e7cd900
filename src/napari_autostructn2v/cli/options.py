"""Options that several commands have, and what their texts mean."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from napari_autostructn2v.box import SLICE_FORM, STACK_FORM, Box
from napari_autostructn2v.config import Config, Mode, NotchChoice, Preset, ResultType
from napari_autostructn2v.errors import FileError

if TYPE_CHECKING:
    import numpy as np

    from napari_autostructn2v.learning.model import Model


ModeOption = Annotated[Mode, typer.Option(help="2d: slice by slice; 2.5d: with both neighbouring slices.")]

PresetOption = Annotated[Preset, typer.Option(help="fast to try, balanced, high to publish.")]

DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]

SeedOption = Annotated[int, typer.Option(help="The same seed gives the same result on one processor.")]

KernelOption = Annotated[
    Path | None, typer.Option(help="Kernel to use instead of the one found: .npy, .tif or .json.")
]

QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only errors.")]

ProgressOption = Annotated[
    Literal["bars", "json"],
    typer.Option(help="bars for people; json: a line for each event on standard output, for programs."),
]

TensorBoardOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER", help="Write losses, and a slice as it is denoised, for TensorBoard to show."
    ),
]

NotchOption = Annotated[
    NotchChoice | None,
    typer.Option(
        help="Long-range patterns to take away: auto leaves alone what looks like a lattice of the sample. "
        "Default: auto."
    ),
]

ResolutionLimitOption = Annotated[
    float | None,
    typer.Option(
        metavar="NM",
        min=0,
        help="Shortest period in nanometres that the microscope resolves: where the voxel size is known, a "
        "finer wave is taken for noise. Default: 0.05, which is safe for all; 0.5 to 1 for SEM and FIB-SEM.",
    ),
]

FindKernelOption = Annotated[
    bool | None, typer.Option(help="Look for a kernel, as is the default; if not, it is a single pixel.")
]

ConfigOption = Annotated[
    Path | None,
    typer.Option(help="File with some or all settings, .toml or .json; autostructn2v config writes one."),
]

SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="NAME=VALUE", help="A single setting, such as stage2.steps=800. Can be given again."
    ),
]

BackgroundOption = Annotated[
    str | None,
    typer.Option(
        metavar=SLICE_FORM,
        help="A box, in pixels, where the stack shows nothing but noise. Default: its flattest parts.",
    ),
]

BoxOption = Annotated[
    str | None,
    typer.Option(
        metavar=STACK_FORM,
        help="Part of the stack to train on, in pixels. All of the stack is denoised. Default: all of it.",
    ),
]

LeaveOutOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FILE|BOX",
        help=f"Pixels to leave out: a mask, one slice or a whole stack, or a box {SLICE_FORM} or "
        f"{STACK_FORM}. Can be given again. Frames, blank slices, hot pixels are found without.",
    ),
]

MostlyBlankOption = Annotated[
    bool, typer.Option("--mostly-blank", help="Go on though most of the stack is blank or left out.")
]

RecoveryOption = Annotated[
    float | None,
    typer.Option(
        min=0, max=1, help="How much of the detail lost in denoising is brought back. Default: all of it."
    ),
]

SecondOption = Annotated[
    Path | None,
    typer.Option(
        help="Another recording of the scene (a repeated scan, the half of the odd tilts): it judges the "
        "result, which is not trained on it."
    ),
]

WorkersOption = Annotated[
    int | None,
    typer.Option(min=1, help="Divide the work among so many processes, or Slurm jobs with --slurm."),
]

SlurmOption = Annotated[bool, typer.Option("--slurm", help="Start the workers as jobs of a Slurm cluster.")]

SchedulerOption = Annotated[
    str | None, typer.Option(help="Use the workers of this Dask scheduler, such as tcp://node:8786.")
]

CoresOption = Annotated[
    int | None,
    typer.Option(min=1, help="Threads of a worker. Default: a fair share of this machine; with --slurm 8."),
]

MemoryOption = Annotated[str, typer.Option(help="Of a Slurm job.")]

GpusOption = Annotated[int, typer.Option(min=0, help="Of a Slurm job.")]

QueueOption = Annotated[str | None, typer.Option(help="Partition for Slurm jobs.")]

WalltimeOption = Annotated[str, typer.Option(help="Of a Slurm job.")]

TypeOption = Annotated[
    ResultType | None,
    typer.Option(
        "--dtype",
        help="Type of the values that are written. uint16, uint8: scaled from the lowest to the highest, for "
        "programs that take whole numbers. Default: as they are, in floats.",
    ),
]

OverwriteOption = Annotated[bool, typer.Option(help="Replace output files that exist.")]


StartOption = Annotated[
    Path | None,
    typer.Option(
        help="Model bundle (.zip) of the same noise whose weights the training goes on from, in a quarter of "
        "the steps. The noise is analysed anew."
    ),
]


def settings_of(
    preset: Preset,
    file: Path | None,
    assignments: list[str] | None,
    *,
    notch: NotchChoice | None = None,
    resolution_limit: float | None = None,
    find_kernel: bool | None = None,
    recovery: float | None = None,
    start: Model | None = None,
) -> Config:
    """The settings that the options say: those of the preset, over them the file's, then single ones.

    Parameters
    ----------
    preset, file, assignments
        Of ``--preset``, ``--config`` and ``--set``.
    notch, resolution_limit, find_kernel, recovery
        Of the options of these names; None if they are not given.
    start
        Model of ``--start-from``: its network's size, and fewer steps, are in place of the preset's.

    Raises
    ------
    ConfigError
        If a setting is unknown or out of range.
    FileError
        If the file cannot be read.
    """
    from napari_autostructn2v.settings_file import read_settings, with_assignments

    config = Config.from_preset(preset)
    if start is not None:
        config = config.going_on_from(start.config)
    if file is not None:
        config = read_settings(file, config)
    config = with_assignments(config, assignments or ())
    analysis = {"notch": notch, "resolution_limit_nm": resolution_limit, "find_kernel": find_kernel}
    given = {name: value for name, value in analysis.items() if value is not None}
    return config.with_values({"analysis": given} | ({} if recovery is None else {"recovery": recovery}))


def region_of(box: str | None, shape: tuple[int, ...]) -> np.ndarray | None:
    """The box of ``--background`` as a region of a slice.

    Parameters
    ----------
    box
        ``Y0:Y1,X0:X1`` in pixels, without Y1 and X1 themselves; None gives None.
    shape
        Of the stack, (Z, Y, X) or (Y, X).

    Returns
    -------
    numpy.ndarray or None
        bool (Y, X), True in the box.

    Raises
    ------
    ConfigError
        If it is no box.
    StackError
        If it does not lie in the slices.
    """
    if box is None:
        return None
    import numpy as np

    region = np.zeros(shape[-2:], dtype=bool)
    region[Box.from_text(box, shape, SLICE_FORM).field] = True
    return region


def refuse_own_input(output: Path, input: Path) -> None:
    """Raise FileError if a result would replace what it is made of.

    Parameters
    ----------
    output
        Where the result goes.
    input
        What it is made of.
    """
    if output.resolve() == input.resolve():
        raise FileError(f"{output} would replace its own input. Choose another name or folder.")
