"""Files of microscopes' own programs: Gatan's, Velox, Berkeley's EMD and TIA's are read, and only read."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest
from microscopes import GATAN_COLOURS, write_berkeley, write_gatan, write_tia, write_velox
from ncempy import read as read_by_ncempy
from typer.testing import CliRunner

from napari_autostructn2v import cli
from napari_autostructn2v.apply import result_paths
from napari_autostructn2v.errors import FileError, MissingLibraryError
from napari_autostructn2v.io import VoxelSize, file_state, formats, read_stack, write_stack
from napari_autostructn2v.io.em import emd

NAMES = ("a.dm3", "a.dm4", "velox.emd", "berkeley.emd", "a.ser")
DTYPES = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "float32", "float64")


@pytest.fixture
def stack() -> np.ndarray:
    return np.random.default_rng(0).normal(1000, 100, (3, 20, 30)).astype(np.float32)


def write(path: Path, *images: np.ndarray) -> Path:
    """A file of the kind that the name says."""
    if path.suffix == ".ser":
        return write_tia(path, [plane for image in images for plane in image.reshape(-1, *image.shape[-2:])])
    writers: dict[str, Callable[..., Path]] = {"velox.emd": write_velox, "berkeley.emd": write_berkeley}
    return writers.get(path.name, write_gatan)(path, *images)


def refused(path: Path, *words: str) -> None:
    with pytest.raises(FileError) as caught:
        np.asarray(read_stack(path).array)
    assert path.name in str(caught.value)
    for word in words:
        assert word in str(caught.value)


# What is read


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_values_are_to_the_bit_those_of_the_file(tmp_path: Path, name: str, dtype: str) -> None:
    kind = np.dtype(dtype)
    values = np.frombuffer(np.random.default_rng(0).bytes(3 * 7 * 5 * kind.itemsize), kind).reshape(3, 7, 5)
    image = read_stack(write(tmp_path / name, values))
    assert (image.array.shape, image.array.dtype, image.notices) == ((3, 7, 5), kind, ())
    assert np.asarray(image.array).tobytes() == values.tobytes()
    assert np.asarray(image.array[1]).tobytes() == values[1].tobytes()
    assert np.asarray(image.array[1:, 2:4, ::2]).tobytes() == values[1:, 2:4, ::2].tobytes()
    with pytest.raises(IndexError):
        image.array[3]


@pytest.mark.parametrize("name", NAMES)
def test_one_image_is_one_slice(tmp_path: Path, stack: np.ndarray, name: str) -> None:
    image = read_stack(write(tmp_path / name, stack[0]))
    np.testing.assert_array_equal(np.asarray(image.array[...]), stack[0])
    np.testing.assert_array_equal(np.asarray(image.array[2:4, 5]), stack[0][2:4, 5])


@pytest.mark.parametrize("name", ["a.dm3", "a.dm4", "velox.emd", "berkeley.emd", "slice.ser"])
def test_another_reader_sees_the_same(tmp_path: Path, stack: np.ndarray, name: str) -> None:
    path = write(tmp_path / name, stack[:1] if name == "slice.ser" else stack)
    theirs = np.asarray(read_by_ncempy(path)["data"])
    theirs = theirs.transpose(2, 0, 1) if name == "velox.emd" else theirs
    np.testing.assert_array_equal(np.asarray(read_stack(path).array), theirs)


@pytest.mark.parametrize("name", NAMES)
def test_an_opened_stack_is_read_by_several_threads_at_once(
    tmp_path: Path, stack: np.ndarray, name: str
) -> None:
    array = read_stack(write(tmp_path / name, stack)).array
    with ThreadPoolExecutor(4) as pool:
        for z, plane in zip(
            [0, 1, 2] * 20, pool.map(lambda z: np.asarray(array[z]), [0, 1, 2] * 20), strict=True
        ):
            np.testing.assert_array_equal(plane, stack[z])


def test_only_the_slices_that_are_asked_for_are_read(
    tmp_path: Path, stack: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts: list[tuple[slice, ...]] = []
    read_part = emd.read_part

    def watched(dataset: h5py.Dataset, part: tuple[slice, ...], path: Path) -> np.ndarray:
        parts.append(part)
        return read_part(dataset, part, path)

    for name, axis in (("velox.emd", 2), ("berkeley.emd", 0)):
        path = write(tmp_path / name, stack)
        monkeypatch.setattr(emd, "read_part", watched)
        image = read_stack(path)
        parts.clear()
        image.array[1]
        ((*part,),) = parts
        assert part.pop(axis) == slice(1, 2)
        monkeypatch.undo()
    assert isinstance(read_stack(write(tmp_path / "a.dm4", stack)).array, np.memmap)


def test_a_recording_that_was_broken_off_is_told(tmp_path: Path, stack: np.ndarray) -> None:
    (notice,) = read_stack(write_tia(tmp_path / "a.ser", stack, promised=10)).notices
    assert "10 images, but holds 3" in notice


# Of several images


def test_the_thumbnail_is_no_image(tmp_path: Path, stack: np.ndarray) -> None:
    for thumbnail in (True, False):
        image = read_stack(write_gatan(tmp_path / "a.dm4", stack, thumbnail=thumbnail))
        assert image.array.shape == stack.shape
        assert not image.notices


@pytest.mark.parametrize("name", NAMES[:4])
def test_of_several_images_the_largest_is_read_and_the_others_are_named(
    tmp_path: Path, stack: np.ndarray, name: str
) -> None:
    image = read_stack(write(tmp_path / name, stack[0], stack, stack[1:]))
    np.testing.assert_array_equal(np.asarray(image.array), stack)
    (notice,) = image.notices
    read, others = {
        "velox.emd": ("BF", "HAADF, DF4"),
        "berkeley.emd": ("image_1", "image_0, image_2"),
    }.get(name, ("No 2", "No 1, No 3"))
    assert f"3 images, of which {read} is read. Left out: {others}." in notice


def test_of_detectors_alike_the_first_is_read(tmp_path: Path, stack: np.ndarray) -> None:
    image = read_stack(write_velox(tmp_path / "a.emd", stack, stack + 1))
    np.testing.assert_array_equal(np.asarray(image.array), stack)
    assert "HAADF is read. Left out: BF" in image.notices[0]


def test_a_fourier_transform_beside_the_image_is_left_out(tmp_path: Path, stack: np.ndarray) -> None:
    path = write_velox(tmp_path / "a.emd", stack)
    with h5py.File(path, "r+") as file:
        values = np.zeros((40, 40, 3), [("realFloat", "<f4"), ("imagFloat", "<f4")])
        file.create_group("Data/Image/0").create_dataset("Data", data=values)
    image = read_stack(path)
    np.testing.assert_array_equal(np.asarray(image.array), stack)
    assert "Left out: 0" in image.notices[0]


# What is no stack


@pytest.mark.parametrize(
    ("image", "kind", "word"),
    [
        (np.zeros((5, 6), np.complex64), 0, "complex"),
        (np.zeros((5, 6), np.uint32), GATAN_COLOURS, "colours"),
        (np.zeros((2, 3, 5, 6), np.uint16), 0, "4 axes, 2 × 3 × 5 × 6"),
        (np.zeros(50, np.float32), 0, "spectrum"),
        (np.zeros((1, 50), np.float32), 0, "spectrum"),
    ],
)
def test_what_is_no_stack_is_refused_in_plain_words(
    tmp_path: Path, image: np.ndarray, kind: int, word: str
) -> None:
    refused(write_gatan(tmp_path / "a.dm4", image, types=[kind]), word, "Save")
    if not kind:
        refused(write_berkeley(tmp_path / "a.emd", image), word, "Save")


def test_series_that_are_no_stack_are_refused(tmp_path: Path, stack: np.ndarray) -> None:
    path = tmp_path / "a.ser"
    refused(write_tia(path, [stack[0], stack[0, 1:]]), "differ")
    refused(write_tia(path, [stack[0].astype(np.complex64)]), "complex")
    refused(write_tia(path, stack, kind=0x4120), "spectrum")
    refused(write_tia(path, [*stack, stack[0]], dimensions=(2, 2)), "map of 2 × 2")


# Voxel size


def test_the_voxel_size_is_that_of_the_file(tmp_path: Path, stack: np.ndarray) -> None:
    expected = {
        "a.dm3": VoxelSize(2, 0.5, 0.25),
        "a.dm4": VoxelSize(2, 0.5, 0.25),
        "velox.emd": VoxelSize(0.1, 0.2, 0.1),
        "berkeley.emd": VoxelSize(2, 1, 0.5),
        "a.ser": VoxelSize(0.2, 0.2, 0.2),
    }
    for name, size in expected.items():
        assert read_stack(write(tmp_path / name, stack)).voxel_size == size, name


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([(0.1, "nm"), (0.1, "nm"), (5, "µm")], VoxelSize(5000, 0.1, 0.1)),
        ([(4.2, "Å"), (4.2, "Å"), (1, "")], VoxelSize(4.2, 4.2, 4.2, "angstrom")),
        ([(0.1, "nm"), (0.1, "nm"), (2, "°")], VoxelSize(0.1, 0.1, 0.1)),
        ([(0.1, "nm"), (0.1, "nm"), (0.5, "eV")], VoxelSize(0.1, 0.1, 0.1)),
        ([(3, "µm"), (3, "µm"), (3, "µm")], VoxelSize(3, 3, 3, "um")),
        ([(0.1, "1/nm"), (0.1, "1/nm"), (1, "")], None),
        ([(1, ""), (1, ""), (1, "")], None),
        ([(7, ""), (7, ""), (7, "")], None),
        ([(0.1, "nm"), (0.1, "eV"), (1, "")], None),
        ([(0, "nm"), (0, "nm"), (0, "nm")], None),
        ([(float("nan"), "nm"), (float("inf"), "nm"), (1, "nm")], None),
    ],
)
def test_what_is_no_length_is_no_voxel_size(
    tmp_path: Path, stack: np.ndarray, sizes: list[tuple[float, str]], expected: VoxelSize | None
) -> None:
    assert read_stack(write_gatan(tmp_path / "a.dm4", stack, sizes=sizes)).voxel_size == expected


def test_the_voxel_size_of_a_diffraction_pattern_is_unknown(tmp_path: Path, stack: np.ndarray) -> None:
    assert read_stack(write_tia(tmp_path / "a.ser", stack, metres=2e7)).voxel_size is None
    assert read_stack(write_tia(tmp_path / "a.ser", stack, metres=1e-4)).voxel_size is None
    assert read_stack(write_velox(tmp_path / "a.emd", stack, unit="1/m")).voxel_size is None
    assert read_stack(write_berkeley(tmp_path / "a.emd", stack, unit="[n_m^-1]")).voxel_size is None


def test_what_velox_says_may_be_damaged(tmp_path: Path, stack: np.ndarray) -> None:
    for number, said in enumerate(
        (b"", b"{", b"[" * 100_000, b"[]", b'{"BinaryResult": 3}', b'{"BinaryResult": {"PixelSize": []}}')
    ):
        path = write_velox(tmp_path / f"{number}.emd", stack)
        with h5py.File(path, "r+") as file:
            group = next(iter(file["Data/Image"].values()))
            del group["Metadata"]
            group["Metadata"] = np.frombuffer(said.ljust(10, b"\0"), np.uint8)[:, None]
        image = read_stack(path)
        assert image.voxel_size is None
        np.testing.assert_array_equal(np.asarray(image.array), stack)


# Only read


def test_results_of_such_files_become_tiff(tmp_path: Path, stack: np.ndarray) -> None:
    for name in NAMES:
        image = read_stack(write(tmp_path / name, stack))
        (result,) = result_paths([(image.name, image.path)], tmp_path, "_denoised")
        assert result == tmp_path / f"{image.name}_denoised.tif"
        written = read_stack(write_stack(result, image.array, voxel_size=image.voxel_size, overwrite=True))
        np.testing.assert_array_equal(np.asarray(written.array), stack)


def test_such_files_are_not_written(tmp_path: Path, stack: np.ndarray) -> None:
    for name in NAMES:
        with pytest.raises(FileError, match=r"read here but not written.*\.tif.*\.mrc.*\.zarr\.") as caught:
            write_stack(tmp_path / name, stack)
        assert ".dm3," not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_without_the_library_it_says_what_to_install(
    tmp_path: Path, stack: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [write(tmp_path / name, stack) for name in NAMES]
    monkeypatch.setattr(formats, "find_spec", lambda name: None)
    for path in paths[:-1]:
        with pytest.raises(MissingLibraryError, match=r"h5py.*pip install 'napari-autostructn2v\[em\]'"):
            read_stack(path)
    assert read_stack(paths[-1]).array.shape == stack.shape, "TIA's files need none"


def test_the_libraries_are_imported_when_such_a_file_is_opened() -> None:
    code = "import sys, napari_autostructn2v.io; print(*{'h5py', 'ncempy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_command_line_tells_what_is_in_them(tmp_path: Path, stack: np.ndarray) -> None:
    for name in NAMES:
        path = write(tmp_path / name, stack)
        told = CliRunner().invoke(cli.app, ["info", str(path)])
        assert told.exit_code == 0, told.output
        assert "20" in told.output
        before = file_state(path)
        path.write_bytes(path.read_bytes() + b"0")
        assert file_state(path) != before


# Damage


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [0, 3, 100, 1024, 5000])
def test_random_bytes_are_no_such_file(tmp_path: Path, name: str, size: int) -> None:
    (tmp_path / name).write_bytes(np.random.default_rng(size).bytes(size))
    refused(tmp_path / name, "or its header is damaged")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.999])
def test_a_file_that_is_cut_short_is_refused(
    tmp_path: Path, stack: np.ndarray, name: str, part: float
) -> None:
    path = write(tmp_path / name, stack)
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    refused(path)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_became_another_while_it_was_open_is_refused_or_read(
    tmp_path: Path, stack: np.ndarray, name: str
) -> None:
    path = write(tmp_path / name, stack)
    image = read_stack(path)
    (tmp_path / "other").mkdir()
    write(tmp_path / "other" / name, stack[0]).replace(path)
    if name == "a.ser":  # opened anew for each slice
        with pytest.raises(FileError, match="is damaged"):
            image.array[2]
    else:
        np.testing.assert_array_equal(np.asarray(image.array[2]), stack[2])


def test_tags_without_end_end(tmp_path: Path) -> None:
    deep = b"\x14\0\1a" + bytes(8)
    path = tmp_path / "a.dm4"
    head = struct.pack(">IQI", 4, 1000, 1)
    for root in (
        b"\1\0" + b"\xff" * 8 + b"\x15\0\0" * 1000,  # more tags than anything can have
        (b"\1\0" + struct.pack(">Q", 1) + deep) * 1000,  # groups in groups
        b"\1\0"
        + struct.pack(">Q", 1)
        + b"\x15\0\1a"
        + bytes(8)
        + b"%%%%"
        + struct.pack(">Q", 20) * 10_000,  # arrays
        b"\1\0"
        + struct.pack(">Q", 1)
        + b"\x15\0\1a"
        + bytes(8)
        + b"%%%%"
        + struct.pack(">QQI", 1, 18, 2**32 - 1),
    ):
        path.write_bytes(head + root)
        refused(path, "its header is damaged")


def test_headers_that_promise_too_much_are_refused_before_memory_is_taken(
    tmp_path: Path, stack: np.ndarray
) -> None:
    path = write_gatan(tmp_path / "a.dm4", stack)
    content = path.read_bytes()
    size = struct.pack("<I", stack.shape[1])
    assert size in content
    path.write_bytes(
        content.replace(
            b"%%%%" + struct.pack(">QQ", 1, 5) + size, b"%%%%" + struct.pack(">QQ", 1, 5) + b"\xff" * 4
        )
    )
    refused(path, "damaged")
    path = write_tia(tmp_path / "a.ser", stack)
    content = path.read_bytes()
    for place, number in ((18, 2**31 - 1), (18, -1), (30, 2**31 - 1)):  # elements, dimensions
        path.write_bytes(content[:place] + struct.pack("<i", number) + content[place + 4 :])
        refused(path)
    with h5py.File(tmp_path / "a.emd", "w") as file:
        group = file.create_group("data/a")
        group.attrs["emd_group_type"] = 1
        group.create_dataset("data", (10**6, 10**4, 10**4), "f4", chunks=(1, 100, 100))
    refused(tmp_path / "a.emd", "promises more")


def test_a_chunk_does_not_unpack_to_more_than_it_says(tmp_path: Path, stack: np.ndarray) -> None:
    large = np.zeros((1, 256, 256), np.float32)
    path = write_berkeley(tmp_path / "a.emd", large, chunks=(1, 256, 256), compression="gzip")
    with h5py.File(path, "r+") as file:
        file["data/image_0/data"].id.write_direct_chunk((0, 0, 0), zlib.compress(bytes(300_000_000)))
    refused(path, "unpacks to too much")


def test_pixels_elsewhere_and_links_are_not_followed(tmp_path: Path, stack: np.ndarray) -> None:
    secret = write_berkeley(tmp_path / "secret.emd", stack)
    path = tmp_path / "a.emd"
    with h5py.File(path, "w") as file:
        group = file.create_group("data/a")
        group.attrs["emd_group_type"] = 1
        group.create_dataset("data", stack.shape, "f4", external=[(str(secret), 0, stack.nbytes)])
    refused(path, "other files")
    with h5py.File(path, "w") as file:
        file["data"] = h5py.ExternalLink(str(secret), "/data")
    refused(path, "no image")
    with h5py.File(path, "w") as file:
        group = file.create_group("data/a")
        group.attrs["emd_group_type"] = 1
        source = h5py.VirtualSource(str(secret), "data/image_0/data", stack.shape)
        layout = h5py.VirtualLayout(stack.shape, "f4")
        layout[:] = source
        group.create_virtual_dataset("data", layout)
    refused(path, "other files")
    with h5py.File(path, "w") as file:  # a group in itself
        file["data"] = file.create_group("a")
        file["a/b"] = file["a"]
    refused(path, "no image")


def test_what_is_packed_in_unusual_ways_is_refused(tmp_path: Path, stack: np.ndarray) -> None:
    refused(write_berkeley(tmp_path / "a.emd", stack, compression="lzf"), "gzip")
    for packing in ({"compression": "gzip"}, {"shuffle": True, "compression": "gzip", "fletcher32": True}):
        path = write_berkeley(tmp_path / "a.emd", stack, **packing)
        np.testing.assert_array_equal(np.asarray(read_stack(path).array), stack)


def test_hdf5_of_another_kind_holds_no_image(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.emd", "w") as file:
        file["anything"] = np.zeros((3, 20, 30))
        file.attrs["about"] = json.dumps({})
    refused(tmp_path / "a.emd", "holds no image")
