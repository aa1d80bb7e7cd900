"""What a training draws its batches from: patches of the stack, their blind spots, and held-out cells."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from napari_autostructn2v.config import TrainingConfig
from napari_autostructn2v.learning import distributed
from napari_autostructn2v.learning.blindspot import (
    allowed_flips,
    at_sites,
    choose_sites,
    hidden_pixels,
    kernel_offsets,
    replace_hidden,
    sites_per_patch,
)
from napari_autostructn2v.learning.device import mixed_precision
from napari_autostructn2v.stack import Stack

MAX_TRAINING_VOXELS = 2**28
"""Voxels held in memory for training (1 GiB as float32): of larger stacks, evenly spread slices."""

REDRAWS = 4
"""How often a patch is drawn anew whose middle was never measured."""

HELD_OUT_SHARE = 1 / 16
HELD_OUT_CELL = 32


class Batch(NamedTuple):
    """Patches of a stack, and the blind spots in them that are asked about.

    Attributes
    ----------
    patches
        As they are in the stack, (B, C, H, W): C slices, of which the middle one is to be predicted.
    sites
        Blind spots, (B, n, 2): y, x.
    counts
        Which of them count, bool (B, n).
    total
        How many do in the whole batch of which this may be a part.
    """

    patches: Tensor
    sites: Tensor
    counts: Tensor
    total: Tensor

    def micro_batches(self, count: int) -> list[Batch]:
        """The batch in so many parts, whose losses add up to that of the batch.

        Parameters
        ----------
        count
            Number of parts; fewer come out where there are not as many patches.
        """
        return [
            self._replace(patches=patches, sites=sites, counts=counts)
            for patches, sites, counts in zip(
                *(each.chunk(count) for each in (self.patches, self.sites, self.counts)), strict=True
            )
        ]

    def squared_errors(self, predicted: Tensor) -> Tensor:
        """How far a prediction (B, H, W) is from the stack at each blind spot, squared, (B, n).

        Parameters
        ----------
        predicted
            What the network makes of the patches, float (B, H, W).
        """
        target = self.patches[:, self.patches.shape[1] // 2]
        return (at_sites(predicted, self.sites) - at_sites(target, self.sites)).square()

    def loss(self, predicted: Tensor) -> Tensor:
        """Mean squared error of a prediction (B, H, W) at the blind spots that count.

        Parameters
        ----------
        predicted
            What the network makes of the patches, float (B, H, W).
        """
        return (self.squared_errors(predicted) * self.counts).sum() / self.total


class TrainingData:
    """What batches are drawn from: the slices of a stack, kept where the network computes.

    Part of the stack is held out in cells of some 32 × 32 pixels: seen as surroundings, like everything else,
    but never the answer a network is trained towards. The validation asks for just these pixels, at sites
    drawn once, so that the losses of two moments differ by the network alone.

    Parameters
    ----------
    stack
        Shape (Z, Y, X); of more than :data:`MAX_TRAINING_VOXELS`, evenly spread slices are taken.
    kernel
        bool (K, K), or (3, K, K) for 2.5D: what is hidden together with a pixel.
    config
        Of the stage: the size of patches and batches, and how much of a patch is hidden.
    device
        Where the network computes.
    seed
        Of the held-out cells and of the blind spots in them.
    patch
        Side of a patch in pixels, where other stacks have room for no more; None for that of ``config``.
    stacks
        How many are trained on together: each may take its part of the memory, and of the validation patches.

    Attributes
    ----------
    slices
        Values of the n slices that are taken, normalised, float32 (n, Y, X).
    groups
        Which of them a network sees together, int64 (m, C): one slice, or three neighbours. The middle one
        is the one that it predicts.
    measured
        Pixels of the middle slices that were measured, bool (m, Y, X): no others are asked for. None if all
        were.
    held
        Cells that are held out, bool (m, rows, columns): of a group, and of a grid over its middle slice.
    cell
        Side of such a cell in pixels.
    patch
        Side of a patch in pixels.
    batch
        Patches that this process draws for a step.
    count
        Blind spots in a patch.
    offsets
        Of the kernel's pixels from its centre.
    flips
        Of slices, rows and columns, that leave the noise as the kernel says it is, bool (f, 3).
    validation
        The batch in the held-out cells.
    """

    def __init__(
        self,
        stack: Stack,
        kernel: np.ndarray,
        config: TrainingConfig,
        device: torch.device,
        seed: int,
        *,
        patch: int | None = None,
        stacks: int = 1,
    ) -> None:
        depth, height, width = stack.shape
        self.patch = patch or patch_side([stack], config)
        self.batch = -(-config.batch_size // distributed.world_size())
        self.offsets = kernel_offsets(kernel, device)
        self.count = sites_per_patch(kernel, self.patch, config.masked_share, config.centre_share)
        self.flips = torch.tensor(allowed_flips(kernel), device=device)

        # evenly spread slices where the stack is larger than the memory it may take
        per_slice = height * width * (3 if kernel.ndim == 3 else 1)
        chosen = min(depth, max(1, MAX_TRAINING_VOXELS // stacks // per_slice))
        centres = np.unique(np.linspace(0, depth - 1, chosen).round().astype(int))
        groups = [stack.neighbours(int(z)) if kernel.ndim == 3 else (int(z),) for z in centres]
        planes = sorted({z for group in groups for z in group})
        self.slices = torch.from_numpy(stack.normalised(planes)).to(device)
        index = {z: i for i, z in enumerate(planes)}
        groups = [group for group in groups if stack.is_measured(group[len(group) // 2])]
        measured = _measured(stack, [group[len(group) // 2] for group in groups])
        self.measured = None if measured is None else torch.from_numpy(measured).to(device)
        self.groups = torch.tensor([[index[z] for z in group] for group in groups], device=device)

        self.cell = min(HELD_OUT_CELL, self.patch // 2)
        rng = np.random.default_rng(seed)
        grid = (len(groups), -(-height // self.cell), -(-width // self.cell))
        candidates = np.arange(math.prod(grid))
        if measured is not None:
            candidates = candidates[_half_measured(measured, grid, self.cell).ravel()]
        held_out = max(1, round(HELD_OUT_SHARE * len(candidates)))
        cells = rng.permutation(candidates)[:held_out]
        held = np.zeros(grid, dtype=bool)
        held.flat[cells] = True
        self.held = torch.from_numpy(held).to(device)
        asked = -(-config.validation_patches // stacks)
        corners = np.stack(np.unravel_index(cells[:asked], grid), axis=1)
        self.validation = self._validation(torch.from_numpy(corners).to(device), seed)

    def draw(self, generator: torch.Generator, count: int | None = None) -> Batch:
        """A training batch: random patches, each through an allowed flip, with new random sites.

        Parameters
        ----------
        generator
            Of random numbers, on the device of the data.
        count
            How many patches; None for a whole batch.
        """
        number = self.batch if count is None else count

        def below(limit: int) -> Tensor:
            device = self.slices.device
            return torch.randint(0, limit, (number,), generator=generator, device=device)

        places = [self.groups.shape[0], *(size - self.patch + 1 for size in self.slices.shape[1:])]
        corners = torch.stack([below(count) for count in places], dim=1)
        if self.measured is not None:
            for _ in range(REDRAWS):
                middle = self.measured[corners[:, 0], *(corners[:, 1:] + self.patch // 2).T]
                again = torch.stack([below(count) for count in places], dim=1)
                corners = torch.where(middle[:, None], corners, again)
        flips = self.flips[below(len(self.flips))]
        return self._batch(corners, flips, choose_sites(number, self.count, self.patch, generator))

    def hide(self, batch: Batch) -> Tensor:
        """What the network is shown of a batch, (B, C, H, W): all but the kernel laid on each blind spot.

        Parameters
        ----------
        batch
            Whose blind spots are hidden; it stays as it is.
        """
        hidden = hidden_pixels(batch.patches.shape, batch.sites, self.offsets)
        return replace_hidden(batch.patches, hidden).contiguous(memory_format=torch.channels_last)

    def validate(self, network: Callable[[Tensor], Tensor], micro_batches: int = 1) -> Tensor:
        """Mean squared error at the held-out sites of each validation patch, on the CPU, (patches,).

        Parameters
        ----------
        network
            From (B, C, H, W) to (B, H, W).
        micro_batches
            So many parts are computed one after the other.
        """
        losses = []
        for part in self.validation.micro_batches(micro_batches):
            masked = self.hide(part)
            with mixed_precision(masked.device):
                predicted = network(masked)
            errors = part.squared_errors(predicted) * part.counts
            losses.append(errors.sum(dim=1) / part.counts.sum(dim=1).clamp_min(1))
        return torch.cat(losses).cpu()

    def _batch(self, corners: Tensor, flips: Tensor, sites: Tensor) -> Batch:
        """Patches that are read in the order in which their flips show them.

        Parameters
        ----------
        corners
            Slice, first row and first column of each, (B, 3).
        flips
            Of slices, rows and columns, bool (B, 3).
        sites
            In the patches as they are shown, (B, n, 2).
        """
        height, width = self.slices.shape[1:]
        channels = self.groups.shape[1]

        def along(axis: int, positions: Tensor, size: int) -> Tensor:
            return torch.where(flips[:, axis, None], size - 1 - positions, positions)

        side = torch.arange(self.patch, device=corners.device)
        slices = along(0, torch.arange(channels, device=corners.device), channels)
        z = self.groups[corners[:, 0, None], slices]
        y = corners[:, 1, None] + along(1, side, self.patch)
        x = corners[:, 2, None] + along(2, side, self.patch)
        pixels = (z[:, :, None, None] * height + y[:, None, :, None]) * width + x[:, None, None, :]
        patches = self.slices.flatten().index_select(0, pixels.flatten()).view(pixels.shape)
        site_y = corners[:, 1, None] + along(1, sites[..., 0], self.patch)
        site_x = corners[:, 2, None] + along(2, sites[..., 1], self.patch)
        counts = ~self.held[corners[:, 0, None], site_y // self.cell, site_x // self.cell]
        if self.measured is not None:
            counts &= self.measured[corners[:, 0, None], site_y, site_x]
        return Batch(patches, sites, counts, total=counts.sum().clamp_min(1))

    def _validation(self, cells: Tensor, seed: int) -> Batch:
        height, width = self.slices.shape[1:]
        start = cells[:, 1:] * self.cell
        end = torch.minimum(start + self.cell, torch.tensor([height, width], device=cells.device))
        middle = (start + end) // 2 - self.patch // 2
        limit = torch.tensor([height - self.patch, width - self.patch], device=cells.device)
        corner = torch.minimum(middle.clamp_min(0), limit)
        generator = torch.Generator(cells.device).manual_seed(seed)
        count = max(1, round(self.count * (self.cell / self.patch) ** 2))
        unit = torch.rand((len(cells), count, 2), generator=generator, device=cells.device)
        sites = (unit * (end - start)[:, None]).long() + (start - corner)[:, None]
        corners = torch.cat([cells[:, :1], corner], dim=1)
        flips = torch.zeros((len(cells), 3), dtype=torch.bool, device=cells.device)
        counts = torch.ones(sites.shape[:2], dtype=torch.bool, device=cells.device)
        if self.measured is not None:
            counts = self.measured[corners[:, 0, None], *(corners[:, 1:, None] + sites.mT).unbind(1)]
        batch = self._batch(corners, flips, sites)
        return batch._replace(counts=counts, total=counts.sum().clamp_min(1))


def patch_side(stacks: Sequence[Stack], config: TrainingConfig) -> int:
    """Side of the patches that all of some stacks have room for, in pixels.

    Parameters
    ----------
    stacks
        Of shape (Z, Y, X).
    config
        Of the stage: the side that is asked for, and how often the network halves the resolution.
    """
    multiple = 2**config.depth
    smallest = min(min(stack.shape[1:]) for stack in stacks)
    return min(config.patch_size, smallest // multiple * multiple)


def _measured(stack: Stack, slices: list[int]) -> np.ndarray | None:
    """Which pixels of some slices were measured, bool (m, Y, X); None if all were."""
    found = [stack.unmeasured(z) for z in slices]
    if not any(found):
        return None
    measured = np.ones((len(slices), *stack.shape[1:]), dtype=bool)
    for of_slice, unmeasured in zip(measured, found, strict=True):
        if unmeasured is not None:
            of_slice &= ~unmeasured.pixels
    return measured


def _half_measured(measured: np.ndarray, grid: tuple[int, int, int], cell: int) -> np.ndarray:
    """Cells of a grid over the slices in which at least half of the pixels were measured, bool ``grid``."""
    counts = np.zeros(grid, dtype=np.int64)
    for of_slice, plane in zip(counts, measured, strict=True):
        rows = np.add.reduceat(plane.astype(np.int64), np.arange(0, plane.shape[0], cell), axis=0)
        of_slice[...] = np.add.reduceat(rows, np.arange(0, plane.shape[1], cell), axis=1)
    return 2 * counts >= cell**2
