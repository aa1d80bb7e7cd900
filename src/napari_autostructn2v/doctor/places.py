"""The folders that the program writes to: whether it may, and how much room there is."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout
from platformdirs import user_log_path

from napari_autostructn2v.doctor.finding import Finding

LOW = 2 * 2**30
"""Bytes below which not even a small tomogram, seven times in float32, finds room."""


def log_path() -> Path:
    """The log file of this user; older ones lie beside it."""
    return user_log_path("napari-autostructn2v", appauthor=False) / "log.txt"


def look(folder: Path) -> Iterator[Finding]:
    """Look at the folders.

    Parameters
    ----------
    folder
        Where results are to be written.

    Yields
    ------
    Finding
        Each folder with the room on its disk.
    """
    # not at the start of the command line, which needs log_path alone
    from napari_autostructn2v.kernel.library import KernelLibrary
    from napari_autostructn2v.runs.store import RunStore

    yield _looked_at("results", folder, "Choose another folder for results.", is_large=True)
    yield _looked_at(
        "runs of the window", RunStore.of_user().folder, "The window keeps no runs there.", is_large=True
    )
    yield _looked_at("kernels kept", KernelLibrary.of_user().folder, "No kernels can be kept there.")
    yield _looked_at("log", log_path().parent, "Errors are not logged there.")
    yield _looked_at(
        "temporary files", Path(tempfile.gettempdir()), "Set TMPDIR (on Windows TEMP) to another folder."
    )


def _looked_at(name: str, folder: Path, otherwise: str, *, is_large: bool = False) -> Finding:
    """One folder, which need not be there yet; it is not made."""
    folder = folder.absolute()
    there = next((each for each in (folder, *folder.parents) if each.exists()), folder)
    try:
        with tempfile.NamedTemporaryFile(dir=there, prefix=".autostructn2v-") as file:
            locks = _can_lock(Path(f"{file.name}.lock"))
        room = shutil.disk_usage(there).free
    except OSError as error:
        return Finding(
            name, str(folder), f"Nothing can be written there ({error.strerror or error}). {otherwise}"
        )
    value = f"{folder}, {room / 2**30:,.1f} GiB free"
    if is_large and room < LOW:
        return Finding(
            name, value, "That is little room: a run takes seven times its stack, in float32. Make some."
        )
    if is_large and not locks:
        return Finding(
            name,
            value,
            "The disk knows no locks, so two programs may write there at once. Start one at a time.",
        )
    return Finding(name, value)


def _can_lock(path: Path) -> bool:
    """Whether the disk of a file knows locks; nothing is left of it."""
    lock = FileLock(path, timeout=0)
    try:
        with lock:
            return True
    except (OSError, NotImplementedError, Timeout):
        return False
    finally:
        path.unlink(missing_ok=True)
