"""Generated images: truly clean, as no recorded one is."""

from __future__ import annotations

import numpy as np
from scipy import ndimage


def tomogram(shape: tuple[int, int, int], rng: np.random.Generator) -> np.ndarray:
    """Membranes, vesicles and filaments, dark on grey, zero mean and unit variance, shape (Z, Y, X).

    Parameters
    ----------
    shape
        Slices, rows and columns.
    rng
        Source of chance.
    """
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
    return _standardised(image)


def _shell(distance: np.ndarray, thickness: float) -> np.ndarray:
    return np.exp(-0.5 * (distance / thickness) ** 2)


def crystal(shape: tuple[int, int, int], rng: np.random.Generator) -> np.ndarray:
    """A lattice all over the field, slanted in the slice and through the slices, otherwise as a tomogram.

    Parameters
    ----------
    shape
        Slices, rows and columns.
    rng
        Source of chance.
    """
    angle, period = rng.uniform(0.2, 0.8), rng.uniform(6, 12)
    planes = [_planes(shape, period, angle + turn, 0.03) for turn in (0, np.pi / 3)]
    return _standardised(sum(np.cos(p) for p in planes) + tomogram(shape, rng))


def atoms(shape: tuple[int, int, int], rng: np.random.Generator, moves: float = 0.3) -> np.ndarray:
    """Columns of atoms all over the field, as a STEM sees them: a lattice with many spots in the spectrum.

    Parameters
    ----------
    shape
        Slices, rows and columns.
    rng
        Source of chance.
    moves
        Pixels by which the lattice is moved from one slice to the next, at most, along Y and X.
    """
    spacing, angle = rng.uniform(12, 18), rng.uniform(0, np.pi)
    turn = rng.choice([np.pi / 2, np.pi / 3, rng.uniform(1.0, 1.5)])
    edges = [spacing * np.array([np.sin(a), np.cos(a)]) for a in (angle, angle + turn)]
    spots = np.linalg.inv(np.stack(edges)).T
    sigma = 0.18 * spacing
    place = np.cumsum(rng.uniform(-moves, moves, (shape[0], 2)), axis=0)
    z, y, x = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij", sparse=True)
    image = np.zeros(shape)
    for steps in ((m, n) for m in range(5) for n in range(-4, 5) if m or n > 0):
        frequency = steps @ spots
        height = np.exp(-2 * np.square(np.pi * sigma) * (frequency @ frequency))
        if height > 1e-3:
            moved = (place @ frequency)[z]
            image += height * np.cos(2 * np.pi * (frequency[0] * y + frequency[1] * x + moved))
    return _standardised(image)


def layers(shape: tuple[int, int, int], rng: np.random.Generator) -> np.ndarray:
    """Sharp layers all over the field, a few degrees from X, as those of a multilayer or of myelin.

    Parameters
    ----------
    shape
        Slices, rows and columns.
    rng
        Source of chance.
    """
    phase = _planes(shape, rng.uniform(10, 16), np.pi / 2 + rng.uniform(0.03, 0.15), 0.01)
    return _standardised(-np.exp(3 * np.cos(phase)) / np.exp(3) * 3 + 0.5 * tomogram(shape, rng))


def filament(shape: tuple[int, int, int], rng: np.random.Generator) -> np.ndarray:
    """A tube at a slant in an empty field, whose wall repeats every 3.8 pixels, as that of a microtubule.

    Parameters
    ----------
    shape
        Slices, rows and columns.
    rng
        Source of chance.
    """
    _, y, x = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    along, across = y + 0.3 * x, x - 0.3 * y - shape[2] / 4
    wall = sum(_shell(across - side, 2.5) for side in (-12, 12))
    return _standardised(wall * (2 + 1.6 * np.sin(2 * np.pi * along / 3.8 + rng.uniform(0, 2 * np.pi))))


def _planes(shape: tuple[int, int, int], period: float, angle: float, along_z: float) -> np.ndarray:
    """Phase of a plane wave whose wave vector lies at ``angle`` (radians, from X) in each slice."""
    z, y, x = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij", sparse=True)
    return np.asarray(2 * np.pi * ((np.cos(angle) * x + np.sin(angle) * y) / period + along_z * z))


def _standardised(image: np.ndarray) -> np.ndarray:
    return np.asarray((image - image.mean()) / image.std())
