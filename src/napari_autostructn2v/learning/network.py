"""The U-Net: one network for both stages and both modes.

This file goes into exported models as it is, so it needs nothing but PyTorch.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate


class UNet(nn.Module):
    """A U-Net that draws no checkerboard and has no skip connection at the top.

    Blind-spot training leaves a checkerboard in a plain U-Net. Following N2V2, the top skip connection, by
    which high frequencies bypass the bottleneck, is left out and pooling is low-passed; upsampling is
    bilinear, as transposed convolutions draw a checkerboard of their own.

    Parameters
    ----------
    channels
        Input slices: 1, or 3 for 2.5D.
    features
        Channels of the first level; they double at each level below.
    depth
        How many times the resolution is halved; heights and widths must be multiples of ``2**depth``.

    References
    ----------
    Höck, E., Buchholz, T.-O., Brachmann, A., Jug, F., Freytag, A. N2V2 - Fixing Noise2Void Checkerboard
    Artifacts with Modified Sampling Strategies and a Tweaked Network Architecture. ECCV Workshops 2022.
    """

    def __init__(self, channels: int, features: int, depth: int) -> None:
        super().__init__()
        widths = [features * 2**level for level in range(depth + 1)]
        self.down = nn.ModuleList(
            _convolutions(before, after) for before, after in zip([channels, *widths], widths, strict=False)
        )
        self.up = nn.ModuleList(
            _convolutions(widths[level + 1] + (widths[level] if level > 0 else 0), widths[level])
            for level in reversed(range(depth))
        )
        self.head = nn.Conv2d(features, 1, 1)
        self.depth = depth

    def channels_last(self) -> UNet:
        """Lay the weights out as the fast convolutions of CPUs and GPUs want them; images are to follow."""
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's types
        return self

    def forward(self, image: Tensor) -> Tensor:
        """Denoise (batch, channels, height, width); returns (batch, height, width).

        Parameters
        ----------
        image
            float32; height and width are multiples of ``2**depth``.
        """
        skips = []
        for level, block in enumerate(self.down):
            image = block(image)
            if level < self.depth:
                skips.append(image)
                image = nn.functional.avg_pool2d(image, 2)
        for level, block in zip(reversed(range(self.depth)), self.up, strict=True):
            image = _doubled(image)
            if level > 0:
                image = torch.cat([image, skips[level]], dim=1)
            image = block(image)
        # never in bfloat16: its 256 steps between two powers of two would show as bands in flat places
        with torch.autocast(image.device.type, enabled=False):
            return self.head(image.to(self.head.weight.dtype)).squeeze(1)


class ChannelUNet(UNet):
    """The same with an axis for its one output channel, as programs of the BioImage Model Zoo want it."""

    def forward(self, image: Tensor) -> Tensor:
        """Denoise (batch, channels, height, width); returns (batch, 1, height, width).

        Parameters
        ----------
        image
            As for :meth:`UNet.forward`.
        """
        return super().forward(image).unsqueeze(1)


def _doubled(image: Tensor) -> Tensor:
    """Twice as many rows and columns, bilinear."""
    if image.is_cuda and image.requires_grad:
        return _Doubled.apply(image)  # type: ignore[no-untyped-call]
    return interpolate(image, scale_factor=2.0, mode="bilinear", align_corners=False)


class _Doubled(torch.autograd.Function):
    """The same with gradients that a graphics card sums in one order, and so to the same digits each time.

    PyTorch's own come in the order in which they are ready; its ordered ones take as long as all the rest.
    """

    @staticmethod
    def forward(context: Any, image: Tensor) -> Tensor:
        return torch.ops.aten.upsample_bilinear2d.vec(image, None, False, [2.0, 2.0])

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        halved = gradient.float()
        for axis in (-2, -1):
            # a pixel was 1/4, 3/4, 3/4 and 1/4 of four new ones; those at the edge were made of it alone
            size, half = halved.shape[axis], halved.shape[axis] // 2
            first, last = halved.narrow(axis, 0, 1), halved.narrow(axis, size - 1, 1)
            wider = torch.cat([first, halved, last], axis).unflatten(axis, (half + 1, 2))
            even, odd = wider.unbind(axis)
            near = odd.narrow(axis, 0, half) + even.narrow(axis, 1, half)
            far = even.narrow(axis, 0, half) + odd.narrow(axis, 1, half)
            halved = 0.75 * near + 0.25 * far
        return halved.to(gradient.dtype, memory_format=torch.channels_last)


def halo(depth: int) -> int:
    """How far, in pixels, the input can reach an output pixel: a multiple of ``2**depth``.

    Two 3 × 3 convolutions reach 2 pixels of their level, once at the bottom and twice at each level above,
    where bilinear upsampling adds 2 and pooling 1: ``2 * 2**depth + 7 * (2**depth - 1)`` in all, rounded up.

    Parameters
    ----------
    depth
        As for :class:`UNet`.
    """
    multiple = 2**depth
    return -(-(9 * multiple - 7) // multiple) * multiple


def _convolutions(before: int, after: int) -> nn.Sequential:
    # No normalisation layers: measured, they gain nothing here, cost a quarter of the step, and one that
    # looks at the whole image would make a tile's result depend on where the tile was cut.
    layers: list[nn.Module] = []
    for channels in (before, after):
        convolution = nn.Conv2d(channels, after, 3, padding=1)
        nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
        nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
        layers += [convolution, nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)
