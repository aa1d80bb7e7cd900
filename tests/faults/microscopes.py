"""Files as microscopes' own programs write them, made from arrays."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

GATAN_TYPES = {
    **{"int16": 1, "float32": 2, "complex64": 3, "uint8": 6, "int32": 7},
    **{"int8": 9, "uint16": 10, "uint32": 11, "float64": 12},
}
GATAN_COLOURS = 23
TIA_TYPES = {
    **{"uint8": 1, "uint16": 2, "uint32": 3, "int8": 4, "int16": 5},
    **{"int32": 6, "float32": 7, "float64": 8, "complex64": 9},
}
NANOMETRES = ((0.25, "nm"), (0.5, "nm"), (2.0, "nm"))
"""Lengths along X, Y and Z, and their units."""


class _Gatan:
    """Tags in the order and widths of one version."""

    def __init__(self, version: int) -> None:
        self.version, self.word = version, ">I" if version == 3 else ">Q"

    def words(self, *numbers: int) -> bytes:
        return b"".join(struct.pack(self.word, number) for number in numbers)

    def tag(self, name: str, kind: int, value: bytes, count: int | None = None) -> bytes:
        """A number, or an array if there is a count."""
        about = (kind,) if count is None else (20, kind, count)
        return self._entry(21, name, b"%%%%" + self.words(len(about), *about) + value)

    def text(self, name: str, text: str) -> bytes:
        return self.tag(name, 4, text.encode("utf-16-le"), len(text))

    def group(self, name: str, *entries: bytes) -> bytes:
        return self._entry(20, name, self.entries(entries))

    def entries(self, entries: Sequence[bytes]) -> bytes:
        return b"\1\0" + self.words(len(entries)) + b"".join(entries)

    def _entry(self, kind: int, name: str, content: bytes) -> bytes:
        size = self.words(len(content)) if self.version == 4 else b""
        return bytes([kind]) + struct.pack(">H", len(name)) + name.encode() + size + content


def write_gatan(
    path: Path,
    *images: np.ndarray,
    sizes: Sequence[tuple[float, str]] = NANOMETRES,
    thumbnail: bool = True,
    types: Sequence[int] = (),
) -> Path:
    """A .dm3 or .dm4 of images of any number of axes, after a thumbnail in colours."""
    made = _Gatan(int(path.suffix[-1]))
    every = [(image, kind) for image, kind in zip(images, types or [0] * len(images), strict=True)]
    if thumbnail:
        every.insert(0, (np.zeros((4, 3), np.uint32), GATAN_COLOURS))
    entries = []
    for number, (image, kind) in enumerate(every):
        axes = [
            made.group(
                "",
                made.tag("Origin", 6, struct.pack("<f", 0)),
                made.tag("Scale", 6, struct.pack("<f", sizes[axis][0] if axis < len(sizes) else 1)),
                made.text("Units", sizes[axis][1] if axis < len(sizes) else ""),
            )
            for axis in range(image.ndim)
        ]
        data = made.group(
            "ImageData",
            made.group("Calibrations", made.group("Dimension", *axes)),
            made.tag("Data", 10, image.tobytes(), image.nbytes),
            made.tag("DataType", 5, struct.pack("<I", kind or GATAN_TYPES[image.dtype.name])),
            made.group("Dimensions", *(made.tag("", 5, struct.pack("<I", n)) for n in image.shape[::-1])),
        )
        voltage = made.group("Microscope Info", made.tag("Voltage", 7, struct.pack("<d", 2e5)))
        entries.append(
            made.group("", data, made.group("ImageTags", voltage), made.text("Name", f"No {number}"))
        )
    root = made.entries([made.group("ImageList", *entries)])
    path.write_bytes(struct.pack(">I", made.version) + made.words(len(root)) + struct.pack(">I", 1) + root)
    return path


def write_tia(
    path: Path,
    images: Sequence[np.ndarray],
    *,
    metres: float = 2e-10,
    version: int = 0x0220,
    dimensions: Sequence[int] = (),
    promised: int | None = None,
    kind: int = 0x4122,
) -> Path:
    """A .ser of images, each shown with its first row at the top."""
    place = "<i" if version == 0x0210 else "<q"
    head = struct.pack(
        "<HHHiiii", 0x4949, 0x0197, version, kind, 0x4152, promised or len(images), len(images)
    )
    axes = b"".join(
        struct.pack("<iddii", length, 0, 1, 0, 6) + b"Number" + struct.pack("<i", 0)
        for length in dimensions or [len(images)]
    )
    head += struct.pack(place, len(head) + struct.calcsize(place) + 4 + len(axes))
    head += struct.pack("<i", len(dimensions or [1])) + axes
    elements = [
        struct.pack("<ddiddi", 0, metres, 0, 0, metres, 0)
        + struct.pack("<hii", TIA_TYPES[image.dtype.name], *image.shape[::-1])
        + image[::-1].tobytes()
        for image in images
    ]
    start = len(head) + 2 * len(images) * struct.calcsize(place)
    places = np.cumsum([start, *map(len, elements)])[:-1]
    table = b"".join(struct.pack(place, each) for each in places)
    path.write_bytes(head + 2 * table + b"".join(elements))
    return path


def write_velox(
    path: Path,
    *images: np.ndarray,
    metres: Sequence[str] = ("1e-10", "2e-10"),
    unit: str = "m",
    **packing: Any,
) -> Path:
    """An .emd of Velox: stacks (Z, Y, X) or slices (Y, X), each of a detector of its own."""
    with h5py.File(path, "w") as file:
        for number, image in enumerate(images):
            frames = image if image.ndim == 3 else image[None]
            group = file.create_group(f"Data/Image/{number:032x}")
            group.create_dataset("Data", data=frames.transpose(1, 2, 0), **packing)
            said = {
                "BinaryResult": {
                    "PixelSize": {"width": metres[0], "height": metres[1]},
                    "PixelUnitX": unit,
                    "PixelUnitY": unit,
                    "Detector": ("HAADF", "BF", "DF4")[number],
                },
                "Acquisition": {"AcquisitionStartDatetime": {"DateTime": "0"}},
                "Stage": {},
            }
            text = np.frombuffer(json.dumps(said).encode().ljust(2000, b"\0"), np.uint8)
            group["Metadata"] = np.repeat(text[:, None], len(frames), 1)
    return path


def write_berkeley(
    path: Path, *images: np.ndarray, edges: Sequence[float] = (2, 1, 0.5), unit: str = "[n_m]", **packing: Any
) -> Path:
    """An .emd as ncempy and others write it."""
    with h5py.File(path, "w") as file:
        file.attrs["version_major"], file.attrs["version_minor"] = 0, 2
        for number, image in enumerate(images):
            group = file.create_group(f"data/image_{number}")
            group.attrs["emd_group_type"] = 1
            group.create_dataset("data", data=image, **packing)
            for axis, length in enumerate(image.shape):
                edge = edges[axis - image.ndim] if image.ndim <= len(edges) else 1
                group[f"dim{axis + 1}"] = 100 + edge * np.arange(length)
                group[f"dim{axis + 1}"].attrs["units"] = unit
    return path
