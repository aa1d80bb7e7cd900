"""A list of stacks to be worked on: a table (CSV), or a STAR file of RELION or Warp."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

from napari_autostructn2v.apply import result_paths
from napari_autostructn2v.config import Mode
from napari_autostructn2v.errors import FileError, MissingLibraryError, WorkListError
from napari_autostructn2v.io.image import stack_name

COLUMNS = ("input", "second", "output", "mode", "group")

STAR_COLUMNS = {
    "rlnTomoReconstructedTomogram": "input",
    "rlnMicrographName": "input",
    "rlnTomoReconstructedTomogramHalf1": "first half",
    "rlnTomoReconstructedTomogramHalf2": "second half",
    "rlnOpticsGroupName": "group",
}
"""What RELION 5, and Warp in its words, call these columns. Where a row names both halves, they are taken."""

MOST_PROBLEMS = 10
"""So many are told at once: whoever mends a list wants to see them all, but not hundreds."""


@dataclass(frozen=True)
class Row:
    """A stack of a list.

    Attributes
    ----------
    number
        Of the row, from 1, without the heading.
    input
        The recording.
    second
        Another one of the same scene; None if there is none.
    output
        Where the result goes.
    mode
        ``"2d"`` or ``"2.5d"``; None if the list does not say.
    group
        Stacks of one group have the same noise; empty if the list does not say.
    """

    number: int
    input: Path
    second: Path | None
    output: Path
    mode: Mode | None
    group: str


def read_list(path: Path, out: Path | None = None) -> tuple[Row, ...]:
    """Read a list, and check all of it that can be checked without opening the stacks.

    Parameters
    ----------
    path
        A table with a heading, its columns divided by commas, semicolons or tabs, and names relative to its
        folder; or a STAR file (.star), with names relative to the folder that the command is given in, which
        is that of the project, as for RELION.
    out
        Folder for the results of rows that name no output.

    Raises
    ------
    WorkListError
        If rows cannot be worked on: all of them are told at once.
    FileError
        If the list cannot be read.
    MissingLibraryError
        If it is a STAR file, and ``starfile`` is not installed.
    """
    is_star = path.suffix.lower() == ".star"
    entries = _star_entries(path) if is_star else _table_entries(path)
    if not entries:
        raise WorkListError(f"{path} lists no stacks. Give each a row below the heading.")
    base = Path() if is_star else path.parent
    problems: list[str] = []
    rows: list[tuple[int, Path, Path | None, str, str, str]] = []
    for number, entry in enumerate(entries, start=1):
        if not (named := entry.get("input", "")):
            problems.append(f"row {number} names no input")
            continue
        second = entry.get("second", "")
        for file in filter(None, (named, second)):
            if not (base / file).exists():
                problems.append(f"row {number}: there is no file {base / file}")
        if (mode := entry.get("mode", "")) and mode not in get_args(Mode):
            problems.append(f"row {number}: there is no mode {mode!r}, only {' and '.join(get_args(Mode))}")
        if out is None and not entry.get("output"):
            problems.append(f"row {number} names no output; fill that column, or give --out")
        rows.append(
            (
                number,
                base / named,
                base / second if second else None,
                entry.get("output", ""),
                mode,
                entry.get("group", ""),
            )
        )
    _refuse(path, problems)
    found = result_paths([(stack_name(row[1]), row[1]) for row in rows], out or Path(), "")
    made = tuple(
        Row(number, source, second, base / output if output else place, mode or None, group)  # type: ignore[arg-type]
        for (number, source, second, output, mode, group), place in zip(rows, found, strict=True)
    )
    _refuse(path, _collisions(made))
    return made


def _collisions(rows: Iterable[Row]) -> list[str]:
    """Rows that would write what others write or read."""
    problems, rows = [], list(rows)
    read = {file.resolve(): row for row in rows for file in (row.input, row.second) if file is not None}
    written: dict[str, Row] = {}
    for row in rows:
        place = row.output.resolve()
        if (other := written.setdefault(str(place).casefold(), row)) is not row:
            problems.append(f"rows {other.number} and {row.number} have one output, {row.output}")
        if place in read:
            problems.append(f"the output of row {row.number} is the input of row {read[place].number}")
        if row.second is not None and row.second.resolve() == row.input.resolve():
            problems.append(f"row {row.number}: the second recording is the first")
    return problems


def _refuse(path: Path, problems: list[str]) -> None:
    if problems:
        more = len(problems) - MOST_PROBLEMS
        said = "; ".join(problems[:MOST_PROBLEMS]) + (f"; and {more} more" if more > 0 else "")
        raise WorkListError(f"{path} cannot be worked on: {said}. Nothing was begun; mend the list.")


def _table_entries(path: Path) -> list[dict[str, str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")  # what spreadsheets put before the first column
    except OSError as error:
        raise FileError(f"The list {path} cannot be read: {error.strerror}. Check its name.") from error
    except UnicodeDecodeError as error:
        raise FileError(f"{path} is no text. Save the list as CSV, in UTF-8.") from error
    lines = [line for line in text.splitlines() if line.strip()]
    heading = lines[0] if lines else ""
    reader = csv.reader(lines, delimiter=max(",;\t", key=heading.count))
    names = [name.strip().lower() for name in next(reader, [])]
    if unknown := [name for name in names if name not in COLUMNS]:
        raise WorkListError(
            f"{path} has columns that are not known: {', '.join(map(repr, unknown))}. Known are "
            f"{', '.join(COLUMNS)}."
        )
    if "input" not in names or len(set(names)) < len(names):
        raise WorkListError(
            f"{path} needs a heading with the column input, and each column once. Known are "
            f"{', '.join(COLUMNS)}."
        )
    rows = list(reader)
    _refuse(
        path,
        [
            f"row {number} has {len(cells)} cells and the heading {len(names)}"
            for number, cells in enumerate(rows, start=1)
            if len(cells) > len(names)
        ],
    )
    return [dict(zip(names, map(str.strip, cells), strict=False)) for cells in rows]


def _star_entries(path: Path) -> list[dict[str, str]]:
    if find_spec("starfile") is None:
        raise MissingLibraryError(
            "To read STAR files, starfile must be installed: pip install 'napari-autostructn2v[star]'"
        )
    import starfile

    if not path.is_file():
        raise FileError(f"The list {path} cannot be read: there is no such file. Check its name.")
    try:
        blocks = starfile.read(path, always_dict=True, parse_as_string=list(STAR_COLUMNS))
    except Exception as error:  # starfile has no errors of its own
        raise FileError(f"{path} is no STAR file that can be read: {error}.") from error
    for block in blocks.values():
        # a block of one row without a loop comes as a mapping
        table = [block] if isinstance(block, dict) else block.to_dict("records")
        entries = [_in_own_words(row) for row in table]
        if any("input" in entry for entry in entries):
            return entries
    raise WorkListError(
        f"{path} has no column with tomograms. Known are {', '.join(STAR_COLUMNS)}, as RELION 5 writes into "
        "tomograms.star, and those of a table."
    )


def _in_own_words(row: Mapping[str, object]) -> dict[str, str]:
    """A row of a STAR file with the names of columns that a table has; all that is of other programs goes."""
    entry: dict[str, str] = {}
    for name, value in row.items():
        column = STAR_COLUMNS.get(str(name), str(name))
        if column in (*COLUMNS, "first half", "second half") and column not in entry:
            entry[column] = str(value).strip()
    halves = [entry.pop(half, "") for half in ("first half", "second half")]
    return entry | (dict(zip(("input", "second"), halves, strict=True)) if all(halves) else {})
