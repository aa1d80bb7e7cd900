"""The slices in a folder: which files they are, and which lack by the numbers in their names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import tifffile

from napari_autostructn2v.io.formats import TIFF

_MOST_TOLD = 5

_MOST_DIGITS = 18


def slices_in(folder: Path) -> list[Path]:
    """The files that are the slices of a folder, in natural order.

    Parameters
    ----------
    folder
        A folder that exists.
    """
    return [
        Path(name)
        for name in tifffile.natural_sorted(str(p) for p in folder.iterdir() if p.is_file())
        if name.lower().endswith(TIFF.suffixes) and not Path(name).name.startswith(".")
    ]


def missing_slices(paths: Iterable[Path]) -> str:
    """A sentence about numbers that lack among the slices of a folder; empty if none does.

    Only where all names are alike but for numbers. They may count in steps, such as 0, 10, 20. Where more
    lack than are there, it is no count but a time or the like; of several counts the most complete one tells.

    Parameters
    ----------
    paths
        Of the slices.
    """
    found = [(*_gaps(numbers), numbers) for numbers in _counts([path.stem for path in paths])]
    if not found:
        return ""
    lacking, gaps, numbers = min(found, key=lambda each: each[0])
    if not 0 < lacking < len(numbers):
        return ""
    words = [str(first) if first == last else f"{first} to {last}" for first, last in gaps[:_MOST_TOLD]]
    if len(gaps) > _MOST_TOLD:
        words.append("and others")
    return (
        f"Among the slices {numbers[0]} to {numbers[-1]} {'lacks' if lacking == 1 else 'lack'} "
        f"{', '.join(words)}. Those that are there are taken as if they followed each other; copy the others "
        "as well if they were lost."
    )


def _gaps(numbers: list[int]) -> tuple[int, list[tuple[int, int]]]:
    """How many lack, and from where to where."""
    step = min(after - before for before, after in pairwise(numbers))
    # by distances, not by going through all numbers: a name may hold one of any size
    gaps = [
        (before + step, before + step * ((after - before - 1) // step))
        for before, after in pairwise(numbers)
        if after - before > step
    ]
    return sum((last - first) // step + 1 for first, last in gaps), gaps


def _counts(stems: list[str]) -> Iterator[list[int]]:
    """The numbers, in order, at each place of the names where all have different ones."""
    parts = [re.split(r"(\d+)", stem) for stem in stems]
    if len(parts) < 3 or any(len(each) != len(parts[0]) for each in parts):
        return
    columns = list(zip(*parts, strict=True))
    if any(len(set(words)) > 1 for words in columns[::2]):
        return
    for digits in columns[1::2]:
        numbers = {int(number[:_MOST_DIGITS]) for number in digits}
        if len(numbers) == len(stems):
            yield sorted(numbers)
