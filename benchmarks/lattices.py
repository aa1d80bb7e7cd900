"""Is a hum told from a lattice of the sample? Counted over generated samples, with and without a hum.

::

    python benchmarks/lattices.py            # the table of docs/method.md
    python benchmarks/lattices.py --quick    # the smallest form: only shows that it works

The hum has the same phase in all slices, so that nothing but its frequency tells it from the sample. Only
single peaks of whole slices are looked at; an analysis asks for them in the background as well.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial

import numpy as np

from napari_autostructn2v.noise.patterns import Notch, Wave
from napari_autostructn2v.noise.waves import find_waves
from napari_autostructn2v.stack import as_stack
from napari_autostructn2v.synthetic import atoms, crystal, layers, tomogram

Shape = tuple[int, int, int]
Sample = Callable[[Shape, np.random.Generator], np.ndarray]

SHAPES: tuple[Shape, ...] = ((1, 256, 256), (8, 160, 160))

LIMIT_PX = 50 / 7.5
"""0.05 nm in pixels of 7.5 pm."""


def plane_wave(shape: Shape, rng: np.random.Generator, least: float, most: float) -> np.ndarray:
    """Of unit variance, in any direction, its frequency between two in cycles per pixel."""
    turn, frequency = rng.uniform(0, np.pi), rng.uniform(least, most)
    y, x = np.mgrid[: shape[1], : shape[2]]
    phase = rng.uniform(0, 2 * np.pi) + 2 * np.pi * frequency * (np.sin(turn) * y + np.cos(turn) * x)
    return np.broadcast_to(np.sqrt(2) * np.sin(phase), shape)


def overlapping(shape: Shape, rng: np.random.Generator) -> np.ndarray:
    """Two crystals, one over the other."""
    return atoms(shape, rng) + rng.uniform(0.3, 1) * atoms(shape, rng)


def grains(shape: Shape, rng: np.random.Generator) -> np.ndarray:
    """Three crystals beside one another."""
    place = np.arange(shape[2]) * 3 // shape[2]
    return sum((atoms(shape, rng) * (place == n) for n in range(3)), np.zeros(shape))


def fringes(shape: Shape, rng: np.random.Generator) -> np.ndarray:
    """A crystal, and over it another of which a single set of planes shows, as fine as 3.3 pixels."""
    return atoms(shape, rng) + rng.uniform(0.2, 0.8) * plane_wave(shape, rng, 0.05, 0.3)


SAMPLES: dict[str, Sample] = {
    "crystal": atoms,
    "crystal that jumps": partial(atoms, moves=12.0),
    "two crystals overlapping": overlapping,
    "three grains": grains,
    "crystal, fringes of another": fringes,
    "two sets of planes": crystal,
    "layers": layers,
    "tomogram": tomogram,
}


def single_peaks(stack: np.ndarray) -> Notch:
    """All single peaks of a stack, whosever they are."""
    return Notch(waves=find_waves(as_stack(stack.astype(np.float32)), list(range(len(stack)))))


def count(sample: Sample, shape: Shape, stacks: int) -> tuple[int, int, int]:
    """Stacks that lose some of the sample; whose hum is taken; and those where the pixel size tells."""
    lost = taken = told = 0
    for seed in range(stacks):
        rng = np.random.default_rng(seed)
        noisy = sample(shape, rng) + rng.uniform(0.3, 0.8) * rng.standard_normal(shape)
        lost += bool(single_peaks(noisy).without_lattices().waves)
        found = single_peaks(noisy + rng.uniform(0.3, 0.9) * plane_wave(shape, rng, 0.25, 0.47))
        taken += any(map(_is_fine, found.without_lattices().waves))
        told += any(map(_is_fine, found.without_lattices((LIMIT_PX, LIMIT_PX)).waves))
    return lost, taken, told


def _is_fine(wave: Wave) -> bool:
    return wave.period_px < 4.1


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--stacks", type=int, default=20, help="of each sample and shape")
    parser.add_argument("--quick", action="store_true")
    chosen = parser.parse_args()
    stacks = 1 if chosen.quick else chosen.stacks
    print("| sample | slices | lose some of it | hum taken | hum taken, pixel known |\n|---|---|---|---|---|")
    for name, sample in SAMPLES.items():
        for shape in SHAPES:
            cells = (f"{number} of {stacks}" for number in count(sample, shape, stacks))
            print(f"| {name} | {shape[0]} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
