"""OME-Zarr as other programs write it: collections, plates, axes that run backwards, places of images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from ome_zarr_models import open_ome_zarr

from napari_autostructn2v.apply import result_paths
from napari_autostructn2v.errors import FileError
from napari_autostructn2v.io import VoxelSize, read_stack, write_stack


@pytest.fixture
def stack() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 200, (3, 20, 30)).astype(np.uint8)


def add_image(
    group: zarr.Group,
    data: np.ndarray,
    names: str,
    steps: list[dict[str, Any]],
    *,
    version: str = "0.4",
    unit: str = "nanometer",
) -> None:
    kinds = {"t": "time", "c": "channel"}
    axes = [
        {"name": name, "type": kinds.get(name, "space"), **({} if name in kinds else {"unit": unit})}
        for name in names
    ]
    said: Any = [{"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": steps}]}]
    if version == "0.4":
        said[0]["version"] = version
        group.attrs["multiscales"] = said
    else:
        group.attrs["ome"] = {"version": version, "multiscales": said}
    group.create_array("0", data=data, chunks=(1,) * (data.ndim - 2) + (16, 16))


def collection(
    path: Path, images: list[np.ndarray], *, version: str = "0.4", listed: list[str] | None = None
) -> Path:
    zarr_format: Any = 2 if version == "0.4" else 3
    layout: Any = {"bioformats2raw.layout": 3}
    attributes = layout if version == "0.4" else {"ome": {"version": version, **layout}}
    root = zarr.create_group(path, zarr_format=zarr_format, attributes=attributes)
    names = listed or [str(number) for number in range(len(images))]
    if listed is not None:
        said: Any = {"series": listed}
        root.create_group("OME", attributes=said if version == "0.4" else {"ome": said})
    for name, data in zip(names, images, strict=True):
        scale = [{"type": "scale", "scale": [1, 1, 30, 5, 4]}]
        add_image(root.create_group(name), data[None, None], "tczyx", scale, version=version)
    return path


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("listed", [None, ["first", "second"]])
def test_of_a_collection_the_first_image_is_read_and_the_others_are_told(
    tmp_path: Path, stack: np.ndarray, version: str, listed: list[str] | None
) -> None:
    path = collection(tmp_path / "a.ome.zarr", [stack, stack[:2]], version=version, listed=listed)
    image = read_stack(path)
    np.testing.assert_array_equal(image.array, stack)
    assert image.voxel_size == VoxelSize(30, 5, 4, "nm") and image.name == "a"
    second = "1" if listed is None else "second"
    assert "2 images" in image.notices[0] and f"a.ome.zarr/{second}" in image.notices[0]
    other = read_stack(path / second)
    assert (other.array.shape, other.name, other.notices) == ((2, 20, 30), f"a_{second}", ())


def test_a_collection_of_one_image_says_nothing(tmp_path: Path, stack: np.ndarray) -> None:
    assert read_stack(collection(tmp_path / "a.zarr", [stack])).notices == ()
    # the folder may have any name
    (tmp_path / "a.zarr").rename(tmp_path / "converted")
    np.testing.assert_array_equal(read_stack(tmp_path / "converted").array, stack)


def test_images_of_several_collections_have_results_of_their_own(tmp_path: Path, stack: np.ndarray) -> None:
    paths = [collection(tmp_path / f"{name}.zarr", [stack]) / "0" for name in ("a", "b")]
    images = [read_stack(path) for path in paths]
    results = result_paths([(image.name, image.path) for image in images], tmp_path, "_denoised")
    assert [path.name for path in results] == ["a_0_denoised.zarr", "b_0_denoised.zarr"]


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("kind", ["plate", "well"])
def test_plates_are_refused_in_words(tmp_path: Path, kind: str, version: str) -> None:
    said: Any = {kind: {"wells": [], "images": []}}
    zarr_format: Any = 2 if version == "0.4" else 3
    attributes = said if version == "0.4" else {"ome": said}
    zarr.create_group(tmp_path / "a.zarr", zarr_format=zarr_format, attributes=attributes)
    with pytest.raises(FileError, match=r"plate.*A/1/0"):
        read_stack(tmp_path / "a.zarr")


@pytest.mark.parametrize("listed", [["../b.zarr"], ["none"], [""], [7], ["OME"]])
def test_a_collection_that_leads_astray(tmp_path: Path, stack: np.ndarray, listed: list[Any]) -> None:
    write_stack(tmp_path / "b.zarr", stack)
    path = collection(tmp_path / "a.zarr", [])
    zarr.open_group(path, mode="r+").create_group("OME", attributes={"series": listed})
    with pytest.raises(FileError):
        read_stack(path)


def test_an_empty_collection(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="without images"):
        read_stack(collection(tmp_path / "a.zarr", []))


@pytest.mark.parametrize("scale", [(-30, 5, 4), (30, -5, -4), (30, 5, 4)])
@pytest.mark.parametrize("translation", [None, (60, -7.5, 0.1)])
@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_where_an_image_lies_and_runs_is_kept(
    tmp_path: Path, stack: np.ndarray, scale: Any, translation: Any, version: str
) -> None:
    steps: list[dict[str, Any]] = [{"type": "scale", "scale": scale}]
    if translation is not None:
        steps.append({"type": "translation", "translation": translation})
    zarr_format: Any = 2 if version == "0.4" else 3
    add_image(
        zarr.create_group(tmp_path / "a.zarr", zarr_format=zarr_format), stack, "zyx", steps, version=version
    )
    image = read_stack(tmp_path / "a.zarr")
    assert image.voxel_size == VoxelSize(30, 5, 4, "nm")
    out = write_stack(tmp_path / "b.zarr", image.array, voxel_size=image.voxel_size, heading=image.heading)
    written: Any = zarr.open_group(out, mode="r").attrs["multiscales"]
    (dataset,) = written[0]["datasets"]
    assert dataset["coordinateTransformations"][0]["scale"] == list(scale)
    places = dataset["coordinateTransformations"][1:]
    assert [step["translation"] for step in places] == ([] if translation is None else [list(translation)])
    open_ome_zarr(zarr.open_group(out, mode="r"), version="0.4")
    # in another unit, as of a layer
    assert image.voxel_size is not None
    size = image.voxel_size.to("um")
    out = write_stack(tmp_path / "c.zarr", image.array, voxel_size=size, heading=image.heading)
    again = read_stack(out)
    assert again.heading == image.heading and again.voxel_size == size
    # a part of it lies elsewhere
    out = write_stack(tmp_path / "d.zarr", stack[1:], voxel_size=size, heading=image.heading)
    assert read_stack(out).heading != image.heading


@pytest.mark.parametrize("names", ["zcyx", "zyxc", "tzcyx", "czyx", "yxc"])
def test_axes_of_one_entry_are_left_out_wherever_they_are(
    tmp_path: Path, stack: np.ndarray, names: str
) -> None:
    data = stack if "z" in names else stack[0]
    for place, name in enumerate(names):
        if name not in "zyx":
            data = np.expand_dims(data, place)
    scale = [{"type": "scale", "scale": [{"z": 30, "y": 5, "x": 4}.get(name, 1) for name in names]}]
    add_image(zarr.create_group(tmp_path / "a.zarr", zarr_format=2), data, names, scale)
    image = read_stack(tmp_path / "a.zarr")
    right = stack if "z" in names else stack[0]
    np.testing.assert_array_equal(image.array, right)
    np.testing.assert_array_equal(image.array[0], right[0])
    np.testing.assert_array_equal(image.array[..., 3], right[..., 3])
    np.testing.assert_array_equal(image.array[1:, ..., 2:5], right[1:, ..., 2:5])
    np.testing.assert_array_equal(image.array[...], right)
    size = image.voxel_size
    assert size is not None and (size.y, size.x) == (5, 4)


def test_axes_in_another_order_or_with_several_entries(tmp_path: Path, stack: np.ndarray) -> None:
    scale = [{"type": "scale", "scale": [1, 1, 1]}]
    add_image(zarr.create_group(tmp_path / "a.zarr", zarr_format=2), stack, "xyz", scale)
    add_image(zarr.create_group(tmp_path / "b.zarr", zarr_format=2), stack, "cyx", scale)
    with pytest.raises(FileError, match="axes x, y, z"):
        read_stack(tmp_path / "a.zarr")
    with pytest.raises(FileError, match="3 entries along its axis 'c'"):
        read_stack(tmp_path / "b.zarr")
