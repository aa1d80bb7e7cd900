"""A list of stacks: a run for each, or a trained model applied to each. What is done stays done."""

from __future__ import annotations

import time
from collections.abc import Generator
from datetime import datetime
from typing import Any

import numpy as np
import torch

from napari_autostructn2v.apply.distributed import by_workers
from napari_autostructn2v.apply.tasks import Task
from napari_autostructn2v.apply.whole import denoise_whole
from napari_autostructn2v.apply.work_folder import WorkFolder
from napari_autostructn2v.disk.atomic import make_folder, remove_leftovers
from napari_autostructn2v.disk.lock import Hold
from napari_autostructn2v.error_report import log_and_explain
from napari_autostructn2v.events import (
    Event,
    Notice,
    StackDone,
    StackFailed,
    StackStarted,
    StageStarted,
    finish,
)
from napari_autostructn2v.io import read_stack
from napari_autostructn2v.judge import scoring
from napari_autostructn2v.noise.analysis import analyze
from napari_autostructn2v.runs.folder import RunFolder
from napari_autostructn2v.runs.request import RunRequest
from napari_autostructn2v.runs.result import Result
from napari_autostructn2v.series.batch_request import Batch, check_batch, is_done
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
from napari_autostructn2v.to_file import run_to_file, run_together_to_files


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
    before = check_batch(batch)
    with Hold(make_folder(batch.folder)):
        remove_leftovers(make_folder(batch.folder / "rows"))
        done = {row for row, record in zip(batch.rows, before, strict=True) if is_done(row, record)}
        missing = [unit for unit in batch.units() if not done.issuperset(unit)]
        if done:
            yield Notice(f"{len(done)} of {len(batch.rows)} rows were done before.")
        _summarise(batch)
        if client is not None:
            items = [(batch, unit) for unit in missing]
            yield from by_workers(client, _work_on_unit, items, [1] * len(items))
        for unit in missing if client is None else ():
            if len(unit) == 1:
                yield StackStarted(unit[0].input.name, unit[0].number, len(batch.rows))
            else:
                yield Notice(f"Group {unit[0].group}: one network for {len(unit)} stacks.")
            for row, record in zip(unit, (yield from work_on(batch, unit)), strict=True):
                if len(unit) == 1 or record.state == "failed":  # of a group each is told when it is written
                    yield _outcome(row, record)
            _summarise(batch)
        records = _summarise(batch)
        for unit in missing if client is not None else ():
            yield from (_outcome(row, records[batch.rows.index(row)]) for row in unit)
    return [record for record in records if record is not None]


def work_on(batch: Batch, unit: tuple[Row, ...]) -> Generator[Event, Any, list[RowRecord]]:
    """Do one row, or those of a group, and keep what became of them.

    Parameters
    ----------
    batch
        The list, and what is to be done.
    unit
        One of its units.

    Yields
    ------
    Event
        As the run, or the application of the model.

    Returns
    -------
    list of RowRecord
        Of each row: also if it failed.
    """
    if batch.threads is not None:
        torch.set_num_threads(batch.threads)
    started, identities = time.monotonic(), [batch.identity(row) for row in unit]
    # a result that is there was put there by this very work before it was cut off
    begun = any(
        read_record(batch.folder, row, known) is not None for row, known in zip(unit, identities, strict=True)
    )
    records = [RowRecord(identity=identity) for identity in identities]
    for row, record in zip(unit, records, strict=True):
        write_record(batch.folder, row, record)
    try:
        doing = _apply if batch.model is not None else _train if len(unit) == 1 else _train_together
        records = yield from doing(batch, unit, records, overwrite=batch.overwrite or begun)
        for record in records:
            record.state = "done"
    except Exception as error:
        reason = log_and_explain(error)
        records = [RowRecord(identity=known, state="failed", reason=reason) for known in identities]
    for row, record in zip(unit, records, strict=True):
        record.seconds, record.finished = time.monotonic() - started, datetime.now().astimezone()
        write_record(batch.folder, row, record)
    return records


def _work_on_unit(item: tuple[Batch, tuple[Row, ...]]) -> None:
    finish(work_on(*item))


def _request(batch: Batch, row: Row) -> RunRequest:
    return RunRequest(
        mode=row.mode or batch.mode,
        config=batch.config,
        seed=batch.seed,
        mostly_blank=batch.mostly_blank,
        source=read_stack(row.input),
        output=row.output,
    )


def _train(
    batch: Batch, unit: tuple[Row, ...], records: list[RowRecord], *, overwrite: bool
) -> Generator[Event, Any, list[RowRecord]]:
    """Train on a stack and denoise it, as a run in a folder of its own, from which it goes on."""
    (row,), (record,) = unit, records
    outcome = yield from run_to_file(
        _request(batch, row),
        RunFolder.beside(row.output).path,
        second=None if row.second is None else read_stack(row.second),
        average=batch.average,
        device=batch.device,
        overwrite=overwrite,
    )
    if outcome.scores:
        record.gain_db = _finite(float(np.mean([score.gain_db for score in outcome.scores])))
    return [(yield from _described(row, record, outcome.results[0]))]


def _train_together(
    batch: Batch, unit: tuple[Row, ...], records: list[RowRecord], *, overwrite: bool
) -> Generator[Event, Any, list[RowRecord]]:
    """Train on the stacks of a group together and denoise each, likewise."""
    requests = [_request(batch, row) for row in unit]
    made = yield from run_together_to_files(requests, device=batch.device, overwrite=overwrite)
    found = []
    for row, record, result in zip(unit, records, made.results, strict=True):
        if row.second is not None:
            yield from _judged(row, record)
        found.append((yield from _described(row, record, result)))
    return found


def _judged(row: Row, record: RowRecord) -> Generator[Event, Any, None]:
    """Note what the second recording of a row says of its result."""
    assert row.second is not None
    image, second, denoised = (read_stack(file) for file in (row.input, row.second, row.output))
    yield StageStarted("score")
    score = yield from scoring(
        denoised.array, as_stack(image.array), second.array, voxel_size=image.voxel_size
    )
    record.gain_db = _finite(score.gain_db)


def _described(row: Row, record: RowRecord, result: Result) -> Generator[Event, Any, RowRecord]:
    stack, denoised = as_stack(read_stack(row.input).array), read_stack(row.output).array
    kernel = result.model.kernel if result.denoised is result.stage1 else result.analysis.kernel
    yield StageStarted("score")
    return (yield from described(record, stack, denoised, result.analysis, kernel))


def _apply(
    batch: Batch, unit: tuple[Row, ...], records: list[RowRecord], *, overwrite: bool
) -> Generator[Event, Any, list[RowRecord]]:
    """Denoise a stack with the model, from the slice on at which that was cut off."""
    assert batch.model is not None
    (row,), (record,) = unit, records
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
    if row.second is not None:
        yield from _judged(row, record)
    yield StageStarted("score")
    analysis = analyze(
        stack, denoised, mode=model.mode, config=batch.config.analysis, voxel_size=image.voxel_size
    )
    record = yield from described(record, stack, denoised, analysis, model.kernel)
    work.delete()
    return [record]


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
