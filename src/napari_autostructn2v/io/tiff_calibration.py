"""The size of a voxel in a TIFF: in the descriptions of OME and ImageJ, and in tags of microscopes."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from xml.etree import ElementTree

import tifffile
from tifffile import RESUNIT

from napari_autostructn2v.io.image import VoxelSize, measured, measured_by_axis

Edges = tuple[float, float, str]
"""Height and width of a pixel, and their unit."""

LARGEST_PIXEL = 1e4
"""In nm: a resolution that says more is one of screens and printers, as 72 or 300 dpi, and no pixel size."""

_FEI_SCANS = ("Scan", "EScan", "IScan")
_FEI_BEAMS = ("EBeam", "IBeam", "IRBeam")
_SENSELESS = (
    *(ArithmeticError, AttributeError, LookupError, SyntaxError, TypeError, ValueError),
    ElementTree.ParseError,
)
_NANOMETRES = {RESUNIT.INCH: 2.54e7, RESUNIT.CENTIMETER: 1e7}


def voxel_size(tif: tifffile.TiffFile, ndim: int) -> VoxelSize | None:
    """What a file says of the size of its voxels; None if it says nothing that makes sense.

    Where only the size of a pixel is known, a slice is taken to be as thick as its pixels are wide.

    Parameters
    ----------
    tif
        The open file.
    ndim
        Axes of the stack in it, 2 or 3.
    """
    if tif.is_ome and (size := _sensible(lambda: _ome(tif.ome_metadata or ""))) is not None:
        return size
    imagej = _sensible(lambda: _imagej(tif, ndim)) if tif.is_imagej else None
    if imagej is not None and imagej.unit != "pixel":
        return imagej
    page = tif.pages.first
    for read in (_fei, _fei_xml, _zeiss, _fibics, _tescan, _tvips, _olympus, _gatan, _jeol, _resolution):
        try:
            for height, width, unit in read(tif, page):
                size = measured_by_axis({"y": (height, unit), "x": (width, unit)})
                if size is not None and size.unit != "pixel":
                    return size
        except _SENSELESS:
            continue
    return imagej


def _sensible(read: Callable[[], VoxelSize | None]) -> VoxelSize | None:
    """What is read; None where it raises: a calibration nobody understands keeps no pixels back."""
    try:
        return read()
    except _SENSELESS:
        return None


def _ome(xml: str) -> VoxelSize | None:
    image = tifffile.xml2dict(xml)["OME"].get("Image", {})
    pixels = (image[0] if isinstance(image, list) else image).get("Pixels", {})
    return measured_by_axis(
        {
            axis.lower(): (
                float(pixels[f"PhysicalSize{axis}"]),
                str(pixels.get(f"PhysicalSize{axis}Unit", "µm")),
            )
            for axis in "ZYX"
            if isinstance(pixels.get(f"PhysicalSize{axis}"), int | float)
        }
    )


def _imagej(tif: tifffile.TiffFile, ndim: int) -> VoxelSize | None:
    metadata, tags = tif.imagej_metadata or {}, tif.pages.first.tags
    unit = str(metadata.get("unit", "pixel"))
    if "\\u" in unit:  # ImageJ's descriptions are ASCII, other characters escaped as \u00B5
        unit = unit.encode("ascii", "backslashreplace").decode("unicode_escape")
    edges = {}
    for axis, name in (("y", "YResolution"), ("x", "XResolution")):
        pixels, lengths = tags[name].value if name in tags else (1, 1)
        edges[axis] = lengths / pixels if pixels else math.nan
    if unit == "inch" and edges["x"] * 2.54e7 > LARGEST_PIXEL:  # ImageJ took it from such a tag
        return None
    # ImageJ leaves the spacing out where it is 1; for a single slice it means nothing.
    z = float(metadata.get("spacing", 1.0 if ndim == 3 else edges["x"]))
    return measured(abs(z), edges["y"], edges["x"], unit, digits=6)  # fractions hold no more


def _fei(tif: tifffile.TiffFile, page: tifffile.TiffPage) -> Iterator[Edges]:
    """Of FEI and Thermo Fisher, in metres."""
    said = tif.fei_metadata or {}
    for section in _FEI_SCANS:
        if "PixelWidth" in said.get(section, {}):
            scan = said[section]
            yield float(scan.get("PixelHeight", scan["PixelWidth"])), float(scan["PixelWidth"]), "m"
    for section in _FEI_BEAMS:  # the field of view
        if "HFW" in said.get(section, {}):
            beam, image = said[section], said["Image"]
            width = float(beam["HFW"]) / float(image["ResolutionX"])
            height = float(beam["VFW"]) / float(image["ResolutionY"]) if "VFW" in beam else width
            yield height, width, "m"


def _fei_xml(tif: tifffile.TiffFile, page: tifffile.TiffPage) -> Iterator[Edges]:
    """Of newer programs of Thermo Fisher, as XML."""
    if 34683 in page.tags:
        size = ElementTree.fromstring(_text(page, 34683)).find(".//PixelSize")
        if size is not None:
            x, y = size.find("X"), size.find("Y")
            if x is not None:
                width = float(x.text or "")
                yield width if y is None else float(y.text or ""), width, x.get("unit", "m")


def _zeiss(tif: tifffile.TiffFile, page: tifffile.TiffPage) -> Iterator[Edges]:
    said = tif.sem_metadata or {}
    if "ap_image_pixel_size" in said:
        _, edge, unit = said["ap_image_pixel_size"]
        yield float(edge), float(edge), str(unit)
    if len(said.get("", ())) > 3:  # without names: the pixel of a picture 1024 wide, in metres
        edge = float(said[""][3]) * 1024 / page.imagewidth
        yield edge, edge, "m"
    if "ap_pixel_size" in said:
        _, edge, unit = said["ap_pixel_size"]
        yield float(edge), float(edge), str(unit)


def _fibics(tif: tifffile.TiffFile, page: tifffile.TiffPage) -> Iterator[Edges]:
    """Of Fibics, used on microscopes of Zeiss: the steps of the beam from pixel to pixel, in micrometres."""
    if 51023 not in page.tags:
        return
    found = ElementTree.fromstring(_text(page, 51023))

    def number(name: str) -> float:
        return float(found.findtext(f".//{name}") or "nan")

    yield math.hypot(number("Vx"), number("Vy")), math.hypot(number("Ux"), number("Uy")), "um"
    yield number("FOV_Y") / page.imagelength, number("FOV_X") / page.imagewidth, "um"


def _tescan(tif: tifffile.TiffFile, page: tifffile.TiffPage) -> Iterator[Edges]:
    if 50431 in page.tags:
        said: dict[str, str] = dict(re.findall(r"(PixelSize[XY])\s*=\s*([-+.\deE]+)", _text(page, 50431)))
        yield float(said.get("PixelSizeY", said["PixelSizeX"])), float(said["PixelSizeX"]), "m"


def _tvips(tif: tifffile.TiffFile, page: tifffile.TiffPage) -> Iterator[Edges]:
    if said := tif.tvips_metadata:
        yield float(said["PixelSizeY"]), float(said["PixelSizeX"]), "nm"


def _olympus(tif: tifffile.TiffFile, page: tifffile.TiffPage) -> Iterator[Edges]:
    if said := tif.sis_metadata:
        yield float(said["pixelsizey"]), float(said["pixelsizex"]), "m"


def _gatan(tif: tifffile.TiffFile, page: tifffile.TiffPage) -> Iterator[Edges]:
    """Of DigitalMicrograph: scales and their units."""
    tags = page.tags
    if 65009 in tags and 65010 in tags and 65003 in tags:
        yield float(_text(page, 65009)), float(_text(page, 65010)), _text(page, 65003)


def _jeol(tif: tifffile.TiffFile, page: tifffile.TiffPage) -> Iterator[Edges]:
    """Of JEOL's transmission microscopes: the resolution is that of the detector, before magnification."""
    if _is_jeol(page):
        imaging = ElementTree.fromstring(page.description.strip(" \r\n\t\x00\x01")).find(
            ".//ImageFormingSystem"
        )
        if imaging is not None and imaging.findtext("ModeString") == "MAG":
            magnification = float(imaging.findtext("SelectorValue", "nan"))
            for height, width, unit in _resolution_tags(page):
                yield height / magnification, width / magnification, unit


def _is_jeol(page: tifffile.TiffPage) -> bool:
    return str(page.tags.valueof("Make", "")).startswith("JEOL") and "SelectorValue" in page.description


def _resolution(tif: tifffile.TiffFile, page: tifffile.TiffPage) -> Iterator[Edges]:
    """Pixels in an inch or a centimetre, where that can be no screen and no printer."""
    if not tif.is_imagej and not _is_jeol(page):  # ImageJ has units of its own
        for height, width, unit in _resolution_tags(page):
            if max(height, width) <= LARGEST_PIXEL:
                yield height, width, unit


def _resolution_tags(page: tifffile.TiffPage) -> Iterator[Edges]:
    nanometres = _NANOMETRES.get(page.tags.valueof("ResolutionUnit", RESUNIT.INCH))
    if nanometres is not None and "XResolution" in page.tags and "YResolution" in page.tags:
        (y_pixels, y_units), (x_pixels, x_units) = (page.tags[f"{axis}Resolution"].value for axis in "YX")
        yield nanometres * y_units / y_pixels, nanometres * x_units / x_pixels, "nm"


def _text(page: tifffile.TiffPage, code: int) -> str:
    value = page.tags[code].value
    text = value.decode("utf-8", "ignore") if isinstance(value, bytes) else str(value)
    return text.strip("\x00 \r\n\t")
