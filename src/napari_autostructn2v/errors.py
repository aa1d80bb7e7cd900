"""Errors that a user can act on, and their words: what is wrong and what to do about it."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class AutoStructN2VError(Exception):
    """Base of every error this package raises on purpose."""


class StackError(AutoStructN2VError, ValueError):
    """The array given as a stack cannot be denoised as it is."""


class MostlyBlankError(StackError):
    """Most of the stack would be left out: a person has to say that this is meant.

    Parameters
    ----------
    found
        What was found, in sentences.
    """

    def __init__(self, found: str) -> None:
        super().__init__(found)
        self.found = found

    def __str__(self) -> str:
        return f"{self.found} If that is meant, start again; on the command line, with --mostly-blank."


class KernelError(AutoStructN2VError, ValueError):
    """The kernel is not a blind spot: wrong shape, even size, or no centre."""


class ConfigError(AutoStructN2VError, ValueError):
    """A setting is unknown or out of range."""


class ModelError(AutoStructN2VError, ValueError):
    """A model bundle is damaged, or was made for another kind of input."""


class FileError(AutoStructN2VError, OSError):
    """A file cannot be read or written."""


class DiskFullError(FileError):
    """There is no room for a file. It can be written once there is."""


class BusyError(AutoStructN2VError, RuntimeError):
    """Another program, or another window, is writing to the same place."""


class DeviceError(AutoStructN2VError, RuntimeError):
    """The compute device asked for is not there."""


class TrainingError(AutoStructN2VError, RuntimeError):
    """A training went wrong, and again after it was taken back."""


class RunFolderError(AutoStructN2VError, ValueError):
    """The run folder belongs to another input or other settings, or is damaged."""


class WorkListError(AutoStructN2VError, ValueError):
    """A list of stacks names what is not there, or what cannot be done."""


class MissingLibraryError(AutoStructN2VError, ImportError):
    """A library that only some people need is not installed."""


class ClusterError(AutoStructN2VError, RuntimeError):
    """The workers among which the work is divided cannot be reached, or do not survive it."""


def is_foreseen(error: BaseException) -> bool:
    """Whether a person can do something about it: it is one of our own, or a full disk and the like.

    Parameters
    ----------
    error
        Of any kind.
    """
    return isinstance(error, AutoStructN2VError) or _from_outside(error) is not None


def is_worth_a_report(error: BaseException) -> bool:
    """Whether those who make the program can learn from an error.

    They cannot where it says of the person's own data, files or settings what to change.

    Parameters
    ----------
    error
        What was raised.
    """
    return not isinstance(error, AutoStructN2VError) or isinstance(error, DeviceError | TrainingError)


def explain(error: BaseException) -> str:
    """What went wrong and what to do about it, whatever was raised.

    Parameters
    ----------
    error
        Of any kind.
    """
    if isinstance(error, AutoStructN2VError):
        return str(error)
    known = _from_outside(error)
    if known is not None:
        return known
    words = " ".join(str(error).split())[:300]
    return (
        f"Something went wrong that should not: {type(error).__name__}{': ' if words else ''}{words}. "
        "Try again; if it comes back, report it."
    )


def _from_outside(error: BaseException) -> str | None:
    """What an error of the system or of a library means, if it is one that is known."""
    text = str(error).lower()
    # torch's own class is told by its name: importing torch takes seconds
    if type(error).__name__ == "OutOfMemoryError" or (
        isinstance(error, RuntimeError) and "out of memory" in text
    ):
        return (
            "The graphics card has not enough memory. Close what else uses it, choose a smaller patch or "
            "batch, or compute on the processor (device cpu)."
        )
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "allocate memory" in text):
        return "There is not enough memory. Close other programs, or crop the stack."
    if not isinstance(error, OSError) or error.errno is None:
        return None
    where = "" if error.filename is None else f" ({error.filename})"
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return f"The disk is full{where}. Free some space, or choose a folder on another disk."
        case errno.EROFS:
            return f"The disk is read-only{where}. Choose a folder on another one."
        case errno.EACCES | errno.EPERM:
            return (
                f"There is no permission{where}. Choose a folder of your own, or close the program that has "
                "the file open."
            )
        case errno.ENOENT:
            return f"A file or folder is not there any more{where}. Check that its disk is connected."
        case errno.EMFILE | errno.ENFILE:
            return "Too many files are open. Close other programs, or restart this one."
        case _:
            return f"A file cannot be read or written: {error.strerror}{where}. Is its disk connected?"


def plural(count: int, noun: str) -> str:
    """A count with its noun, as ``1 pixel`` or ``3 pixels``.

    Parameters
    ----------
    count
        How many.
    noun
        Of one; an s makes it several.
    """
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


_IN_WORDS = {
    "region": "background",
    "left_out": "pixels left out",
    "box": "part to train on",
    "config": "settings",
}


def refuse_if_different(folder: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to go on in a folder that holds other work.

    Parameters
    ----------
    folder
        Of a run, or of work that many share.
    before
        What decides the result of the work that is there.
    now
        The same of the work that is to be done. Names of entries about the input begin with ``input``.

    Raises
    ------
    RunFolderError
        If entries differ, or only one of the two has them.
    """
    if before != now:
        shared = before.keys() & now.keys()
        different = [key for key in {**now, **before} if key not in shared or before[key] != now[key]]
        names = dict.fromkeys(
            "input" if key.startswith("input") else _IN_WORDS.get(key, key) for key in different
        )
        raise RunFolderError(
            f"The folder {folder} belongs to another run, with other values of: {', '.join(names)}. "
            "Choose another folder, give the same as then, or delete this one."
        )
