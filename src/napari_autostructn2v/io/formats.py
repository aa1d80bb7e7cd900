"""The one table of file formats, from which all that depends on a format is read.

A new format is a module with ``read``, and ``write`` if it is written, and an entry here. ``napari.yaml``,
which napari reads on its own, repeats its suffixes; a test compares the two.
"""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from napari_autostructn2v.errors import MissingLibraryError
from napari_autostructn2v.io.image import PACKINGS, Heading, ImageFile, VoxelSize


@dataclass(frozen=True)
class Format:
    """A format of stacks in files.

    Attributes
    ----------
    name
        For people.
    suffixes
        Lower case, the usual one first.
    module
        Where its ``read(path)`` and ``write(path, array, voxel_size, heading, made_by)`` are, imported when
        they are needed.
    dtypes
        Names of the data types that are written. Empty if it is only read: it needs no ``write`` then.
    folder_marks
        If a stack is a folder: the names of files one of which is in it. Empty if it is a file.
    mark
        What each of its files holds at a certain byte, by which one with another suffix is told; None if
        there is no such thing.
    packings
        Suffixes of files that are packed as a whole and read all the same.
    kept
        What a result in this format takes over from a file of it, for the table in the guide.
    libraries
        Those that only some people have, without which it is not read.
    extra
        That of the package which brings them.
    """

    name: str
    suffixes: tuple[str, ...]
    module: str
    dtypes: tuple[str, ...] = ()
    folder_marks: tuple[str, ...] = ()
    mark: tuple[int, bytes] | None = None
    packings: tuple[str, ...] = ()
    kept: str = ""
    libraries: tuple[str, ...] = ()
    extra: str = ""

    @property
    def is_written(self) -> bool:
        """Whether results can be in this format."""
        return bool(self.dtypes)

    @property
    def is_folder(self) -> bool:
        """Whether a stack is a folder."""
        return bool(self.folder_marks)

    def read(self, path: Path) -> ImageFile:
        """Open a stack without reading its pixels.

        Parameters
        ----------
        path
            A file, or a folder if :attr:`is_folder`.

        Raises
        ------
        FileError
            If it is damaged or no stack.
        MissingLibraryError
            If it is read by a library that is not installed.
        """
        missing = [name for name in self.libraries if find_spec(name) is None]
        if missing:
            raise MissingLibraryError(
                f"{path.name} is a file of {self.name}. To read it, {' and '.join(missing)} must be "
                f"installed: pip install 'napari-autostructn2v[{self.extra}]'"
            )
        return importlib.import_module(self.module).read(path)

    @property
    def patterns(self) -> tuple[str, ...]:
        """Endings of all files that are read, packed ones too."""
        return (*self.suffixes, *(end + pack for end in self.suffixes for pack in self.packings))

    def write(
        self,
        path: Path,
        array: Any,
        voxel_size: VoxelSize | None,
        heading: Heading | None,
        made_by: str,
    ) -> None:
        """Write a new stack (Z, Y, X) or (Y, X), slice by slice.

        Parameters
        ----------
        path
            Where nothing is yet, with a suffix of the format.
        array
            Shape (Z, Y, X) or (Y, X), anything that can be sliced.
        voxel_size
            Written into the file; None if unknown.
        heading
            Of the file that the stack was made of; None if there is none.
        made_by
            The program that has made it, and how, in a line.
        """
        importlib.import_module(self.module).write(path, array, voxel_size, heading, made_by)


TIFF = Format(
    "TIFF",
    (".tif", ".tiff"),
    "napari_autostructn2v.io.tiff",
    ("int8", "int16", "int32", "uint8", "uint16", "uint32", "float32", "float64"),
    kept="voxel size (OME, ImageJ, tags of microscopes); no other tags",
)
MRC = Format(
    "MRC",
    (".mrc", ".rec", ".map", ".st", ".ali", ".preali", ".mrcs", ".ccp4"),
    "napari_autostructn2v.io.mrc",
    ("int8", "int16", "uint8", "uint16", "float16", "float32"),  # uint8 as uint16
    mark=(208, b"MAP "),
    packings=PACKINGS,
    kept=(
        "voxel size, order of axes, origin, start, sampling, space group, labels, extended header, flags of "
        "IMOD"
    ),
)
OME_ZARR = Format(
    "OME-Zarr",
    (".zarr",),
    "napari_autostructn2v.io.ome_zarr",
    (
        *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
        *("float16", "float32", "float64"),
    ),
    folder_marks=("zarr.json", ".zgroup", ".zattrs", ".zarray"),
    kept="voxel size, axes that run backwards, place (translation)",
)

GATAN = Format(
    "Gatan DM",
    (".dm3", ".dm4"),
    "napari_autostructn2v.io.em.gatan",
    libraries=("ncempy", "h5py"),
    extra="em",
)
EMD = Format(
    "Velox or Berkeley EMD",
    (".emd",),
    "napari_autostructn2v.io.em.emd",
    libraries=("h5py",),
    extra="em",
)
TIA = Format("TIA series", (".ser",), "napari_autostructn2v.io.em.tia")

FORMATS = (TIFF, MRC, OME_ZARR, GATAN, EMD, TIA)
"""All that is known, the first one first in dialogues."""


_BY_FIJI = "In Fiji open it with File > Import > Bio-Formats and save it as TIFF"

_OTHERS = {
    (".h5", ".hdf5", ".hdf", ".hspy", ".zspy", ".nxs"): (
        "It is HDF5 or the like, in which a stack may be in any place. Export the stack as TIFF, MRC or "
        "OME-Zarr from the program that wrote it."
    ),
    (".czi", ".lif", ".nd2", ".oib", ".oif", ".vsi", ".ims", ".lsm"): (
        f"It is a format of light microscopes. {_BY_FIJI}, or convert it with bioformats2raw."
    ),
    (".eer", ".tvips", ".spi", ".em", ".img", ".hed"): (
        "Convert it to MRC first, for example with IMOD or EMAN2: e2proc3d.py {} out.mrc."
    ),
    (".raw", ".dat", ".bin"): (
        "It holds bare values, and nothing says how many. In Fiji open it with File > Import > Raw and save "
        "it as TIFF."
    ),
    (".png", ".jpg", ".jpeg", ".bmp", ".gif"): (
        "It is a picture. Save each slice as grey TIFF into a folder, and open the folder."
    ),
}
"""How files of formats that are not read can be converted, by their suffixes."""


def advice_to_convert(path: Path) -> str:
    """How a file of a format that is not read can be converted; empty if nothing is known of it.

    Parameters
    ----------
    path
        The file.
    """
    suffix = path.suffix.lower()
    return next((words.format(path.name) for ends, words in _OTHERS.items() if suffix in ends), "")


def format_of(path: Path) -> Format | None:
    """The format that a name says by its suffix; None if it is not known.

    Parameters
    ----------
    path
        Any path; whether something is there does not matter. What is packed is of the format that is packed.
    """
    packing, suffix = "", path.suffix.lower()
    if suffix in PACKINGS:
        packing, suffix = suffix, Path(path.stem).suffix.lower()
    for known in FORMATS:
        if suffix in known.suffixes and (not packing or packing in known.packings):
            return known
    return None


def format_of_content(path: Path) -> Format | None:
    """The format of a file whose suffix says nothing, by its mark; None if it bears none.

    Parameters
    ----------
    path
        A file that exists.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    for known in FORMATS:
        if known.mark is not None:
            place, mark = known.mark
            with path.open("rb") as file:
                file.seek(place)
                if file.read(len(mark)) == mark:
                    return known
    return None


def format_of_folder(folder: Path) -> Format | None:
    """The format of a stack that is a folder, by what is in it; None if it is none of these.

    Parameters
    ----------
    folder
        A folder that exists.
    """
    for known in FORMATS:
        if any(os.path.exists(folder / mark) for mark in known.folder_marks):
            return known
    return None


def written() -> tuple[Format, ...]:
    """The formats in which results can be."""
    return tuple(known for known in FORMATS if known.is_written)


def suffixes_in_words(known: tuple[Format, ...]) -> str:
    """All suffixes of some formats, for messages.

    Parameters
    ----------
    known
        The formats.
    """
    return ", ".join(suffix for each in known for suffix in each.suffixes)


def table() -> list[str]:
    """The table of formats in the guide, a line of Markdown each; a test holds the guide to it."""
    lines = ["| format | endings | values written | a result in it keeps |", "|---|---|---|---|"]
    for known in FORMATS:
        endings = " ".join(f"`{suffix}`" for suffix in known.suffixes)
        if known.packings:
            endings += ", read also with " + " or ".join(f"`{packing}`" for packing in known.packings)
        if known.is_folder:
            endings += " (a folder)"
        if known.extra:
            endings += f", with the extra `{known.extra}`"
        values = ", ".join(known.dtypes) or "none: it is only read"
        lines.append(f"| {known.name} | {endings} | {values} | {known.kept or '–'} |")
    return lines
