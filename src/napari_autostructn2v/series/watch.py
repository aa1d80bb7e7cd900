"""A folder that is still being filled: each file is denoised once, in order, as soon as it is complete.

The folder is looked at again and again, since network disks tell nobody of new files.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from napari_autostructn2v.apply import result_paths
from napari_autostructn2v.apply.tasks import Task
from napari_autostructn2v.apply.whole import denoise_whole
from napari_autostructn2v.apply.work_folder import WorkFolder
from napari_autostructn2v.config import Config
from napari_autostructn2v.disk.atomic import file_error, make_folder
from napari_autostructn2v.disk.lock import Hold
from napari_autostructn2v.error_report import log_and_explain
from napari_autostructn2v.errors import FileError, RunFolderError, plural
from napari_autostructn2v.events import Event, StackDone, StackFailed, StackStarted, Waiting
from napari_autostructn2v.io import read_stack
from napari_autostructn2v.io.formats import format_of
from napari_autostructn2v.learning.device import choose_device
from napari_autostructn2v.learning.model import load_model

POLL_SECONDS = 1.0

STILL_SECONDS = 3.0
"""For so long size and time of a file stand still before it is looked into."""

LOG = "watched.jsonl"
"""What was done, a line for each file, in the folder of the results."""

State = tuple[int, int]
"""Size of a file in bytes, and when it was last changed, in nanoseconds."""


@dataclass(frozen=True)
class Watch:
    """What is to be done with the files of a folder.

    Attributes
    ----------
    folder
        That is watched; folders in it are not.
    model
        To be applied.
    out
        Where results go.
    recovery, average, device
        As for :func:`~napari_autostructn2v.pipeline.denoise_with`.
    still
        For so many seconds size and time of a file must stand still.
    """

    folder: Path
    model: Path
    out: Path
    recovery: float = Config().recovery
    average: bool = False
    device: str = "auto"
    still: float = STILL_SECONDS

    def task(self, source: Path) -> Task:
        """The work on one file.

        Parameters
        ----------
        source
            The file.

        Raises
        ------
        FileError
            If it cannot be read, as while it is written.
        """
        image = read_stack(source)
        (target,) = result_paths([(image.name, source)], self.out, "")
        return Task(
            self.model.resolve(),
            source.resolve(),
            target.resolve(),
            self.recovery,
            average=self.average,
            device=self.device,
        ).as_seen()


class _Line(BaseModel):
    """What became of a file."""

    file: str
    state: State
    result: str = ""
    failed: str = ""


def watch(asked: Watch) -> Generator[Event, Any, None]:
    """Denoise file after file, until the stream is closed.

    Parameters
    ----------
    asked
        What is to be done.

    Yields
    ------
    Event
        ``StackStarted``, ``StackDone`` and ``StackFailed`` around what is yielded by the work on a file;
        ``Waiting`` every second while no file is complete, with what is waited for.

    Raises
    ------
    FileError
        If there is no such folder, or results would be written into it.
    BusyError
        If another process writes results of such work into the same folder.
    """
    if not asked.folder.is_dir():
        raise FileError(f"There is no folder {asked.folder} to watch. Check its name.")
    if asked.out.resolve() == asked.folder.resolve():
        raise FileError(
            f"Results in {asked.out} would be taken for new files. Choose another folder for them, such as "
            f"{asked.folder / 'denoised'}."
        )
    load_model(asked.model)
    choose_device(asked.device)
    with Hold(make_folder(asked.out)):
        log = _Log(asked.out / LOG)
        seen: dict[str, tuple[State, float]] = {}
        while True:
            source, reason = _next(asked, log, seen)
            if source is None:
                yield Waiting(reason)
                time.sleep(POLL_SECONDS)
                continue
            yield StackStarted(source.name, log.count + 1, None)
            line = yield from _denoise(asked, source, seen.pop(source.name)[0], log)
            if line is None:  # it was written to after all
                continue
            if line.failed:
                yield StackFailed(source.name, line.failed)
            else:
                yield StackDone(source.name, Path(line.result))


def _next(asked: Watch, log: _Log, seen: dict[str, tuple[State, float]]) -> tuple[Path | None, str]:
    """The first file that is complete, or None and what is waited for."""
    try:
        found = _files(asked.folder)
    except OSError as error:
        return None, f"{asked.folder} cannot be read ({error.strerror}). Is its disk connected?"
    waiting = {name: state for name, state in found.items() if log.is_open(name, state)}
    for name in seen.keys() - waiting.keys():
        del seen[name]
    now, reason = time.monotonic(), ""
    for name, state in sorted(waiting.items(), key=lambda item: (item[1][1], item[0])):
        before, since = seen.get(name, (None, now))
        if before != state:
            since = now
        seen[name] = state, since
        if now - since < asked.still:
            reason = reason or f"{name} is still being written."
            continue
        try:
            read_stack(asked.folder / name)
            return asked.folder / name, ""
        except FileError as error:
            reason = reason or f"{name} is not complete: {error}"
    return None, reason or f"Nothing new in {asked.folder}; {plural(log.count, 'file')} done."


def _files(folder: Path) -> dict[str, State]:
    """The files that may be stacks, by their names."""
    found: dict[str, State] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name[0] != "." and entry.is_file() and format_of(Path(entry.name)) is not None:
                status = entry.stat()
                found[entry.name] = status.st_size, status.st_mtime_ns
    return found


def _denoise(asked: Watch, source: Path, state: State, log: _Log) -> Generator[Event, Any, _Line | None]:
    """Denoise a file and keep what became of it; None if it was changed meanwhile."""
    work, line = None, None
    try:
        work = WorkFolder(asked.task(source))
        try:
            done = work.check()
        except RunFolderError:  # begun with another model, or when the file was another one
            work.delete()
            done = work.check()
        if not done:
            work.begin()
            yield from denoise_whole(work)
        line = _Line(file=source.name, state=state, result=str(work.task.target))
    except Exception as error:
        if _files(source.parent).get(source.name) != state:
            line = None
        else:
            line = _Line(file=source.name, state=state, failed=log_and_explain(error))
    if line is not None:
        log.append(line)
    if work is not None:  # after the note: until then it says that the result is our own
        work.delete()
    return line


class _Log:
    """What was done, by names of files; a line that a crash has cut off does not count.

    Parameters
    ----------
    path
        Of the file, which may not be there yet.

    Attributes
    ----------
    count
        Files that were denoised.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, tuple[State, str]] = {}
        self.count = 0
        whole = b""
        if path.exists():
            *lines, rest = path.read_bytes().split(b"\n")
            for text in lines:
                try:
                    self._take(_Line.model_validate_json(text))
                except ValueError:
                    continue
            whole = b"\n" if rest else b""
        self._begin = whole  # so that the next line does not go on with half a one

    def is_open(self, name: str, state: State) -> bool:
        """Whether a file is still to be done; or again, if it failed or lost its result, and has changed."""
        if name not in self._known:
            return True
        before, result = self._known[name]
        return before != state and not (result and Path(result).exists())

    def append(self, line: _Line) -> None:
        """Keep what became of a file."""
        text = self._begin + json.dumps(line.model_dump()).encode() + b"\n"
        try:
            with self._path.open("ab") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise file_error(error, self._path) from error
        self._begin = b""
        self._take(line)

    def _take(self, line: _Line) -> None:
        self.count += bool(line.result)
        self._known[line.file] = line.state, line.result
