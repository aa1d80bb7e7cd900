"""What the header of an MRC file says, and how it is handed on to a result. Lengths in it are in ångström."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from mrcfile import utils  # type: ignore[import-untyped]
from mrcfile.dtypes import HEADER_DTYPE  # type: ignore[import-untyped]

from napari_autostructn2v.io.image import Heading, VoxelSize, measured

REAL_MODES = (0, 1, 2, 6, 12)
COMPLEX_MODES = (3, 4)
FOUR_BIT_MODE = 101

MAX_EXTENDED_BYTES = 2**24
"""A longer extended header is not handed on: those of cameras and microscopes have a kilobyte a slice."""

_AXES = "xyz"
_IMOD_STAMP = 1146047817
_IMOD_STAMP_OFFSET = 152 - 112  # in the header field extra2, which starts at byte 112
_SIGNED_BYTES = 1
_FOUR_BIT_BYTES = 16
_VERSIONS = (20140, 20141)
_LABEL_BYTES = 80


@dataclass(frozen=True)
class MrcHeading(Heading):
    """The header of an MRC file as it is, and its extended header.

    Attributes
    ----------
    header
        Its first 1024 bytes.
    order
        Their byte order, ``"<"`` or ``">"``.
    extended
        What follows until the pixels.
    """

    header: bytes
    order: str
    extended: bytes

    @property
    def fields(self) -> Any:
        """The header by the names of its fields: a copy that may be changed."""
        return np.frombuffer(self.header, HEADER_DTYPE.newbyteorder(self.order)).copy()[0]

    def suits(self, shape: tuple[int, ...]) -> bool:
        """Whether an array is one of the same grid.

        Parameters
        ----------
        shape
            Of the array, (Z, Y, X) or (Y, X).
        """
        return shape_of(self.fields) == (1,) * (3 - len(shape)) + tuple(shape)


def shape_of(header: Any) -> tuple[int, int, int]:
    """Sections, rows and columns.

    Parameters
    ----------
    header
        A header by its fields.
    """
    return int(header["nz"]), int(header["ny"]), int(header["nx"])


def byte_order(raw: bytes) -> str:
    """``"<"`` or ``">"``, by the machine stamp, or by the mode where that is wrong.

    Parameters
    ----------
    raw
        The 1024 bytes of a header.
    """
    little, big = (np.frombuffer(raw, HEADER_DTYPE.newbyteorder(order))[0] for order in "<>")
    try:
        order: str = utils.byte_order_from_machine_stamp(little["machst"])
    except ValueError:
        order = "<"
    header, other = (little, big) if order == "<" else (big, little)
    # Some programs write a wrong stamp; the mode, a small number, tells the true byte order.
    swapped = header["mode"] not in REAL_MODES and other["mode"] in REAL_MODES
    return "<>"[(order == ">") != swapped]


def is_marked(header: Any) -> bool:
    """Whether the header bears the mark of MRC files since 2000.

    Parameters
    ----------
    header
        A header by its fields.
    """
    return bytes(header["map"])[:3] == b"MAP"


def holds_half_bytes(header: Any) -> bool:
    """Whether each byte holds two values: mode 101, or a flag of IMOD's.

    Parameters
    ----------
    header
        A header by its fields.
    """
    stamp, flags = _imod(header)
    flagged = header["mode"] == 0 and stamp == _IMOD_STAMP and bool(flags & _FOUR_BIT_BYTES)
    return header["mode"] == FOUR_BIT_MODE or flagged


def dtype_of(header: Any) -> np.dtype[Any]:
    """The type of the pixels, in their byte order. Bytes are signed or not as IMOD decides that.

    Parameters
    ----------
    header
        A header by its fields, of one of the modes :data:`REAL_MODES`.
    """
    if header["mode"] == 0:
        return np.dtype(np.int8 if _bytes_are_signed(header) else np.uint8)
    dtype: np.dtype[Any] = utils.dtype_from_mode(header["mode"])
    return dtype.newbyteorder(header.dtype["mode"].byteorder)


def _bytes_are_signed(header: Any) -> bool:
    stamp, flags = _imod(header)
    if stamp == _IMOD_STAMP:
        return bool(flags & _SIGNED_BYTES)
    low, high = float(header["dmin"]), float(header["dmax"])
    if not low <= high:  # MRC2014 for "not known"; bytes are signed in that standard
        return True
    if low >= 0:
        return False
    return high < 128 or -low > high - 128


def _imod(header: Any) -> tuple[int, int]:
    """IMOD's stamp and its flags, whatever else may be in their place."""
    order = header.dtype["mode"].byteorder
    words = np.frombuffer(header["extra2"].tobytes(), np.dtype(np.int32).newbyteorder(order))
    place = _IMOD_STAMP_OFFSET // 4
    return int(words[place]), int(words[place + 1])


def _axes(header: Any) -> tuple[str, str, str]:
    """Along which axes of the cell the array's axes lie: sections, rows, columns."""
    order = [int(header[name]) for name in ("maps", "mapr", "mapc")]
    if sorted(order) != [1, 2, 3]:  # not filled in
        return "z", "y", "x"
    z, y, x = (_AXES[number - 1] for number in order)
    return z, y, x


def voxel_size_of(header: Any) -> VoxelSize | None:
    """Edges of a voxel along the axes of the array, in nm; None if the header does not say.

    Parameters
    ----------
    header
        A header by its fields.
    """
    z, y, x = (
        float(header["cella"][axis]) / int(header[f"m{axis}"]) if header[f"m{axis}"] else 0.0
        for axis in _axes(header)
    )
    found = measured(z, y, x, "angstrom", digits=6)  # float32 holds no more
    return found.to("nm") if found else None


def set_voxel_size(header: Any, size: VoxelSize | None) -> None:
    """Write the edges of a voxel into a header, unless it says the same, or they are in pixels or not known.

    Parameters
    ----------
    header
        A header by its fields, which is changed.
    size
        Along the axes of the array.
    """
    if size is None or size.unit == "pixel" or size == voxel_size_of(header):
        return
    in_angstrom = size.to("angstrom")
    for edge, axis in zip((in_angstrom.z, in_angstrom.y, in_angstrom.x), _axes(header), strict=True):
        header["cella"][axis] = edge * int(header[f"m{axis}"])


def taken_over(heading: MrcHeading, mode: int) -> Any:
    """The header for a result on the same grid: all of the given one that is true of the result as well.

    Parameters
    ----------
    heading
        Of the file that the result was made of.
    mode
        Of the pixels of the result.
    """
    header = heading.fields
    header["mode"] = mode
    if not is_marked(header):  # before 2000 something else stood where the origin is now
        header["origin"] = (0, 0, 0)
        header["map"] = b"MAP "
    header["machst"] = bytearray(utils.machine_stamp_from_byte_order(heading.order))
    if header["nversion"] not in _VERSIONS:
        header["nversion"] = _VERSIONS[0]
    header["nsymbt"] = len(heading.extended)
    if not heading.extended:
        header["exttyp"] = b""
    for axis, length in zip("zyx", shape_of(header), strict=True):
        if header[f"m{axis}"] < 1:
            header[f"m{axis}"] = length
        if not header["cella"][axis] >= 0 or not np.isfinite(header["cella"][axis]):
            header["cella"][axis] = 0
    if _axes(header) == ("z", "y", "x"):
        header["mapc"], header["mapr"], header["maps"] = 1, 2, 3
    if not all(0 < header["cellb"][angle] < 180 for angle in ("alpha", "beta", "gamma")):
        header["cellb"] = (90, 90, 90)
    _set_imod_flags(header)
    return header


def _set_imod_flags(header: Any) -> None:
    """Make IMOD's flags true of the pixels that are written now."""
    stamp, flags = _imod(header)
    if stamp != _IMOD_STAMP:
        return
    flags &= ~(_SIGNED_BYTES | _FOUR_BIT_BYTES)
    if header["mode"] == 0:
        flags |= _SIGNED_BYTES
    order = header.dtype["mode"].byteorder
    words = np.frombuffer(header["extra2"].tobytes(), np.dtype(np.int32).newbyteorder(order)).copy()
    words[_IMOD_STAMP_OFFSET // 4 + 1] = flags
    header["extra2"] = np.void(words.tobytes())


def add_label(header: Any, words: str) -> None:
    """Add a line with the time to the labels; if all ten are taken, the last one gives way, as in IMOD.

    Parameters
    ----------
    header
        A header by its fields, which is changed.
    words
        What it says.
    """
    lines = [bytes(line) for line in header["label"][: max(0, int(header["nlabl"]))] if bytes(line).strip()]
    now = f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S}"
    ours = words[: _LABEL_BYTES - len(now) - 1]
    lines = [*lines[:9], f"{ours:{_LABEL_BYTES - len(now)}}{now}".encode("ascii", "replace")]
    header["nlabl"] = len(lines)
    header["label"] = [*lines, *[b""] * (10 - len(lines))]
