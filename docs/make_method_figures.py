"""Draw the pictures of docs/method.md from the built-in samples: a minute of training, no files needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from napari_autostructn2v import denoise
from napari_autostructn2v.config import Config
from napari_autostructn2v.events import finish
from napari_autostructn2v.kernel import embed_kernel
from napari_autostructn2v.metrics import psnr
from napari_autostructn2v.noise.analysis import analyze
from napari_autostructn2v.noise.detail import recover
from napari_autostructn2v.stack import as_stack
from napari_autostructn2v.synthetic import Sample, degraded, filament, sample

IMAGES = Path(__file__).parent / "images"
SHAPE = (16, 192, 192)
FAMILIES = {
    "scan_lines": "scan lines",
    "reconstruction": "back-projection",
    "streaks_30": "streaks",
    "blur": "blur",
    "hum": "hum",
    "columns": "fixed columns",
}


def draw_families() -> None:
    """What the analysis finds in each kind of noise."""
    figure = Figure(figsize=(9, 2.2 * len(FAMILIES)), layout="constrained")
    rows = figure.subplots(len(FAMILIES), 4)
    titles = ("noisy", "spectrum and peaks", "autocorrelation", "kernel, or what the notch takes")
    for axes, title in zip(rows[0], titles, strict=True):
        axes.set_title(title, fontsize=10)
    for (noisy, spectrum, lags, answer), (family, name) in zip(rows, FAMILIES.items(), strict=True):
        made = sample(family, shape=SHAPE)
        found = analyze(made.noisy)
        noisy.imshow(made.noisy[8, 40:140, 40:140], cmap="gray")
        noisy.set_ylabel(name)
        spectrum.imshow(found.spectrum, cmap="gray")
        peaks = np.ma.masked_equal(found.peaks.astype(float), 0)
        spectrum.imshow(peaks, cmap="autumn", alpha=0.6, vmin=0)
        lags.imshow(found.autocorrelation, cmap="RdBu_r", vmin=-0.4, vmax=0.4)
        if found.notch:
            plane = as_stack(made.noisy).plane(8)
            answer.imshow(found.notch.pattern(plane)[40:140, 40:140], cmap="gray")
        else:
            answer.imshow(embed_kernel(found.kernel, 31), cmap="gray_r", vmin=0, vmax=1)
        for axes in (noisy, spectrum, lags, answer):
            axes.set(xticks=[], yticks=[])
    figure.savefig(IMAGES / "method-families.png", dpi=80)


def draw_stages() -> None:
    """What one blind pixel leaves, and what the kernel or the notch does about it."""
    figure = Figure(figsize=(10, 7.6), layout="constrained")
    rows = figure.subplots(3, 4)
    for axes, family in zip(rows, ("scan_lines", "reconstruction", "hum"), strict=True):
        made = sample(family, shape=SHAPE)
        result = denoise(made.noisy)
        draw_row(axes, made, {"Stage 1": result.stage1, "Stage 2": result.denoised})
        axes[0].set_ylabel(FAMILIES[family])
    figure.savefig(IMAGES / "method-stages.png", dpi=80)


def draw_repeats() -> None:
    """What recovery brings back of a wall that repeats."""
    rng = np.random.default_rng(0)
    made = degraded(filament((24, 192, 192), rng), "white", structured=0, white=4.2, rng=rng)
    settings = Config.from_preset("fast").model_copy(update={"recovery": 0.0})
    result = denoise(made.noisy, config=settings)
    detail = finish(recover(made.noisy, result.denoised, result.model.notch))
    figure = Figure(figsize=(10, 2.9), layout="constrained")
    draw_row(
        figure.subplots(1, 4), made, {"network": result.denoised, "with detail": result.denoised + detail}
    )
    figure.savefig(IMAGES / "method-repeats.png", dpi=80)


def draw_row(row: np.ndarray, made: Sample, results: dict[str, np.ndarray]) -> None:
    """Noisy, two results and the truth on one grey scale."""
    low, high = np.percentile(made.clean, (0.5, 99.5))
    stacks = {"noisy": made.noisy, **results, "truth": made.clean}
    for axes, (name, stack) in zip(row, stacks.items(), strict=True):
        score = "" if name == "truth" else f", {psnr(stack, made.clean):.1f} dB"
        axes.imshow(stack[8, 40:160, 40:160], cmap="gray", vmin=low, vmax=high)
        axes.set_title(name + score, fontsize=10)
        axes.set(xticks=[], yticks=[])


if __name__ == "__main__":
    draw_families()
    draw_stages()
    draw_repeats()
