"""What is known of a row of a list: what it was, what became of it, and what a summary says of that."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Generator
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image
from pydantic import BaseModel, Field

from napari_autostructn2v.disk.atomic import write_atomically
from napari_autostructn2v.events import Event
from napari_autostructn2v.metrics import assess_quality
from napari_autostructn2v.noise.analysis import NoiseAnalysis
from napari_autostructn2v.series.work_list import Row
from napari_autostructn2v.stack import Stack

THUMBNAIL = 256
"""Longest side of a thumbnail in pixels."""


class RowRecord(BaseModel):
    """What became of a row, as it is kept on disk.

    Attributes
    ----------
    identity
        What decides the result: by it a row that was done is known again.
    state
        ``begun`` until the row is done or has failed.
    reason
        Why it failed.
    verdict, conclusion, headline, summary, direction_deg, length_px, covered
        Of the noise analysis, as in :class:`~napari_autostructn2v.noise.verdict.Verdict`.
    kernel, kernel_pixels
        The kernel that the result was made with: its shape, and how many pixels it has.
    structured_db, leaked
        As in :class:`~napari_autostructn2v.metrics.QualityReport`.
    added_share, added_period_px
        Of the pattern that the result has and the recording has not, as in
        :class:`~napari_autostructn2v.noise.added_pattern.AddedPattern`; no period where there is none.
    gain_db
        What a second recording says, as in :class:`~napari_autostructn2v.judge.Score`.
    seconds
        From the last start of the row to its end.
    finished
        When that was.
    before, after
        The middle slice of the recording and of the result, PNG in base64.
    """

    identity: dict[str, Any]
    state: Literal["begun", "done", "failed"] = "begun"
    reason: str = ""
    verdict: str = ""
    conclusion: str = ""
    headline: str = ""
    summary: str = ""
    direction_deg: float | None = None
    length_px: int | None = None
    covered: float | None = None
    kernel: str = ""
    kernel_pixels: int | None = None
    structured_db: float | None = None
    leaked: float | None = None
    added_share: float | None = None
    added_period_px: float | None = None
    gain_db: float | None = None
    seconds: float = 0.0
    finished: datetime | None = None
    before: str = Field("", repr=False)
    after: str = Field("", repr=False)


def record_place(folder: Path, row: Row) -> Path:
    """Where the record of a row is kept: by its output, so that rows may be added to a list and moved in it.

    Parameters
    ----------
    folder
        Of the list's work.
    row
        The row.
    """
    digest = hashlib.sha256(str(row.output.resolve()).encode()).hexdigest()[:8]
    return folder / "rows" / f"{row.output.stem[:60]}-{digest}.json"


def read_record(folder: Path, row: Row, identity: dict[str, Any]) -> RowRecord | None:
    """The record of a row; None if there is none of this very work, or a damaged one.

    Parameters
    ----------
    folder
        Of the list's work.
    row
        The row.
    identity
        What decides its result.
    """
    try:
        record = RowRecord.model_validate_json(record_place(folder, row).read_text())
    except (OSError, ValueError):
        return None
    return record if record.identity == identity else None


def write_record(folder: Path, row: Row, record: RowRecord) -> None:
    """Keep the record of a row.

    Parameters
    ----------
    folder
        Of the list's work; it is there, with its part for the rows.
    row
        The row.
    record
        What became of it by now.

    Raises
    ------
    FileError
        If it cannot be written.
    """
    with write_atomically(record_place(folder, row), overwrite=True) as beside:
        beside.write_text(record.model_dump_json(indent=1))


def described(
    record: RowRecord, stack: Stack, denoised: Any, analysis: NoiseAnalysis, kernel: np.ndarray
) -> Generator[Event, Any, RowRecord]:
    """A record with what is to be said of a result.

    Parameters
    ----------
    record
        Of the row.
    stack
        The recording.
    denoised
        What was made of it, same shape; read one slice at a time.
    analysis
        Of the recording.
    kernel
        That the result was made with.

    Yields
    ------
    Event
        ``SliceDone`` while the result is assessed.

    Returns
    -------
    RowRecord
    """
    report = yield from assess_quality(stack, denoised, analysis)
    middle = stack.shape[0] // 2
    made = np.asarray(denoised[middle] if len(stack.input_shape) == 3 else denoised[...])
    # one grey scale for both, set by the result: noise would stretch it until the image is flat
    low, high = map(float, np.nanpercentile(made, (0.5, 99.5)))
    verdict = analysis.verdict
    return record.model_copy(
        update={
            "verdict": verdict.kind,
            "conclusion": verdict.conclusion,
            "headline": verdict.headline,
            "summary": verdict.summary,
            "direction_deg": verdict.direction_deg,
            "length_px": verdict.length_px,
            "covered": verdict.covered,
            "kernel": " × ".join(map(str, kernel.shape)),
            "kernel_pixels": int(kernel.sum()),
            "structured_db": report.structured_db,
            "leaked": report.leaked,
            "added_share": report.added.share,
            "added_period_px": report.added.period if report.added.share else None,
            "before": _thumbnail(stack.raw(middle), low, high),
            "after": _thumbnail(made, low, high),
        }
    )


def _thumbnail(plane: np.ndarray, low: float, high: float) -> str:
    """A slice as a small PNG, in base64."""
    span = max(high - low, float(np.finfo(np.float32).tiny))
    grey = np.clip((plane.astype(np.float64) - low) / span, 0, 1)
    image = Image.fromarray(np.rint(255 * np.nan_to_num(grey)).astype(np.uint8))
    image.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    image.save(stream := io.BytesIO(), "png")
    return base64.b64encode(stream.getvalue()).decode()
