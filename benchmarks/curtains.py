"""Curtains taken away, and what is wrong in what is taken, beside pystripe and VSNR at their best.

::

    python benchmarks/curtains.py --sections STACK.tif --peers FOLDER    # the table of docs/method.md
    python benchmarks/curtains.py --quick           # the smallest form: only shows that it works

The power of the error of what is taken, in decibels of that of the curtains, on the generated tomogram and on
real sections: 0 is as bad as doing nothing. FOLDER is what ``peers/install.sh FOLDER`` made.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import tifffile

from napari_autostructn2v.noise.analysis import analyze
from napari_autostructn2v.noise.patterns import notched
from napari_autostructn2v.stack import as_stack
from napari_autostructn2v.synthetic import tomogram
from napari_autostructn2v.synthetic.long_range import Curtains

STRENGTHS = {"weak": 0.5, "usual": 1.5, "bright": 3.0}
"""Standard deviation of the curtains in those of the image; the white noise beside them has 0.3."""


def ours(noisy: np.ndarray, stripes: np.ndarray) -> float:
    """What is wrong in what our notch takes, in decibels of the stripes' power."""
    left = notched(as_stack(noisy), analyze(noisy).notch).array
    errors = [(noisy[z] - left[z] - stripes[z]).var() for z in range(len(noisy))]
    return float(10 * np.log10(np.sum(errors) / np.sum(stripes.var(axis=(1, 2)))))


def peers(folder: Path | None, noisy: np.ndarray, stripes: np.ndarray) -> dict[str, float]:
    """The same of the other programs, or nothing where they are not installed."""
    if folder is None or not (python := folder / "pystripe" / "bin" / "python").exists():
        return {}
    with tempfile.TemporaryDirectory() as scratch:
        source, target = Path(scratch, "case.npz"), Path(scratch, "out.npz")
        np.savez(source, noisy=noisy, stripes=stripes)
        script = Path(__file__).with_name("peers") / "destripers.py"
        subprocess.run([python, script, source, target], check=True, stderr=subprocess.DEVNULL)
        with np.load(target) as file:
            return {name: float(file[name]) for name in ("pystripe", "VSNR")}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sections", type=Path, help="real sections, TIFF")
    parser.add_argument("--peers", type=Path, help="folder of the other programs")
    parser.add_argument("--quick", action="store_true")
    chosen = parser.parse_args()
    rng = np.random.default_rng(0)
    shape = (2, 96, 96) if chosen.quick else (4, 256, 256)
    images = {"tomogram": tomogram(shape, rng)}
    if chosen.sections is not None:
        sections = tifffile.imread(chosen.sections)[: shape[0], : shape[1], : shape[2]].astype(float)
        images["sections"] = (sections - sections.mean()) / sections.std()
    print("| image | curtains | ours | pystripe | VSNR |\n|---|---|---|---|---|")
    for name, image in images.items():
        for strength, factor in STRENGTHS.items():
            stripes = (factor * Curtains().draw(image.shape, rng)).astype(np.float32)
            noisy = (image + stripes + 0.3 * rng.standard_normal(image.shape)).astype(np.float32)
            others = peers(chosen.peers, noisy, stripes)
            cells = [f"{value:.1f}" for value in (ours(noisy, stripes), *others.values())]
            print(f"| {name} | {strength} | {' | '.join(cells + ['–'] * (3 - len(cells)))} |", flush=True)


if __name__ == "__main__":
    main()
