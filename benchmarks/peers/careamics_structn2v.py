"""StructN2V as CAREamics has it, with the best of its line masks given; plain Noise2Void where none fits.

It sees as many patches as one of our stages. All else is CAREamics' default, but for the share of masked
pixels, which is ours: its 0.2 % does not make enough of so short a training. On a generated tomogram of
16 × 192 × 192 voxels 0.2 % gave 27.8 dB with scan lines and 34.0 dB with white noise, ours 29.9 and 35.4 dB.

References
----------
Broaddus, C. et al. Removing structured noise with self-supervised blind-spot networks. ISBI (2020), 159-163.
Krull, A., Buchholz, T.-O. & Jug, F. Noise2Void - learning denoising from single noisy images. CVPR (2019).
CAREamics: https://careamics.github.io
"""

from __future__ import annotations

import math
import tempfile
import time
from importlib.metadata import version

import numpy as np
import torch

try:
    import torchvision  # noqa: F401
except RuntimeError:
    # PyPI's torchvision is built for CUDA, and its operators do not load beside PyTorch for the CPU.
    # Noise2Void calls none of them: once the two that torchvision looks for are declared, it can be imported.
    for operator in ("nms", "qnms"):
        signature = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        torch.library.define(f"torchvision::{operator}", signature)

from _case import read, write
from careamics import CAREamist
from careamics.config.factories import create_advanced_n2v_config

PATCH = 64
BATCH = 12
VALIDATION = 8  # patches that are held out; CAREamics' default
MASKS = {"x": "horizontal", "y": "vertical", "none": "none"}


def main() -> None:
    """Train on the case, denoise it."""
    case = read()
    mask = MASKS[case.axis]
    span = min(max(case.span | 1, 3), 15)  # what CAREamics accepts: odd, 3 to 15
    hidden = span if mask != "none" else 1
    share = min(5.0, 15.0 / hidden)  # per cent that are centres: 15 % hidden in all, as in our training

    patches = len(case.noisy) * math.prod(math.ceil(n / PATCH) for n in case.noisy.shape[1:]) - VALIDATION
    epochs = max(1, round(case.steps * BATCH / patches))
    config = create_advanced_n2v_config(
        experiment_name="peer",
        data_type="array",
        axes="SYX",
        patch_size=[PATCH, PATCH],
        batch_size=BATCH,
        num_epochs=epochs,
        augmentations=None if mask == "none" else [],  # a turned patch would have its lines across the mask
        n_val_patches=VALIDATION,
        masked_pixel_percentage=share,
        struct_n2v_axes=mask,
        struct_n2v_span=span,
        num_workers=0,
        # The prediction takes the last checkpoint, which by default is that of the last full ten epochs.
        checkpoint_params={"every_n_epochs": epochs, "save_top_k": 1, "save_last": True},
        seed=1,
    )
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        careamist = CAREamist(config, work_dir=folder, enable_progress_bar=False)
        careamist.train(train_data=case.noisy)
        predictions, _ = careamist.predict(case.noisy)
        seconds = time.perf_counter() - start

    method = "Noise2Void" if mask == "none" else f"StructN2V, {mask} mask of {span}"
    if mask != "none" and span < case.span:
        method += f" (its longest; the noise spans {case.span})"
    training = f"{share:.1f} % masked, {epochs} epochs of {patches} patches"
    settings = f"CAREamics {version('careamics')}, {method}, {training}"
    write(np.asarray(predictions).reshape(case.noisy.shape), settings, seconds)


if __name__ == "__main__":
    main()
