"""What the header of an MRC file says is understood, and reaches the results."""

from __future__ import annotations

import bz2
import gzip
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest
from mrcfile.dtypes import HEADER_DTYPE

from napari_autostructn2v import Config, synthetic, train
from napari_autostructn2v._version import __version__
from napari_autostructn2v.apply import denoise_to_file, result_paths
from napari_autostructn2v.errors import DiskFullError, FileError
from napari_autostructn2v.events import finish
from napari_autostructn2v.io import VoxelSize, mrc_header, packed, read_stack, write_stack
from napari_autostructn2v.kernel import POINT

MODES = {"int8": 0, "uint8": 0, "int16": 1, "float32": 2, "uint16": 6}
IMOD_STAMP = 1146047817


def write_bare(
    path: Path, data: np.ndarray, *, order: str = "<", extended: bytes = b"", **fields: Any
) -> Path:
    """An MRC file with voxels of 1 nm whose header says what it is told to."""
    header = np.zeros((), HEADER_DTYPE.newbyteorder(order))
    for axis, length in zip("zyx", data.shape, strict=True):
        header[f"n{axis}"] = header[f"m{axis}"] = length
        header["cella"][axis] = 10 * length
    header["cellb"] = (90, 90, 90)
    header["mode"] = MODES[data.dtype.name]
    header["mapc"], header["mapr"], header["maps"], header["ispg"] = 1, 2, 3, 1
    header["dmin"], header["dmax"], header["dmean"] = data.min(), data.max(), data.mean()
    header["map"], header["nversion"] = b"MAP ", 20140
    header["machst"] = (0x44, 0x44, 0, 0) if order == "<" else (0x11, 0x11, 0, 0)
    header["nsymbt"] = len(extended)
    for name, value in fields.items():
        header[name] = value
    path.write_bytes(header.tobytes() + extended + data.astype(data.dtype.newbyteorder(order)).tobytes())
    return path


def imod(stamp: int, flags: int, order: str = "<") -> np.void:
    words = np.zeros(21, np.dtype(np.int32).newbyteorder(order))
    words[10], words[11] = stamp, flags
    return np.void(words.tobytes())


def header_of(path: Path) -> Any:
    with mrcfile.open(path, header_only=True) as file:
        return file.header.copy()


@pytest.fixture
def stack() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(4, 20, 30)).astype(np.float32)


# Bytes


@pytest.mark.parametrize(
    ("low", "high", "name"),
    [
        (0, 255, "uint8"),
        (3, 130, "uint8"),
        (0, 100, "uint8"),
        (0, 0, "uint8"),
        (-128, 127, "int8"),
        (-1, 90, "int8"),
        (-5, 200, "uint8"),
        (-100, 140, "int8"),
        (0, -1, "int8"),
        (np.nan, np.nan, "int8"),
    ],
)
@pytest.mark.parametrize("order", "<>")
def test_bytes_are_signed_or_not_by_least_and_greatest(
    tmp_path: Path, low: float, high: float, name: str, order: str
) -> None:
    path = write_bare(tmp_path / "a.mrc", np.zeros((2, 16, 16), np.int8), order=order, dmin=low, dmax=high)
    assert read_stack(path).array.dtype == np.dtype(name)


@pytest.mark.parametrize(("flags", "name"), [(0, "uint8"), (1, "int8"), (5, "int8"), (4, "uint8")])
@pytest.mark.parametrize("order", "<>")
def test_the_stamp_of_imod_goes_before_least_and_greatest(
    tmp_path: Path, flags: int, name: str, order: str
) -> None:
    extra = imod(IMOD_STAMP, flags, order)
    for low, high in ((0, 255), (-128, 127)):
        data = np.zeros((2, 16, 16), np.int8)
        path = write_bare(tmp_path / "a.mrc", data, order=order, dmin=low, dmax=high, extra2=extra)
        assert read_stack(path).array.dtype == np.dtype(name)


def test_values_of_unsigned_bytes(tmp_path: Path) -> None:
    data = np.arange(3 * 16 * 16).reshape(3, 16, 16).astype(np.uint8)
    np.testing.assert_array_equal(read_stack(write_bare(tmp_path / "a.st", data)).array, data)


def test_two_values_in_a_byte_by_the_flag_of_imod(tmp_path: Path) -> None:
    data = np.zeros((2, 16, 16), np.int8)
    path = write_bare(tmp_path / "a.mrc", data, extra2=imod(IMOD_STAMP, 16))
    with pytest.raises(FileError, match="newstack"):
        read_stack(path)


# Axes


AXES = [
    ((1, 2, 3), (30, 20, 10)),
    ((3, 2, 1), (10, 20, 30)),
    ((1, 3, 2), (20, 30, 10)),
    ((2, 1, 3), (30, 10, 20)),
    ((2, 3, 1), (10, 30, 20)),
    ((3, 1, 2), (20, 10, 30)),
]
"""mapc, mapr, maps; edges of sections, rows, columns where X is 10, Y 20 and Z 30 ångström long."""


def with_axes(path: Path, data: np.ndarray, order: tuple[int, int, int]) -> Path:
    lengths = dict(zip(order, reversed(data.shape), strict=True))
    sampling = {f"m{axis}": lengths[number] for number, axis in enumerate("xyz", 1)}
    cell = tuple(10.0 * number * lengths[number] for number in (1, 2, 3))
    return write_bare(
        path, data, **dict(zip(("mapc", "mapr", "maps"), order, strict=True)), **sampling, cella=cell
    )


@pytest.mark.parametrize(("order", "edges"), AXES)
def test_edges_follow_the_axes_of_the_array_there_and_back(
    tmp_path: Path, stack: np.ndarray, order: tuple[int, int, int], edges: tuple[int, int, int]
) -> None:
    path = with_axes(tmp_path / "a.map", stack, order)
    image = read_stack(path)
    size = image.voxel_size
    assert size == VoxelSize(*(edge / 10 for edge in edges), "nm")
    out = write_stack(tmp_path / "b.map", stack, voxel_size=size, heading=image.heading)
    before, after = header_of(path), header_of(out)
    for name in ("mapc", "mapr", "maps", "mx", "my", "mz", "cella"):
        assert before[name] == after[name]
    # another size, as a person may set it on a layer, goes to the same axes
    other = VoxelSize(7, 8, 9, "nm")
    out = write_stack(tmp_path / "c.map", stack, voxel_size=other, heading=image.heading)
    assert read_stack(out).voxel_size == other
    # a format that knows no such order has the edges of its array
    assert read_stack(write_stack(tmp_path / "d.zarr", image.array, voxel_size=size)).voxel_size == size


@pytest.mark.parametrize("order", [(0, 0, 0), (1, 1, 3), (-1, 2, 3), (4, 5, 6)])
def test_axes_that_make_no_sense_are_the_usual_ones(
    tmp_path: Path, stack: np.ndarray, order: tuple[int, int, int]
) -> None:
    path = write_bare(tmp_path / "a.mrc", stack, mapc=order[0], mapr=order[1], maps=order[2])
    image = read_stack(path)
    assert image.voxel_size == VoxelSize(1, 1, 1, "nm")
    out = write_stack(tmp_path / "b.mrc", stack, voxel_size=image.voxel_size, heading=image.heading)
    assert mrcfile.validate(out)


# What results take over


def of_all(path: Path, stack: np.ndarray, order: str = "<", **fields: Any) -> Path:
    labels = [b"made by a microscope", b"aligned"] + [b""] * 8
    return write_bare(
        path,
        stack,
        order=order,
        extended=bytes(range(256)) * 3,
        exttyp=b"SERI",
        origin=(-995.5, 480.25, 77),
        nxstart=-24,
        nystart=12,
        nzstart=-2,
        label=labels,
        nlabl=2,
        **fields,
    )


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("dtype", ["float32", "int16", "uint8", "int8"])
def test_a_result_takes_over_what_the_header_says(
    tmp_path: Path, stack: np.ndarray, order: str, dtype: str
) -> None:
    image = read_stack(of_all(tmp_path / "a.mrc", stack, order, extra2=imod(IMOD_STAMP, 4, order)))
    values = (10 * stack).astype(dtype)
    out = write_stack(
        tmp_path / "b.rec",
        values,
        voxel_size=image.voxel_size,
        heading=image.heading,
        how="2.5D kernel 3x1x19",
    )
    assert mrcfile.validate(out)
    np.testing.assert_array_equal(read_stack(out).array, values)
    assert read_stack(out).voxel_size == image.voxel_size
    with mrcfile.open(tmp_path / "a.mrc") as before, mrcfile.open(out) as after:
        for name in ("nxstart", "nystart", "nzstart", "mx", "ispg", "exttyp"):
            assert after.header[name] == before.header[name]
        assert after.header.origin.tolist() == (-995.5, 480.25, 77)
        assert after.extended_header.tobytes() == before.extended_header.tobytes()
        assert after.header.dmin == after.data.min() and after.header.dmax == after.data.max()
        labels = after.get_labels()
        assert labels[:2] == ["made by a microscope", "aligned"]
        assert len(labels) == 3 and labels[2].startswith(
            f"napari-autostructn2v {__version__} 2.5D kernel 3x1x19 "
        )
        stamp, flags = np.frombuffer(after.header.extra2.tobytes(), f"{order}i4")[10:12]
        assert (stamp, flags) == (IMOD_STAMP, 5 if dtype == "int8" else 4)


def test_the_only_label_of_a_result_from_another_format_is_ours(tmp_path: Path, stack: np.ndarray) -> None:
    with mrcfile.open(write_stack(tmp_path / "a.mrc", stack, how="2D kernel 1x7")) as file:
        (label,) = file.get_labels()
    assert label.startswith(f"napari-autostructn2v {__version__} 2D kernel 1x7 ")
    assert mrcfile.validate(tmp_path / "a.mrc")


def test_of_ten_labels_the_last_gives_way(tmp_path: Path, stack: np.ndarray) -> None:
    labels = [f"line {i}".encode() for i in range(10)]
    image = read_stack(write_bare(tmp_path / "a.mrc", stack, label=labels, nlabl=10))
    out = write_stack(tmp_path / "b.mrc", stack, heading=image.heading)
    with mrcfile.open(out) as file:
        written = file.get_labels()
    assert written[:9] == [f"line {i}" for i in range(9)] and "napari-autostructn2v" in written[9]
    assert mrcfile.validate(out)


def test_another_shape_takes_nothing_over(tmp_path: Path, stack: np.ndarray) -> None:
    image = read_stack(of_all(tmp_path / "a.mrc", stack))
    out = write_stack(tmp_path / "b.mrc", stack[1:], voxel_size=image.voxel_size, heading=image.heading)
    assert header_of(out).origin.tolist() == (0, 0, 0)
    assert read_stack(out).voxel_size == image.voxel_size
    assert mrcfile.validate(out)


def test_other_formats_pass_over_the_header_of_an_mrc_file(tmp_path: Path, stack: np.ndarray) -> None:
    image = read_stack(of_all(tmp_path / "a.mrc", stack))
    for name in ("b.tif", "b.ome.tif", "b.zarr"):
        out = write_stack(tmp_path / name, stack, voxel_size=image.voxel_size, heading=image.heading)
        np.testing.assert_array_equal(read_stack(out).array, stack)


def test_a_header_with_gaps_makes_a_valid_result(tmp_path: Path, stack: np.ndarray) -> None:
    path = write_bare(
        tmp_path / "a.mrc",
        stack,
        mx=0,
        mz=-3,
        cella=(-4, np.nan, 5),
        cellb=(0, 0, 0),
        map=b"\0\0\0\0",
        machst=(0, 0, 0, 0),
        nversion=0,
        nlabl=99,
        origin=(7, 7, 7),
    )
    image = read_stack(path)
    out = write_stack(tmp_path / "b.mrc", stack, voxel_size=image.voxel_size, heading=image.heading)
    assert mrcfile.validate(out)
    assert header_of(out).origin.tolist() == (0, 0, 0)  # without the mark it is none


def test_a_single_image_and_a_stack_of_images(tmp_path: Path, stack: np.ndarray) -> None:
    for name, values in (("one.mrc", stack[:1]), ("many.mrcs", stack)):
        image = read_stack(of_all(tmp_path / name, values, ispg=0))
        out = write_stack(tmp_path / f"out_{name}", image.array, heading=image.heading)
        assert header_of(out).ispg == 0 and header_of(out).nxstart == -24
        assert read_stack(out).array.shape == image.array.shape
        assert mrcfile.validate(out)


def test_a_long_extended_header_is_not_handed_on_and_that_is_told(
    tmp_path: Path, stack: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_autostructn2v.io.mrc.MAX_EXTENDED_BYTES", 100)
    image = read_stack(of_all(tmp_path / "a.mrc", stack))
    assert any("extended header" in notice for notice in image.notices)
    out = write_stack(tmp_path / "b.mrc", image.array, heading=image.heading)
    assert header_of(out).nsymbt == 0 and mrcfile.validate(out)
    assert header_of(out).nxstart == -24


def test_applying_a_model_takes_the_header_over(tmp_path: Path) -> None:
    noisy = synthetic.sample("scan_lines", shape=(4, 80, 80), seed=1).noisy
    image = read_stack(of_all(tmp_path / "a.mrc", noisy))
    config = Config.from_preset("fast").stage1.model_copy(update={"steps": 2})
    model = finish(train(noisy, POINT, config))
    target = result_paths([(image.name, image.path)], tmp_path, "_denoised")[0]
    finish(
        denoise_to_file(
            image.array, model, target, voxel_size=image.voxel_size, heading=image.heading, recovery=0
        )
    )
    assert header_of(target).origin.tolist() == (-995.5, 480.25, 77)
    assert header_of(target).nsymbt == 768


# Suffixes, packed files


@pytest.mark.parametrize("name", ["a.mrcs", "a.preali", "A.MRC", "a.ccp4", "a.fixed", "no_suffix", "a.bin"])
def test_a_file_is_known_by_its_suffix_or_by_its_mark(tmp_path: Path, stack: np.ndarray, name: str) -> None:
    image = read_stack(write_bare(tmp_path / name, stack))
    np.testing.assert_array_equal(image.array, stack)
    result = result_paths([(image.name, image.path)], tmp_path, "_denoised")[0]
    out = write_stack(result, image.array, heading=image.heading)
    assert read_stack(out).format == "MRC"


def pack(path: Path) -> Path:
    pack_with = gzip.compress if path.suffix == ".gz" else bz2.compress
    path.write_bytes(pack_with(path.with_suffix("").read_bytes()))
    path.with_suffix("").unlink()
    return path


@pytest.mark.parametrize("ending", [".mrc.gz", ".rec.gz", ".map.gz", ".st.bz2", ".MAP.GZ", ".preali.bz2"])
def test_a_packed_file_is_unpacked_when_it_is_looked_at(
    tmp_path: Path, stack: np.ndarray, ending: str
) -> None:
    plain, packing = ending[: ending.rindex(".")], ending[ending.rindex(".") :]
    of_all(tmp_path / f"a{plain}", stack)
    path = tmp_path / f"a{plain}{packing.lower()}"
    pack(path).rename(tmp_path / f"a{ending}")
    image = read_stack(tmp_path / f"a{ending}")
    assert image.name == "a" and image.array.shape == stack.shape
    assert "unpacked" in image.notices[0] and "kB" in image.notices[0]
    np.testing.assert_array_equal(image.array[2], stack[2])
    np.testing.assert_array_equal(image.array, stack)
    assert [each.name for each in tmp_path.iterdir()] == [f"a{ending}"]
    result = result_paths([(image.name, image.path)], tmp_path, "_denoised")[0]
    assert result.name == f"a_denoised{plain}"
    out = write_stack(result, image.array, voxel_size=image.voxel_size, heading=image.heading)
    assert header_of(out).nsymbt == 768


def test_a_packed_file_that_ends_too_early_or_promises_too_much(tmp_path: Path, stack: np.ndarray) -> None:
    path = pack(write_bare(tmp_path / "a.mrc", stack).with_suffix(".mrc.gz"))
    whole = path.read_bytes()
    path.write_bytes(whole[:5000])
    with pytest.raises(FileError, match="damaged"):
        read_stack(path).array[0]
    path.write_bytes(whole[:15])
    with pytest.raises(FileError, match="damaged"):
        read_stack(path)
    path.write_bytes(b"no gzip at all")
    with pytest.raises(FileError, match="damaged"):
        read_stack(path)
    path.write_bytes(gzip.compress(write_bare(tmp_path / "b.mrc", stack, nz=10**6).read_bytes()))
    with pytest.raises(FileError, match="promises"):
        read_stack(path)
    with pytest.raises(FileError, match="packed"):
        write_stack(tmp_path / "c.mrc.gz", stack)
    (tmp_path / "d.tif.gz").write_bytes(whole)
    with pytest.raises(FileError, match="Unpack it"):
        read_stack(tmp_path / "d.tif.gz")


def test_no_room_to_unpack(tmp_path: Path, stack: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pack(write_bare(tmp_path / "a.mrc", stack).with_suffix(".mrc.gz"))
    monkeypatch.setattr(packed, "room", lambda folder: 1000)
    with pytest.raises(DiskFullError, match="takes 9 kB"):
        read_stack(path).array[0]


def test_the_labels_are_80_letters_wide() -> None:
    assert mrc_header.HEADER_DTYPE["label"].subdtype[0].itemsize == mrc_header._LABEL_BYTES


def test_the_header_tells_of_the_values_that_are_numbers(tmp_path: Path) -> None:
    stack = np.random.default_rng(0).normal(5, 2, (3, 20, 30)).astype(np.float32)
    stack[:, :, :4] = stack[1] = np.nan
    write_stack(tmp_path / "a.mrc", stack)
    with mrcfile.open(tmp_path / "a.mrc") as file:
        told = [float(file.header[name]) for name in ("dmin", "dmax", "dmean", "rms")]
    assert told == pytest.approx([np.nanmin(stack), np.nanmax(stack), np.nanmean(stack), np.nanstd(stack)])
