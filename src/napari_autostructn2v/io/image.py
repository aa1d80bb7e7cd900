"""What a file holds: a lazy array and the size of its voxels."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from napari_autostructn2v.errors import ConfigError

Unit = Literal["nm", "um", "angstrom", "pixel"]
"""Unit of a voxel size; ``pixel`` says that the physical unit is not known."""

PACKINGS = (".gz", ".bz2")
"""Put behind the suffix of a file that is packed as a whole."""

_NANOMETRES = {"nm": 1.0, "um": 1e3, "angstrom": 0.1}

UNIT_SYMBOLS: dict[Unit, str] = {"nm": "nm", "um": "µm", "angstrom": "Å", "pixel": "pixel"}
"""As units are written, for readers and in OME-XML."""

# Spellings met in files, after NFKC and lower-casing: the unit here, and how many of it one of them is.
_SPELLINGS: dict[str, tuple[Unit, float]] = {
    **dict.fromkeys(("å", "a", "angstrom", "angstroms", "ångström"), ("angstrom", 1.0)),
    **dict.fromkeys(("nm", "nanometer", "nanometers", "nanometre"), ("nm", 1.0)),
    **dict.fromkeys(("um", "μm", "micron", "microns", "micrometer", "micrometre"), ("um", 1.0)),
    **dict.fromkeys(("pm", "picometer"), ("nm", 1e-3)),
    **dict.fromkeys(("mm", "millimeter"), ("um", 1e3)),
    **dict.fromkeys(("cm", "centimeter"), ("um", 1e4)),
    **dict.fromkeys(("m", "meter"), ("um", 1e6)),
    **dict.fromkeys(("inch", "in"), ("um", 25400.0)),
}


@dataclass(frozen=True)
class VoxelSize:
    """Lengths of a voxel's edges. For a single slice, ``z`` means nothing and is only carried along.

    Raises
    ------
    ConfigError
        If a length is not positive or the unit unknown.
    """

    z: float
    y: float
    x: float
    unit: Unit = "nm"

    def __post_init__(self) -> None:
        if self.unit not in get_args(Unit):
            raise ConfigError(f"{self.unit!r} is no unit of a voxel size. Use {', '.join(get_args(Unit))}.")
        if not all(math.isfinite(edge) and edge > 0 for edge in (self.z, self.y, self.x)):
            raise ConfigError(
                f"A voxel of {self.z} × {self.y} × {self.x} {self.unit} has no size. Give positive lengths."
            )

    @property
    def pixel_in_words(self) -> str:
        """Height and width of a pixel in nanometres, by which stacks are compared; empty in pixels."""
        if self.unit == "pixel":
            return ""
        size = self.to("nm")
        return f"{size.y:.3g} × {size.x:.3g} nm"

    def to(self, unit: Unit) -> VoxelSize:
        """The same size in another unit.

        Parameters
        ----------
        unit
            In which the lengths are wanted.

        Raises
        ------
        ConfigError
            If one of the two units is ``pixel``, whose length nobody knows.
        """
        if unit == self.unit:
            return self
        if "pixel" in (unit, self.unit):
            raise ConfigError(f"A voxel size in {self.unit} cannot be turned into {unit}.")
        factor = _NANOMETRES[self.unit] / _NANOMETRES[unit]
        z, y, x = (_rounded(edge * factor, 12) for edge in (self.z, self.y, self.x))
        return VoxelSize(z, y, x, unit)


class Heading:
    """What a file says beside its pixels and their size.

    Each format has a kind of its own. A result in the same format takes it over; to all others it means
    nothing.
    """


@dataclass
class ImageFile:
    """An opened file.

    Attributes
    ----------
    array
        Shape (Z, Y, X) or (Y, X). Pixels are read when it is indexed.
    voxel_size
        None if the file does not say.
    name
        File name without folder and suffix.
    path
        Where it was opened.
    format
        In words, such as ``"MRC"`` or ``"OME-TIFF"``.
    heading
        What else the file says, for results; None if that is nothing.
    notices
        What whoever opens the file should know, each in a sentence.
    """

    array: Any
    voxel_size: VoxelSize | None
    name: str
    path: Path
    format: str
    heading: Heading | None = None
    notices: tuple[str, ...] = ()


def stack_name(path: Path) -> str:
    """The file's name without its suffixes.

    Parameters
    ----------
    path
        The file. Of ``.ome.tif`` and ``.mrc.gz`` both parts are left out.
    """
    stem = Path(path.stem).stem if path.suffix.lower() in PACKINGS else path.stem
    return stem[:-4] if stem.lower().endswith(".ome") else stem


def _rounded(value: float, digits: int) -> float:
    """``value`` to so many significant digits."""
    return float(f"{value:.{digits}g}")


def measured(z: float, y: float, x: float, unit: str, digits: int = 12) -> VoxelSize | None:
    """The voxel size a file states, its unit in any common spelling; None if it states none in effect.

    Parameters
    ----------
    z, y, x
        Lengths of the edges in ``unit``; zero, negative or not finite where the file does not know them.
    unit
        As the file spells it. One that is not known counts as ``"pixel"``.
    digits
        Significant digits to which the lengths are rounded.
    """
    if not all(math.isfinite(edge) and edge > 0 for edge in (z, y, x)):
        return None
    name, factor = _SPELLINGS.get(unicodedata.normalize("NFKC", unit).lower().strip(), ("pixel", 1.0))
    if name == "pixel" and z == y == x == 1:
        return None
    z, y, x = (_rounded(edge * factor, digits) for edge in (z, y, x))
    return VoxelSize(z, y, x, name)


def measured_by_axis(stated: dict[str, tuple[float, str]]) -> VoxelSize | None:
    """As :func:`measured`, from length and unit of each axis. Without ``"z"`` it is taken to be as ``"x"``.

    The result is in the unit of x.

    Parameters
    ----------
    stated
        Length and unit by axis: ``"z"``, ``"y"`` and ``"x"``, as far as the file states them.
    """
    if "x" not in stated or "y" not in stated:
        return None
    edges = {axis: stated.get(axis, stated["x"]) for axis in "zyx"}
    alone = {axis: measured(edge, edge, edge, unit) for axis, (edge, unit) in edges.items()}
    known = {axis: size for axis, size in alone.items() if size is not None and size.unit != "pixel"}
    if len(known) < 3:
        return measured(edges["z"][0], edges["y"][0], edges["x"][0], "pixel")
    unit = known["x"].unit
    return VoxelSize(known["z"].to(unit).z, known["y"].to(unit).y, known["x"].x, unit)


def measured_lengths(stated: dict[str, tuple[float, str]]) -> VoxelSize | None:
    """As :func:`measured_by_axis`, of axes that need not be lengths: those in 1/nm, eV or s say nothing.

    Parameters
    ----------
    stated
        Length and unit by axis: ``"z"``, ``"y"`` and ``"x"``, as far as the file states them.
    """
    alone = {axis: measured(edge, edge, edge, unit) for axis, (edge, unit) in stated.items()}
    return measured_by_axis(
        {axis: stated[axis] for axis, size in alone.items() if size is not None and size.unit != "pixel"}
    )


def stored_dtype(dtype: Any, supported: tuple[str, ...], other: Any = np.float32) -> np.dtype[Any]:
    """``dtype`` in native byte order where a format supports it, else ``other``.

    Parameters
    ----------
    dtype
        Of the values, in any byte order.
    supported
        Names of the types that the format can hold.
    other
        The type that is taken if ``dtype`` is none of them.
    """
    native = np.dtype(dtype).newbyteorder("=")
    return native if native.name in supported else np.dtype(other)


def planes(array: Any, dtype: np.dtype[Any]) -> Iterator[np.ndarray]:
    """The slices of a stack one after another, C-contiguous, shape (Y, X).

    Parameters
    ----------
    array
        Shape (Z, Y, X) or (Y, X), anything that can be sliced. Read one slice at a time.
    dtype
        To which each slice is converted.
    """
    if len(array.shape) == 2:
        yield np.ascontiguousarray(array[...], dtype=dtype)
        return
    for z in range(array.shape[0]):
        yield np.ascontiguousarray(array[z], dtype=dtype)
