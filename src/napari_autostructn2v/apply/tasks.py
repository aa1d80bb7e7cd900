"""Stacks as work for many: each is one task, or divided into units that anyone can do in any order.

A unit reads its slices, with what reaches into them, denoises them and writes chunks of the result that no
other unit writes. Doing it twice writes the same bytes twice.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_autostructn2v.box import Box
from napari_autostructn2v.computed import DerivedArray
from napari_autostructn2v.config import ResultType
from napari_autostructn2v.errors import FileError
from napari_autostructn2v.io import ImageFile, file_state, read_stack
from napari_autostructn2v.io.left_out import LeftOut
from napari_autostructn2v.learning.device import choose_device, freed_memory_kept
from napari_autostructn2v.learning.model import Model, load_model
from napari_autostructn2v.learning.prediction import Inputs, denoise_images, network_on, network_tiles
from napari_autostructn2v.noise.patterns import Notch, notched
from napari_autostructn2v.noise.recovery import SIDE, Recovery
from napari_autostructn2v.scale import Normalisation
from napari_autostructn2v.stack import Stack, as_stack
from napari_autostructn2v.tiling import Field, Tile, bounding, intersection, relative_to

MAX_UNIT_VOXELS = 2**28
"""Voxels of the result that a unit holds in memory (1 GiB): larger slices are divided as well."""

MAX_UNIT_DEPTH = 8
"""Most slices in a unit, which are one chunk deep: fewer files, and each slice still quick to look at."""


@dataclass(frozen=True)
class Task:
    """A stack to be denoised by workers that see the same disks.

    Attributes
    ----------
    model, source, target
        Model bundle, stack, and where its result goes.
    left_out
        Pixels of it that a person leaves out.
    recovery, average, device
        As for :func:`~napari_autostructn2v.pipeline.denoise_with`.
    threads
        Of a worker; None leaves it as it is. Sums in another order differ in the last bit.
    overwrite
        Whether a result that exists is replaced.
    dtype
        What the result is saved as; None for its values as they are.
    seen
        In which states whoever gives the task away saw its files, see :meth:`as_seen`.
    """

    model: Path
    source: Path
    target: Path
    recovery: float
    left_out: LeftOut = field(default_factory=LeftOut)
    average: bool = False
    device: str = "auto"
    threads: int | None = None
    overwrite: bool = False
    dtype: ResultType | None = None
    seen: tuple[str, ...] | None = None

    def as_seen(self) -> Task:
        """The task as it is given to others: of the very files that are there now.

        Raises
        ------
        FileError
            If they are not there.
        """
        return replace(self, seen=self._states())

    def open(self) -> tuple[ImageFile, Stack, Model]:
        """The stack as a file, the same checked, and the model.

        Raises
        ------
        AutoStructN2VError
            If they cannot be read, do not suit each other, or are not those that were seen.
        """
        seen = self.check_unchanged()
        image, stack = _opened(self.source, self.left_out, (seen[0], *seen[2:]))
        model = _loaded(self.model, seen[1])
        return image, as_stack(stack, model.mode, model.config.depth), model

    def check_unchanged(self) -> tuple[str, ...]:
        """The states of ``source``, ``model`` and the masks, which must be those that were seen.

        A result of two states would be of neither.

        Raises
        ------
        FileError
            If one of them was changed or is not there any more.
        """
        now = self._states()
        for path, state, before in zip(self._files, now, self.seen or now, strict=True):
            if state != before:
                raise FileError(
                    f"{path} was changed while the work on it was under way. Bring back what it was and give "
                    "the same command again, or start anew with what it is now."
                )
        return now

    @property
    def _files(self) -> tuple[Path, ...]:
        return self.source, self.model, *self.left_out.files

    def _states(self) -> tuple[str, ...]:
        return tuple(file_state(path) for path in self._files)

    def identity(self) -> dict[str, Any]:
        """What decides the result: by it a task that was begun is known again.

        Raises
        ------
        AutoStructN2VError
            As of :meth:`open`.
        """
        image, stack, _ = self.open()
        return {
            "model": hashlib.sha256(self.model.read_bytes()).hexdigest(),
            "source": str(self.source.resolve()),
            "changed": file_state(self.source),
            "stack": [*stack.input_shape, str(image.array.dtype)],
            "recovery": self.recovery,
            "left_out": [*self.left_out.boxes, *map(file_state, self.left_out.files)],
            "average": self.average,
            "dtype": self.dtype,
        }


@lru_cache(maxsize=2)
def _opened(source: Path, left_out: LeftOut, states: tuple[str, ...]) -> tuple[ImageFile, Stack]:
    image = read_stack(source)
    # which keeps its scale and what was never measured, once that is found
    return image, as_stack(image.array, left_out=left_out.of(image.array.shape))


@lru_cache(maxsize=2)
def _loaded(model: Path, state: str) -> Model:
    return load_model(model)


def divide(shape: tuple[int, int, int], *, whole_slices: bool) -> list[Box]:
    """The units of a stack: slabs, of slices beyond :data:`MAX_UNIT_VOXELS` squares of a slice.

    Parameters
    ----------
    shape
        Of the stack (Z, Y, X).
    whole_slices
        Never divide a slice: a notch needs all of it.
    """
    depth, height, width = shape
    step = unit_depth(shape)
    side = max(height, width)
    if not whole_slices and height * width > MAX_UNIT_VOXELS:
        side = max(1, math.isqrt(MAX_UNIT_VOXELS) // SIDE) * SIDE  # whole chunks and whole tiles
    return [
        Box((z, z + step), (y, y + side), (x, x + side)).within(shape)
        for z in range(0, depth, step)
        for y in range(0, height, side)
        for x in range(0, width, side)
    ]


def unit_depth(shape: tuple[int, int, int]) -> int:
    """Slices in a unit and in a chunk.

    Parameters
    ----------
    shape
        Of the stack (Z, Y, X), in voxels.
    """
    return min(shape[0], max(1, min(MAX_UNIT_DEPTH, MAX_UNIT_VOXELS // (shape[1] * shape[2]))))


def denoise_unit(
    task: Task,
    box: Box,
    notch: Notch | None,
    recovery: Recovery | None,
    normalisation: Normalisation | None = None,
) -> np.ndarray:
    """A part of the result, (Z, Y, X), to the bit what denoising the whole stack gives there.

    Parameters
    ----------
    task
        The stack and the model.
    box
        Which part: one of those of :func:`divide`, or some slices of it.
    notch, recovery
        Found in the whole stack; None if there are none.
    normalisation
        Of the whole stack, without its notch; None for that of the model.

    Raises
    ------
    AutoStructN2VError
        As of :meth:`Task.open`.
    DeviceError
        If the device of the task is not there.
    """
    if task.threads is not None:
        torch.set_num_threads(task.threads)
    _, given, model = task.open()
    stack = given if notch is None else notched(given, notch)
    scale = stack.scale
    normalised = (normalisation or model.normalisation).inner(scale)
    device = choose_device(task.device)
    network = network_on(device, model, average=task.average)
    whole = slice(0, stack.shape[1]), slice(0, stack.shape[2])
    # in the tiles of the whole slice, as sums in another order differ in the last bit
    details = [] if recovery is None else _touching(recovery.tiles(stack.shape[1:]), box.field)
    needed = bounding([box.field, *(tile.source for tile in details)])
    unmeasured = [given.unmeasured(z) for z in range(*box.z)]
    if any(found is not None for found in unmeasured):  # which are filled from anywhere in a slice
        needed = whole
    parts = _touching(network_tiles(stack.shape[1:], network), needed)
    seen = bounding([needed, *(tile.source for tile in parts)])
    if seen != whole:
        stack = _cut(stack, seen)
    parts = [tile.within(seen) for tile in parts]
    inputs = Inputs(stack, model.mode == "2.5d")
    made = np.empty(box.shape, scale.dtype)
    with freed_memory_kept(device):
        for i, (z, found) in enumerate(zip(range(*box.z), unmeasured, strict=True)):
            image = inputs(z)
            plane = denoise_images(image[None], network, normalised, device, parts=parts)[0]
            values = given.restored(z, plane)
            made[i] = values[relative_to(box.field, seen)]
            if recovery is not None and (found is None or not found.whole_slice):
                # slice z is the middle one; the other as it is read from where results are kept
                denoised = given.plane_of(z, values)
                residual = image[len(image) // 2] - denoised
                for tile in details:
                    here = tile.within(seen)
                    detail = recovery.detail_around(residual[here.source], denoised[here.source])
                    values = scale.outer_difference(detail[here.inner])
                    if found is not None:
                        values[found.blank[tile.target]] = 0
                    shared = intersection(tile.target, box.field)
                    made[i][relative_to(shared, box.field)] += (
                        np.float32(task.recovery) * values[relative_to(shared, tile.target)]
                    )
    return made


def _touching(tiles: Iterable[Tile], field: Field) -> list[Tile]:
    return [tile for tile in tiles if tile.touches(field)]


def _cut(stack: Stack, field: Field) -> Stack:
    """A part of each slice of a stack."""
    shape = (stack.shape[0], *(side.stop - side.start for side in field))

    def plane(z: int) -> np.ndarray:
        return stack.plane(z)[field]

    return Stack(DerivedArray(stack, plane, shape))
