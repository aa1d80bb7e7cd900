"""What this computer has for the program, and what is wrong with it and what to do about that."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from napari_autostructn2v.doctor import cores, device, libraries, places, window
from napari_autostructn2v.doctor.finding import Finding

__all__ = ["Finding", "examine"]


def examine(folder: Path) -> Iterator[Finding]:
    """Look at all that the program needs, from what is looked up at once to what takes seconds.

    Parameters
    ----------
    folder
        Where results are to be written.

    Yields
    ------
    Finding
        What is there, each with what is wrong with it, if anything is.
    """
    yield from libraries.look()
    yield from window.look()
    yield from places.look(folder)
    yield from cores.look()
    yield from device.look()
