"""Blind-spot training data: choose sites, hide them under the kernel, score the prediction at the sites.

A network that is asked for a pixel it cannot see can only answer with what its surroundings tell about it.
Noise that is independent of everything visible therefore cannot be predicted and averages out. One hidden
pixel does that for independent noise (Noise2Void); noise that a pixel shares with some neighbours needs those
neighbours hidden as well (StructN2V), and the kernel says which.

References
----------
Krull, A., Buchholz, T.-O., Jug, F. Noise2Void - Learning Denoising from Single Noisy Images. CVPR 2019.
Broaddus, C., Krull, A., Weigert, M., Schmidt, U., Myers, G. Removing Structured Noise with Self-Supervised
Blind-Spot Networks. ISBI 2020.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import conv2d

REPLACEMENT_WINDOWS = (5, 9, 17)
"""Sides of the windows whose visible pixels replace a hidden one: the next where the last shows too few."""

MIN_VISIBLE = 4
"""Fewest visible pixels whose mean is a fair guess of a hidden one."""


def kernel_offsets(kernel: np.ndarray) -> Tensor:
    """Offsets from the centre of the kernel's pixels, int64 of shape (n, 3): channel, y, x.

    The channel is absolute: 0 for a 2D kernel, 0 to 2 for slices z-1, z, z+1 of a 2.5D one.
    """
    stacked = kernel if kernel.ndim == 3 else kernel[None]
    offsets = np.argwhere(stacked) - np.array([0, stacked.shape[1] // 2, stacked.shape[2] // 2])
    return torch.from_numpy(offsets.astype(np.int64))


def sites_per_patch(kernel: np.ndarray, patch_size: int, masked_share: float, centre_share: float) -> int:
    """How many blind spots a patch gets: few enough that the hidden pixels keep a visible surrounding."""
    share = min(
        centre_share,
        masked_share / int(kernel[kernel.shape[0] // 2].sum() if kernel.ndim == 3 else kernel.sum()),
    )
    return max(1, round(share * patch_size**2))


def choose_sites(batch: int, count: int, size: int, generator: torch.Generator) -> Tensor:
    """Random sites anew for every patch: drawn once and kept, a network learns them by heart.

    Returns
    -------
    torch.Tensor
        int64 of shape (batch, count, 2): y, x.
    """
    return torch.randint(0, size, (batch, count, 2), generator=generator, device=generator.device)


def hidden_pixels(shape: torch.Size, sites: Tensor, offsets: Tensor) -> Tensor:
    """Which pixels are hidden: the kernel laid on each site, cut off at the border of the patch.

    Parameters
    ----------
    shape
        Of the patches, (batch, channels, height, width).
    sites
        (batch, count, 2): y, x.
    offsets
        Of :func:`kernel_offsets`.

    Returns
    -------
    torch.Tensor
        bool of ``shape``.
    """
    batch, channels, height, width = shape
    y = sites[:, :, None, 0] + offsets[:, 1]
    x = sites[:, :, None, 1] + offsets[:, 2]
    inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    # what falls outside is laid on the site itself, which is hidden anyway: no ragged indices
    y = torch.where(inside, y, sites[:, :, None, 0])
    x = torch.where(inside, x, sites[:, :, None, 1])
    channel = torch.where(inside, offsets[:, 0], channels // 2)
    patch = torch.arange(batch, device=sites.device)[:, None, None]
    flat = ((patch * channels + channel) * height + y) * width + x
    hidden = torch.zeros(batch * channels * height * width, dtype=torch.bool, device=sites.device)
    hidden[flat.flatten()] = True
    return hidden.view(shape)


def replace_hidden(patches: Tensor, hidden: Tensor) -> Tensor:
    """The patches with each hidden pixel replaced by the mean of the visible ones around it.

    The mean, and not a single neighbour drawn by chance, as measured: it brings no noise of its own. The
    hidden pixels take no part in it, or it would carry what the kernel is there to hide.

    Parameters
    ----------
    patches
        (batch, channels, height, width).
    hidden
        bool, same shape.
    """
    visible = (~hidden).to(patches.dtype)
    both = torch.stack([visible, patches * visible])
    replaced = patches
    settled = ~hidden
    for side in REPLACEMENT_WINDOWS:
        share, total = _box_mean(both, side)
        enough = share * side**2 > MIN_VISIBLE - 0.5
        last = side == REPLACEMENT_WINDOWS[-1]
        take = ~settled if last else enough & ~settled
        replaced = torch.where(take, total / share.clamp_min(1e-6), replaced)
        settled = settled | take
        if patches.device.type == "cpu" and bool(settled.all()):  # on a GPU the question costs more
            break
    return replaced


def _box_mean(values: Tensor, side: int) -> Tensor:
    # zeros beyond the border: they count neither in the sum nor in the share of visible pixels;
    # a convolution takes a third of the time of a pooling, and unlike running sums loses no digits
    images = values.flatten(0, -3).unsqueeze(1)
    row = torch.full((1, 1, 1, side), 1 / side, device=values.device)
    rows = conv2d(images, row, padding=(0, side // 2))
    return conv2d(rows, row.transpose(2, 3), padding=(side // 2, 0)).view(values.shape)


def at_sites(images: Tensor, sites: Tensor) -> Tensor:
    """The values of (batch, height, width) images at (batch, count, 2) sites, shape (batch, count)."""
    flat = sites[..., 0] * images.shape[-1] + sites[..., 1]
    return images.flatten(1).gather(1, flat)


def allowed_flips(kernel: np.ndarray) -> list[tuple[bool, bool, bool]]:
    """Flips of (slices, rows, columns) that leave the noise as the kernel says it is.

    Never a transpose or a quarter turn: scan lines would turn into columns. A flip along all axes is allowed
    for every point-symmetric kernel, so for all but those that a person has drawn one-sided.
    """
    stacked = kernel if kernel.ndim == 3 else kernel[None]
    flips: list[tuple[bool, bool, bool]] = []
    for z, y, x in itertools.product((False, True), repeat=3):
        if z and stacked.shape[0] == 1:
            continue  # one slice: nothing to flip
        axes = tuple(axis for axis, flipped in enumerate((z, y, x)) if flipped)
        if (np.flip(stacked, axes) == stacked).all():
            flips.append((z, y, x))
    return flips


def through_flip(network: Callable[[Tensor], Tensor], image: Tensor, flip: tuple[bool, bool, bool]) -> Tensor:
    """What a network makes of a flipped image, flipped back.

    Parameters
    ----------
    network
        From (batch, slices, height, width) to (batch, height, width).
    image
        Its input, before the flip.
    flip
        Of slices, rows and columns, as of :func:`allowed_flips`.
    """
    axes = [axis for axis, flipped in zip((1, 2, 3), flip, strict=True) if flipped]
    back = [axis - 1 for axis in axes if axis > 1]  # the output has no axis of slices
    made = network((image.flip(axes) if axes else image).contiguous(memory_format=torch.channels_last))
    return made.flip(back) if back else made
