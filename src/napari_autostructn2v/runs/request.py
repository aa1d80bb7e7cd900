"""What a run is asked: everything that decides its result, but for the values of the stack."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from napari_autostructn2v.box import Box
from napari_autostructn2v.config import Config, Mode
from napari_autostructn2v.io import VoxelSize
from napari_autostructn2v.kernel import validate_kernel
from napari_autostructn2v.learning.model import Model
from napari_autostructn2v.runs.record import Record


class Origin(Protocol):
    """Where a stack came from: an opened file, or data in memory that have a name."""

    @property
    def array(self) -> Any:
        """Shape (Z, Y, X) or (Y, X)."""

    @property
    def voxel_size(self) -> VoxelSize | None:
        """If known."""

    @property
    def name(self) -> str:
        """Without folder and suffix."""

    @property
    def path(self) -> Path | None:
        """The file; None if there is none."""


@dataclass(frozen=True, eq=False)
class RunRequest:
    """What a run is asked.

    Attributes
    ----------
    mode
        ``"2d"`` slice by slice, or ``"2.5d"``, which predicts a slice from its neighbours too.
    config
        Settings of both stages and of the analysis.
    kernel
        Blind spot for Stage 2, bool (K, K) or (3, K, K); None if it is to be found.
    region
        Where the stack shows nothing but noise, bool (Y, X) or (Z, Y, X); None if it is to be found.
    left_out
        Pixels that are left out by hand, bool (Y, X) or (Z, Y, X); None if there are none.
    box
        Part of the stack to train on, and to look for noise in; None for all of it.
    seed
        Of all that is drawn by chance.
    mostly_blank
        Whether a person has said that most of the stack is to be left out.
    source
        Where the stack came from; None if that is not known.
    together
        Fingerprints of all stacks that are trained on together, this one among them; empty if it is alone.
    start
        Model whose weights the training goes on from; None trains from nothing.
    output
        Where the result is to go, for who finishes the run from its folder alone; None if that was not said.
    """

    mode: Mode
    config: Config
    kernel: np.ndarray | None = None
    region: np.ndarray | None = None
    left_out: np.ndarray | None = None
    box: Box | None = None
    seed: int = 0
    mostly_blank: bool = False
    source: Origin | None = None
    output: Path | None = None
    together: tuple[str, ...] = ()
    start: Model | None = None

    @property
    def name(self) -> str:
        """Of the input; empty if it has none."""
        return "" if self.source is None else self.source.name

    @property
    def voxel_size(self) -> VoxelSize | None:
        """Of the input, if known."""
        return None if self.source is None else self.source.voxel_size

    def settings(self) -> dict[str, Any]:
        """The settings as they stand in ``run.json``; :meth:`from_record` reads them."""
        return {
            "mode": self.mode,
            "kernel": None if self.kernel is None else self.kernel.astype(int).tolist(),
            "box": None if self.box is None else [list(s) for s in (self.box.z, self.box.y, self.box.x)],
            "config": self.config.model_dump(),
            "together": list(self.together),
            "start": None if self.start is None else self.start.weights_digest(),
        }

    @classmethod
    def from_record(
        cls, record: Record, region: np.ndarray | None, left_out: np.ndarray | None, start: Model | None
    ) -> RunRequest:
        """The request of a run that is on disk, but for its source, which may be gone.

        Parameters
        ----------
        record
            What ``run.json`` says.
        region, left_out, start
            As in the request: they are in files of their own.

        Raises
        ------
        ValueError
            If the record holds no kernel where there should be one.
        """
        return cls(
            mode=record.mode,
            config=record.config,
            kernel=None if record.kernel is None else validate_kernel(record.kernel),
            region=region,
            left_out=left_out,
            box=None if record.box is None else Box(*record.box),
            seed=record.seed,
            together=tuple(record.together),
            start=start,
            output=None if record.output is None else Path(record.output),
        )
