"""What a second recording says of a result, as files: the figures and the curves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from napari_autostructn2v.disk.atomic import check_place, make_folder, write_atomically
from napari_autostructn2v.figures.report import save_figure
from napari_autostructn2v.judge import Score
from napari_autostructn2v.judge.rings import THRESHOLDS, Correlation

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def _files(folder: Path, name: str) -> tuple[Path, Path]:
    """The figures, and the curves."""
    return folder / f"{name}.json", folder / f"{name}.png"


def check_score_place(folder: Path, *, overwrite: bool = False) -> None:
    """Refuse a folder that holds a score already.

    Parameters
    ----------
    folder
        Where :func:`write_score` is to write.
    overwrite
        Whether what is there may be replaced.

    Raises
    ------
    FileError
        If there is one, and it may not be replaced.
    """
    for file in _files(folder, "score") if folder.is_dir() else ():
        check_place(file, overwrite=overwrite)


def write_score(folder: Path, score: Score, *, overwrite: bool = False, name: str = "score") -> list[Path]:
    """Write the figures as JSON and the curves as a picture.

    Parameters
    ----------
    folder
        Made if it is not there.
    score
        What was found.
    overwrite
        Replace what is there.
    name
        Of the files, without their endings.

    Returns
    -------
    list of pathlib.Path
        What was written.

    Raises
    ------
    FileError
        If they exist and ``overwrite`` is False, or cannot be written.
    """
    from matplotlib.figure import Figure

    make_folder(folder)
    record, picture = _files(folder, name)
    with write_atomically(record, overwrite=overwrite) as beside:
        beside.write_text(json.dumps(score.as_dict(), indent=1))
    curves = [("Slices", score.rings)] + ([("Volume", score.shells)] if score.shells is not None else [])
    figure = Figure(figsize=(6.4 * len(curves), 4.8), layout="constrained")
    for axes, (title, correlation) in zip(
        figure.subplots(1, len(curves), squeeze=False)[0], curves, strict=True
    ):
        _draw(axes, title, correlation)
    figure.suptitle("\n".join(score.sentences), fontsize=8, wrap=True)
    save_figure(figure, picture, overwrite)
    return [record, picture]


def _draw(axes: Axes, title: str, correlation: Correlation) -> None:
    axes.plot(correlation.frequency, correlation.raw, color="0.5", label="recording")
    axes.plot(correlation.frequency, correlation.denoised, color="C0", label="result")
    for threshold in THRESHOLDS:
        axes.axhline(threshold, color="0.7", linewidth=0.8, linestyle=":")
        axes.annotate(f"{threshold:g}", (1, threshold), xycoords=("axes fraction", "data"), fontsize=8)
    axes.set(
        title=f"{title}: correlation with the second recording",
        xlabel=f"cycles per {'pixel' if correlation.unit == 'pixel' else correlation.unit}",
        ylim=(-0.1, 1.05),
        xlim=(0, correlation.frequency[-1]),
    )
    axes.legend(loc="upper right")
