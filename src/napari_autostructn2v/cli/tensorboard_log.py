"""The stream of events as a log that TensorBoard shows: losses as curves, a slice as pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from napari_autostructn2v.errors import MissingLibraryError
from napari_autostructn2v.events import Event, Notice, Preview, Stage, StageStarted, Step, Validation
from napari_autostructn2v.stack import as_stack

CONTRAST = (0.5, 99.5)
"""Percentiles of the slice as it was recorded that are shown black and white, in all pictures alike."""


class TensorBoardLog:
    """Writes losses and a slice of the stack, as it is denoised better and better.

    Parameters
    ----------
    folder
        Where the log is written.
    stack
        Shape (Z, Y, X) or (Y, X).

    Attributes
    ----------
    z
        The slice that is shown, the middle one.

    Raises
    ------
    MissingLibraryError
        If TensorBoard is not installed.
    """

    def __init__(self, folder: Path, stack: Any) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as missing:
            raise MissingLibraryError(
                "To write a log for TensorBoard, tensorboard must be installed: "
                "pip install 'napari-autostructn2v[tensorboard]'"
            ) from missing
        slices = as_stack(stack)
        self.z = slices.shape[0] // 2
        recorded = slices.raw(self.z)
        self._black, self._white = np.nanpercentile(recorded, CONTRAST)
        self._stage: Stage = "survey"
        self._writer = SummaryWriter(str(folder))
        self._picture("recorded", recorded, 0)

    def show(self, event: Event) -> None:
        """Write what an event says, if it is one of those that are logged.

        Parameters
        ----------
        event
            Of the stream.
        """
        match event:
            case StageStarted(stage=stage):
                self._stage = stage
            case Step(step=step, loss=loss):
                self._scalar("training loss", loss, step)
            case Validation(step=step, loss=loss):
                self._scalar("validation loss", loss, step)
            case Preview(step=step, denoised=denoised):
                self._picture(f"{self._stage}/denoised", denoised, step)
            case Notice(message=message):
                self._writer.add_text("notices", message)

    def close(self) -> None:
        """Write what is still to be written."""
        self._writer.close()

    def _scalar(self, name: str, value: float, step: int) -> None:
        self._writer.add_scalar(f"{self._stage}/{name}", value, step)

    def _picture(self, name: str, values: np.ndarray, step: int) -> None:
        span = max(self._white - self._black, np.finfo(np.float32).tiny)
        grey = np.nan_to_num(np.clip((values - self._black) / span, 0, 1))
        self._writer.add_image(name, grey, step, dataformats="HW")
