"""StructN2V as CAREamics has it, with the best of its line masks given; plain Noise2Void where none fits.

It sees as many patches as one of our stages. All else is CAREamics' default, but for the flips, which are
those that leave the lines where they are, and the share of masked pixels, which is ours: the default of 0.2 %
does not make enough of so short a training (scan lines on a generated tomogram of 16 × 192 × 192 voxels, 400
steps: 26.0 dB with 0.2 %, 27.5 dB with ours). Its N2V2 is no choice: it fails beside a mask longer than 11,
and on white noise is no better (35.8 dB, Noise2Void 36.0 dB).

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
VALIDATION = 8  # patches that are held out: CAREamics' default, fewer of a small stack
MASKS = {"x": "horizontal", "y": "vertical", "none": "none"}


def main() -> None:
    """Train on the case, denoise it."""
    case = read()
    mask = MASKS[case.axis]
    span = min(max(case.span | 1, 3), 15)  # what CAREamics accepts: odd, 3 to 15
    hidden = span if mask != "none" else 1
    share = min(5.0, 15.0 / hidden)  # per cent that are centres: 15 % hidden in all, as in our training

    patches = len(case.noisy) * math.ceil(case.noisy[0].size / PATCH**2)  # as CAREamics counts them
    # Those held out are whole cells of a grid, and CAREamics fails where a slice runs out of these.
    cells = len(case.noisy) * math.prod(n // PATCH for n in case.noisy.shape[1:])
    held_out = max(1, min(VALIDATION, cells // 4))
    patches -= held_out
    epochs = max(1, round(case.steps * BATCH / patches))
    config = create_advanced_n2v_config(
        experiment_name="peer",
        data_type="array",
        axes="SYX",
        patch_size=[PATCH, PATCH],
        batch_size=BATCH,
        num_epochs=epochs,
        # A quarter turn would lay the lines across the mask.
        augmentations=["x_flip", "y_flip"] + (["rotate_90"] if mask == "none" else []),
        n_val_patches=held_out,
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
        height, width = case.noisy.shape[1:]
        # its network takes multiples of 4 only
        padded = np.pad(case.noisy, ((0, 0), (0, -height % 4), (0, -width % 4)), mode="reflect")
        predictions, _ = careamist.predict(padded)
        denoised = np.asarray(predictions).reshape(padded.shape)[:, :height, :width]
        seconds = time.perf_counter() - start

    method = "Noise2Void" if mask == "none" else f"StructN2V, {mask} mask of {span}"
    if mask != "none" and span < case.span:
        method += f" (its longest; the noise spans {case.span})"
    training = f"{share:.1f} % masked, {epochs} epochs of {patches} patches"
    settings = f"CAREamics {version('careamics')}, {method}, {training}"
    write(denoised, settings, seconds)


if __name__ == "__main__":
    main()
