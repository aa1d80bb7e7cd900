"""A generated tomogram and the structured noise of real microscopes, with the truth known.

NumPy and SciPy only, no downloads: the built-in sample, the tests and the benchmarks draw from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from scipy import ndimage, signal

from napari_autostructn2v.errors import ConfigError

NoiseFamily = Literal["white", "reconstruction", "scan_lines", "hum"]
NOISE_FAMILIES: tuple[NoiseFamily, ...] = get_args(NoiseFamily)


@dataclass(frozen=True, eq=False)
class Sample:
    """A noisy stack and its truth, float32 (Z, Y, X), and the voxel side in nanometres."""

    noisy: np.ndarray
    clean: np.ndarray
    voxel_size: float = 1.0


def sample(
    noise: NoiseFamily,
    *,
    shape: tuple[int, int, int] = (24, 160, 160),
    structured: float | None = None,
    white: float | None = None,
    seed: int = 0,
) -> Sample:
    """A generated tomogram with one family of noise.

    Parameters
    ----------
    noise
        Family of the structured noise.
    shape
        Slices, rows and columns.
    structured, white
        Standard deviations of the structured and of the white noise, in those of the clean image; by
        default as strong as the family comes.
    seed
        Of image and noise.

    Raises
    ------
    ConfigError
        If there is no such family.
    """
    rng = np.random.default_rng(seed)
    usual = (1.5, 0.2) if noise == "reconstruction" else (0.7, 0.5)
    structured, white = (usual[i] if given is None else given for i, given in enumerate((structured, white)))
    clean = tomogram(shape, rng)
    noisy = clean + structured * structured_noise(noise, shape, rng) + white * rng.standard_normal(shape)
    return Sample(noisy=noisy.astype(np.float32), clean=clean.astype(np.float32))


def structured_noise(noise: NoiseFamily, shape: tuple[int, int, int], rng: np.random.Generator) -> np.ndarray:
    """Noise of one family, zero mean and unit variance, shape (Z, Y, X).

    Raises
    ------
    ConfigError
        If there is no such family.
    """
    match noise:
        case "white":
            field = rng.standard_normal(shape)
        case "reconstruction":
            field = reconstruction_noise(shape, rng)
        case "scan_lines":
            field = scan_lines(shape, rng)
        case "hum":
            field = hum(shape, rng)
        case _:
            raise ConfigError(f"There is no noise {noise!r}. Choose one of {', '.join(NOISE_FAMILIES)}.")
    return (field - field.mean()) / field.std()


def tomogram(shape: tuple[int, int, int], rng: np.random.Generator) -> np.ndarray:
    """Membranes, vesicles and filaments, dark on grey, zero mean and unit variance, shape (Z, Y, X)."""
    z, y, x = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in shape), indexing="ij", sparse=True)
    depth, height, width = shape
    side = min(height, width)
    density = np.zeros(shape, dtype=np.float32)

    for _ in range(2):  # two membranes, each a bilayer: a wavy sheet across the field
        angle, phase = rng.uniform(0, np.pi), rng.uniform(0, 2 * np.pi)
        across = np.cos(angle) * (x - width / 2) + np.sin(angle) * (y - height / 2)
        along = -np.sin(angle) * (x - width / 2) + np.cos(angle) * (y - height / 2)
        sheet = (
            across + 0.05 * side * np.sin(2 * np.pi * along / side + phase + 0.05 * z) + 0.3 * (z - depth / 2)
        )
        sheet = sheet + rng.uniform(-0.3, 0.3) * side
        density += _shell(sheet - 3, 1.2) + _shell(sheet + 3, 1.2)

    for _ in range(max(6, height * width // 2500)):  # vesicles: hollow spheres, some with a dense core
        centre = [rng.uniform(0, n) for n in shape]
        radius = rng.uniform(5, 14)
        r = np.sqrt((z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2)
        density += _shell(r - radius, 1.5)
        if rng.random() < 0.3:
            density += 0.6 * np.exp(-((r / (0.5 * radius)) ** 4))

    for _ in range(4):  # filaments: straight tubes that cross the stack at a slant
        point = np.array([rng.uniform(0, n) for n in shape])
        direction = np.array([rng.uniform(-0.1, 0.1), *rng.standard_normal(2)])
        direction /= np.linalg.norm(direction)
        offset = [axis - p for axis, p in zip((z, y, x), point, strict=True)]
        projected = sum(o * d for o, d in zip(offset, direction, strict=True))
        r = np.sqrt(
            np.maximum(sum(np.square(o - projected * d) for o, d in zip(offset, direction, strict=True)), 0)
        )
        density += _shell(r - rng.uniform(2.5, 4.5), 1.2)

    texture = ndimage.gaussian_filter(rng.standard_normal(shape), 2.5)  # cytoplasm
    image = -density + 0.25 * texture / texture.std()
    return (image - image.mean()) / image.std()


def _shell(distance: np.ndarray, thickness: float) -> np.ndarray:
    return np.exp(-0.5 * (distance / thickness) ** 2)


def reconstruction_noise(
    shape: tuple[int, int, int],
    rng: np.random.Generator,
    *,
    max_tilt: float = 60.0,
    tilt_step: float = 3.0,
    cutoff: float = 0.25,
    falloff: float = 0.05,
) -> np.ndarray:
    """White noise of a single-axis tilt series after weighted back-projection, shape (Z, Y, X).

    The tilt axis is Y. Each XZ plane is reconstructed on its own, so the noise is white along Y; the ramp
    filter and the missing wedge correlate it along X, with both signs, and along Z.

    Parameters
    ----------
    shape
        Slices, rows and columns.
    rng
        Source of the noise.
    max_tilt, tilt_step
        In degrees.
    cutoff, falloff
        Radial limit of the ramp and sigma of its Gaussian edge, in cycles per pixel.

    References
    ----------
    Radermacher, M. Weighted back-projection methods. In: Electron Tomography (2006), 245-273.
    """
    depth, height, width = shape
    detector = int(np.ceil(np.hypot(depth, width))) + 4
    field = np.zeros((depth, width, height), dtype=np.float32)
    z, x = np.meshgrid(np.arange(depth) - depth / 2, np.arange(width) - width / 2, indexing="ij")
    frequency = np.fft.rfftfreq(detector)[:, None]
    beyond = np.maximum(frequency - cutoff, 0)
    weighting = frequency * np.exp(-0.5 * (beyond / falloff) ** 2)
    for tilt in np.radians(np.arange(-max_tilt, max_tilt + 1e-6, tilt_step)):
        projection = np.fft.irfft(
            np.fft.rfft(rng.standard_normal((detector, height)), axis=0) * weighting, n=detector, axis=0
        ).astype(np.float32)
        position = x * np.cos(tilt) + z * np.sin(tilt) + detector / 2
        left = np.clip(np.floor(position).astype(int), 0, detector - 2)
        weight = (position - left)[..., None].astype(np.float32)
        field += (1 - weight) * projection[left] + weight * projection[left + 1]
    return np.ascontiguousarray(field.transpose(0, 2, 1))


def scan_lines(shape: tuple[int, int, int], rng: np.random.Generator, *, rho: float = 0.9) -> np.ndarray:
    """First-order autoregressive noise along X, as a slowly drifting detector writes it, shape (Z, Y, X).

    Parameters
    ----------
    shape
        Slices, rows and columns.
    rng
        Source of the noise.
    rho
        Correlation of two neighbouring pixels of a row; it falls off as ``rho ** lag``.
    """
    innovations = rng.standard_normal(shape)
    innovations[..., 0] /= np.sqrt(1 - rho**2)  # the first pixel already has the stationary variance
    return np.asarray(signal.lfilter([1.0], [1.0, -rho], innovations, axis=-1))


def hum(
    shape: tuple[int, int, int], rng: np.random.Generator, *, frequency: tuple[float, float] = (0.13, 0.07)
) -> np.ndarray:
    """Mains hum: one oblique wave whose phase is another in each slice, shape (Z, Y, X).

    Parameters
    ----------
    shape
        Slices, rows and columns.
    rng
        Source of the phases.
    frequency
        Along Y and X, in cycles per pixel.
    """
    depth, height, width = shape
    phase = rng.uniform(0, 2 * np.pi, (depth, 1, 1))
    y, x = np.mgrid[:height, :width]
    return np.sin(2 * np.pi * (frequency[0] * y + frequency[1] * x)[None] + phase)
