"""The files of a run that a person may have edited or a disk damaged, checked before they are believed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from napari_autostructn2v.config import Config, Mode
from napari_autostructn2v.disk.atomic import write_atomically
from napari_autostructn2v.survey import Survey

RECORD = "run.json"
"""The record, in the folder of the run."""

Span = tuple[int, int]
Spans = tuple[Span, Span, Span]
"""First and last index along Z, Y and X."""

_NO_NUL = r"^[^\x00]+$"


class Record(BaseModel):
    """``run.json``: what decides how the run goes on; the rest of it is for people."""

    input: str = ""
    input_path: str | None = Field(None, pattern=_NO_NUL)
    input_shape: list[int]
    mode: Mode
    config: Config
    kernel: list[Any] | None = None
    box: Spans | None = None
    seed: int = 0
    together: list[str] = []
    start: str | None = None
    started: str | None = None
    output: str | None = Field(None, pattern=_NO_NUL)
    skipped: bool = False
    survey: Survey | None = None


class _EditedPeaks(BaseModel):
    model_config = ConfigDict(extra="forbid")

    added: list[tuple[int, int]]
    erased: list[tuple[int, int]]


class _EditedKernel(BaseModel):
    model_config = ConfigDict(extra="forbid")

    added: list[tuple[int, int] | tuple[int, int, int]]
    erased: list[tuple[int, int] | tuple[int, int, int]]


class EditsFile(BaseModel):
    """``edits.json``: offsets from the centre that a person added and erased."""

    model_config = ConfigDict(extra="forbid")

    peaks: _EditedPeaks
    kernel: _EditedKernel


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write one of these files, whole or not at all.

    Parameters
    ----------
    path
        Where; a file that is there is replaced.
    content
        JSON-able values.

    Raises
    ------
    DiskFullError, FileError
        If it cannot be written.
    """
    with write_atomically(path, overwrite=True) as beside:
        beside.write_text(json.dumps(content, indent=1))
