"""What a training on several stacks draws its batches from: of each as much as of any other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from napari_autostructn2v.config import TrainingConfig
from napari_autostructn2v.learning.training_data import Batch, TrainingData, patch_side
from napari_autostructn2v.stack import Stack


class JointTrainingData(TrainingData):
    """The same as :class:`TrainingData`, of several stacks, each normalised by itself.

    A patch comes from any of the stacks with the same probability, however large they are. All of them
    together take the memory of one.

    Parameters
    ----------
    stacks
        Each of shape (Z, Y, X).
    kernel, config, device, seed
        As for :class:`TrainingData`.
    """

    def __init__(
        self,
        stacks: Sequence[Stack],
        kernel: np.ndarray,
        config: TrainingConfig,
        device: torch.device,
        seed: int,
    ) -> None:
        side = patch_side(stacks, config)
        self._of_each = [
            TrainingData(stack, kernel, config, device, seed, patch=side, stacks=len(stacks))
            for stack in stacks
        ]
        first = self._of_each[0]
        # how blind spots are hidden is the same for all
        self.offsets, self.batch, self.patch = first.offsets, first.batch, first.patch
        self.validation = together([each.validation for each in self._of_each])

    def draw(self, generator: torch.Generator, count: int | None = None) -> Batch:
        """A training batch, of which each patch comes from a stack that is drawn by chance.

        Parameters
        ----------
        generator
            Of random numbers, on the device of the data.
        count
            How many patches; None for a whole batch.
        """
        number = self.batch if count is None else count
        drawn = torch.randint(0, len(self._of_each), (number,), generator=generator, device=generator.device)
        counts = torch.bincount(drawn, minlength=len(self._of_each)).tolist()
        parts = [
            each.draw(generator, count) for each, count in zip(self._of_each, counts, strict=True) if count
        ]
        return together(parts)


def together(batches: Sequence[Batch]) -> Batch:
    """Several batches as one.

    Parameters
    ----------
    batches
        Of patches of one size, with as many blind spots each.
    """
    patches, sites, counts = (
        torch.cat([getattr(batch, part) for batch in batches]) for part in ("patches", "sites", "counts")
    )
    return Batch(patches, sites, counts, total=counts.sum().clamp_min(1))
