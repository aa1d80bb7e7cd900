"""Apply a trained model to a stack, slice by slice, each slice in tiles where it is large."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from napari_autostructn2v.events import Notice, SliceDone
from napari_autostructn2v.learning.blindspot import allowed_flips, through_flip
from napari_autostructn2v.learning.device import (
    choose_device,
    freed_memory_kept,
    give_back_memory,
    is_lost,
    is_out_of_memory,
    mixed_precision,
)
from napari_autostructn2v.learning.model import Model
from napari_autostructn2v.learning.network import UNet, halo
from napari_autostructn2v.scale import Normalisation
from napari_autostructn2v.stack import Stack, as_stack
from napari_autostructn2v.threads import AHEAD, in_background
from napari_autostructn2v.tiling import Tile, best_tile_size
from napari_autostructn2v.tiling import tiles as cut

TILE_VALUES = 2**25
"""Values of the network's widest layer of features that are computed at once: some 0.3 GB in float32 with all
that hangs on it. What is larger is tiled. Smaller tiles cost time, as each computes its halo as well."""

BATCH_VALUES = 2**24
"""The same for slices that a GPU gets at once; a CPU gains nothing by more than one."""

FEWEST_PIXELS = 2**14
"""Pixels of the smallest tile that is tried before giving up for want of memory."""


def predict(
    stack: Any,
    model: Model,
    *,
    device: str = "auto",
    out: Any = None,
    first: int = 0,
    average: bool = False,
    mixed: bool = True,
) -> Generator[SliceDone | Notice, None, Any]:
    """Denoise a stack with a trained model.

    Nothing is hidden here: the network sees every pixel, which is better and faster than predicting blind.
    While it computes, the next slices are read and the last ones written.

    Parameters
    ----------
    stack
        Shape (Z, Y, X) or (Y, X), any array that can be sliced. Each slice is read once, in order.
    model
        From :func:`~napari_autostructn2v.learning.training.train` or
        :func:`~napari_autostructn2v.learning.model.load_model`.
    device
        As for :func:`~napari_autostructn2v.learning.device.choose_device`.
    out
        Where slices are written as they are done: an array of the input's shape. In memory if None,
        float32 where that holds the values (:class:`~napari_autostructn2v.scale.Scale`), else float64.
    first
        Slice to begin with; those before it are in ``out`` already.
    average
        Whether to average what the network makes of the stack and of its mirror images, those that leave the
        noise as the kernel says it is: some tenths of a decibel for two to eight times the time.
    mixed
        Whether to compute in bfloat16 where the hardware has it, for twice the speed and a change far below
        the noise that is left; if not, float32 throughout, which newer graphics cards multiply as TF32.

    Yields
    ------
    SliceDone
        After each slice.
    Notice
        If the graphics card fails: it goes on on the processor.

    Returns
    -------
    array
        ``out``, in the value scale of the input.

    Raises
    ------
    StackError
        If the stack does not suit the model, or nothing of it was measured.
    DeviceError
        If the device is not there.
    """
    stack = as_stack(stack, model.mode, model.config.depth)
    if out is None:
        out = np.empty(stack.input_shape, dtype=stack.scale.dtype)
    if first == stack.shape[0]:
        return out
    shown = stack if model.notch is None else model.notch.apply(stack)
    torch_device = choose_device(device)
    normalisation = model.normalisation_of(shown).inner(stack.scale)
    network = network_on(torch_device, model, average=average)
    depth, height, width = stack.shape
    at_once = (
        max(1, BATCH_VALUES // (height * width * network.head.in_channels))
        if torch_device.type != "cpu"
        else 1
    )

    def write(z: int, plane: np.ndarray) -> None:
        out[z if len(stack.input_shape) == 3 else ...] = stack.restored(z, plane)

    images = in_background(Inputs(shown, model.mode == "2.5d"), range(first, depth))
    written: deque[tuple[int, Future[None]]] = deque()
    try:
        with (
            freed_memory_kept(torch_device),
            closing(images),
            ThreadPoolExecutor(1, "writing") as writer,
        ):
            for begin in range(first, depth, at_once):
                batch = np.stack([next(images) for _ in range(begin, min(begin + at_once, depth))])
                try:
                    planes = denoise_images(batch, network, normalisation, torch_device, mixed=mixed)
                    reason = ""
                except RuntimeError as error:
                    if not is_lost(error):
                        raise
                    reason = str(error).splitlines()[0]
                if reason:
                    torch_device = torch.device("cpu")  # nothing is read from the card
                    network = network_on(torch_device, model, average=average)
                    yield Notice(
                        f"The graphics card has failed ({reason}). The prediction goes on on the processor, "
                        "from the slice it was at; that takes longer."
                    )
                    planes = denoise_images(batch, network, normalisation, torch_device, mixed=mixed)
                for z, plane in enumerate(planes, begin):
                    written.append((z, writer.submit(write, z, plane)))
                    while len(written) > (AHEAD if z + 1 < depth else 0):
                        done, future = written.popleft()
                        future.result()
                        yield SliceDone(z=done, done=done + 1, total=depth)
    finally:
        network.to("meta")  # which takes no memory: an error may hold on to the network
        give_back_memory(torch_device)
    return out


class Averaged(nn.Module):
    """A network's results averaged over the mirror images that it was trained on.

    Parameters
    ----------
    network
        Trained.
    kernel
        With which: it says which flips leave the noise alone.
    """

    def __init__(self, network: UNet, kernel: np.ndarray) -> None:
        super().__init__()
        self.network, self.flips = network, allowed_flips(kernel)
        self.depth, self.head = network.depth, network.head

    def forward(self, image: Tensor) -> Tensor:
        """Denoise (batch, channels, height, width); returns (batch, height, width).

        Parameters
        ----------
        image
            As for :meth:`~napari_autostructn2v.learning.network.UNet.forward`.
        """
        total = torch.zeros((), device=image.device)
        for flip in self.flips:
            total = total + through_flip(self.network, image, flip)
        return total / len(self.flips)


Network = UNet | Averaged


def network_on(device: torch.device, model: Model, *, average: bool = False) -> Network:
    """A copy of a model's network on a device, to predict with: the model's own is others' too, and stays.

    Parameters
    ----------
    device
        Where it is to compute.
    model
        Trained.
    average
        As for :func:`predict`.
    """
    network = copy.deepcopy(model.network).to(device).channels_last().eval()
    return Averaged(network, model.kernel) if average else network


def predict_plane(
    stack: Stack, z: int, network: UNet, with_neighbours: bool, scale: Normalisation, device: torch.device
) -> np.ndarray:
    """Slice ``z`` denoised, (Y, X), in the value scale of the stack.

    Parameters
    ----------
    stack
        What the network is shown.
    z
        Index of the slice.
    network
        Trained, on ``device``.
    with_neighbours
        Whether the network sees three slices: 2.5D.
    scale
        Mean and standard deviation of the data it was trained on, as values of the stack.
    device
        Where it computes.
    """
    image = Inputs(stack, with_neighbours)(z)
    return stack.restored(z, denoise_images(image[None], network, scale.inner(stack.scale), device)[0])


def denoise_images(
    images: np.ndarray,
    network: Network,
    scale: Normalisation,
    device: torch.device,
    *,
    parts: Sequence[Tile] | None = None,
    mixed: bool = True,
) -> np.ndarray:
    """What the network makes of inputs (n, C, Y, X): float32 (n, Y, X), as the engine has them.

    Of ``parts`` alone, if they are given; all else is then without meaning. Where memory runs out, which
    other programs may have taken, it is tried again in smaller tiles.

    Parameters
    ----------
    images
        float32 (n, C, Y, X), as of :class:`Inputs`: C is 1, or 3 for 2.5D.
    network
        Trained, on ``device``.
    scale
        Mean and standard deviation of the data it was trained on, as the engine has them.
    device
        Where it computes.
    parts
        Of :func:`network_tiles`: the tiles that are wanted. All of each slice if None.
    mixed
        As for :func:`predict`.
    """
    most = TILE_VALUES // network.head.in_channels
    while True:
        try:
            tiles = parts or list(network_tiles(images.shape[2:], network, most))
            return _in_tiles(images, network, scale, device, tiles, mixed)
        except RuntimeError as error:
            if not is_out_of_memory(error) or parts is not None or most < FEWEST_PIXELS:
                raise
        # after the except: the error holds on to the memory
        give_back_memory(device)
        most //= 4


def _in_tiles(
    images: np.ndarray,
    network: Network,
    scale: Normalisation,
    device: torch.device,
    tiles: Sequence[Tile],
    mixed: bool,
) -> np.ndarray:
    given = torch.from_numpy(images).to(device)
    given = (given - scale.mean).div_(scale.std)
    denoised = torch.empty((len(images), *images.shape[2:]), device=device)
    with torch.inference_mode(), mixed_precision(device, wanted=mixed):
        for tile in tiles:
            made = _denoise_tile(given[(..., *tile.source)], network)
            denoised[(slice(None), *tile.target)] = made[(slice(None), *tile.inner)]
    return np.asarray(denoised.mul_(scale.std).add_(scale.mean).cpu().numpy(), dtype=np.float32)


def network_tiles(shape: tuple[int, ...], network: Network, most: int | None = None) -> Iterator[Tile]:
    """The tiles in which a network computes a slice (Y, X): on the grid on which it pools.

    Of ``most`` pixels with their surroundings; as many as :data:`TILE_VALUES` allow if None.

    Parameters
    ----------
    shape
        Of the slice, in pixels.
    network
        Which decides the grid and how far the surroundings reach.
    most
        Pixels that a tile may have with its surroundings.
    """
    margin = halo(network.depth)
    most = most or TILE_VALUES // network.head.in_channels
    return cut(shape, best_tile_size(shape, margin, 2**network.depth, most), margin)


class Inputs:
    """What the network is shown of each slice, (C, Y, X) float32, reading every slice once.

    Parameters
    ----------
    stack
        From which slices are read.
    with_neighbours
        Whether the network sees three slices, C = 3, or the slice alone, C = 1.
    """

    def __init__(self, stack: Stack, with_neighbours: bool) -> None:
        self._stack, self._with_neighbours = stack, with_neighbours
        self._planes: dict[int, np.ndarray] = {}

    def __call__(self, z: int) -> np.ndarray:
        """What it is shown to predict slice ``z``."""
        needed = self._stack.neighbours(z) if self._with_neighbours else (z,)
        self._planes = {p: self._planes[p] if p in self._planes else self._stack.plane(p) for p in needed}
        return np.stack([self._planes[p] for p in needed])


def _denoise_tile(images: Tensor, network: Network) -> Tensor:
    height, width = images.shape[2:]
    multiple: int = 2**network.depth
    padded = pad(images, (0, -width % multiple, 0, -height % multiple), mode="reflect")
    denoised: Tensor = network(padded.contiguous(memory_format=torch.channels_last))
    return denoised[:, :height, :width]
