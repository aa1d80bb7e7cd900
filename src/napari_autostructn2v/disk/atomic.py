"""Writing so that a file is either complete under its name or not there."""

from __future__ import annotations

import errno
import glob
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from napari_autostructn2v.errors import DiskFullError, FileError

FULL_BYTES = 2**16
"""With less room than this a disk counts as full where a library does not say why it could not write."""

MAX_LABEL_BYTES = 100
"""Longest name that an unfinished file bears in full. With what is put before it, it stays far below the 255
bytes, on encrypted disks 143, that a name may have."""


@contextmanager
def write_atomically(path: str | Path, *, overwrite: bool) -> Iterator[Path]:
    """Write a file or folder beside its place and rename it when it is complete.

    Use as ``with write_atomically(path, overwrite=False) as beside:`` and create ``beside``, which keeps the
    suffix of ``path``. If the block raises, what it wrote is deleted and what was at ``path`` stays.

    Parameters
    ----------
    path
        Where the file or folder belongs. If it is a link, what the link leads to is replaced.
    overwrite
        Replace what is there.

    Raises
    ------
    DiskFullError
        If there is no room for it.
    FileError
        If ``path`` exists and ``overwrite`` is False, its folder is missing, or the block or the renaming
        fails with another OSError: no permission and the like, said in words.
    """
    target = Path(os.path.realpath(path))  # through a link: the link stays, what it points to is replaced
    check_place(target, overwrite=overwrite)
    beside = _neighbour(target, "partial")
    try:
        yield beside
        flush(beside)
        check_place(target, overwrite=overwrite)  # something else may have written it in the meantime
        _move(beside, target)
    except OSError as error:
        said = error if isinstance(error, FileError) else file_error(error, target)  # while the disk is full
        _remove(beside)
        raise said from error
    except BaseException:
        _remove(beside)
        raise


def move_into_place(complete: Path, target: Path, *, overwrite: bool) -> None:
    """Rename a complete file or folder on the same disk to where it belongs.

    Parameters
    ----------
    complete
        The file or folder that is ready.
    target
        Its place, as ``path`` for :func:`write_atomically`.
    overwrite
        Replace what is there.

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
        raise file_error(error, target) from error


def remove_leftovers(folder: Path, name: str = "") -> None:
    """Clear away what a program that was killed has left half written: of the file ``name``, or of all.

    Only for whoever holds the folder or the file: another program's writing may be under way.

    Parameters
    ----------
    folder
        Where to look; folders in it are not searched.
    name
        Of the finished file, without its folder. If empty, what is half written of any file is removed.
    """
    label = glob.escape(_label(name)) if name else "*"
    for left in folder.glob(f".partial-????????-{label}"):
        _remove(left)
    for old in folder.glob(f".old-????????-{label}") if name else ():
        if os.path.lexists(folder / name):
            _remove(old)
        else:  # it was killed between the two renamings
            os.rename(old, folder / name)


def make_folder(path: Path) -> Path:
    """Make a folder and those above it, if they are not there; a power cut afterwards leaves them there.

    Parameters
    ----------
    path
        The folder.

    Raises
    ------
    FileError
        If it cannot be made.
    """
    made = [each for each in (path, *path.parents) if not each.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
        for each in reversed(made):
            flush_names(each.parent)
    except OSError as error:
        raise FileError(
            f"The folder {path} cannot be made: {error.strerror or error}. Choose another one."
        ) from error
    return path


def check_place(target: Path, *, overwrite: bool) -> None:
    """Check that something can be written there: before the work rather than after it.

    Parameters
    ----------
    target
        Where the file or folder is to be written.
    overwrite
        Whether something may be there already.

    Raises
    ------
    FileError
        If it exists and ``overwrite`` is False, or its folder is missing.
    """
    if not os.path.isdir(target.parent):
        raise FileError(f"The folder {target.parent} does not exist. Create it, or choose another.")
    if os.path.lexists(target) and not overwrite:
        raise FileError(
            f"{target} exists already. Choose another name, or allow it to be overwritten "
            "(--overwrite, overwrite=True)."
        )


def _neighbour(target: Path, purpose: str) -> Path:
    return target.with_name(f".{purpose}-{secrets.token_hex(4)}-{_label(target.name)}")


def _label(name: str) -> str:
    """What stands for a name in those of its unfinished files: no other name has the same.

    It ends as the name does, since libraries choose their format by that.
    """
    encoded = os.fsencode(name)
    if len(encoded) <= MAX_LABEL_BYTES:
        return name
    return f"{hashlib.sha256(encoded).hexdigest()[:16]}-{name[-20:]}"


def flush(written: Path) -> None:
    """Wait until a file, or a folder with all in it, is on the disk, so that a power cut leaves it whole.

    Parameters
    ----------
    written
        A file or a folder.
    """
    if not written.is_dir():
        with written.open("r+b") as stream:
            os.fsync(stream.fileno())
        return
    for each in written.iterdir():
        flush(each)
    flush_names(written)


def flush_names(folder: Path) -> None:
    """Wait until the names in a folder are on the disk: a power cut takes new ones away otherwise.

    Parameters
    ----------
    folder
        The folder; what the files in it hold is not waited for.
    """
    if os.name == "nt":  # which opens no folders
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (
            errno.EINVAL,
            errno.ENOTSUP,
            errno.EBADF,
        ):  # some network disks know no such thing
            raise
    finally:
        os.close(descriptor)


def _move(beside: Path, target: Path) -> None:
    old = None
    if target.is_dir() != beside.is_dir() and os.path.lexists(target):
        raise FileError(f"{target} is {'a folder' if target.is_dir() else 'a file'}. Choose another name.")
    if target.is_dir():
        # No system replaces a folder that is not empty in one step: the old one waits beside until the new
        # one is there.
        old = _neighbour(target, "old")
        os.rename(target, old)
    try:
        os.replace(beside, target)
    except BaseException:
        if old is not None:
            os.rename(old, target)
        raise
    flush_names(target.parent)
    if old is not None:
        _remove(old)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def file_error(error: OSError, target: Path) -> FileError:
    """What went wrong in writing ``target``, and what to do about it, as an error to raise.

    Parameters
    ----------
    error
        What the system, or a library, has raised.
    target
        The file or folder that was to be written, for the message.
    """
    unexplained = error.errno is None  # NumPy does not say why it wrote less than all
    if error.errno in (errno.ENOSPC, errno.EDQUOT) or (unexplained and room(target.parent) < FULL_BYTES):
        return DiskFullError(
            f"The disk is full: {target.name} does not fit into {target.parent}. Free some space "
            "there, or choose a folder on another disk."
        )
    return FileError(_explain(error, target))


def room(folder: Path) -> int:
    """Bytes that can still be written to the disk of a folder; many where nobody knows.

    Parameters
    ----------
    folder
        Any folder on that disk, which need not be made yet.
    """
    there = next((place for place in (folder, *folder.absolute().parents) if place.exists()), folder)
    try:
        return shutil.disk_usage(there).free
    except OSError:
        return 2**62


def check_room(folder: Path, needed: int) -> None:
    """Raise an error where so many bytes do not fit, before hours are spent on writing them.

    Parameters
    ----------
    folder
        Where they are to be written; it need not be made yet.
    needed
        Bytes.

    Raises
    ------
    DiskFullError
        If there is less room.
    """
    there = room(folder)
    if there < needed:
        raise DiskFullError(
            f"{folder} takes up to {needed / 1e9:.1f} GB, and its disk has room for {there / 1e9:.1f} GB. "
            "Free some space there, or choose a folder on another disk."
        )


def _explain(error: OSError, target: Path) -> str:
    match error.errno:
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
