"""Reading and writing stacks: every format there and back, every bad input refused in words."""

from __future__ import annotations

import gc
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest
import tifffile
import zarr

from napari_autostructn2v.disk.atomic import write_atomically
from napari_autostructn2v.errors import ConfigError, FileError, StackError
from napari_autostructn2v.io import VoxelSize, read_stack, write_stack

DATA = Path(__file__).parents[3] / "shared" / "data"
ANISOTROPIC = VoxelSize(z=3.17, y=1.234, x=1.052, unit="nm")
SUFFIXES = [".mrc", ".rec", ".tif", ".ome.tif", ".ome.zarr"]

is_root = hasattr(os, "geteuid") and os.geteuid() == 0


@pytest.fixture
def stack() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(5, 20, 30)).astype(np.float32)


class Lazy:
    """An array that can only be read one slice at a time."""

    def __init__(self, array: np.ndarray) -> None:
        self._array, self.shape, self.dtype = array, array.shape, array.dtype

    def __getitem__(self, z: Any) -> np.ndarray:
        assert isinstance(z, int)
        return self._array[z]


class Failing(Lazy):
    """Breaks in the middle, as a network drive does."""

    def __getitem__(self, z: Any) -> np.ndarray:
        if z == 2:
            raise RuntimeError("gone")
        return super().__getitem__(z)


def lengths(size: VoxelSize | None) -> tuple[float, float, float]:
    assert size is not None
    in_nm = size.to("nm")
    return (in_nm.z, in_nm.y, in_nm.x)


# There and back


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("unit", ["nm", "um", "angstrom"])
def test_values_and_anisotropic_voxel_size_survive(
    tmp_path: Path, stack: np.ndarray, suffix: str, unit: Any
) -> None:
    size = VoxelSize(3.17, 1.234, 1.04871, unit)
    path = write_stack(tmp_path / f"stack{suffix}", Lazy(stack), voxel_size=size)
    image = read_stack(path)
    np.testing.assert_array_equal(np.asarray(image.array), stack)
    assert image.array.dtype == np.float32
    assert image.name == "stack"
    assert lengths(image.voxel_size) == pytest.approx(lengths(size), rel=2e-6)
    expected_unit = "nm" if suffix in (".mrc", ".rec") else unit
    assert image.voxel_size is not None and image.voxel_size.unit == expected_unit


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_round_number_comes_back_as_the_same_number(tmp_path: Path, stack: np.ndarray, suffix: str) -> None:
    image = read_stack(write_stack(tmp_path / f"a{suffix}", stack, voxel_size=ANISOTROPIC))
    assert image.voxel_size == ANISOTROPIC


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_unknown_voxel_size_stays_unknown(tmp_path: Path, stack: np.ndarray, suffix: str) -> None:
    assert read_stack(write_stack(tmp_path / f"a{suffix}", stack)).voxel_size is None


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_size_without_physical_unit(tmp_path: Path, stack: np.ndarray, suffix: str) -> None:
    size = VoxelSize(2.5, 1, 1, "pixel")
    found = read_stack(write_stack(tmp_path / f"a{suffix}", stack, voxel_size=size)).voxel_size
    assert found == (None if suffix in (".mrc", ".rec") else size)  # an MRC header means ångström, always


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_single_slice(tmp_path: Path, stack: np.ndarray, suffix: str) -> None:
    image = read_stack(write_stack(tmp_path / f"a{suffix}", stack[0], voxel_size=ANISOTROPIC))
    np.testing.assert_array_equal(np.asarray(image.array), stack[0])
    assert image.voxel_size is not None
    assert (image.voxel_size.y, image.voxel_size.x) == (ANISOTROPIC.y, ANISOTROPIC.x)


@pytest.mark.parametrize(
    ("suffix", "given", "stored"),
    [
        (".mrc", "uint8", "uint16"),
        (".mrc", "int8", "int8"),
        (".mrc", "int16", "int16"),
        (".mrc", "uint16", "uint16"),
        (".mrc", "float16", "float16"),
        (".mrc", ">f4", "float32"),
        (".mrc", "float64", "float32"),
        (".mrc", "int32", "float32"),
        (".tif", "uint8", "uint8"),
        (".tif", "uint16", "uint16"),
        (".tif", ">u2", "uint16"),
        (".tif", "int16", "int16"),
        (".tif", "int32", "float32"),
        (".tif", "float64", "float32"),
        (".tif", "float16", "float32"),
        (".ome.tif", "int32", "int32"),
        (".ome.tif", "float64", "float64"),
        (".ome.tif", "float16", "float32"),
        (".zarr", "float16", "float16"),
        (".zarr", "int64", "int64"),
        (".zarr", "bool", "float32"),
    ],
)
def test_data_types(tmp_path: Path, suffix: str, given: str, stored: str) -> None:
    array = np.arange(3 * 16 * 17).reshape(3, 16, 17).__mod__(100)
    if np.dtype(given).kind in "if":
        array -= 50
    array = array.astype(given)
    image = read_stack(write_stack(tmp_path / f"a{suffix}", array))
    assert np.dtype(image.array.dtype).name == stored
    np.testing.assert_array_equal(np.asarray(image.array).astype(float), array.astype(float))


def test_written_files_are_valid_for_other_readers(tmp_path: Path, stack: np.ndarray) -> None:
    path = write_stack(tmp_path / "a.mrc", stack, voxel_size=ANISOTROPIC)
    assert mrcfile.validate(path)
    with mrcfile.open(path) as mrc:
        assert mrc.is_volume()
        assert float(mrc.voxel_size.z) == pytest.approx(31.7)
        assert float(mrc.header.dmin) == pytest.approx(stack.min())
        assert float(mrc.header.rms) == pytest.approx(stack.std(), rel=1e-4)
    with tifffile.TiffFile(write_stack(tmp_path / "a.tif", stack, voxel_size=ANISOTROPIC)) as tif:
        assert tif.is_imagej
        assert tif.imagej_metadata is not None and tif.imagej_metadata["unit"] == "nm"
        assert tif.series[0].axes == "ZYX"
    with tifffile.TiffFile(write_stack(tmp_path / "a.ome.tif", stack, voxel_size=ANISOTROPIC)) as tif:
        assert tif.is_ome and not tif.is_bigtiff


def test_ome_zarr_is_version_0_4_with_nested_chunks(tmp_path: Path, stack: np.ndarray) -> None:
    path = write_stack(tmp_path / "a.ome.zarr", stack, voxel_size=ANISOTROPIC)
    multiscale = json.loads((path / ".zattrs").read_text())["multiscales"][0]
    assert multiscale["version"] == "0.4"
    assert [axis["unit"] for axis in multiscale["axes"]] == ["nanometer"] * 3
    assert (path / "0" / "4" / "0" / "0").is_file()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_other_readers_agree_on_ome_zarr(tmp_path: Path, stack: np.ndarray) -> None:
    models = pytest.importorskip("ome_zarr_models.v04")
    path = write_stack(tmp_path / "a.ome.zarr", stack, voxel_size=ANISOTROPIC)
    models.Image.from_zarr(zarr.open_group(path, mode="r"))


def test_tiff_beyond_4_gb_becomes_big_ome_tiff(
    tmp_path: Path, stack: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_autostructn2v.io.tiff._CLASSIC_BYTES", 1000)
    path = write_stack(tmp_path / "a.tif", stack, voxel_size=ANISOTROPIC)
    with tifffile.TiffFile(path) as tif:
        assert tif.is_bigtiff and tif.is_ome
    image = read_stack(path)
    np.testing.assert_array_equal(np.asarray(image.array), stack)
    assert image.voxel_size == ANISOTROPIC


# Reading what others wrote


@pytest.mark.skipif(not DATA.is_dir(), reason="the real stacks are not here")
def test_real_stacks() -> None:
    image = read_stack(DATA / "cryo_microtubule_36x206x94_u8.tif")
    assert image.array.shape == (36, 206, 94)
    assert image.voxel_size == VoxelSize(1.052, 1.052, 1.052, "nm")
    assert isinstance(image.array, np.memmap)
    assert image.format == "ImageJ TIFF"
    compressed = read_stack(DATA / "sstem_30x256x256_u8.tif")
    assert compressed.array.shape == (30, 256, 256)
    assert compressed.voxel_size is None
    assert np.asarray(compressed.array[3]).std() > 0


@pytest.mark.parametrize("order", "<>")
def test_mrc_of_either_byte_order_and_with_harmless_defects(
    tmp_path: Path, stack: np.ndarray, order: str
) -> None:
    path = tmp_path / "a.mrc"
    with mrcfile.new(path) as mrc:
        mrc.set_data(stack.astype(f"{order}f4"))
        mrc.voxel_size = 2.5
        mrc.set_extended_header(np.zeros(160, dtype="V1"))
    path.write_bytes(path.read_bytes() + b"surplus")
    assert lengths(read_stack(path).voxel_size) == (0.25, 0.25, 0.25)
    for offset, defect in ((208, b"\0\0\0\0"), (212, b"????")):  # no MAP mark; no machine stamp either
        raw = bytearray(path.read_bytes())
        raw[offset : offset + 4] = defect
        path.write_bytes(raw)
        np.testing.assert_array_equal(np.asarray(read_stack(path).array), stack)


def test_mrc_bytes_of_imod_are_unsigned_unless_flagged(tmp_path: Path) -> None:
    path = tmp_path / "a.rec"
    mrcfile.write(path, np.full((2, 16, 16), -1, dtype=np.int8))
    raw = bytearray(path.read_bytes())
    for flags, value in ((None, -1), (0, 255), (1, -1)):
        if flags is not None:
            raw[152:160] = np.array([1146047817, flags], dtype="<i4").tobytes()
            path.write_bytes(raw)
        assert int(read_stack(path).array[1, 2, 3]) == value


def test_large_mrc_is_not_read_to_show_a_slice(tmp_path: Path) -> None:
    statm = Path("/proc/self/statm")
    if not statm.exists():
        pytest.skip("resident memory is read from /proc")
    path = tmp_path / "large.mrc"
    with mrcfile.new_mmap(path, (300, 1024, 1024), mrc_mode=2):
        pass
    assert path.stat().st_size > 1.2e9

    def resident() -> int:
        gc.collect()
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    before = resident()
    image = read_stack(path)
    assert np.asarray(image.array[0]).sum() == 0
    assert resident() - before < 50e6


def test_tiff_pages_compressed_and_tiled(tmp_path: Path, stack: np.ndarray) -> None:
    tifffile.imwrite(tmp_path / "z.tif", stack, compression="zlib", photometric="minisblack")
    tifffile.imwrite(tmp_path / "t.tif", stack, tile=(16, 16), photometric="minisblack")
    with tifffile.TiffWriter(tmp_path / "p.tif") as writer:
        for plane in stack:
            writer.write(plane, metadata=None)
    tifffile.imwrite(tmp_path / "b.tif", stack, byteorder=">", compression="zlib", photometric="minisblack")
    for name in "ztpb":
        image = read_stack(tmp_path / f"{name}.tif")
        assert image.array.shape == stack.shape
        assert not isinstance(image.array, np.ndarray)
        np.testing.assert_array_equal(image.array[3], stack[3])


def test_tiff_axes_of_length_one_are_dropped(tmp_path: Path, stack: np.ndarray) -> None:
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, stack[None, :, None], ome=True, metadata={"axes": "TZCYX"})
    assert read_stack(path).array.shape == stack.shape


@pytest.mark.parametrize(
    ("written", "unit", "factor"),
    [("micron", "um", 1), ("\\u00B5m", "um", 1), ("\\u00C5", "angstrom", 1), ("mm", "um", 1000)],
)
def test_imagej_units(tmp_path: Path, stack: np.ndarray, written: str, unit: str, factor: float) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, stack, imagej=True, resolution=(2, 4), metadata={"axes": "ZYX", "unit": written, "spacing": 3}
    )
    size = read_stack(path).voxel_size
    assert size is not None
    assert size.unit == unit
    assert (size.z, size.y, size.x) == pytest.approx((3 * factor, 0.25 * factor, 0.5 * factor))


def test_imagej_look_up_table_is_no_colour(tmp_path: Path) -> None:
    grey = np.arange(256, dtype=np.uint16) * 257
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path,
        np.zeros((2, 16, 16), np.uint8),
        imagej=True,
        colormap=np.stack([grey, grey * 0, grey]),
        metadata={"axes": "ZYX"},
    )
    assert read_stack(path).array.shape == (2, 16, 16)


def test_a_calibration_that_makes_no_sense_is_left_out(tmp_path: Path, stack: np.ndarray) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, stack, imagej=True, metadata={"axes": "ZYX", "unit": "nm", "spacing": "thick"})
    assert read_stack(path).voxel_size is None


def test_big_endian_imagej(tmp_path: Path, stack: np.ndarray) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, stack, imagej=True, byteorder=">", metadata={"axes": "ZYX"})
    image = read_stack(path)
    assert isinstance(image.array, np.memmap)
    np.testing.assert_array_equal(image.array, stack)


def test_ome_units_differ_by_axis(tmp_path: Path, stack: np.ndarray) -> None:
    path = tmp_path / "a.ome.tif"
    units = {"PhysicalSizeX": 10.52, "PhysicalSizeXUnit": "Å", "PhysicalSizeY": 0.0012, "PhysicalSizeZ": 3.0}
    tifffile.imwrite(path, stack, metadata={"axes": "ZYX", "PhysicalSizeZUnit": "nm", **units})
    assert lengths(read_stack(path).voxel_size) == pytest.approx((3.0, 1.2, 1.052))


def test_folder_of_slices_in_natural_order(tmp_path: Path) -> None:
    for z in range(12):
        tifffile.imwrite(tmp_path / f"slice{z}.tif", np.full((16, 18), z, np.uint8), compression="zlib")
    (tmp_path / "._slice0.tif").write_bytes(b"left by another system")
    (tmp_path / "notes.txt").write_text("ignored")
    image = read_stack(tmp_path)
    assert image.array.shape == (12, 16, 18)
    assert [int(image.array[z][0, 0]) for z in range(12)] == list(range(12))


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr_with_time_and_channel_axes(tmp_path: Path, stack: np.ndarray, version: str) -> None:
    path = tmp_path / "a.zarr"
    axes = [{"name": n, "type": "space", "unit": "micrometer"} for n in "zyx"]
    multiscale = {
        "axes": [{"name": "t", "type": "time"}, {"name": "c", "type": "channel"}, *axes],
        "datasets": [
            {"path": "s0", "coordinateTransformations": [{"type": "scale", "scale": [1, 1, 0.3, 0.2, 0.1]}]}
        ],
        "coordinateTransformations": [{"type": "scale", "scale": [1, 1, 2, 1, 1]}],
    }
    attributes: dict[str, Any] = {"multiscales": [{"version": "0.4", **multiscale}]}
    if version == "0.5":
        attributes = {"ome": {"version": "0.5", "multiscales": [multiscale]}}
    group = zarr.create_group(path, zarr_format=2 if version == "0.4" else 3, attributes=attributes)
    group.create_array("s0", data=stack[None, None])
    image = read_stack(path)
    assert image.array.shape == stack.shape
    assert image.array.ndim == 3 and len(image.array) == 5
    np.testing.assert_array_equal(image.array[3], stack[3])
    np.testing.assert_array_equal(image.array[1:3, 4], stack[1:3, 4])
    np.testing.assert_array_equal(np.asarray(image.array), stack)
    assert image.voxel_size == VoxelSize(0.6, 0.2, 0.1, "um")


# Bad inputs


def refused(path: Path, *words: str) -> None:
    with pytest.raises(FileError) as caught:
        read_stack(path)
    assert path.name in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_missing_file_and_unknown_suffix(tmp_path: Path) -> None:
    refused(tmp_path / "none.mrc", "no file")
    (tmp_path / "a.foo").write_bytes(b"x")
    refused(tmp_path / "a.foo", ".foo", ".mrc", "Convert")
    for name, word in (("a.TVIPS", "e2proc3d.py a.TVIPS"), ("a.h5", "HDF5"), ("a.raw", "Raw")):
        (tmp_path / name).write_bytes(b"x")
        refused(tmp_path / name, name, word)
    (tmp_path / "a.zarr").write_bytes(b"x")
    refused(tmp_path / "a.zarr", "folder")


@pytest.mark.parametrize("name", ["a.mrc", "a.rec", "a.map", "a.st", "a.ali", "a.tif", "a.ome.tiff"])
@pytest.mark.parametrize("size", [0, 3, 100, 1024, 5000])
def test_random_bytes(tmp_path: Path, name: str, size: int) -> None:
    (tmp_path / name).write_bytes(np.random.default_rng(size).bytes(size))
    refused(tmp_path / name, "no MRC file" if "tif" not in name else "no TIFF file")


def test_tiff_named_mrc_and_mrc_named_tiff(tmp_path: Path, stack: np.ndarray) -> None:
    write_stack(tmp_path / "a.tif", stack).rename(tmp_path / "b.mrc")
    write_stack(tmp_path / "a.mrc", stack).rename(tmp_path / "b.tif")
    refused(tmp_path / "b.mrc", "no MRC file")
    refused(tmp_path / "b.tif", "no TIFF file")


def test_truncated_mrc_says_how_much_is_missing(tmp_path: Path, stack: np.ndarray) -> None:
    path = write_stack(tmp_path / "a.mrc", stack)
    os.truncate(path, path.stat().st_size - 1234)
    refused(path, "1234", "missing", "Copy it again")


@pytest.mark.parametrize(
    ("offset", "value"),
    [(0, 2**31 - 1), (8, 2**31 - 1), (92, 2**31 - 1), (92, -5000), (0, -4), (8, 0), (12, 77)],
)
def test_lying_mrc_header_is_refused_before_memory_is_taken(
    tmp_path: Path, stack: np.ndarray, offset: int, value: int
) -> None:
    path = write_stack(tmp_path / "a.mrc", stack)
    raw = bytearray(path.read_bytes())
    raw[offset : offset + 4] = np.int32(value).tobytes()
    path.write_bytes(raw)
    refused(path)


@pytest.mark.parametrize(("mode", "word"), [(3, "complex"), (4, "complex"), (101, "newstack")])
def test_mrc_modes_that_are_no_images(tmp_path: Path, stack: np.ndarray, mode: int, word: str) -> None:
    path = write_stack(tmp_path / "a.mrc", stack)
    raw = bytearray(path.read_bytes())
    raw[12:16] = np.int32(mode).tobytes()
    path.write_bytes(raw)
    refused(path, word)


def test_mrc_of_several_volumes(tmp_path: Path, stack: np.ndarray) -> None:
    mrcfile.write(tmp_path / "a.mrc", np.stack([stack, stack]))
    refused(tmp_path / "a.mrc", "2 volumes")


@pytest.mark.parametrize(
    ("shape", "options", "word"),
    [
        ((20, 30, 3), {"photometric": "rgb"}, "colour"),
        ((4, 20, 30, 3), {"photometric": "rgb", "imagej": True}, "colour"),
        ((2, 20, 30), {"imagej": True, "metadata": {"axes": "CYX"}}, "2 channels"),
        ((7, 20, 30), {"imagej": True, "metadata": {"axes": "TYX"}}, "7 frames"),
        ((2, 7, 20, 30), {"ome": True, "metadata": {"axes": "CZYX"}}, "2 channels"),
        ((2, 7, 20, 30), {"metadata": {"axes": "QZYX"}}, "one stack"),
    ],
)
def test_tiff_that_is_no_stack(tmp_path: Path, shape: Any, options: dict[str, Any], word: str) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros(shape, np.uint8), **{"photometric": "minisblack", **options})
    refused(path, word)


def test_tiff_of_complex_numbers_and_of_several_images(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "c.tif", np.ones((2, 16, 16), np.complex64))
    refused(tmp_path / "c.tif", "complex")
    with tifffile.TiffWriter(tmp_path / "s.tif") as writer:
        writer.write(np.zeros((16, 16), np.uint8))
        writer.write(np.zeros((20, 20), np.uint16))
    refused(tmp_path / "s.tif", "2 images")


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("dialect", ["imagej", "ome", "pages", "shaped"])
def test_truncated_tiff(tmp_path: Path, stack: np.ndarray, dialect: str, compression: str | None) -> None:
    path = tmp_path / "a.tif"
    if dialect == "pages":
        with tifffile.TiffWriter(path) as writer:
            for plane in stack:
                writer.write(plane, metadata=None, compression=compression)
    else:
        options = {dialect: True} if dialect != "shaped" else {}
        tifffile.imwrite(path, stack, photometric="minisblack", compression=compression, **options)
    whole = path.read_bytes()
    for kept in (0.05, 0.3, 0.6, 0.9, 0.97):
        path.write_bytes(whole[: int(len(whole) * kept)])
        try:
            image = read_stack(path)
        except FileError as error:
            assert path.name in str(error)
        else:  # the description, at the end of an OME-TIFF, is gone, but all pixels are there
            assert (dialect, kept) == ("ome", 0.97)
            np.testing.assert_array_equal(np.asarray(image.array), stack)


def test_tiff_header_that_promises_too_much(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((16, 16), np.uint8), compression="zlib")
    with tifffile.TiffFile(path, mode="r+") as tif:
        for name in ("ImageWidth", "ImageLength", "RowsPerStrip"):
            tif.pages.first.tags[name].overwrite(2**20)
    refused(path, "promises")


def test_damaged_tiff_is_refused_or_read_but_never_crashes(tmp_path: Path, stack: np.ndarray) -> None:
    path = write_stack(tmp_path / "a.ome.tif", stack, voxel_size=ANISOTROPIC)
    whole, random = path.read_bytes(), np.random.default_rng(0)
    for _ in range(150):
        raw = bytearray(whole)
        for offset in random.integers(0, 300, 4):
            raw[offset] = random.integers(256)
        path.write_bytes(raw)
        with suppress(FileError):
            read_stack(path)


def test_folders_that_are_no_stack(tmp_path: Path) -> None:
    empty, mixed, stacks = tmp_path / "empty", tmp_path / "mixed", tmp_path / "stacks"
    for folder in (empty, mixed, stacks):
        folder.mkdir()
    refused(empty, "no TIFF files")
    tifffile.imwrite(mixed / "1.tif", np.zeros((16, 16), np.uint8))
    tifffile.imwrite(mixed / "2.tif", np.zeros((16, 17), np.uint8))
    refused(mixed, "1.tif is 16 × 16 uint8", "2.tif is 16 × 17 uint8")
    tifffile.imwrite(stacks / "1.tif", np.zeros((5, 16, 16), np.uint8))
    refused(stacks, "stack of 5 slices")


def test_bad_zarr_folders(tmp_path: Path, stack: np.ndarray) -> None:
    path = tmp_path / "a.zarr"
    path.mkdir()
    refused(path, "no Zarr folder")
    (path / ".zgroup").write_text('{"zarr_format": 2}')
    refused(path, "no OME-Zarr image", "folder 0")
    write_stack(path / "0.zarr", stack).rename(path / "0")
    assert read_stack(path / "0").array.shape == stack.shape
    (path / ".zattrs").write_text("{not json")
    refused(path, "damaged")
    shutil.rmtree(path)
    write_stack(path, stack)
    (path / "0" / ".zarray").unlink()
    refused(path, "missing or damaged")
    shutil.rmtree(path)
    write_stack(path, stack)
    attributes = json.loads((path / ".zattrs").read_text())
    attributes["multiscales"][0]["axes"][0] = {"name": "c", "type": "channel"}
    (path / ".zattrs").write_text(json.dumps(attributes))
    refused(path, "5 entries", "'c'")


def test_zarr_that_promises_slices_beyond_memory(tmp_path: Path, stack: np.ndarray) -> None:
    path = write_stack(tmp_path / "a.zarr", stack)
    array = json.loads((path / "0" / ".zarray").read_text())
    array["shape"] = [5, 10**6, 10**6]
    (path / "0" / ".zarray").write_text(json.dumps(array))
    refused(path, "1000000 × 1000000")


def test_voxel_sizes_are_checked() -> None:
    for bad in ((0, 1, 1), (1, -1, 1), (1, 1, float("nan"))):
        with pytest.raises(ConfigError, match="positive"):
            VoxelSize(*bad)
    with pytest.raises(ConfigError, match="unit"):
        VoxelSize(1, 1, 1, "furlong")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="pixel"):
        VoxelSize(1, 1, 1, "pixel").to("nm")
    assert VoxelSize(1.052, 1.052, 1.052).to("angstrom") == VoxelSize(10.52, 10.52, 10.52, "angstrom")


# Writing


def test_unwritable_arrays_and_names(tmp_path: Path, stack: np.ndarray) -> None:
    with pytest.raises(FileError, match=r"\.mrc"):
        write_stack(tmp_path / "a.jpg", stack)
    for array in (stack.astype(np.complex64), stack[None], stack[:0]):
        with pytest.raises(StackError, match="cannot be written"):
            write_stack(tmp_path / "a.mrc", array)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_nothing_is_overwritten_unasked(tmp_path: Path, stack: np.ndarray, suffix: str) -> None:
    path = write_stack(tmp_path / f"a{suffix}", stack)
    with pytest.raises(FileError, match="exists already"):
        write_stack(path, stack + 1)
    np.testing.assert_array_equal(np.asarray(read_stack(path).array), stack)
    write_stack(path, stack + 1, overwrite=True)
    np.testing.assert_array_equal(np.asarray(read_stack(path).array), stack + 1)
    assert list(tmp_path.iterdir()) == [path]


def test_a_stack_can_be_written_over_the_file_it_is_read_from(tmp_path: Path, stack: np.ndarray) -> None:
    path = write_stack(tmp_path / "a.mrc", stack)
    write_stack(path, read_stack(path).array, voxel_size=ANISOTROPIC, overwrite=True)
    np.testing.assert_array_equal(np.asarray(read_stack(path).array), stack)


def test_a_folder_of_something_else_is_never_replaced(tmp_path: Path, stack: np.ndarray) -> None:
    for name in ("photos.zarr", "photos.mrc"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "precious.txt").write_text("x")
        with pytest.raises(FileError, match="not replaced"):
            write_stack(tmp_path / name, stack, overwrite=True)
        assert (tmp_path / name / "precious.txt").exists()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_failure_in_the_middle_leaves_the_old_file_alone(
    tmp_path: Path, stack: np.ndarray, suffix: str
) -> None:
    path = write_stack(tmp_path / f"a{suffix}", stack)
    with pytest.raises(RuntimeError, match="gone"):
        write_stack(path, Failing(stack), overwrite=True)
    with pytest.raises(RuntimeError, match="gone"):
        write_stack(tmp_path / f"b{suffix}", Failing(stack))
    assert list(tmp_path.iterdir()) == [path]
    np.testing.assert_array_equal(np.asarray(read_stack(path).array), stack)


def test_write_atomically(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with write_atomically(path, overwrite=False) as beside:
        beside.write_text("first")
        assert beside.suffix == ".json" and beside.parent == tmp_path and not path.exists()
    assert path.read_text() == "first"
    with pytest.raises(FileError, match="exists already"), write_atomically(path, overwrite=False):
        pytest.fail("the block must not run")
    with pytest.raises(KeyboardInterrupt), write_atomically(path, overwrite=True) as beside:
        beside.write_text("half")
        raise KeyboardInterrupt
    with (
        pytest.raises(FileError, match="exists already"),
        write_atomically(tmp_path / "b", overwrite=False) as b,
    ):
        b.write_text("mine")
        (tmp_path / "b").write_text("theirs")
    with pytest.raises(FileError, match="is a file"), write_atomically(path, overwrite=True) as beside:
        beside.mkdir()
    assert path.read_text() == "first" and (tmp_path / "b").read_text() == "theirs"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.json", "b"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "a.json"
    try:
        link.symlink_to(tmp_path / "real" / "b.json")
    except OSError:
        pytest.skip("no links here")
    with write_atomically(link, overwrite=True) as beside:
        beside.write_text("x")
    assert link.is_symlink() and (tmp_path / "real" / "b.json").read_text() == "x"


def test_missing_folder(tmp_path: Path, stack: np.ndarray) -> None:
    with pytest.raises(FileError, match=r"does not exist\. Create it"):
        write_stack(tmp_path / "no" / "a.mrc", stack)
    (tmp_path / "file").write_text("x")
    with pytest.raises(FileError, match="does not exist"):
        write_stack(tmp_path / "file" / "a.mrc", stack)


def test_name_that_is_too_long(tmp_path: Path, stack: np.ndarray) -> None:
    with pytest.raises(FileError, match="too long"):
        write_stack(tmp_path / f"{'a' * 300}.mrc", stack)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def forbidden_folder() -> Iterator[Path]:
    """A folder this process may not write in, even if it was started as root."""
    if not hasattr(os, "geteuid"):
        pytest.skip("permissions work differently here")
    outer = Path(tempfile.mkdtemp())
    outer.chmod(0o755)
    folder = outer / "forbidden"
    folder.mkdir()
    folder.chmod(0o555)
    user = os.geteuid()
    try:
        if user == 0:
            os.seteuid(65534)
        yield folder
    finally:
        os.seteuid(user)
        folder.chmod(0o755)
        shutil.rmtree(outer)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_no_permission(forbidden_folder: Path, stack: np.ndarray, suffix: str) -> None:
    with pytest.raises(FileError, match="no permission"):
        write_stack(forbidden_folder / f"a{suffix}", stack)
    assert not list(forbidden_folder.iterdir())


def test_no_permission_to_read(forbidden_folder: Path, stack: np.ndarray) -> None:
    user = os.geteuid()
    os.seteuid(os.getuid())
    (forbidden_folder).chmod(0o755)
    path = write_stack(forbidden_folder / "a.tif", stack)
    path.chmod(0o000)
    os.seteuid(user)
    refused(path, "may read it")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    if not is_root or mount is None:
        pytest.skip("only root can mount a small disk")
    command = [mount, "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    yield disk
    gc.collect()
    subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("slices", [3, 40])
def test_full_disk(small_disk: Path, suffix: str, slices: int) -> None:
    noise = np.random.default_rng(0).normal(size=(slices, 128, 256)).astype(np.float32)
    filler = small_disk / "filler"
    filler.write_bytes(bytes(800_000))
    with pytest.raises(FileError, match="disk is full"):
        write_stack(small_disk / f"a{suffix}", noise)
    assert list(small_disk.iterdir()) == [filler]


# Where not even a header fits, mrcfile leaves its file to the garbage collector, which complains.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_completely_full_disk(small_disk: Path, stack: np.ndarray) -> None:
    (small_disk / "filler").write_bytes(bytes(2**20))
    for suffix in SUFFIXES:
        with pytest.raises(FileError, match="disk is full"):
            write_stack(small_disk / f"a{suffix}", stack)
        gc.collect()
    assert [p.name for p in small_disk.iterdir()] == ["filler"]
