"""Apply a trained model to a stack, slice by slice, each slice in tiles where it is large."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from napari_autostructn2v.bundle import Model
from napari_autostructn2v.device import choose_device, keep_freed_memory
from napari_autostructn2v.events import SliceDone
from napari_autostructn2v.network import UNet, halo
from napari_autostructn2v.stack import Normalisation, Stack, as_stack

TILE = 512
"""Side in pixels of the part of a slice predicted at once; what is larger is tiled."""


def predict(
    stack: Any, model: Model, *, device: str = "auto", out: Any = None
) -> Generator[SliceDone, None, Any]:
    """Denoise a stack with a trained model.

    Nothing is hidden here: the network sees every pixel, which is better and faster than predicting blind.

    Parameters
    ----------
    stack
        Shape (Z, Y, X) or (Y, X), any array that can be sliced. Read one slice at a time.
    model
        From :func:`~napari_autostructn2v.training.train` or :func:`~napari_autostructn2v.bundle.load_model`.
    device
        As for :func:`~napari_autostructn2v.device.choose_device`.
    out
        Where slices are written as they are done: an array of the input's shape. float32 in memory if None.

    Yields
    ------
    SliceDone
        After each slice.

    Returns
    -------
    array
        ``out``, in the value scale of the input.

    Raises
    ------
    StackError
        If the stack does not suit the model or holds values that are not finite.
    """
    stack = as_stack(stack, model.mode)
    if model.notch is not None:
        stack = model.notch.apply(stack)
    if out is None:
        out = np.empty(stack.input_shape, dtype=np.float32)
    torch_device = choose_device(device)
    keep_freed_memory()
    network = model.network.to(torch_device).channels_last().eval()
    depth = stack.shape[0]
    try:
        for z in range(depth):
            plane = predict_plane(stack, z, network, model.mode == "2.5d", model.normalisation, torch_device)
            out[z if len(stack.input_shape) == 3 else ...] = plane
            yield SliceDone(z=z, done=z + 1, total=depth)
    finally:
        network.to("cpu")  # GPU memory is other programs' too
    return out


def predict_plane(
    stack: Stack, z: int, network: UNet, with_neighbours: bool, scale: Normalisation, device: torch.device
) -> np.ndarray:
    """Slice ``z`` denoised, float32 (Y, X), in the value scale of the stack."""
    planes = stack.neighbours(z) if with_neighbours else (z,)
    image = torch.from_numpy(np.stack([stack.plane(p) for p in planes])).to(device)
    image = (image - scale.mean) / scale.std
    with torch.inference_mode():
        denoised = torch.empty(image.shape[1:], device=device)
        for source, inner, target in _tiles(image.shape[1], image.shape[2], network):
            denoised[target] = _denoise_tile(image[(slice(None), *source)], network)[inner]
    return np.asarray((denoised * scale.std + scale.mean).cpu().numpy(), dtype=np.float32)


_Box = tuple[slice, slice]


def _tiles(height: int, width: int, network: UNet) -> Iterator[tuple[_Box, _Box, _Box]]:
    """Tiles of a slice: where to read with the halo, what of that to keep, where it belongs."""
    margin = halo(network.depth)
    spans = [
        [(max(0, start - margin), start, min(start + TILE, size), min(start + TILE + margin, size))
         for start in range(0, size, TILE)]
        for size in (height, width)
    ]  # fmt: skip
    for y0, ya, yb, y1 in spans[0]:
        for x0, xa, xb, x1 in spans[1]:
            yield (
                (slice(y0, y1), slice(x0, x1)),
                (slice(ya - y0, yb - y0), slice(xa - x0, xb - x0)),
                (slice(ya, yb), slice(xa, xb)),
            )


def _denoise_tile(image: Tensor, network: UNet) -> Tensor:
    height, width = image.shape[1:]
    multiple: int = 2**network.depth
    padded = pad(image[None], (0, -width % multiple, 0, -height % multiple), mode="reflect")
    denoised: Tensor = network(padded.contiguous(memory_format=torch.channels_last))
    return denoised[0, :height, :width]
