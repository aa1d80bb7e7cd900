"""The input of a run: what tells it from others, and finding it again."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_autostructn2v.errors import AutoStructN2VError, FileError, MissingLibraryError, RunFolderError
from napari_autostructn2v.io import ImageFile, read_stack
from napari_autostructn2v.stack import Stack, as_stack


def slices_digest(stack: Stack) -> str:
    """A fingerprint of the first, the middle and the last slice.

    Parameters
    ----------
    stack
        The input of a run.
    """
    depth = stack.shape[0]
    digest = hashlib.sha256()
    for z in sorted({0, depth // 2, depth - 1}):
        digest.update(stack.raw(z).astype(stack.scale.dtype).tobytes())
    return digest.hexdigest()


def file_facts(path: Path | None) -> dict[str, Any]:
    """Where the input is, its size in bytes and when it was last changed, in nanoseconds since 1970.

    Parameters
    ----------
    path
        Of the input; None if it is in no file.
    """
    facts: dict[str, Any] = {"input_path": None if path is None else str(path.resolve())}
    if path is not None and path.is_file():
        status = path.stat()
        facts |= {"input_bytes": status.st_size, "input_modified": status.st_mtime_ns}
    return facts


def find_input(record: dict[str, Any], copy: Path) -> ImageFile:
    """The input of the run of that record, where it was, or as a copy in the run folder.

    Parameters
    ----------
    record
        What ``run.json`` says.
    copy
        Where the copy is, if there is one.

    Raises
    ------
    RunFolderError
        If it is there no more, or was changed since.
    """
    path = Path(record["input_path"]) if record.get("input_path") else None
    found = [image for place in (path, copy) if (image := readable(place)) is not None]
    for image in found:
        if is_input(image, record):
            name = record.get("input") or image.name
            return replace(image, name=name)
    if path is None:
        raise RunFolderError(
            "The input of the run is in no file. Start it again from the data it was made of."
        )
    if found:
        raise RunFolderError(f"The input of the run, {path}, was changed since. Bring back what it was.")
    raise RunFolderError(
        f"The input of the run, {path}, is not there any more. Move it back, or open the run's folder in "
        "napari to see the results alone."
    )


def is_input(image: ImageFile, record: dict[str, Any]) -> bool:
    """Whether these are the data that the record speaks of.

    Parameters
    ----------
    image
        An opened file.
    record
        What ``run.json`` says, or its entries about the input.
    """
    if list(image.array.shape) != record["input_shape"]:
        return False
    try:
        digest = slices_digest(as_stack(image.array))
    except AutoStructN2VError:
        return False
    return bool(record.get("input_slices", digest) == digest)  # records of earlier versions have none


def readable(path: Path | None) -> ImageFile | None:
    """The stack in a file; None if there is none that can be read.

    Parameters
    ----------
    path
        The file; None if there is none.
    """
    try:
        return None if path is None else read_stack(path)
    except (FileError, MissingLibraryError):
        return None
