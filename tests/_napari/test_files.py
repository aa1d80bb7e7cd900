"""Reader, writer, run folder, voxel sizes and samples, as napari calls them."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import psutil
import pytest
import tifffile
from microscopes import write_gatan, write_tia, write_velox

from napari_autostructn2v import Config
from napari_autostructn2v._napari import samples
from napari_autostructn2v._napari.canvas.placement import Placement, is_derived
from napari_autostructn2v._napari.canvas.voxel_sizes import voxel_size
from napari_autostructn2v._napari.files import get_reader, write_image
from napari_autostructn2v._napari.workspace import workspace_of
from napari_autostructn2v.errors import FileError
from napari_autostructn2v.events import finish
from napari_autostructn2v.io import VoxelSize, read_stack, write_stack
from napari_autostructn2v.pipeline import run
from napari_autostructn2v.runs.request import RunRequest


def test_mrc_is_a_memory_map_with_its_voxel_size(viewer: Any, tmp_path: Path, noisy: np.ndarray) -> None:
    path = tmp_path / "tomogram.rec"
    write_stack(path, noisy, voxel_size=VoxelSize(2, 1.5, 1.5))
    reader = get_reader(str(path))
    assert reader is not None
    ((data, meta, kind),) = reader(str(path))
    assert kind == "image"
    assert isinstance(data, np.memmap)
    layer = viewer.add_image(data, **meta)
    np.testing.assert_allclose(layer.scale, (2, 1.5, 1.5), rtol=1e-6)
    assert voxel_size(layer) == VoxelSize(*(float(s) for s in layer.scale), unit="nm")


def test_files_of_microscopes_are_layers_whose_slices_are_read_when_they_are_shown(
    viewer: Any, tmp_path: Path, noisy: np.ndarray
) -> None:
    noisy = noisy.astype(np.float32)
    for path in (
        write_gatan(tmp_path / "a.dm4", noisy),
        write_velox(tmp_path / "b.EMD", noisy),
        write_tia(tmp_path / "c.ser", noisy),
    ):
        ((data, meta, _),) = get_reader(str(path))(str(path))  # type: ignore[misc]
        layer = viewer.add_image(data, **meta)
        viewer.dims.set_current_step(0, 1)
        np.testing.assert_array_equal(layer._slice.image.raw, noisy[1])
        size = read_stack(path).voxel_size
        assert size is not None
        np.testing.assert_allclose(layer.scale, (size.z, size.y, size.x), rtol=1e-6)
        viewer.layers.clear()


def test_other_files_are_left_to_other_readers(tmp_path: Path) -> None:
    assert get_reader("picture.png") is None
    assert get_reader(["a.mrc", "b.mrc"]) is None
    assert get_reader(str(tmp_path)) is None


def test_a_large_mrc_opens_without_being_read(viewer: Any, tmp_path: Path) -> None:
    path = tmp_path / "large.mrc"
    with mrcfile.new_mmap(path, shape=(300, 1024, 1024), mrc_mode=2) as file:
        file.data[150] = np.random.default_rng(0).normal(size=(1024, 1024))
    process = psutil.Process()
    before = process.memory_info().rss
    ((data, meta, _),) = get_reader(str(path))(str(path))  # type: ignore[misc]
    layer = viewer.add_image(data, **meta)
    viewer.dims.set_current_step(0, 150)
    assert layer._slice.image.raw.std() > 0.5, "the slice is shown"
    assert process.memory_info().rss - before < path.stat().st_size / 4, "mapped pages count: not read whole"


@pytest.mark.parametrize(
    ("scale", "units", "expected"),
    [
        ((2, 3, 3), ("nm",) * 3, VoxelSize(2, 3, 3, "nm")),
        ((0.2, 0.1, 0.1), ("um",) * 3, VoxelSize(0.2, 0.1, 0.1, "um")),
        ((8, 4, 4), ("angstrom",) * 3, VoxelSize(8, 4, 4, "angstrom")),
        ((1e-6, 1e-6, 1e-6), ("mm",) * 3, VoxelSize(1, 1, 1, "nm")),
        ((1, 1, 1), ("pixel",) * 3, None),
        ((3, 1, 1), ("pixel",) * 3, VoxelSize(3, 1, 1, "pixel")),
        ((4, 4), ("nm",) * 2, VoxelSize(4, 4, 4, "nm")),
    ],
)
def test_voxel_size_of_a_layer(viewer: Any, scale: Any, units: Any, expected: VoxelSize | None) -> None:
    found = voxel_size(viewer.add_image(np.zeros((4,) * len(scale)), scale=scale, units=units))
    if expected is None:
        assert found is None
    else:
        assert found is not None and found.unit == expected.unit
        np.testing.assert_allclose((found.z, found.y, found.x), (expected.z, expected.y, expected.x))


def test_a_layer_goes_to_mrc_and_back(viewer: Any, tmp_path: Path, noisy: np.ndarray) -> None:
    layer = viewer.add_image(noisy, scale=(2, 1, 1), units=("nm",) * 3)
    data, meta, _ = layer.as_layer_data_tuple()
    (written,) = write_image(str(tmp_path / "out.mrc"), data, meta)
    back = read_stack(written)
    np.testing.assert_allclose(np.asarray(back.array), noisy, rtol=1e-6)
    assert back.voxel_size == VoxelSize(2, 1, 1)


def test_what_an_mrc_file_says_is_kept_on_layers_and_written_again(
    viewer: Any, tmp_path: Path, noisy: np.ndarray
) -> None:
    path = write_stack(tmp_path / "in.mrc", noisy, voxel_size=VoxelSize(2, 1, 1))
    with mrcfile.open(path, mode="r+") as file:
        file.header.origin = (5, -6, 7)
        file.header.nxstart = -3
    ((data, meta, _),) = get_reader(str(path))(str(path))  # type: ignore[misc]
    placement = Placement.of(viewer.add_image(data, **meta))
    result = viewer.add_image(noisy, **placement.result(noisy.ndim))
    (written,) = write_image(str(tmp_path / "out.mrc"), *result.as_layer_data_tuple()[:2])
    with mrcfile.open(written) as file:
        assert file.header.origin.tolist() == (5, -6, 7)
        assert file.header.nxstart == -3
    assert read_stack(written).voxel_size == VoxelSize(2, 1, 1)


def test_a_packed_mrc_says_in_the_data_section_what_room_it_takes(
    viewer: Any, tmp_path: Path, noisy: np.ndarray
) -> None:
    path = tmp_path / "in.map.gz"
    path.write_bytes(gzip.compress(write_stack(tmp_path / "in.map", noisy).read_bytes()))
    ((data, meta, _),) = get_reader(str(path))(str(path))  # type: ignore[misc]
    workspace = workspace_of(viewer)
    workspace.choose(viewer.add_image(data, **meta))
    assert "unpacked" in workspace.session.choice.hint


def test_a_slice_that_lacks_is_told_in_the_data_section(viewer: Any, tmp_path: Path) -> None:
    for z in (0, 1, 2, 4):
        tifffile.imwrite(tmp_path / f"{z}.tif", np.full((32, 32), z, np.uint8))
    (layer,) = viewer.open(str(tmp_path), plugin="napari", stack=True)
    workspace = workspace_of(viewer)
    workspace.choose(layer)
    assert "lacks 3." in workspace.session.choice.hint


def test_a_run_folder_opens_as_results_and_analysis(viewer: Any, tmp_path: Path, noisy: np.ndarray) -> None:
    config = Config.from_preset("fast")
    config = config.model_copy(
        update={
            which: getattr(config, which).model_copy(update={"steps": 2}) for which in ("stage1", "stage2")
        }
    )
    folder = tmp_path / "run"
    source = read_stack(write_stack(tmp_path / "tiny.mrc", noisy, voxel_size=VoxelSize(2, 1, 1)))
    finish(run(source.array, RunRequest("2d", config, source=source), folder=folder))
    reader = get_reader(str(folder))
    assert reader is not None
    layers = reader(str(folder))
    names = [meta["name"] for _, meta, _ in layers]
    assert names[:2] == ["tiny", "tiny stage 1"]
    assert names[-7:] == [
        "spectrum", "peaks", "peak outlines", "autocorrelation", "kernel", "kernel grid", "periods"
    ]  # fmt: skip
    for data, meta, kind in layers:
        getattr(viewer, f"add_{kind}")(data, **meta)
    np.testing.assert_allclose(viewer.layers[0].scale, (2, 1, 1))
    first, second = (viewer.layers[name] for name in names[:2])
    np.testing.assert_allclose(first.extent.world, second.extent.world)
    assert [layer.visible for layer in viewer.layers] == [not is_derived(layer) for layer in viewer.layers]

    source.path.unlink()
    assert reader(str(folder))[0][1]["name"] == "tiny stage 1"
    (folder / "run.json").write_text("{")
    with pytest.raises(FileError, match="cannot be read"):
        reader(str(folder))


@pytest.mark.parametrize("sample", [samples.reconstruction_noise, samples.scan_lines, samples.hum])
def test_samples(viewer: Any, sample: Any) -> None:
    ((data, meta, kind),) = sample()
    assert kind == "image" and data.ndim == 3
    layer = viewer.add_image(data, **meta)
    assert str(layer.units[0]) == "nanometer"
