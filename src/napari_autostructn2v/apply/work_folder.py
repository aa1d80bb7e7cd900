"""What is done of a stack that many work on: a folder beside the result, from which the work goes on."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from napari_autostructn2v.apply.tasks import Task, unit_depth
from napari_autostructn2v.box import Box
from napari_autostructn2v.disk.atomic import (
    file_error,
    flush,
    flush_names,
    make_folder,
    move_into_place,
    write_atomically,
)
from napari_autostructn2v.errors import RunFolderError, refuse_if_different
from napari_autostructn2v.io import check_stack_place
from napari_autostructn2v.io.ome_zarr import create
from napari_autostructn2v.io.whole_numbers import type_in_file
from napari_autostructn2v.noise.curtains import Curtains
from napari_autostructn2v.noise.patterns import Notch, Offsets, Wave
from napari_autostructn2v.noise.recovery import Recovery
from napari_autostructn2v.scale import Normalisation


@dataclass(frozen=True)
class WorkFolder:
    """The folder of one task.

    Attributes
    ----------
    task
        The stack.
    """

    task: Task

    @property
    def path(self) -> Path:
        """The folder, hidden beside the result."""
        return self.task.target.with_name(f".work-{self.task.target.name}")

    @property
    def result(self) -> Path:
        """The result while it is not complete."""
        return self.path / "result.zarr"

    @property
    def samples(self) -> Path:
        """Slices denoised to find the recovery by."""
        return self.path / "samples.zarr"

    def check(self) -> bool:
        """Check that the task can be done, and that what the folder holds is of this very task.

        Nothing is written: of many tasks a bad one is found before the first is begun.

        Returns
        -------
        bool
            Whether the result is there already.

        Raises
        ------
        RunFolderError
            If it is of another stack, model or setting.
        FileError
            If the result was there before, or nothing can be written there.
        """
        identity = self.task.identity()
        if self._record.exists():
            refuse_if_different(self.path, self._read(self._record), identity)
            if self.is_done:
                return True
        _, stack, _ = self.task.open()
        dtype = type_in_file(self.task.dtype, stack.scale.dtype)
        check_stack_place(self.task.target, overwrite=self.task.overwrite, dtype=dtype)
        return False

    def begin(self) -> None:
        """Make the folder, if it is not there.

        Raises
        ------
        FileError
            If it cannot be made.
        """
        if not self._record.exists():
            make_folder(self.path)
            with write_atomically(self._record, overwrite=True) as beside:
                beside.write_text(json.dumps(self.task.identity(), indent=1))

    @property
    def _record(self) -> Path:
        return self.path / "task.json"

    @property
    def predicted(self) -> Path:
        """What the network has made of a stack that is denoised in one piece, as far as it came."""
        return self.path / "predicted.tif"

    @staticmethod
    def _read(record: Path) -> dict[str, Any]:
        try:
            before = json.loads(record.read_text())
        except (OSError, ValueError):
            before = None
        if not isinstance(before, dict):
            raise RunFolderError(f"{record} is damaged. Delete its folder to begin the work anew.")
        return before

    @property
    def _done(self) -> Path:
        return self.path / "done"

    @property
    def is_done(self) -> bool:
        """Whether the result is in its place, also if nobody came to say so."""
        # when the folder was made there was no such file, unless it was to be overwritten
        return self._done.exists() or (self.task.target.exists() and not self.task.overwrite)

    def mark_done(self) -> None:
        """Say that the result is in its place."""
        self._done.touch()

    def make_image(self, path: Path, depth: int, slices_in_chunk: int) -> None:
        """Make one of the images to be filled in, if it is not there.

        Parameters
        ----------
        path
            Of the image: :attr:`result` or :attr:`samples`.
        depth
            Its slices.
        slices_in_chunk
            Slices in each of its chunks.

        Raises
        ------
        DiskFullError, FileError
            If it cannot be written.
        """
        if path.exists():
            return
        shutil.rmtree(_marks(path), ignore_errors=True)  # of one that is lost
        image, stack, _ = self.task.open()
        shape = (depth, *stack.shape[1:]) if len(stack.input_shape) == 3 else stack.input_shape
        with write_atomically(path, overwrite=False) as beside:
            create(beside, shape, stack.scale.dtype, image.voxel_size, slices_in_chunk, image.heading)

    def make_result(self) -> None:
        """Make the image of the result, to be filled in.

        Raises
        ------
        DiskFullError, FileError
            If it cannot be written.
        """
        _, stack, _ = self.task.open()
        self.make_image(self.result, stack.shape[0], unit_depth(stack.shape))

    def write(self, path: Path, box: Box, part: np.ndarray) -> None:
        """Write a part (Z, Y, X) of an image, see that it is on the disk, and mark it as done.

        Parameters
        ----------
        path
            Of the image: :attr:`result` or :attr:`samples`.
        box
            Which part of it, in voxels.
        part
            The values there, of the shape of the box.

        Raises
        ------
        DiskFullError, FileError
            If it cannot be written.
        """
        try:
            level = zarr.open_array(path / "0", mode="r+")
            level[(slice(*box.z), *box.field) if level.ndim == 3 else box.field] = (
                part if level.ndim == 3 else part[0]
            )
            files = [path / "0" / chunk for chunk in _chunks(level, box)]
            for file in files:
                if file.exists():  # one of nothing but zeros is not written
                    flush(file)
            for folder in {above for file in files for above in file.parents if path in above.parents}:
                if folder.exists():
                    flush_names(folder)
            make_folder(_marks(path))
            _marker(path, box).touch()  # if a power cut takes it away, the part is done again
        except OSError as error:
            raise file_error(error, self.task.target) from error

    def missing(self, path: Path, boxes: Iterable[Box]) -> list[Box]:
        """The parts of an image that are still to be done.

        Parameters
        ----------
        path
            Of the image: :attr:`result` or :attr:`samples`.
        boxes
            All of its parts.
        """
        done = {file.name for file in _marks(path).iterdir()} if _marks(path).is_dir() else set()
        return [box for box in boxes if _marker(path, box).name not in done]

    def put_into_place(self) -> None:
        """Move the complete result to where it belongs.

        Raises
        ------
        FileError
            If that cannot be done, or the stack was changed since the work began.
        """
        self.task.check_unchanged()
        for left in self.result.rglob("*.partial"):  # of workers that died while writing
            left.unlink()
        move_into_place(self.result, self.task.target, overwrite=self.task.overwrite)
        self.mark_done()

    def delete(self) -> None:
        """Delete the folder, which is of no use any more."""
        shutil.rmtree(self.path, ignore_errors=True)

    @property
    def notch_file(self) -> Path:
        """The patterns found in the whole stack."""
        return self.path / "notch.npz"

    @property
    def recovery_file(self) -> Path:
        """How to tell detail from noise in it."""
        return self.path / "recovery.npz"

    def save_notch(self, notch: Notch | None) -> None:
        """Keep the patterns, for the workers.

        Parameters
        ----------
        notch
            What was found in the whole stack; None if there are none.

        Raises
        ------
        DiskFullError, FileError
            If it cannot be written.
        """
        _save(self.notch_file, _notch_arrays(notch or Notch()))

    def save_recovery(self, recovery: Recovery | None) -> None:
        """Keep the recovery, likewise.

        Parameters
        ----------
        recovery
            What was measured in the whole stack; None if there is nothing to bring back.

        Raises
        ------
        DiskFullError, FileError
            If it cannot be written.
        """
        _save(self.recovery_file, {} if recovery is None else _recovery_arrays(recovery))

    @property
    def normalisation_file(self) -> Path:
        """Mean and standard deviation of it, for a model that wants each stack normalised by itself."""
        return self.path / "normalisation.json"

    def save_normalisation(self, normalisation: Normalisation) -> None:
        """Keep the normalisation, for the workers.

        Parameters
        ----------
        normalisation
            Of the whole stack, without its notch.

        Raises
        ------
        DiskFullError, FileError
            If it cannot be written.
        """
        with write_atomically(self.normalisation_file, overwrite=True) as beside:
            beside.write_text(json.dumps([normalisation.mean, normalisation.std]))

    def normalisation(self) -> Normalisation | None:
        """The normalisation; None if the model has one of its own."""
        if not self.normalisation_file.exists():
            return None
        return Normalisation(*json.loads(self.normalisation_file.read_text()))

    def notch(self) -> Notch | None:
        """The patterns to take away; read once and kept."""
        return _notch(self.notch_file, self.notch_file.stat().st_mtime_ns)

    def recovery(self) -> Recovery | None:
        """The recovery, likewise; None if nothing is to be brought back."""
        if self.task.recovery == 0:
            return None
        return _recovery(self.recovery_file, self.recovery_file.stat().st_mtime_ns)


def _save(path: Path, arrays: dict[str, np.ndarray]) -> None:
    with write_atomically(path, overwrite=True) as beside:
        np.savez(beside, **arrays)  # type: ignore[arg-type]


@lru_cache(maxsize=2)
def _notch(path: Path, changed: int) -> Notch | None:
    with np.load(path, allow_pickle=False) as file:
        return _notch_from(dict(file))


@lru_cache(maxsize=2)
def _recovery(path: Path, changed: int) -> Recovery | None:
    with np.load(path, allow_pickle=False) as file:
        if "gain" not in file:
            return None
        found_calm, found_share = map(float, file["found"])
        return Recovery(
            file["gain"],
            tuple(map(float, file["calm"])),
            file.get("repeats"),
            found_calm,
            found_share,
            file.get("overdrawn"),
        )


def _marks(path: Path) -> Path:
    return path.with_suffix(".done")


def _marker(path: Path, box: Box) -> Path:
    return _marks(path) / "-".join(str(start) for start, _ in astuple(box))


def _chunks(level: zarr.Array[Any], box: Box) -> list[str]:
    """Names of the chunks of a box."""
    spans = (box.z, box.y, box.x)[-level.ndim :]
    grid = [
        range(start // size, -(-end // size)) for (start, end), size in zip(spans, level.chunks, strict=True)
    ]
    index = np.stack(np.meshgrid(*grid, indexing="ij"), axis=-1).reshape(-1, level.ndim)
    return ["/".join(map(str, at)) for at in index]


def _notch_arrays(notch: Notch) -> dict[str, np.ndarray]:
    arrays = {"curtains": np.array([part.axis for part in notch.curtains], int)}
    for part in notch.offsets:
        arrays |= {f"gain{part.axis}": part.gain, f"fixed{part.axis}": part.fixed}
    common = [wave.static_image for wave in notch.waves if wave.static_image is not None]
    rows = [
        (*w.frequency, w.sigma_px, w.log_excess, w.oblique,
         math.nan if w.persists_in_z is None else w.persists_in_z, w.static_image is not None)
        for w in notch.waves
    ]  # fmt: skip
    # all of them hold the same mean of the slices
    return arrays | {"waves": np.array(rows).reshape(-1, 7), "common": common[0] if common else np.empty(0)}


def _notch_from(arrays: dict[str, np.ndarray]) -> Notch | None:
    offsets = tuple(
        Offsets(axis, arrays[f"gain{axis}"], arrays[f"fixed{axis}"])
        for axis in (0, 1)
        if f"gain{axis}" in arrays
    )
    waves = tuple(
        Wave(
            (float(y), float(x)),
            float(reach),
            float(height),
            bool(slant),
            None if math.isnan(through) else bool(through),
            arrays["common"] if fixed else None,
        )
        for y, x, reach, height, slant, through, fixed in arrays["waves"]
    )
    curtains = tuple(Curtains(int(axis)) for axis in arrays["curtains"])
    return Notch(offsets, curtains, waves) or None


def _recovery_arrays(recovery: Recovery) -> dict[str, np.ndarray]:
    found = np.array([recovery.found_calm, recovery.found_share])
    arrays = {"gain": recovery.gain, "calm": np.array(recovery.calm), "found": found}
    more = {"repeats": recovery.repeats, "overdrawn": recovery.overdrawn}
    return arrays | {name: response for name, response in more.items() if response is not None}
