"""The families of noise by name, and mixtures of them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from napari_autostructn2v.synthetic.long_range import Columns, Curtains, Grid, Hum, RowOffsets
from napari_autostructn2v.synthetic.noise import (
    Blur,
    Noise,
    Reconstruction,
    ScanLines,
    Shape,
    Streaks,
    WeakLines,
    White,
)


@dataclass(frozen=True)
class Mixture(Noise):
    """Two independent noises of equal variance."""

    first: Noise = field(default_factory=ScanLines)
    second: Noise = field(default_factory=Hum)

    def parts(self) -> list[tuple[Noise, float]]:
        return [(noise, share / 2) for part in (self.first, self.second) for noise, share in part.parts()]

    def draw(self, shape: Shape, rng: np.random.Generator) -> np.ndarray:
        return np.asarray((self.first.draw(shape, rng) + self.second.draw(shape, rng)) / np.sqrt(2))

    def correlation(self, dz: np.ndarray, dy: np.ndarray, dx: np.ndarray) -> np.ndarray:
        return (self.first.correlation(dz, dy, dx) + self.second.correlation(dz, dy, dx)) / 2


NOISE_FAMILIES: dict[str, Noise] = {
    "white": White(),
    "scan_lines": ScanLines(),
    "scan_lines_y": ScanLines(along="y"),
    "repeated_lines": ScanLines(slices=(0.6, 1.0, 0.6)),
    "weak_lines": WeakLines(),
    "reconstruction": Reconstruction(),
    "streaks_30": Streaks(angle=30),
    "streaks_70": Streaks(angle=70),
    "rows": RowOffsets(),
    "columns": Columns(),
    "hum": Hum(),
    "grid": Grid(),
    "curtains": Curtains(),
    "blur": Blur(),
    "lines_and_hum": Mixture(ScanLines(), Hum()),
    "streaks_and_columns": Mixture(Streaks(), Columns()),
}
"""By name, with the parameters that the benchmarks use."""
