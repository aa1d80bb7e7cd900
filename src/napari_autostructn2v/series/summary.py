"""The summary of a list: a table for programs, and a page with pictures for people."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from napari_autostructn2v.disk.atomic import write_atomically
from napari_autostructn2v.series.row_record import RowRecord
from napari_autostructn2v.series.work_list import Row

FIGURES = (
    "state", "reason", "verdict", "conclusion", "headline", "summary",
    "kernel", "kernel_pixels", "direction_deg", "length_px", "covered",
    "structured_db", "leaked", "added_share", "added_period_px", "gain_db", "seconds", "finished",
)  # fmt: skip
"""Columns of the table after those of the list; they are those of the record."""

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem; color: #1b1f24; background: #fff; }
table { border-collapse: collapse; } th, td { padding: .5rem .8rem; text-align: left; vertical-align: top;
border-bottom: 1px solid #d5d9de; } td.verdict { max-width: 26rem; } img { width: 180px; }
td.figures { white-space: nowrap; } .failed { color: #a3261b; } .begun { color: #6b7480; }
"""


def write_summary(
    folder: Path, rows: Sequence[Row], records: Sequence[RowRecord | None]
) -> tuple[Path, Path]:
    """Write what became of the rows of a list so far.

    Parameters
    ----------
    folder
        For ``summary.csv`` and ``summary.html``, which needs no other file.
    rows
        Of the list.
    records
        Of each row; None of those that were not begun.

    Returns
    -------
    tuple of pathlib.Path
        The table and the page.

    Raises
    ------
    FileError
        If they cannot be written.
    """
    table, page = folder / "summary.csv", folder / "summary.html"
    with (
        write_atomically(table, overwrite=True) as beside,
        beside.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(("input", "second", "output", "mode", "group", *FIGURES))
        for row, record in zip(rows, records, strict=True):
            of_list = (row.input, row.second or "", row.output, row.mode or "", row.group)
            writer.writerow((*of_list, *(_cell(record, name) for name in FIGURES)))
    with write_atomically(page, overwrite=True) as beside:
        beside.write_text(_page(rows, records), encoding="utf-8")
    return table, page


def _cell(record: RowRecord | None, name: str) -> Any:
    if record is None:
        return "waiting" if name == "state" else ""
    value = getattr(record, name)
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else value


def _page(rows: Sequence[Row], records: Sequence[RowRecord | None]) -> str:
    done = sum(record is not None and record.state == "done" for record in records)
    failed = sum(record is not None and record.state == "failed" for record in records)
    lines = "\n".join(_line(row, record) for row, record in zip(rows, records, strict=True))
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Denoised stacks</title><style>{_STYLE}</style>
<h1>{done} of {len(rows)} stacks are denoised{f", {failed} failed" if failed else ""}</h1>
<table>
<tr><th>Stack</th><th>Before</th><th>After</th><th>Kernel and figures</th><th>Verdict</th></tr>
{lines}
</table>
</html>
"""


def _line(row: Row, record: RowRecord | None) -> str:
    name = f'<b title="{escape(str(row.input))}">{escape(row.input.name)}</b>'
    if row.group:
        name += f"<br>{escape(row.group)}"
    if record is None or record.state != "done":
        state = "begun" if record is None else record.state
        words = "not begun yet" if record is None else f"{record.state}. {record.reason}"
        return f'<tr><td>{name}</td><td colspan="4" class="{state}">{escape(words)}</td></tr>'
    pictures = "".join(
        f'<td><img alt="{what}" src="data:image/png;base64,{image}"></td>'
        for what, image in (("before", record.before), ("after", record.after))
    )
    return (
        f"<tr><td>{name}</td>{pictures}<td class='figures'>{'<br>'.join(_figures(record))}</td>"
        f"<td class='verdict'><b>{escape(record.headline)}</b><br>{escape(record.summary)}</td></tr>"
    )


def _figures(record: RowRecord) -> list[str]:
    """The figures of a result in words, those that there are."""
    figures = [f"kernel {record.kernel}, {record.kernel_pixels} pixels"]
    if record.direction_deg is not None:
        figures.append(f"along {record.direction_deg:.0f}°")
    if record.covered:
        figures.append(f"hides {record.covered:.0%} of the correlation")
    if record.structured_db is not None:
        figures.append(f"structured noise {record.structured_db:.1f} dB lower")
    if record.leaked is not None:
        figures.append(f"{record.leaked:.1%} of what was removed goes along with the image")
    if record.added_share and record.added_period_px:
        figures.append(
            f"{record.added_share:.1%} of the background is a pattern of {record.added_period_px:.1f} px"
        )
    if record.gain_db is not None:
        figures.append(f"{record.gain_db:+.1f} dB by the second recording")
    return [*figures, f"{record.seconds / 60:.1f} min"]
