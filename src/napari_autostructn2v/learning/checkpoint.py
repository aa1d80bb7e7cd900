"""Checkpoints on disk: the last one, and the one before in case the last is damaged."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_autostructn2v.disk.atomic import write_atomically
from napari_autostructn2v.errors import RunFolderError

if TYPE_CHECKING:
    from torch import Tensor


def checkpoint_files(path: Path) -> tuple[Path, Path]:
    """The last checkpoint, at ``path``, and the one before.

    Parameters
    ----------
    path
        Where the last one is written.
    """
    return path, path.with_name(f"previous_{path.name}")


def write_checkpoint(path: Path, tensors: dict[str, Tensor], progress: dict[str, Any]) -> None:
    """Write a checkpoint; the one that is there becomes the one before.

    Parameters
    ----------
    path
        Of the checkpoint; the one before lies beside it.
    tensors
        State of network, optimizer and random numbers.
    progress
        The rest of it, JSON-able.

    Raises
    ------
    DiskFullError, FileError
        If it cannot be written; what is there stays.
    """
    from safetensors.torch import save

    last, before = checkpoint_files(path)
    tensors = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    text = json.dumps(progress)
    with write_atomically(last, overwrite=True) as beside:
        # not by save_file, whose error on a full disk is no OSError
        beside.write_bytes(save(tensors, metadata={"progress": text, "digest": _digest(text, tensors)}))
        # it has both names for a moment, so that it is never without; a kill in that moment leaves both
        if last.exists() and not (before.exists() and last.samefile(before)):
            with write_atomically(before, overwrite=True) as link:
                _link(last, link)


def read_checkpoint(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The progress and the tensors of the last checkpoint that is whole.

    Parameters
    ----------
    path
        As for :func:`write_checkpoint`.

    Raises
    ------
    RunFolderError
        If none is.
    """
    for file in checkpoint_files(path):
        content = _read(file)
        if content is not None:
            return content
    raise RunFolderError(f"The checkpoint {path} is damaged. Delete it to start this stage anew.")


def _read(file: Path) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="pt") as opened:
            metadata = opened.metadata()
            tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118 - no mapping
        text = metadata["progress"]
        return (json.loads(text), tensors) if metadata["digest"] == _digest(text, tensors) else None
    except (SafetensorError, OSError, KeyError, TypeError, ValueError):
        return None


def _digest(progress: str, tensors: dict[str, Tensor]) -> str:
    """A fingerprint of the content: the format itself notices a file cut short, but no changed number."""
    digest = hashlib.sha256(progress.encode())
    for key in sorted(tensors):
        digest.update(key.encode())
        digest.update(tensors[key].numpy().tobytes())
    return digest.hexdigest()


def _link(file: Path, name: Path) -> None:
    """The same file under another name as well; a copy where the disk knows no links."""
    try:
        os.link(file, name)
    except OSError:
        shutil.copyfile(file, name)
