"""What is asked of a list of stacks, and whether it can be done."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from napari_autostructn2v.config import Config, Mode
from napari_autostructn2v.errors import AutoStructN2VError, WorkListError
from napari_autostructn2v.io import check_stack_place, file_state, read_stack
from napari_autostructn2v.judge import refuse_other_shape
from napari_autostructn2v.learning.device import choose_device
from napari_autostructn2v.learning.model import load_model, model_digest
from napari_autostructn2v.series.row_record import RowRecord, read_record
from napari_autostructn2v.series.work_list import Row
from napari_autostructn2v.stack import as_stack
from napari_autostructn2v.to_file import check_recordings


@dataclass(frozen=True)
class Batch:
    """What is to be done with the stacks of a list.

    Attributes
    ----------
    rows
        The list.
    folder
        Where is kept what is done, and where the summary goes.
    config
        What is trained with, and how much detail is brought back.
    mode
        Of rows that do not say.
    model
        To be applied to each; None trains on each.
    average
        Whether rows with a second recording have both denoised and averaged, as halves.
    per_group
        Whether one network is trained for all rows of a group; rows without a group have one each.
    seed, device
        As for :func:`~napari_autostructn2v.pipeline.denoise`.
    mostly_blank
        Whether stacks of which most is left out are meant to be.
    threads
        Of the process that works on a row; None leaves it as it is.
    overwrite
        Whether results that exist are replaced.
    """

    rows: tuple[Row, ...]
    folder: Path
    config: Config
    mode: Mode = "2d"
    model: Path | None = None
    average: bool = False
    per_group: bool = False
    seed: int = 0
    device: str = "auto"
    mostly_blank: bool = False
    threads: int | None = None
    overwrite: bool = False

    def resolved(self) -> Batch:
        """The same with whole paths, for workers that may have been started in another folder."""
        rows = tuple(
            replace(
                row,
                input=row.input.resolve(),
                second=None if row.second is None else row.second.resolve(),
                output=row.output.resolve(),
            )
            for row in self.rows
        )
        model = None if self.model is None else self.model.resolve()
        return replace(self, rows=rows, folder=self.folder.resolve(), model=model)

    def units(self) -> list[tuple[Row, ...]]:
        """What is worked on at once: the rows of a group, if they are trained together, else each row."""
        units: dict[Any, list[Row]] = {}
        for row in self.rows:
            units.setdefault(row.group if self.per_group and row.group else row.number, []).append(row)
        return [tuple(unit) for unit in units.values()]

    def identity(self, row: Row) -> dict[str, Any]:
        """What decides the result of a row.

        Parameters
        ----------
        row
            The row.

        Raises
        ------
        FileError
            If its files are not there.
        ModelError
            If the model is damaged.
        """
        shared = [other for other in self.rows if self.per_group and row.group and other.group == row.group]
        inputs = [other.input for other in shared if other is not row]
        files = [file for file in (row.input, row.second, *inputs) if file is not None]
        how = (
            {"mode": row.mode or self.mode, "config": self.config.model_dump(), "seed": self.seed}
            | {"average": self.average}
            if self.model is None
            else {"model": model_digest(self.model), "recovery": self.config.recovery}
        )
        return {"files": [[str(file.resolve()), file_state(file)] for file in files], **how}


def check_batch(batch: Batch) -> list[RowRecord | None]:
    """What became of each row before; all that is still to be done is checked before any of it is begun.

    Parameters
    ----------
    batch
        The list, and what is to be done.

    Raises
    ------
    WorkListError
        If rows cannot be worked on: all of them are told at once.
    DeviceError, ModelError
        If the device is not there, or the model is damaged.
    """
    choose_device(batch.device)
    model = None if batch.model is None else load_model(batch.model)
    records: list[RowRecord | None] = []
    problems: list[str] = []
    for row in batch.rows:
        try:
            record = read_record(batch.folder, row, batch.identity(row))
            records.append(record)
            if is_done(row, record):
                continue
            image = read_stack(row.input)
            second = None if row.second is None else read_stack(row.second)
            overwrite = batch.overwrite or record is not None
            if model is None:
                levels = max(batch.config.stage1.depth, batch.config.stage2.depth)
                as_stack(image.array, row.mode or batch.mode, levels)
                check_recordings(row.output, row.mode or batch.mode, image, second, overwrite=overwrite)
                continue
            if row.mode not in (None, model.mode):
                raise WorkListError(f"It is to be {row.mode}, and the model is of {model.mode}.")
            stack = as_stack(image.array, model.mode, model.config.depth)
            check_stack_place(row.output, overwrite=overwrite, dtype=stack.scale.dtype)
            if second is not None:
                refuse_other_shape("second recording", second.array, image.array)
        except AutoStructN2VError as error:
            problems.append(f"Row {row.number}, {row.input.name}: {error}")
    problems += [said for unit in batch.units() if len(unit) > 1 for said in _disagreements(batch, unit)]
    if problems:
        raise WorkListError("\n".join(["Nothing was begun, as some rows cannot be done.", *problems]))
    return records


def _disagreements(batch: Batch, group: tuple[Row, ...]) -> Iterator[str]:
    """Why the stacks of a group cannot share a network."""
    if len({row.mode or batch.mode for row in group}) > 1:
        yield f"Group {group[0].group}: one network is either 2d or 2.5d. Give its rows one mode."
    sizes: dict[str, int] = {}
    for row in group:
        try:
            size = read_stack(row.input).voxel_size
        except AutoStructN2VError:
            continue  # told of that row
        if size is not None and (pixel := size.pixel_in_words):
            sizes.setdefault(pixel, row.number)
    if len(sizes) > 1:
        said = ", ".join(f"row {number} has {size}" for size, number in sizes.items())
        yield f"Group {group[0].group}: pixel sizes differ, and so do noise and detail: {said}. Make it two."


def is_done(row: Row, record: RowRecord | None) -> bool:
    """Whether nothing is left to be done for a row.

    Parameters
    ----------
    row
        Of the list.
    record
        What became of it; None if it was not begun.
    """
    return record is not None and record.state == "done" and row.output.exists()
