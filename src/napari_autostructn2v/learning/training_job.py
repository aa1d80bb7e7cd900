"""What a training is of, and what of it outlives a graphics card that fails."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_autostructn2v.config import TrainingConfig
from napari_autostructn2v.events import Event
from napari_autostructn2v.learning.joint_data import JointTrainingData
from napari_autostructn2v.learning.model import Model
from napari_autostructn2v.learning.training_data import TrainingData
from napari_autostructn2v.learning.training_state import Best
from napari_autostructn2v.stack import Stack


@dataclass(eq=False)
class TrainingJob:
    """What is trained, and what of it is kept on the CPU in case the graphics card fails.

    Attributes
    ----------
    whole
        The stack; the first of several.
    stacks
        The part of it to train on; of each, if there are several.
    kernel
        bool (K, K) or (3, K, K): what is hidden together with a pixel.
    config
        Of the stage.
    seed
        Of weights and random numbers, 0 to 2**64 - 1.
    checkpoint
        File to save the state to and to go on from; None saves nothing.
    preview
        Slice that is looked at; None shows none.
    start
        Whose weights are gone on from; None for new ones.
    best
        The network to be kept so far, on the CPU.
    """

    whole: Stack
    stacks: tuple[Stack, ...]
    kernel: np.ndarray
    config: TrainingConfig
    seed: int
    checkpoint: Path | None
    preview: int | None
    start: Model | None = None
    best: Best | None = None

    @property
    def identity(self) -> dict[str, Any]:
        """What a checkpoint must be of, to be gone on from."""
        inputs = [
            [list(stack.input_shape), stack.normalisation.mean, stack.normalisation.std]
            for stack in self.stacks
        ]
        return {
            "input": inputs[0] if len(inputs) == 1 else inputs,
            "kernel": self.kernel.astype(int).tolist(),
            "settings": self.config.model_dump(),
            "seed": self.seed,
            **({} if self.start is None else {"start": self.start.weights_digest()}),
        }

    def data(self, device: torch.device) -> TrainingData:
        """What batches are drawn from.

        Parameters
        ----------
        device
            Where the network computes.
        """
        if len(self.stacks) == 1:
            return TrainingData(self.stacks[0], self.kernel, self.config, device, self.seed)
        return JointTrainingData(self.stacks, self.kernel, self.config, device, self.seed)

    def show(self, event: Event) -> Generator[Event, int | None, None]:
        """Yield an event; whoever watches may answer with the slice that is looked at.

        Parameters
        ----------
        event
            What has happened.
        """
        sent = yield event
        if sent is not None:
            self.preview = sent
