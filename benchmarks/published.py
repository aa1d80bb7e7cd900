"""The published benchmark of structured noise, by the rules of those who published it.

::

    python benchmarks/published.py FOLDER        # holds flower.tif, and published.csv if there is one
    python benchmarks/published.py --quick       # the smallest form: only shows that it works

``flower.tif`` is StructConvallaria: 100 recordings of one place, 1024 × 1024 pixels, with scan lines. The
rules are those of the notebooks of Hierarchical DivNoising (Prakash et al., ICLR 2022; github.com/juglab/HDN,
examples/Structured_Noise/Convallaria): train on the whole image, judge by its first quarter, take the mean of
all recordings for the truth and its largest minus its smallest value for the range of the PSNR, and average
the PSNR over the recordings. Recordings of one place are no slices of a volume, so that 2D is right.

Their figures are read from ``published.csv`` beside the data, lines of a method and its PSNR in dB, to be
copied from the table of the paper.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from napari_autostructn2v import denoise
from napari_autostructn2v.config import Config, TrainingConfig
from napari_autostructn2v.io import read_stack, write_stack
from napari_autostructn2v.synthetic import sample

RECORDINGS, FIGURES = "flower.tif", "published.csv"
JUDGED = np.s_[:512, :512]


def mean_psnr(recordings: Any, truth: np.ndarray) -> float:
    """In dB, averaged over the recordings, in the quarter that is judged; nothing is scaled to fit.

    Parameters
    ----------
    recordings
        Shape (N, Y, X), read one at a time.
    truth
        Shape (Y, X).
    """
    quarter = truth[JUDGED]
    errors = [np.mean((np.asarray(one, np.float64)[JUDGED] - quarter) ** 2) for one in recordings]
    return float(np.mean(20 * np.log10(np.ptp(quarter)) - 10 * np.log10(errors)))


def measured(folder: Path, config: Config) -> dict[str, float]:
    """Our figures, and that of the recordings as they are."""
    recordings = read_stack(folder / RECORDINGS).array
    truth = np.mean(recordings, axis=0, dtype=np.float64)
    ours = denoise(recordings, config=config)
    print(f"{ours.analysis.verdict.summary}\n")
    return {
        "the recordings": mean_psnr(recordings, truth),
        "Stage 1": mean_psnr(ours.stage1, truth),
        "Stage 2, automatic": mean_psnr(ours.denoised, truth),
    }


def published(folder: Path) -> dict[str, float]:
    """The figures of others, if they are there."""
    if not (folder / FIGURES).exists():
        return {}
    with (folder / FIGURES).open(newline="") as file:
        return {method: float(figure) for method, figure in csv.reader(file)}


def generated(folder: Path) -> Path:
    """Three recordings of one place, for the smallest form."""
    clean = sample("scan_lines", shape=(1, 96, 96)).clean
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(3, 96, 1)) + rng.normal(size=(3, 96, 96))
    write_stack(folder / RECORDINGS, (clean + noise).astype(np.float32))
    (folder / FIGURES).write_text("nobody's method,20.0\n")
    return folder


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?", help="holds the data")
    parser.add_argument("--quick", action="store_true", help="only show that it works")
    options = parser.parse_args()
    if options.folder is None and not options.quick:
        parser.error(f"a folder is wanted with {RECORDINGS} in it")
    with tempfile.TemporaryDirectory() as made:
        folder, config = options.folder, Config.from_preset("balanced")
        if options.quick:
            tiny = TrainingConfig(steps=4, batch_size=2, patch_size=32, features=8, validation_interval=2)
            folder, config = generated(Path(made)), Config(stage1=tiny, stage2=tiny)
        ours = measured(folder, config)
        print("| method | PSNR, dB | from |\n|---|---|---|")
        for origin, figures in (("here", ours), ("published", published(folder))):
            for method, figure in figures.items():
                print(f"| {method} | {figure:.2f} | {origin} |")


if __name__ == "__main__":
    main()
