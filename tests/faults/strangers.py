"""Good files of every kind that the package reads: what the mutations start from.

A file is a tree, relative path to content, since an OME-Zarr image and a folder of slices are several.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import tifffile
import zarr
from microscopes import write_berkeley, write_gatan, write_tia, write_velox
from numcodecs import BZ2, LZ4, Blosc, GZip, Zlib, Zstd
from zarr.codecs import BloscCodec, GzipCodec, ZstdCodec

from napari_autostructn2v.io import VoxelSize, write_stack
from napari_autostructn2v.kernel import save_kernel

Tree = dict[str, bytes]
SHAPE = (3, 24, 20)
VOXELS = VoxelSize(2, 1, 1)


@dataclass(frozen=True)
class Good:
    """One good file: what reads it, the name to open, and what lies there."""

    kind: str
    name: str
    tree: Tree


def stack() -> np.ndarray:
    """Float32 noise, shape (Z, Y, X)."""
    return np.random.default_rng(0).normal(100, 10, SHAPE).astype(np.float32)


def all_good() -> list[Good]:
    """Every kind of file there is."""
    return [
        Good(kind, name, _tree(name, write))
        for kind, table in (
            ("mrc", MRC),
            ("tiff", TIFF),
            ("zarr", ZARR),
            ("gatan", GATAN),
            ("emd", EMD),
            ("tia", TIA),
            ("kernel", KERNELS),
            ("model", MODELS),
            ("run", RUN_FILES),
        )
        for name, write in table.items()
    ]


def _tree(name: str, write: Callable[[Path], object]) -> Tree:
    with TemporaryDirectory() as folder:
        write(Path(folder) / name)
        files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def _mrc_with_extended_header(path: Path) -> None:
    write_stack(path, stack(), voxel_size=VOXELS)
    content = bytearray(path.read_bytes())
    content[92:96] = (512).to_bytes(4, "little")
    path.write_bytes(bytes(content[:1024]) + b"FEI1" * 128 + bytes(content[1024:]))


def _packed(path: Path, pack: Callable[[bytes], bytes]) -> None:
    plain = path.with_suffix("")
    _mrc_with_extended_header(plain)
    path.write_bytes(pack(plain.read_bytes()))
    plain.unlink()


def _renamed(path: Path, suffix: str) -> None:
    write_stack(path.with_suffix(suffix), stack(), voxel_size=VOXELS).rename(path)


MRC: dict[str, Callable[[Path], object]] = {
    "a.mrc": lambda path: write_stack(path, stack(), voxel_size=VOXELS),
    "bytes.st": lambda path: write_stack(path, stack().astype(np.int8)),
    "slice.map": lambda path: write_stack(path, stack()[0].astype(np.int16)),
    "extended.rec": _mrc_with_extended_header,
    "packed.mrc.gz": lambda path: _packed(path, lambda content: gzip.compress(content, mtime=0)),
    "packed.map.bz2": lambda path: _packed(path, bz2.compress),
    "known_by_its_mark": lambda path: _renamed(path, ".mrc"),
}


def _tiff(**options: object) -> Callable[[Path], object]:
    values = np.uint8 if str(options.get("compression")).startswith("jpeg") else np.float32

    def write(path: Path) -> object:
        return tifffile.imwrite(path, stack().astype(values), photometric="minisblack", **options)

    return write


def _several_files(path: Path) -> None:
    """An OME-TIFF of two files, the second named in the description of the first."""
    first, second = stack()[:2]
    ids = ["urn:uuid:00000000-0000-0000-0000-00000000000" + str(n) for n in range(2)]
    names = [path.name, "second.ome.tif"]
    planes = "".join(
        f'<TiffData FirstZ="{z}" IFD="0" PlaneCount="1"><UUID FileName="{name}">{ids[z]}</UUID></TiffData>'
        for z, name in enumerate(names)
    )
    sizes = f'SizeX="{SHAPE[2]}" SizeY="{SHAPE[1]}" SizeZ="2" SizeC="1" SizeT="1"'
    for z, plane in enumerate((first, second)):
        description = (
            '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
            f'UUID="{ids[z]}"><Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="float" '
            f'{sizes}><Channel ID="C:0" SamplesPerPixel="1"/>{planes}</Pixels></Image></OME>'
        )
        tifffile.imwrite(
            path.with_name(names[z]), plane, description=description, metadata=None, photometric="minisblack"
        )


def _slices(path: Path) -> None:
    path.mkdir()
    for z, plane in enumerate(stack()):
        tifffile.imwrite(path / f"{z}.tif", plane, photometric="minisblack", compression="zlib")


def _palette(path: Path) -> None:
    greys = np.stack([np.arange(256) * 257] * 3).astype(np.uint16)
    tifffile.imwrite(path, stack().astype(np.uint8), photometric="palette", colormap=greys, metadata=None)


def _of_microscopes(path: Path) -> None:
    """With the tags of all of them at once: which one is read depends on the damage."""
    size = "<PixelSize><X unit='m'>4e-9</X><Y unit='m'>4e-9</Y></PixelSize>"
    tags = {
        34682: "[Scan]\r\nPixelWidth=4e-9\r\n[EBeam]\r\nHFW=1e-7\r\n[Image]\r\nResolutionX=20\r\n",
        34683: f"<Metadata>{size}</Metadata>",
        34118: "\r\n1\r\n2\r\nAP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = 4.0 nm\r\n",
        51023: "<Fibics><Scan><Ux>0.004</Ux><Uy>0</Uy><Vx>0</Vx><Vy>0.004</Vy></Scan></Fibics>",
        50431: "PixelSizeX=4e-9\nPixelSizeY=4e-9\n",
        65003: "nm",
        65009: "4.0",
        65010: "4.0",
        271: "JEOL Ltd.",
    }
    tifffile.imwrite(
        path,
        stack(),
        photometric="minisblack",
        description="<T><ImageFormingSystem><ModeString>MAG</ModeString><SelectorValue>1000</SelectorValue>"
        "</ImageFormingSystem></T>",
        resolution=(2500, 2500),
        resolutionunit="CENTIMETER",
        extratags=[(code, "s", 0, text, True) for code, text in tags.items()],
        metadata=None,
    )


def _with_thumbnail(path: Path) -> None:
    with tifffile.TiffWriter(path) as writer:
        writer.write(np.zeros((6, 5, 3), np.uint8), photometric="rgb", subfiletype=1, metadata=None)
        for plane in stack():
            writer.write(plane, photometric="minisblack", compression="zlib", metadata=None)


def _one_by_one(path: Path) -> None:
    for plane in stack():
        tifffile.imwrite(path, plane, append=True)


TIFF: dict[str, Callable[[Path], object]] = {
    "imagej.tif": lambda path: write_stack(path, stack(), voxel_size=VOXELS),
    "ome.ome.tif": lambda path: write_stack(path, stack(), voxel_size=VOXELS),
    "plain.tif": _tiff(metadata=None),
    "big.tif": _tiff(bigtiff=True, byteorder=">"),
    "lzw.tif": _tiff(compression="lzw", metadata=None),
    "deflate.tif": _tiff(compression="zlib", predictor=True, tile=(16, 16)),
    "zstd.tif": _tiff(compression="zstd", rowsperstrip=8),
    "packbits.tif": _tiff(compression="packbits"),
    "jpeg.tif": _tiff(compression="jpeg", tile=(16, 16)),
    "jpeg2000.tif": _tiff(compression="jpeg2000"),
    "lzma.tif": _tiff(compression="lzma"),
    "palette.tif": _palette,
    "microscope.tif": _of_microscopes,
    "thumbnail.tif": _with_thumbnail,
    "one_by_one.tif": _one_by_one,
    "several.ome.tif": _several_files,
    "slices": _slices,
}


def _zarr(version: int, **options: object) -> Callable[[Path], object]:
    def write(path: Path) -> None:
        axes = [{"name": name, "type": "space", "unit": "nanometer"} for name in "zyx"]
        scale = {"type": "scale", "scale": [2.0, 1.0, 1.0]}
        described = {
            "multiscales": [
                {
                    "version": "0.4",
                    "axes": axes,
                    "datasets": [{"path": "0", "coordinateTransformations": [scale]}],
                }
            ]
        }
        group = zarr.create_group(
            path, zarr_format=version, attributes=described if version == 2 else {"ome": described}
        )
        level = group.create_array("0", **{"shape": SHAPE, "dtype": "f4", "chunks": (1, 12, 20), **options})
        level[:] = stack()

    return write


def _collection(path: Path) -> None:
    """As bioformats2raw makes them; its image has a channel, a place, and an axis that runs backwards."""
    root = zarr.create_group(path, zarr_format=2, attributes={"bioformats2raw.layout": 3})
    root.create_group("OME", attributes={"series": ["0", "1"]})
    axes = [{"name": name, "type": "space" if name in "zyx" else "channel"} for name in "czyx"]
    steps = [
        {"type": "scale", "scale": [1.0, -2.0, 1.0, 1.0]},
        {"type": "translation", "translation": [0.0, 5.0, 6.0, 7.0]},
    ]
    said = {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": steps}], "version": "0.4"}
    image = root.create_group("0", attributes={"multiscales": [said]})
    image.create_array("0", data=stack()[None], chunks=(1, 1, 12, 20))


ZARR: dict[str, Callable[[Path], object]] = {
    "ours.zarr": lambda path: write_stack(path, stack(), voxel_size=VOXELS),
    "collection.zarr": _collection,
    "plain.zarr": _zarr(2, compressors=None),
    "blosc.zarr": _zarr(2, compressors=Blosc(cname="zstd")),
    "zlib.zarr": _zarr(2, compressors=Zlib()),
    "gzip.zarr": _zarr(2, compressors=GZip()),
    "zstd.zarr": _zarr(2, compressors=Zstd()),
    "lz4.zarr": _zarr(2, compressors=LZ4()),
    "bz2.zarr": _zarr(2, compressors=BZ2()),
    "v3plain.zarr": _zarr(3, compressors=None),
    "v3.zarr": _zarr(3, compressors=ZstdCodec()),
    "v3gzip.zarr": _zarr(3, compressors=GzipCodec()),
    "v3blosc.zarr": _zarr(3, compressors=BloscCodec()),
    "sharded.zarr": _zarr(3, shards=(3, 24, 20), compressors=GzipCodec()),
}

GATAN: dict[str, Callable[[Path], object]] = {
    "a.dm3": lambda path: write_gatan(path, stack()),
    "a.dm4": lambda path: write_gatan(path, stack(), stack()[0].astype(np.uint8)),
    "slice.dm4": lambda path: write_gatan(path, stack()[0].astype(np.int16)),
}
EMD: dict[str, Callable[[Path], object]] = {
    "velox.emd": lambda path: write_velox(path, stack()),
    "packed.emd": lambda path: write_velox(path, stack(), stack()[0], compression="gzip", shuffle=True),
    "berkeley.emd": lambda path: write_berkeley(path, stack()),
    "chunks.emd": lambda path: write_berkeley(path, stack(), chunks=(1, 24, 20), compression="gzip"),
}
TIA: dict[str, Callable[[Path], object]] = {
    "a.ser": lambda path: write_tia(path, stack()),
    "older.ser": lambda path: write_tia(path, stack().astype(np.uint16), version=0x0210),
    "slice.ser": lambda path: write_tia(path, stack()[:1]),
}

_KERNEL = np.ones((3, 1, 5), dtype=bool)
KERNELS: dict[str, Callable[[Path], object]] = {
    f"kernel.{suffix}": lambda path: save_kernel(path, _KERNEL) for suffix in ("npy", "tif", "json")
} | {"flat.npy": lambda path: np.save(path, np.eye(5) + np.eye(5)[::-1])}


def _model(kernel: tuple[int, ...]) -> Callable[[Path], object]:
    def write(path: Path) -> object:
        from napari_autostructn2v.config import TrainingConfig
        from napari_autostructn2v.learning.model import Model
        from napari_autostructn2v.learning.network import UNet
        from napari_autostructn2v.noise.notch import NotchRule
        from napari_autostructn2v.scale import Normalisation

        config = TrainingConfig(steps=3, batch_size=2, patch_size=16, features=8, depth=1)
        peaks = np.zeros((63, 63), dtype=bool)
        peaks[31, [20, 42]] = True
        network = UNet(3 if len(kernel) == 3 else 1, 8, 1).eval()
        return Model(
            network,
            np.ones(kernel, dtype=bool),
            NotchRule(peaks, "auto"),
            config,
            Normalisation(100.0, 10.0),
            {"seed": 1, "input_shape": [3, 24, 20]},
        ).save(path)

    return write


MODELS: dict[str, Callable[[Path], object]] = {"flat.zip": _model((1, 5)), "deep.zip": _model((3, 1, 3))}


def _of_run(part: str) -> Callable[[Path], object]:
    """Writes one file of a run that has had everything decided by hand."""

    def write(path: Path) -> object:
        from napari_autostructn2v.box import Box
        from napari_autostructn2v.config import Config, TrainingConfig
        from napari_autostructn2v.kernel import Edits
        from napari_autostructn2v.learning.checkpoint import write_checkpoint
        from napari_autostructn2v.learning.network import UNet
        from napari_autostructn2v.noise.notch import NotchRule
        from napari_autostructn2v.runs.folder import RunFolder
        from napari_autostructn2v.runs.request import RunRequest
        from napari_autostructn2v.runs.stage_spec import StageSpec
        from napari_autostructn2v.stack import as_stack

        run = RunFolder(path.parents[len(Path(part).parts) - 1])
        line, box = np.ones((1, 5), dtype=bool), Box((0, 3), (0, 24), (2, 20))
        path.parent.mkdir(exist_ok=True)
        match path.name:
            case "run.json":
                output = Path("/result.mrc")
                request = RunRequest("2d", Config(), kernel=line, box=box, seed=1, output=output)
                run.open(as_stack(stack()), request)
            case "edits.json":
                run.analysis.write_edits(
                    Edits(frozenset({(0, 3), (0, -3)})), Edits(frozenset(), frozenset({(0, 1, 1)}))
                )
            case "approved.json":
                peaks = np.zeros((15, 15), dtype=bool)
                peaks[7, [3, 11]] = True
                run.approve(StageSpec(line, NotchRule(peaks, "auto"), TrainingConfig(), box))
            case _:
                write_checkpoint(path, UNet(1, 8, 1).state_dict(), {"step": 3, "identity": {"seed": 1}})

    return write


RUN_FILES = {
    part: _of_run(part)
    for part in ("run.json", "analysis/edits.json", "stage2/approved.json", "stage1/checkpoint.safetensors")
}


def zipped(parts: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """A zip file of these members."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return file.getvalue()


def unzipped(content: bytes) -> dict[str, bytes]:
    """The members of a zip file."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def as_json(content: bytes) -> object:
    """What a file of JSON says; None if it is none."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None
