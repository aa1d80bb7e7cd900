"""What of a run can be refused before anything is written."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from napari_autostructn2v.errors import StackError
from napari_autostructn2v.kernel import validate_kernel
from napari_autostructn2v.learning.device import choose_device
from napari_autostructn2v.learning.model import check_start
from napari_autostructn2v.noise.tiles import check_region, choose_tiles
from napari_autostructn2v.runs.request import RunRequest
from napari_autostructn2v.stack import Stack, as_stack


def checked(stack: Any, request: RunRequest, device: str) -> tuple[Stack, RunRequest]:
    """Check that a run can be made.

    Parameters
    ----------
    stack
        Its input, shape (Z, Y, X) or (Y, X).
    request
        What is asked.
    device
        On which it is to be made.

    Returns
    -------
    tuple of Stack and RunRequest
        Both as the run takes them.

    Raises
    ------
    StackError
        If the stack cannot be denoised as it is, or the region or what is left out does not suit it.
    KernelError
        If the kernel is none, or not one of the mode.
    ModelError
        If the model to start from is of another mode or size.
    DeviceError
        If the device is not there.
    """
    mode, config, box = request.mode, request.config, request.box
    if request.start is not None:
        for stage in (config.stage1, config.stage2):
            check_start(request.start, mode, stage)
    levels = max(config.stage1.depth, config.stage2.depth)
    stack = as_stack(stack, mode, levels, left_out=request.left_out)
    choose_device(device)
    if request.kernel is not None:
        request = replace(request, kernel=validate_kernel(request.kernel, mode))
    if request.region is not None:
        request = replace(request, region=check_region(request.region, stack))
        # said now if it is too small, not after Stage 1
        choose_tiles(stack, None, config.analysis, request.region)
    if box is not None:
        if box != box.within(stack.shape):
            raise StackError(
                f"The part to train on reaches beyond the stack, which has {stack.shape[0]} slices of "
                f"{stack.shape[1]} × {stack.shape[2]} pixels. Choose a part of it."
            )
        as_stack(stack.cropped(box), mode, levels)
    return stack, request
