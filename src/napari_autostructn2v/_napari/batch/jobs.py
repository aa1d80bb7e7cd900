"""The work of a queue as jobs: a model is loaded, a stack denoised with it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from napari_autostructn2v._napari.session.jobs import Stream
from napari_autostructn2v.errors import FileError
from napari_autostructn2v.events import Event, Notice
from napari_autostructn2v.io import Heading, VoxelSize
from napari_autostructn2v.io.image import stack_name
from napari_autostructn2v.stack import as_stack

if TYPE_CHECKING:
    from napari_autostructn2v.learning.model import Model


class Opened(Protocol):
    """Data with a name and perhaps a voxel size, of which slices are read when they are asked for."""

    @property
    def array(self) -> Any: ...

    @property
    def name(self) -> str: ...

    @property
    def voxel_size(self) -> VoxelSize | None: ...

    @property
    def heading(self) -> Heading | None: ...

    @property
    def notices(self) -> tuple[str, ...]: ...


@dataclass(frozen=True)
class Destination:
    """The folder that results go to as files.

    ``forbidden`` are the files that must not be replaced even if others may: sources, and other results.
    ``others`` are the other stacks, whose results are to have names of their own.
    """

    folder: Path
    ending: str
    replace: bool
    forbidden: frozenset[Path]
    others: tuple[Path, ...] = ()


@dataclass(frozen=True, eq=False)
class Applied:
    """What a model made of a stack: an array in memory, or a file."""

    source: Opened
    denoised: np.ndarray | None = None
    path: Path | None = None


def load(path: Path) -> Stream:
    """Load a model, which takes a while when it is the first use of torch."""
    yield Notice(f"Loading {path.name} …")
    from napari_autostructn2v.learning.model import load_model

    return load_model(path)


def apply_model(
    opened: Callable[[], Opened], model: Model, recovery: float, destination: Destination | None
) -> Generator[Event, Any, Applied]:
    """Open a stack and denoise it with a trained model, into memory if there is no destination."""
    from napari_autostructn2v.apply import denoise_to_file, result_paths
    from napari_autostructn2v.pipeline import denoise_with

    source = opened()
    if destination is None:
        denoised = yield from denoise_with(as_stack(source.array, model.mode), model, recovery=recovery)
        return Applied(source, denoised=denoised)
    origin = getattr(source, "path", None)
    stacks = [(source.name, origin), *((stack_name(other), other) for other in destination.others)]
    path = result_paths(stacks, destination.folder, destination.ending)[0]
    if path.resolve() in destination.forbidden:
        raise FileError(
            f"{path} is the source or the result of another entry. Choose another ending or folder."
        )
    yield from denoise_to_file(
        source.array,
        model,
        path,
        voxel_size=source.voxel_size,
        heading=source.heading,
        recovery=recovery,
        overwrite=destination.replace,
    )
    return Applied(source, path=path)
