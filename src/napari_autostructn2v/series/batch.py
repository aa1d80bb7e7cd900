"""A list of stacks: a run for each, or a trained model applied to each. What is done stays done."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_autostructn2v.apply.distributed import by_workers
from napari_autostructn2v.apply.tasks import Task
from napari_autostructn2v.apply.whole import denoise_whole
from napari_autostructn2v.apply.work_folder import WorkFolder
from napari_autostructn2v.config import Config, Mode
from napari_autostructn2v.disk.atomic import make_folder, remove_leftovers
from napari_autostructn2v.disk.lock import Hold
from napari_autostructn2v.error_report import log_and_explain
from napari_autostructn2v.errors import AutoStructN2VError, WorkListError
from napari_autostructn2v.events import (
    Event,
    Notice,
    StackDone,
    StackFailed,
    StackStarted,
    StageStarted,
    finish,
)
from napari_autostructn2v.io import check_stack_place, file_state, read_stack
from napari_autostructn2v.judge import refuse_other_shape, scoring
from napari_autostructn2v.learning.device import choose_device
from napari_autostructn2v.learning.model import load_model, model_digest
from napari_autostructn2v.noise.analysis import analyze
from napari_autostructn2v.runs.folder import RunFolder
from napari_autostructn2v.runs.request import RunRequest
from napari_autostructn2v.series.row_record import (
    RowRecord,
    described,
    read_record,
    record_place,
    write_record,
)
from napari_autostructn2v.series.summary import write_summary
from napari_autostructn2v.series.work_list import Row
from napari_autostructn2v.stack import as_stack
from napari_autostructn2v.to_file import check_recordings, run_to_file


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
        files = [file for file in (row.input, row.second) if file is not None]
        how = (
            {"mode": row.mode or self.mode, "config": self.config.model_dump(), "seed": self.seed}
            | {"average": self.average}
            if self.model is None
            else {"model": model_digest(self.model), "recovery": self.config.recovery}
        )
        return {"files": [[str(file.resolve()), file_state(file)] for file in files], **how}


def work_through(batch: Batch, client: Any = None) -> Generator[Event, Any, list[RowRecord]]:
    """Do what is still to be done of a list: a row that cannot be done is told, and the others go on.

    Parameters
    ----------
    batch
        The list, and what is to be done.
    client
        Of a Dask cluster, whose workers each take a row at a time; None does one after the other here.

    Yields
    ------
    Event
        ``StackStarted``, ``StackDone`` and ``StackFailed``, and what is yielded by the work on a stack.

    Returns
    -------
    list of RowRecord
        What became of each row.

    Raises
    ------
    WorkListError
        If rows cannot be worked on, before any work begins.
    BusyError
        If another process works on the list.
    """
    before = _check(batch)
    with Hold(make_folder(batch.folder)):
        remove_leftovers(make_folder(batch.folder / "rows"))
        missing = [row for row, record in zip(batch.rows, before, strict=True) if not _is_done(row, record)]
        if done := len(batch.rows) - len(missing):
            yield Notice(f"{done} of {len(batch.rows)} rows were done before.")
        _summarise(batch)
        if client is not None:
            items = [(batch, row) for row in missing]
            yield from by_workers(client, _work_on_row, items, [1] * len(items))
        for row in missing if client is None else ():
            yield StackStarted(row.input.name, row.number, len(batch.rows))
            record = yield from work_on(batch, row)
            yield _outcome(row, record)
            _summarise(batch)
        records = _summarise(batch)
        for row in missing if client is not None else ():
            yield _outcome(row, records[batch.rows.index(row)])
    return [record for record in records if record is not None]


def work_on(batch: Batch, row: Row) -> Generator[Event, Any, RowRecord]:
    """Do one row, and keep what became of it.

    Parameters
    ----------
    batch
        The list, and what is to be done.
    row
        One of its rows.

    Yields
    ------
    Event
        As the run, or the application of the model.

    Returns
    -------
    RowRecord
        Of the row: also if it failed.
    """
    if batch.threads is not None:
        torch.set_num_threads(batch.threads)
    started, identity = time.monotonic(), batch.identity(row)
    # a result that is there was put there by this very work before it was cut off
    begun = read_record(batch.folder, row, identity) is not None
    record = RowRecord(identity=identity)
    write_record(batch.folder, row, record)
    try:
        doing = _train if batch.model is None else _apply
        record = yield from doing(batch, row, record, overwrite=batch.overwrite or begun)
        record.state = "done"
    except Exception as error:
        record = RowRecord(identity=identity, state="failed", reason=log_and_explain(error))
    record.seconds, record.finished = time.monotonic() - started, datetime.now().astimezone()
    write_record(batch.folder, row, record)
    return record


def _work_on_row(item: tuple[Batch, Row]) -> None:
    finish(work_on(*item))


def _train(batch: Batch, row: Row, record: RowRecord, *, overwrite: bool) -> Generator[Event, Any, RowRecord]:
    """Train on a stack and denoise it, as a run in a folder of its own, from which it goes on."""
    image = read_stack(row.input)
    request = RunRequest(
        mode=row.mode or batch.mode,
        config=batch.config,
        seed=batch.seed,
        mostly_blank=batch.mostly_blank,
        source=image,
        output=row.output,
    )
    outcome = yield from run_to_file(
        request,
        RunFolder.beside(row.output).path,
        second=None if row.second is None else read_stack(row.second),
        average=batch.average,
        device=batch.device,
        overwrite=overwrite,
    )
    if outcome.scores:
        record.gain_db = _finite(float(np.mean([score.gain_db for score in outcome.scores])))
    analysis = outcome.results[0].analysis
    denoised = read_stack(row.output).array
    stages_differ = outcome.results[0].denoised is not outcome.results[0].stage1
    kernel = analysis.kernel if stages_differ else outcome.results[0].model.kernel
    yield StageStarted("score")
    return (yield from described(record, as_stack(image.array), denoised, analysis, kernel))


def _apply(batch: Batch, row: Row, record: RowRecord, *, overwrite: bool) -> Generator[Event, Any, RowRecord]:
    """Denoise a stack with the model, from the slice on at which that was cut off."""
    assert batch.model is not None
    task = Task(
        batch.model.resolve(),
        row.input.resolve(),
        row.output.resolve(),
        batch.config.recovery,
        device=batch.device,
        threads=batch.threads,
        overwrite=overwrite,
    )
    work = WorkFolder(task.as_seen())
    if not work.check():
        work.begin()
        yield from denoise_whole(work)
    image, stack, model = task.open()
    denoised = read_stack(row.output).array
    yield StageStarted("score")
    if row.second is not None:
        score = yield from scoring(denoised, stack, read_stack(row.second).array, voxel_size=image.voxel_size)
        record.gain_db = _finite(score.gain_db)
    analysis = analyze(
        stack, denoised, mode=model.mode, config=batch.config.analysis, voxel_size=image.voxel_size
    )
    record = yield from described(record, stack, denoised, analysis, model.kernel)
    work.delete()
    return record


def _check(batch: Batch) -> list[RowRecord | None]:
    """The record of each row; raises if any that is still to be done cannot be."""
    choose_device(batch.device)
    model = None if batch.model is None else load_model(batch.model)
    records: list[RowRecord | None] = []
    problems: list[str] = []
    for row in batch.rows:
        try:
            record = read_record(batch.folder, row, batch.identity(row))
            records.append(record)
            if _is_done(row, record):
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
    if problems:
        raise WorkListError("\n".join(["Nothing was begun, as some rows cannot be done.", *problems]))
    return records


def _is_done(row: Row, record: RowRecord | None) -> bool:
    return record is not None and record.state == "done" and row.output.exists()


def _outcome(row: Row, record: RowRecord | None) -> StackDone | StackFailed:
    if record is not None and record.state == "done":
        return StackDone(row.input.name, row.output)
    return StackFailed(row.input.name, "" if record is None else record.reason)


def _summarise(batch: Batch) -> list[RowRecord | None]:
    records: list[RowRecord | None] = []
    for row in batch.rows:
        try:
            records.append(RowRecord.model_validate_json(record_place(batch.folder, row).read_text()))
        except (OSError, ValueError):
            records.append(None)
    write_summary(batch.folder, batch.rows, records)
    return records


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
