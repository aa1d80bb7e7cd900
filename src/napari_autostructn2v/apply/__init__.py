"""A trained model on stack after stack, from file to file."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Generator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from napari_autostructn2v.config import Config
from napari_autostructn2v.disk.lock import hold_output
from napari_autostructn2v.disk.waiting import retry_when_full
from napari_autostructn2v.events import Event
from napari_autostructn2v.io import Heading, VoxelSize, check_stack_place, write_stack
from napari_autostructn2v.io.formats import TIFF, format_of, format_of_content, format_of_folder
from napari_autostructn2v.io.image import PACKINGS
from napari_autostructn2v.io.slice_file import ScratchStack
from napari_autostructn2v.learning.model import Model
from napari_autostructn2v.pipeline import denoise_with
from napari_autostructn2v.stack import as_stack

_MOST_FOLDERS = 5
"""So many folders above it may stand before the name of a result."""


def denoise_to_file(
    array: Any,
    model: Model,
    target: Path,
    *,
    voxel_size: VoxelSize | None = None,
    heading: Heading | None = None,
    recovery: float = Config().recovery,
    average: bool = False,
    device: str = "auto",
    overwrite: bool = False,
) -> Generator[Event, Any, Path]:
    """Denoise a stack with a trained model into a file, with a few slices in memory at a time.

    Parameters
    ----------
    array
        As for :func:`~napari_autostructn2v.pipeline.denoise_with`.
    model
        As for :func:`~napari_autostructn2v.pipeline.denoise_with`.
    target, voxel_size, heading
        As for :func:`~napari_autostructn2v.io.write_stack`.
    recovery, average, device
        As for :func:`~napari_autostructn2v.pipeline.denoise_with`.
    overwrite
        As for :func:`~napari_autostructn2v.io.write_stack`.

    Yields
    ------
    Event
        ``SliceDone``; ``StageStarted`` before the recovery; ``Waiting`` while the disk is full.

    Returns
    -------
    pathlib.Path
        ``target``.

    Raises
    ------
    BusyError
        If another process writes it.
    FileError
        If it cannot be written, told before the work where that can be known.
    StackError
        If the stack does not suit the model, or nothing of it was measured.
    """
    stack = as_stack(array, model.mode, model.config.depth)
    dtype = stack.scale.dtype
    check_stack_place(target, overwrite=overwrite, dtype=dtype)
    with hold_output(target), ScratchStack(stack.input_shape, target, dtype) as scratch:
        yield from denoise_with(stack, model, recovery=recovery, average=average, device=device, out=scratch)
        write = partial(
            write_stack,
            target,
            scratch,
            voxel_size=voxel_size,
            heading=heading,
            how=model.in_brief,
            overwrite=overwrite,
        )
        return (yield from retry_when_full(write, target.parent))


def result_paths(stacks: Sequence[tuple[str, Path | None]], folder: Path, ending: str) -> list[Path]:
    """Where the results of stacks go, each in the format it came in, under names that tell them apart.

    What came in a format that is only read becomes a TIFF file.
    Stacks of one name get that of their folder before it, and of those above it as far as that is needed;
    what is alike all the same gets a number.

    Parameters
    ----------
    stacks
        Name of each, and the file or folder it was read from; None if there was none, which makes its result
        a TIFF file.
    folder
        For the results.
    ending
        Put between name and suffix.
    """
    names = [name for name, _ in stacks]
    suffixes = [_suffix(name, origin) for name, origin in stacks]

    def alike() -> list[list[int]]:
        """Which would be one file, also where upper and lower case are the same."""
        groups: dict[str, list[int]] = defaultdict(list)
        for i, (name, suffix) in enumerate(zip(names, suffixes, strict=True)):
            groups[(name + suffix).casefold()].append(i)
        return [group for group in groups.values() if len(group) > 1]

    for level in range(_MOST_FOLDERS):
        for i in (i for group in alike() for i in group):
            origin = stacks[i][1]
            above = [] if origin is None else [each.name for each in origin.absolute().parents]
            if level < len(above) and above[level]:
                names[i] = f"{above[level]}_{names[i]}"
    while groups := alike():
        for group in groups:
            for number, i in enumerate(group[1:], 2):
                names[i] += f"_{number}"
    return [
        folder / (re.sub(r'[\\/:*?"<>|\x00-\x1f]', "_", name + ending) + suffix)
        for name, suffix in zip(names, suffixes, strict=True)
    ]


def _suffix(name: str, origin: Path | None) -> str:
    if origin is None:
        return TIFF.suffixes[0]
    file = origin.stem if origin.suffix.lower() in PACKINGS else origin.name  # results are not packed
    suffix = file.removeprefix(name)
    named = format_of(Path(name + suffix)) if suffix != file else None
    if named is not None and named.is_written:
        return suffix
    found = None
    if origin.is_dir():
        found = format_of_folder(origin)
    elif origin.is_file():
        found = format_of_content(origin)
    if found is None or not found.is_written:
        found = TIFF  # which a folder of slices becomes as well
    return found.suffixes[0]
