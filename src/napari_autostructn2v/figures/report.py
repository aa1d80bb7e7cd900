"""Pictures of a run for people: what was found in the noise, and what the stages made of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_autostructn2v.disk.atomic import write_atomically
from napari_autostructn2v.kernel import embed_kernel
from napari_autostructn2v.metrics import psnr
from napari_autostructn2v.noise.analysis import NoiseAnalysis

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw_analysis(path: Path, analysis: NoiseAnalysis, *, overwrite: bool = False) -> Path:
    """Spectrum, peaks, autocorrelation and kernel in one picture.

    Parameters
    ----------
    path
        A .png file.
    analysis
        Of the run.
    overwrite
        Replace what is there.

    Raises
    ------
    FileError
        If the picture exists and ``overwrite`` is False, or cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14, 4.2), layout="constrained")
    _draw_noise(figure.subplots(1, 4).tolist(), analysis)
    figure.suptitle(analysis.verdict.summary, fontsize=9, wrap=True)
    return save_figure(figure, path, overwrite)


def draw_report(
    path: Path,
    stacks: dict[str, np.ndarray],
    analysis: NoiseAnalysis,
    truth: np.ndarray | None = None,
    *,
    overwrite: bool = False,
) -> Path:
    """The middle slice of each stack side by side, over what was found in the noise.

    Parameters
    ----------
    path
        A .png file.
    stacks
        By title, each of shape (Z, Y, X).
    analysis
        Of the run.
    truth
        Clean stack; if given, it is shown last and the PSNR of each of the others stands over it.
    overwrite
        Replace what is there.

    Raises
    ------
    FileError
        If the picture exists and ``overwrite`` is False, or cannot be written.
    """
    from matplotlib.figure import Figure

    columns = max(4, len(stacks) + (truth is not None))
    figure = Figure(figsize=(3.6 * columns, 7.6), layout="constrained")
    upper, lower = figure.subplots(2, columns)
    for axes in (*upper, *lower):
        axes.axis("off")
    images = {
        title if truth is None else f"{title}\nPSNR {psnr(stack, truth):.2f} dB": stack
        for title, stack in stacks.items()
    }
    if truth is not None:
        images["Truth"] = truth
    # one grey scale for all, set by the last: noise would stretch it until the image is flat
    low, high = np.nanpercentile(list(images.values())[-1], (0.5, 99.5))
    for axes, (title, stack) in zip(upper, images.items(), strict=False):
        axes.imshow(stack[len(stack) // 2], cmap="gray", vmin=low, vmax=high)
        axes.set_title(title)
    _draw_noise(lower[:4].tolist(), analysis)
    figure.suptitle(analysis.verdict.summary, fontsize=10)
    return save_figure(figure, path, overwrite)


def _draw_noise(panels: list[Axes], analysis: NoiseAnalysis) -> None:
    nyquist = (-0.5, 0.5, 0.5, -0.5)
    reach = analysis.autocorrelation.shape[-1] // 2
    lags = (-reach - 0.5, reach + 0.5, reach + 0.5, -reach - 0.5)
    for axes in panels:
        axes.axis("on")
    spectrum, peaks, correlation, kernel = panels
    spectrum.imshow(analysis.spectrum, cmap="magma", extent=nyquist)
    spectrum.set(title="Log power of the background", xlabel="cycles/pixel along X", ylabel="along Y")
    peaks.imshow(analysis.spectrum, cmap="gray", extent=nyquist)
    peaks.imshow(
        np.ma.masked_equal(analysis.peaks.astype(float), 0), cmap="autumn", extent=nyquist, alpha=0.7, vmin=0
    )
    peaks.set(title=f"Peaks and gaps: {int(analysis.peaks.sum())} bins", xlabel="cycles/pixel along X")
    middle = analysis.autocorrelation.reshape(-1, *analysis.autocorrelation.shape[-2:])
    limit = max(0.05, float(np.sort(np.abs(middle[len(middle) // 2]).ravel())[-2]))
    correlation.imshow(middle[len(middle) // 2], cmap="RdBu_r", vmin=-limit, vmax=limit, extent=lags)
    correlation.set(title="Autocorrelation of the noise", xlabel="lag in pixels along X", ylabel="along Y")

    side = max(9, *analysis.kernel.shape[-2:])
    grid = embed_kernel(analysis.kernel, side + 1 - side % 2).astype(float)
    slices = grid if grid.ndim == 3 else grid[None]
    gap = np.full((grid.shape[-2], 1), np.nan)
    kernel.imshow(np.hstack([piece for z in slices for piece in (gap, z)][1:]), cmap="gray_r", vmin=0, vmax=1)
    kernel.set_facecolor("0.8")
    height, width = analysis.kernel.shape[-2:]
    where = "Z-1 | Z | Z+1, each " if len(slices) == 3 else ""
    kernel.set(title=f"Kernel: {where}{height} × {width}", xticks=[], yticks=[])


def save_figure(figure: Figure, path: Path, overwrite: bool) -> Path:
    """Write a figure as a picture.

    Parameters
    ----------
    figure
        What is drawn.
    path
        A .png file.
    overwrite
        Replace what is there.

    Raises
    ------
    FileError
        If the picture exists and ``overwrite`` is False, or cannot be written.
    """
    with write_atomically(path, overwrite=overwrite) as beside:
        figure.savefig(beside, dpi=90, format="png")
    return path
