"""TIFF as microscopes and programs write it: pixel sizes in their tags, palettes, thumbnails, lost slices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_autostructn2v.errors import FileError
from napari_autostructn2v.io import VoxelSize, read_stack
from napari_autostructn2v.io.slice_numbers import missing_slices

FEI = "[User]\r\nUser=x\r\n[{section}]\r\nPixelWidth=4e-009\r\nPixelHeight=5e-009\r\n"
FIELD = "[EBeam]\r\nHFW=1.28e-7\r\nVFW=1.2e-7\r\n[Image]\r\nResolutionX=32\r\nResolutionY=24\r\n"
ZEISS = "\r\n\r\n0\r\nAP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = 4.000 nm\r\n"
FIBICS = '<Fibics version="1.0"><Scan><Ux>0.004</Ux><Uy>0</Uy><Vx>0</Vx><Vy>-0.005</Vy></Scan></Fibics>'
FIBICS_FIELD = '<Fibics><Scan><FOV_X units="um">0.128</FOV_X><FOV_Y units="um">0.12</FOV_Y></Scan></Fibics>'
THERMO = '<Metadata><BinaryResult><PixelSize><X unit="m">4e-9</X><Y unit="m">5e-9</Y></PixelSize>'
THERMO += "</BinaryResult></Metadata>"
TESCAN = "[MAIN]\nMagnification=1000\nPixelSizeX=4e-009\nPixelSizeY=5e-009\n"
JEOL = "<TemReporter><Eos><EosMode>eosTEM</EosMode></Eos><ImageFormingSystem><ModeString>MAG</ModeString>"
JEOL += "<SelectorValue>1000</SelectorValue></ImageFormingSystem></TemReporter>"


def write(path: Path, tags: dict[int, Any] | None = None, **options: Any) -> Path:
    plane = np.random.default_rng(0).integers(0, 255, (24, 32)).astype(np.uint8)
    extra = [(code, "s", 0, value.encode("cp1252"), True) for code, value in (tags or {}).items()]
    tifffile.imwrite(path, plane, extratags=extra, metadata=None, **options)
    return path


@pytest.mark.parametrize(
    ("tags", "edges"),
    [
        ({34682: FEI.format(section="Scan")}, (5, 4)),
        ({34682: FEI.format(section="EScan")}, (5, 4)),
        ({34680: FEI.format(section="IScan")}, (5, 4)),
        ({34682: FIELD}, (5, 4)),
        ({34683: THERMO}, (5, 4)),
        ({34118: ZEISS}, (4, 4)),
        ({34118: ZEISS.replace("4.000 nm", "0.004 µm")}, (4, 4)),
        ({51023: FIBICS}, (5, 4)),
        ({51023: FIBICS_FIELD}, (5, 4)),
        ({50431: TESCAN}, (5, 4)),
        ({65009: "0.005", 65010: "0.004", 65003: "µm"}, (5, 4)),
    ],
)
@pytest.mark.parametrize("dpi", [None, 72, 96, 300])
def test_pixel_sizes_in_tags_of_microscopes(
    tmp_path: Path, tags: dict[int, str], edges: tuple[float, float], dpi: int | None
) -> None:
    options = {} if dpi is None else {"resolution": (dpi, dpi), "resolutionunit": "INCH"}
    size = read_stack(write(tmp_path / "a.tif", tags, **options)).voxel_size
    assert size is not None
    in_nm = size.to("nm")
    assert (in_nm.y, in_nm.x) == pytest.approx(edges)


def test_pixel_size_of_a_stack_and_of_a_folder_of_slices(tmp_path: Path) -> None:
    tags = [(34682, "s", 0, FEI.format(section="Scan"), True)]
    stack = np.zeros((3, 24, 32), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack", extratags=tags, metadata=None)
    (tmp_path / "slices").mkdir()
    for z in range(3):
        write(tmp_path / "slices" / f"{z}.tif", {34682: FEI.format(section="Scan")})
    for name in ("a.tif", "slices"):
        size = read_stack(tmp_path / name).voxel_size
        assert size is not None and (size.to("nm").y, size.to("nm").x) == pytest.approx((5, 4))


@pytest.mark.parametrize(
    ("resolution", "unit", "edges"),
    [
        ((2.5e6, 2e6), "CENTIMETER", (5, 4)),
        ((6.35e6, 5.08e6), "INCH", (5, 4)),
        ((72, 72), "INCH", None),
        ((96, 96), "INCH", None),
        ((300, 300), "INCH", None),
        ((1200, 1200), "INCH", None),
        ((28.35, 28.35), "CENTIMETER", None),
        ((118.11, 118.11), "CENTIMETER", None),
        ((2.5e6, 2e6), "NONE", None),
        ((1, 1), "NONE", None),
    ],
)
def test_the_resolution_is_a_pixel_size_unless_it_is_that_of_a_screen(
    tmp_path: Path, resolution: tuple[float, float], unit: str, edges: tuple[float, float] | None
) -> None:
    size = read_stack(write(tmp_path / "a.tif", resolution=resolution, resolutionunit=unit)).voxel_size
    if edges is None:
        assert size is None
    else:
        assert size is not None and (size.to("nm").y, size.to("nm").x) == pytest.approx(edges)


def test_a_resolution_that_imagej_took_from_a_screen_is_no_pixel_size(tmp_path: Path) -> None:
    for unit, expected in (("inch", None), ("um", VoxelSize(1, 1 / 96, 1 / 96, "um"))):
        tifffile.imwrite(
            tmp_path / "a.tif",
            np.zeros((3, 24, 32), np.uint8),
            imagej=True,
            resolution=(96, 96),
            metadata={"unit": unit, "axes": "ZYX"},
        )
        size = read_stack(tmp_path / "a.tif").voxel_size
        assert (size is None) == (expected is None)
        if size is not None and expected is not None:
            assert (size.unit, size.x) == ("um", pytest.approx(1 / 96, rel=1e-5))


def test_jeol_states_the_pixel_of_its_detector(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.tif", {271: "JEOL Ltd."}, description=JEOL, resolution=(2500, 2000), resolutionunit=3
    )
    size = read_stack(path).voxel_size
    assert size is not None and (size.y, size.x, size.unit) == (pytest.approx(5), pytest.approx(4), "nm")
    # in another mode, nobody knows
    description = JEOL.replace("MAG", "DIFF")
    write(path, {271: "JEOL Ltd."}, description=description, resolution=(2e6, 2e6), resolutionunit=3)
    assert read_stack(path).voxel_size is None


@pytest.mark.parametrize(
    "tags",
    [
        {34682: "[Scan]\r\nPixelWidth=none\r\n"},
        {34682: "[Scan]\r\nPixelWidth=0\r\nPixelHeight=-1\r\n"},
        {34682: "nothing"},
        {34683: "<no xml"},
        {34118: "AP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = much\r\n"},
        {51023: "<Fibics/>"},
        {50431: "PixelSizeX=e"},
        {65009: "1", 65010: "1", 65003: "cubits"},
    ],
)
def test_tags_that_make_no_sense_keep_nobody_back(tmp_path: Path, tags: dict[int, str]) -> None:
    image = read_stack(write(tmp_path / "a.tif", tags, resolution=(72, 72), resolutionunit="INCH"))
    assert image.voxel_size is None and image.array.shape == (24, 32)


# Palettes


def palette(greys: np.ndarray) -> np.ndarray:
    return np.stack([greys] * 3).astype(np.uint16)


@pytest.mark.parametrize("name", ["even", "curved", "inverted", "few"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_palette_of_greys_in_order_holds_grey_values(
    tmp_path: Path, name: str, compression: str | None
) -> None:
    places = np.arange(256)
    greys = {
        "even": places * 257,
        "curved": (places / 255) ** 2.2 * 65535,
        "inverted": 65535 - places * 257,
        "few": np.minimum(places, 99) * 257,
    }[name]
    stack = np.random.default_rng(0).integers(0, 255, (3, 24, 32)).astype(np.uint8)
    options: Any = {"photometric": "palette", "colormap": palette(greys), "metadata": None}
    tifffile.imwrite(tmp_path / "a.tif", stack, compression=compression, **options)
    np.testing.assert_array_equal(read_stack(tmp_path / "a.tif").array, stack)


def test_palettes_of_colours_and_of_greys_in_disorder_are_refused(tmp_path: Path) -> None:
    places = np.arange(256)
    colours = palette(places * 257)
    colours[2] = 0
    disorder = palette(np.random.default_rng(0).permutation(places) * 257)
    one_grey = palette(np.full(256, 5))
    for colormap in (colours, disorder, one_grey):
        tifffile.imwrite(
            tmp_path / "a.tif",
            np.zeros((3, 24, 32), np.uint8),
            photometric="palette",
            colormap=colormap,
            metadata=None,
        )
        with pytest.raises(FileError, match="colour"):
            read_stack(tmp_path / "a.tif")


# Several images in a file


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("where", ["first", "last", "between"])
@pytest.mark.parametrize("marked", [True, False])
def test_a_thumbnail_beside_the_stack_is_left_out_and_that_is_told(
    tmp_path: Path, where: str, compression: str | None, marked: bool
) -> None:
    stack = np.random.default_rng(0).integers(0, 255, (4, 48, 64)).astype(np.uint8)
    small = np.zeros((12, 16, 3), np.uint8)
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for z, plane in enumerate(stack):
            if (where, z) in (("first", 0), ("between", 2)):
                writer.write(small, photometric="rgb", subfiletype=int(marked), metadata=None)
            writer.write(plane, photometric="minisblack", compression=compression, metadata=None)
        if where == "last":
            writer.write(small, photometric="rgb", subfiletype=int(marked), metadata=None)
    image = read_stack(tmp_path / "a.tif")
    np.testing.assert_array_equal(np.asarray(image.array), stack)
    assert "thumbnail" in image.notices[0]


def test_a_grey_thumbnail_of_each_slice(tmp_path: Path) -> None:
    stack = np.random.default_rng(0).integers(0, 255, (4, 48, 64)).astype(np.uint8)
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for plane in stack:
            writer.write(plane, metadata=None)
            writer.write(plane[::4, ::4], metadata=None)
    image = read_stack(tmp_path / "a.tif")
    np.testing.assert_array_equal(np.asarray(image.array), stack)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("thumbnail", [True, False])
def test_pages_written_one_by_one_are_a_stack(
    tmp_path: Path, compression: str | None, thumbnail: bool
) -> None:
    stack = np.random.default_rng(0).normal(size=(4, 48, 64)).astype(np.float32)
    for plane in stack:  # each with a description of its own, as several images
        tifffile.imwrite(tmp_path / "a.tif", plane, append=True, compression=compression)
    if thumbnail:
        tifffile.imwrite(tmp_path / "a.tif", np.zeros((12, 16), np.uint8), append=True)
    image = read_stack(tmp_path / "a.tif")
    np.testing.assert_array_equal(image.array[2], stack[2])
    np.testing.assert_array_equal(np.asarray(image.array), stack)


def test_images_of_which_none_is_the_stack_are_refused(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(np.zeros((3, 48, 64), np.uint8), photometric="minisblack")
        writer.write(np.zeros((3, 40, 60), np.uint8), photometric="minisblack")
    with tifffile.TiffWriter(tmp_path / "b.tif") as writer:  # two stacks
        for _ in range(2):
            writer.write(np.zeros((3, 48, 64), np.uint8), photometric="minisblack")
    with tifffile.TiffWriter(tmp_path / "c.ome.tif", ome=True) as writer:  # two places
        for _ in range(2):
            writer.write(np.zeros((48, 64), np.uint8), photometric="minisblack")
    for name in ("a.tif", "b.tif", "c.ome.tif"):
        with pytest.raises(FileError, match="2 images"):
            read_stack(tmp_path / name)


# Numbers of slices


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["0", "1", "2", "4", "5"], "lacks 3."),
        (["s_095", "s_096", "s_099", "s_100", "s_101"], "lack 97 to 98."),
        (["z00", "z10", "z20", "z40", "z50"], "lacks 30."),
        (["a1_5.0nm", "a2_5.0nm", "a3_5.0nm", "a5_5.0nm"], "lacks 4."),
        (["i0001_z0.010", "i0002_z0.025", "i0003_z0.041", "i0005_z0.099"], "lacks 4."),
        (["1", "3", "5", "7"], ""),
        (["z8", "z9", "z10", "z11"], ""),
        (["i1_t1200", "i2_t1300", "i3_t1517"], ""),
        (["20240105", "20240611", "20250312"], ""),
        (["left1", "right2", "left4"], ""),
        (["a", "b", "c"], ""),
        (["0", "5"], ""),
        ([], ""),
        (["9" * 40, "9" * 41, "1", "3"], ""),
    ],
)
def test_numbers_that_lack(names: list[str], told: str) -> None:
    said = missing_slices([Path(f"folder [3]/{name}.tif") for name in names])
    assert (told in said) if told else said == ""


def test_a_gap_in_a_folder_of_slices_is_told_and_many_in_short(tmp_path: Path) -> None:
    for z in range(40):
        if z % 3 or z in (0, 39):
            write(tmp_path / f"{z}.{'tif' if z % 2 else 'tiff'}")
    (told,) = read_stack(tmp_path).notices
    assert "3, 6, 9, 12, 15, and others" in told
