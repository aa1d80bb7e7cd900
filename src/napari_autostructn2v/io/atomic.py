"""Writing so that a file is either complete under its name or not there."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from napari_autostructn2v.errors import FileError


@contextmanager
def write_atomically(path: str | Path, *, overwrite: bool) -> Iterator[Path]:
    """Write a file or folder beside its place and rename it when it is complete.

    Use as ``with write_atomically(path, overwrite=False) as beside:`` and create ``beside``, which keeps the
    suffix of ``path``. If the block raises, what it wrote is deleted and what was at ``path`` stays.

    Raises
    ------
    FileError
        If ``path`` exists and ``overwrite`` is False, its folder is missing, or the block or the renaming
        fails with an OSError: no permission, a full disk and the like, said in words.
    """
    target = Path(os.path.realpath(path))  # through a link: the link stays, what it points to is replaced
    check_place(target, overwrite=overwrite)
    beside = _neighbour(target, "partial")
    try:
        yield beside
        _flush(beside)
        check_place(target, overwrite=overwrite)  # something else may have written it in the meantime
        _move(beside, target)
    except BaseException as error:
        _remove(beside)
        if isinstance(error, OSError) and not isinstance(error, FileError):
            raise FileError(explain(error, target)) from error
        raise


def move_into_place(complete: Path, target: Path, *, overwrite: bool) -> None:
    """Rename a complete file or folder on the same disk to where it belongs.

    Raises
    ------
    FileError
        If ``target`` exists and ``overwrite`` is False, or the renaming fails.
    """
    target = Path(os.path.realpath(target))
    check_place(target, overwrite=overwrite)
    try:
        _move(complete, target)
    except FileError:
        raise
    except OSError as error:
        raise FileError(explain(error, target)) from error


def make_folder(path: Path) -> Path:
    """Make a folder and those above it, if they are not there.

    Raises
    ------
    FileError
        If it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(
            f"The folder {path} cannot be made: {error.strerror or error}. Choose another one."
        ) from error
    return path


def check_place(target: Path, *, overwrite: bool) -> None:
    """Check that something can be written there: before the work rather than after it.

    Raises
    ------
    FileError
        If it exists and ``overwrite`` is False, or its folder is missing.
    """
    if not os.path.isdir(target.parent):
        raise FileError(f"The folder {target.parent} does not exist. Create it, or choose another.")
    if os.path.lexists(target) and not overwrite:
        raise FileError(f"{target} exists already. Choose another name, or allow it to be overwritten.")


def _neighbour(target: Path, purpose: str) -> Path:
    # Libraries choose their format by the end of the name; only the end is kept, to stay within its limit.
    return target.with_name(f".{purpose}-{secrets.token_hex(4)}-{target.name[-40:]}")


def _flush(written: Path) -> None:
    """Wait until the bytes are on the disk, so that a power cut after the renaming leaves no empty file."""
    for file in [p for p in written.rglob("*") if p.is_file()] if written.is_dir() else [written]:
        with file.open("r+b") as stream:
            os.fsync(stream.fileno())


def _move(beside: Path, target: Path) -> None:
    if not os.path.lexists(target):
        os.rename(beside, target)
    elif beside.is_dir() != target.is_dir():
        raise FileError(f"{target} is {'a folder' if target.is_dir() else 'a file'}. Choose another name.")
    elif target.is_dir():
        # No system replaces a folder that is not empty in one step: the old one waits beside until the new
        # one is there.
        old = _neighbour(target, "old")
        os.rename(target, old)
        try:
            os.rename(beside, target)
        except BaseException:
            os.rename(old, target)
            raise
        _remove(old)
    else:
        os.replace(beside, target)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def explain(error: OSError, target: Path) -> str:
    """What went wrong in writing ``target``, and what to do about it."""
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return (
                f"The disk is full: {target.name} does not fit into {target.parent}. Free some space "
                "there, or choose a folder on another disk."
            )
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return (
                f"There is no permission to write {target.name} in {target.parent}. Choose a folder of "
                "your own, or close the program that has the file open."
            )
        case errno.EFBIG:
            return (
                f"{target.name} is larger than the file system of {target.parent} allows (4 GB on a FAT "
                "disk). Choose another disk, or save as .zarr."
            )
        case errno.ENAMETOOLONG:
            return f"The name {target.name} is too long. Choose a shorter one."
        case _:
            return (
                f"{target} could not be written: {error.strerror or error}. Check that its disk is "
                "connected and try again."
            )
