"""How near a result is to a truth that nobody knows: told by a second recording of the same scene.

Let A and B be two recordings of one scene with independent noise of variance s², and f what was made of A
alone. Then the mean of (A - B)² is 2 s², and that of (f - B)² is the squared error of f plus s²: B stands for
the truth, and its noise is known and subtracted. Repeated scans, the halves of a tomogram from even and odd
tilts, and those of a movie are such pairs.

References
----------
Lehtinen, J. et al. Noise2Noise: learning image restoration without clean data. Proceedings of the 35th
International Conference on Machine Learning (2018), 2965-2974: why B may stand for the truth.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_autostructn2v.errors import StackError
from napari_autostructn2v.events import SliceDone, finish
from napari_autostructn2v.io import VoxelSize
from napari_autostructn2v.judge.blocks import Blocks
from napari_autostructn2v.judge.drift import Drift, agreed, find_drift
from napari_autostructn2v.judge.gain import Sums
from napari_autostructn2v.judge.rings import THRESHOLDS, Correlation, RingSums
from napari_autostructn2v.stack import Stack, as_stack

MAX_SLICES = 64
"""Slices that the figures are taken from: more would only cost time."""

DRIFT_THAT_MATTERS_DB = 0.1
"""A drift that hides less of the gain is told, but is no warning."""

LEAST_DEPTH = 16
"""Slices of a volume of which shells are looked at."""

VOLUME_SIDE = 192
"""Largest side of the part in the middle of which they are."""


@dataclass(frozen=True, eq=False)
class Score:
    """How near a result is to the truth.

    Attributes
    ----------
    gain_db
        By how many decibels the squared error against the truth is lower than that of the recording.
        Infinite if the second recording does not tell the result from the truth.
    interval_db
        Confidence interval of that, 95 %.
    noise
        Standard deviation of the noise of the recording, in its values.
    second_noise
        Noise of the second recording over that of the first, as a ratio of standard deviations. 1 where they
        cannot be told apart.
    drift
        How far each slice of the second recording lies from that of the first, (n, 2), along Y and X, in
        pixels; of the slices looked at.
    gain_without_drift_db
        The gain, had the recordings lain upon each other.
    rings
        Correlation with the second recording by frequency, of slices.
    shells
        Likewise of the volume; None if there are too few slices for one.
    """

    gain_db: float
    interval_db: tuple[float, float]
    noise: float
    second_noise: float
    drift: np.ndarray
    gain_without_drift_db: float
    rings: Correlation
    shells: Correlation | None

    @property
    def drift_matters(self) -> bool:
        """Whether the drift hides so much of the gain that the figure misleads."""
        return self.gain_without_drift_db - self.gain_db > DRIFT_THAT_MATTERS_DB

    @property
    def sentences(self) -> tuple[str, ...]:
        """The figures for a person at a microscope; warnings last."""
        said = [self._about_gain(), *self._about_resolution(), self._about_drift()]
        if self.second_noise != 1:
            more = "more" if self.second_noise > 1 else "less"
            percent = 100 * abs(self.second_noise - 1)
            said.append(
                f"The second recording has {percent:.0f} % {more} noise than the first. That is allowed for, "
                "but are they of the same dose and the same treatment?"
            )
        return tuple(said)

    def _about_gain(self) -> str:
        low, high = self.interval_db
        if math.isinf(self.gain_db):
            return f"The result cannot be told from the truth: it is at least {low:.1f} dB nearer to it."
        nearer = "nearer to" if self.gain_db >= 0 else "FARTHER from"
        sure = f"at least {low:.1f}" if math.isinf(high) else f"{low:.1f} to {high:.1f}"
        return (
            f"The result is {abs(self.gain_db):.1f} dB {nearer} the truth than the recording (95 %: {sure})."
        )

    def _about_resolution(self) -> list[str]:
        return [
            f"Resolution of {which}: {self._resolutions(correlation)}."
            for which, correlation in (("slices", self.rings), ("the volume", self.shells))
            if correlation is not None
        ]

    @staticmethod
    def _resolutions(correlation: Correlation) -> str:
        words = []
        for threshold in THRESHOLDS:
            made, raw = (correlation.resolution(threshold, of_raw=of_raw) for of_raw in (False, True))
            unit = "px" if correlation.unit == "pixel" else correlation.unit
            finest = float(1 / correlation.frequency[-1])
            period, before = (
                f"{finest:.3g} {unit} or less" if found is None else f"{found:.3g} {unit}"
                for found in (made, raw)
            )
            words.append(f"{period} at a correlation of {threshold:g} (recording: {before})")
        return ", ".join(words)

    def _about_drift(self) -> str:
        largest = float(np.hypot(*self.drift.T).max())
        if largest == 0:
            return "No drift between the recordings can be told."
        said = f"The recordings lie up to {largest:.2g} px apart"
        if not self.drift_matters:
            return f"{said}, which does not matter here."
        return (
            f"{said}: that counts as an error of the result. Without this drift it would be "
            f"{self.gain_without_drift_db:.1f} dB nearer. Align the recordings for a true figure."
        )

    def as_dict(self) -> dict[str, Any]:
        """The figures for a file, with names and units."""
        return {
            "gain_db": _finite(self.gain_db),
            "interval_95_db": [_finite(limit) for limit in self.interval_db],
            "noise": self.noise,
            "second_noise_ratio": self.second_noise,
            "drift_px": self.drift.round(4).tolist(),
            "gain_without_drift_db": _finite(self.gain_without_drift_db),
            "rings": _correlation_dict(self.rings),
            "shells": None if self.shells is None else _correlation_dict(self.shells),
            "sentences": list(self.sentences),
        }


def score(denoised: Any, raw: Any, second: Any, *, voxel_size: VoxelSize | None = None) -> Score:
    """Say how near a result is to the truth, by a second recording of the same scene.

    Parameters
    ----------
    denoised
        What was made of ``raw`` without knowing ``second``, shape (Z, Y, X) or (Y, X).
    raw
        The recording, likewise.
    second
        Another one of the same scene and the same values, with noise of its own, likewise.
    voxel_size
        For resolutions in lengths; they are in pixels if None.

    Raises
    ------
    StackError
        If they are no stacks of one shape, or two of them are the same.
    """
    return finish(scoring(denoised, raw, second, voxel_size=voxel_size))


def scoring(
    denoised: Any, raw: Any, second: Any, *, voxel_size: VoxelSize | None = None
) -> Generator[SliceDone, None, Score]:
    """:func:`score` as a stream of events.

    Parameters
    ----------
    denoised, raw, second, voxel_size
        As for :func:`score`.

    Yields
    ------
    SliceDone
        For each slice that is looked at; twice if there is a drift.

    Raises
    ------
    StackError
        As :func:`score`.
    """
    pair = _Pair(as_stack(raw), denoised, second)
    slices = pair.slices
    blocks = Blocks(pair.raw.shape[1:], len(slices))
    spacing, unit = _spacing(voxel_size)
    rings = RingSums(pair.raw.shape[1:], spacing[1:], unit)
    sums, drifts = Sums(blocks), list[Drift]()
    for done, z in enumerate(slices, start=1):
        made, first, other, valid = pair.planes(z)
        sums.add(made, first, other, valid)
        drifts.append(find_drift(made, other, valid, blocks))
        rings.add(made, first, other)
        yield SliceDone(z=z, done=done, total=2 * len(slices))
    shifts, without = np.array(agreed(drifts)), sums
    if shifts.any():
        without = Sums(blocks)
        for done, (z, shift) in enumerate(zip(slices, shifts, strict=True), start=len(slices) + 1):
            without.add(*pair.planes(z), shift)
            yield SliceDone(z=z, done=done, total=2 * len(slices))
    noise, second_noise = sums.noise()
    return Score(
        gain_db=sums.gain(),
        interval_db=sums.interval(),
        noise=noise * pair.raw.scale.unit,
        second_noise=second_noise / noise,
        drift=shifts,
        gain_without_drift_db=without.gain(),
        rings=rings.correlation(),
        shells=_shells(pair, spacing, unit),
    )


def refuse_other_shape(name: str, stack: Any, recording: Any) -> None:
    """Refuse what is not of the shape of a recording.

    Parameters
    ----------
    name
        What it is, in words.
    stack, recording
        Shape (Z, Y, X) or (Y, X).

    Raises
    ------
    StackError
        If they differ.
    """
    shape, right = as_stack(stack).shape, as_stack(recording).shape
    if shape != right:
        raise StackError(f"The {name} has shape {shape}, the recording {right}. Give stacks of one shape.")


class _Pair:
    """A result and two recordings, slice by slice, on one scale."""

    def __init__(self, raw: Stack, denoised: Any, second: Any) -> None:
        self.raw = raw
        self._made, self._second = (as_stack(stack, like=raw) for stack in (denoised, second))
        self._own = as_stack(second)  # whose own blank and hot pixels count as well
        for name, stack in (("result", self._made), ("second recording", self._second)):
            refuse_other_shape(name, stack, raw)
        depth = raw.shape[0]
        chosen = np.unique(np.linspace(0, depth - 1, MAX_SLICES).round().astype(int)).tolist()
        self.slices = [z for z in raw.measured_among(chosen) if self._own.is_measured(z)]
        if not self.slices:
            raise StackError("No slice was measured in both recordings, so they tell nothing of each other.")
        made, first, other = (stack.plane(self.slices[0]) for stack in (self._made, raw, self._second))
        if np.array_equal(first, other):
            raise StackError(
                "The two recordings are the same. Give two of one scene, each with noise of its own: "
                "repeated scans, or the halves of a tomogram from even and odd tilts."
            )
        if np.array_equal(made, other):
            raise StackError("The result is the second recording itself. Give what was made of the first.")

    def planes(self, z: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Result, recording, second recording, and where both were measured.

        The second one is brought to the mean of the first: a lamp or a beam is not always as bright.
        """
        made, first, other = (stack.plane(z) for stack in (self._made, self.raw, self._second))
        valid = np.ones(first.shape, dtype=bool)
        for stack in (self.raw, self._own):
            if (unmeasured := stack.unmeasured(z)) is not None:
                valid &= ~unmeasured.pixels
        if not valid.any():
            return made, first, other, valid
        return made, first, other + np.float32((first - other)[valid].mean()), valid


def _spacing(size: VoxelSize | None) -> tuple[tuple[float, float, float], str]:
    if size is None or size.unit == "pixel":
        return (1.0, 1.0, 1.0), "pixel"
    size = size.to("nm")
    return (size.z, size.y, size.x), "nm"


def _shells(pair: _Pair, spacing: tuple[float, float, float], unit: str) -> Correlation | None:
    """Of the middle of the volume; None if it is none."""
    shape = pair.raw.shape
    if shape[0] < LEAST_DEPTH:
        return None
    starts = [max(0, (n - VOLUME_SIDE) // 2) for n in shape]
    sides = tuple(min(n, VOLUME_SIDE) for n in shape)
    field = tuple(slice(start, start + side) for start, side in zip(starts[1:], sides[1:], strict=True))
    volumes = np.empty((3, *sides), np.float32)
    for i in range(sides[0]):
        for volume, plane in zip(volumes, pair.planes(starts[0] + i)[:3], strict=True):
            volume[i] = plane[field]
    sums = RingSums(sides, spacing, unit)
    sums.add(*volumes)
    return sums.correlation()


def _finite(value: float) -> float | None:
    """JSON knows no infinity."""
    return round(value, 4) if math.isfinite(value) else None


def _correlation_dict(correlation: Correlation) -> dict[str, Any]:
    return {
        "unit": correlation.unit,
        "frequency": correlation.frequency.tolist(),
        "denoised": correlation.denoised.tolist(),
        "raw": correlation.raw.tolist(),
        "resolution": {
            f"{threshold:g}": {
                "denoised": correlation.resolution(threshold),
                "raw": correlation.resolution(threshold, of_raw=True),
            }
            for threshold in THRESHOLDS
        },
    }
