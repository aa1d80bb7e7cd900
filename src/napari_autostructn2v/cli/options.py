"""Options that several commands have, and what their texts mean."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_autostructn2v.config import AnalysisConfig, Mode, NotchChoice, Preset
from napari_autostructn2v.errors import FileError

if TYPE_CHECKING:
    import numpy as np

    from napari_autostructn2v.box import Box


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

LeaveOutOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FILE|BOX",
        help="Pixels to leave out: a mask, one slice or a whole stack, or a box Y0:Y1,X0:X1 or "
        "Z0:Z1,Y0:Y1,X0:X1. Can be given again. Frames, blank slices, hot pixels are found without.",
    ),
]

MostlyBlankOption = Annotated[
    bool, typer.Option("--mostly-blank", help="Go on though most of the stack is blank or left out.")
]

RecoveryOption = Annotated[
    float, typer.Option(min=0, max=1, help="How much of the detail lost in denoising is brought back.")
]

OverwriteOption = Annotated[bool, typer.Option(help="Replace output files that exist.")]


def analysis_config(notch: NotchChoice, find_kernel: bool) -> AnalysisConfig:
    """The settings of the analysis that these options say.

    Parameters
    ----------
    notch
        Of ``--notch``.
    find_kernel
        Of ``--find-kernel``.
    """
    return AnalysisConfig(notch=notch, find_kernel=find_kernel)


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
    typer.BadParameter
        If it is no box, or does not lie in the slices.
    """
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


def left_out_of(masks: list[str] | None, shape: tuple[int, ...]) -> np.ndarray | None:
    """What ``--leave-out`` says, for all slices or for each.

    Parameters
    ----------
    masks
        Files, and boxes in pixels without their ends; None gives None.
    shape
        Of the stack, (Z, Y, X) or (Y, X).

    Returns
    -------
    numpy.ndarray or None
        bool (Z, Y, X), True where the stack is left out.

    Raises
    ------
    typer.BadParameter
        If a mask has another shape than the stack, or a box is not in it.
    FileError
        If a file cannot be read.
    """
    if not masks:
        return None
    import numpy as np

    from napari_autostructn2v.io import read_stack

    whole = shape if len(shape) == 3 else (1, *shape)
    left_out = np.zeros(whole, dtype=bool)
    for text in masks:
        if ":" in text and not Path(text).exists():
            form = "Z0:Z1,Y0:Y1,X0:X1" if text.count(":") > 2 else "Y0:Y1,X0:X1"
            spans = _spans(text, form)
            sizes = whole[-len(spans) :]
            if not all(first < last <= size for (first, last), size in zip(spans, sizes, strict=True)):
                raise typer.BadParameter(f"The box {text} does not lie in the stack, {shape}.")
            (y0, y1), (x0, x1) = spans[-2:]
            z0, z1 = spans[0] if len(spans) == 3 else (0, whole[0])
            left_out[z0:z1, y0:y1, x0:x1] = True
            continue
        mask = np.asarray(read_stack(Path(text)).array) > 0
        if mask.shape not in (shape, whole[1:]):
            raise typer.BadParameter(f"{text} has shape {mask.shape}, the stack {shape}.")
        left_out |= mask
    return left_out if len(shape) == 3 else left_out[0]


def box_of(text: str | None) -> Box | None:
    """The box of ``--train-on``.

    Parameters
    ----------
    text
        ``Z0:Z1,Y0:Y1,X0:X1`` in voxels, without Z1, Y1 and X1 themselves; None gives None.

    Raises
    ------
    typer.BadParameter
        If it is no box.
    """
    if text is None:
        return None
    from napari_autostructn2v.box import Box

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
