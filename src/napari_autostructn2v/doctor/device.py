"""What computes: whether a graphics card lies idle, and whether the device computes right."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from napari_autostructn2v.doctor.finding import Finding

if TYPE_CHECKING:
    import torch

CHOICE = "https://pytorch.org/get-started/locally/"

SECONDS = 20
"""How long the driver of a card may take to answer."""

LARGEST_DIFFERENCE = 0.01
"""Between sums of order 1 that two devices compute: TF32, which cards use by themselves, is off by 0.001."""


def device_if_used() -> str:
    """What computes, if it was ever asked for: finding out takes seconds."""
    if "torch" not in sys.modules:
        return "not used yet"
    from napari_autostructn2v.learning.device import choose_device, describe_device

    return describe_device(choose_device())


def look() -> Iterator[Finding]:
    """Look at the device that computes.

    Yields
    ------
    Finding
        Graphics cards that are there, and the device that is used.
    """
    try:
        import torch
    except Exception:  # told with the libraries
        return
    from napari_autostructn2v.learning.device import choose_device, describe_device, has_fast_bfloat16

    card = _nvidia_card()
    if card:
        yield Finding("graphics card", card, _idle_card(torch.version.cuda, torch.cuda.is_available()))
    try:
        device = choose_device()
        words = describe_device(device)
        if has_fast_bfloat16(device):
            words += ", with fast bfloat16"
        yield Finding("computes on", words, _wrong_sums(device))
    except RuntimeError as error:
        yield Finding(
            "computes on",
            "a device that fails",
            f"{error}. Renew its driver, or compute on the processor: --device cpu",
        )


def gpu_advice() -> str:
    """How to have a graphics card compute; empty if one does, or if there is nothing to be done about it."""
    import torch

    if torch.cuda.is_available() or sys.platform == "darwin":
        return ""
    if _nvidia_card():
        return _idle_card(torch.version.cuda, is_available=False)
    if torch.version.cuda is not None:
        return ""  # a build for cards, on a computer without any
    return (
        "PyTorch is here in a build that computes on the processor alone. If this computer has a graphics "
        f"card, a build for it trains many times faster: {CHOICE}"
    )


def _nvidia_card() -> str:
    """The NVIDIA cards that their driver names; empty if there is none."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    command = [program, "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return "; ".join(f"{line}, its driver" for line in answer.stdout.splitlines() if line.strip())


def _idle_card(cuda: str | None, is_available: bool) -> str:
    """Why a card that is there is not used; empty if it is."""
    if is_available:
        return ""
    if cuda is None:
        return f"PyTorch was built without CUDA, so the card lies idle. Install a build with it: {CHOICE}"
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0") in ("", "-1"):
        return "CUDA_VISIBLE_DEVICES hides the card. Unset it, or ask the cluster for a card."
    return (
        f"PyTorch, built for CUDA {cuda}, cannot use it: the driver is too old, or the card is. Renew "
        f"the driver, or install a build for an older CUDA: {CHOICE}"
    )


def _wrong_sums(device: torch.device) -> str:
    """What is wrong with what a device computes; empty if it is what the processor computes."""
    import torch

    dice = torch.Generator().manual_seed(0)
    image = torch.rand((1, 8, 64, 64), generator=dice)
    weights = torch.rand((8, 8, 3, 3), generator=dice) / 72
    right = torch.nn.functional.conv2d(image.double(), weights.double())
    found = torch.nn.functional.conv2d(image.to(device), weights.to(device)).cpu().double()
    if not bool(torch.isfinite(found).all()) or float((found - right).abs().max()) > LARGEST_DIFFERENCE:
        return (
            "It computes wrong numbers. Renew its driver; until then compute on the processor: --device cpu"
        )
    return ""
