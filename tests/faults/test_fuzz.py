"""Files from strangers: damaged by chance, and made to do harm."""

from __future__ import annotations

import bz2
import gzip
import json
import os
import pickle
import sys
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numcodecs
import numpy as np
import pytest
import tifffile
import zarr
from fuzz import fuzz
from strangers import all_good, stack, unzipped

from napari_autostructn2v.errors import FileError, KernelError, ModelError
from napari_autostructn2v.io import read_stack, write_stack
from napari_autostructn2v.kernel import load_kernel
from napari_autostructn2v.learning.model import load_model

linux = pytest.mark.skipif(sys.platform != "linux", reason="memory is bounded and measured as Linux does")
GOOD = {good.name: good for good in all_good()}


def laid_out(name: str, folder: Path) -> Path:
    for part, content in GOOD[name].tree.items():
        (folder / part).parent.mkdir(parents=True, exist_ok=True)
        (folder / part).write_bytes(content)
    return folder / name


@linux
def test_damaged_files_are_refused_in_our_words_or_read(tmp_path: Path) -> None:
    figures = fuzz(450, keep=tmp_path)
    assert not figures.findings, "\n".join(figures.lines())
    assert set(figures.files) == {"mrc", "tiff", "zarr", "gatan", "emd", "tia", "kernel", "model", "run"}
    refused = sum(count for (_, outcome), count in figures.outcomes.items() if outcome != "read")
    assert 88 < refused < 400, "the damage is neither too little nor too much to test anything"


@linux
@pytest.mark.long
def test_a_hundred_thousand_damaged_files(tmp_path: Path) -> None:
    figures = fuzz(100_000, seed=10**6, keep=tmp_path, progress=5000)
    assert not figures.findings, "\n".join(figures.lines())


@linux
@pytest.mark.parametrize("harm", ["crash", "hang", "memory", "outside", "foreign"])
def test_the_fuzzer_sees_what_it_is_there_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    """A reader that does harm is found out: without this, the tests above could not fail."""
    monkeypatch.setenv("FUZZ_HARM", harm)
    if harm == "hang":
        monkeypatch.setattr("fuzz.SECONDS", 3)
    figures = fuzz(2, keep=tmp_path)
    words = {
        "crash": "exit code",
        "hang": "no answer",
        "memory": "memory",
        "outside": "open /",
        "foreign": "ZeroDivisionError",
    }
    assert len(figures.findings) == 2
    assert all(words[harm] in finding.outcome for finding in figures.findings), figures.findings
    assert len(list(tmp_path.glob("*.txt"))) == 2, "what did it is kept"


# Out of the folder


def test_zarr_keys_stay_in_the_folder(tmp_path: Path) -> None:
    write_stack(tmp_path / "other.zarr", stack())
    path = write_stack(tmp_path / "a.zarr", stack())
    about = json.loads((path / ".zattrs").read_text())
    for outside in (
        "../other.zarr/0",
        str(tmp_path / "other.zarr" / "0"),
        "..\\other.zarr\\0",
        "0/../../other.zarr/0",
    ):
        about["multiscales"][0]["datasets"][0]["path"] = outside
        (path / ".zattrs").write_text(json.dumps(about))
        with pytest.raises(FileError):
            read_stack(path)


@pytest.mark.skipif(os.name == "nt", reason="making links needs rights there")
def test_links_in_a_zarr_folder_lead_nowhere_else(tmp_path: Path) -> None:
    path = laid_out("plain.zarr", tmp_path)
    chunk = next(file for file in (path / "0").rglob("*") if file.is_file() and not file.name.startswith("."))
    secret = tmp_path / "secret"
    secret.write_bytes(chunk.read_bytes())
    chunk.unlink()
    chunk.symlink_to(secret)
    image = read_stack(path)
    with pytest.raises(FileError, match="outside of the folder"):
        np.asarray(image.array)
    chunk.unlink()
    chunk.symlink_to("/dev/zero")
    with pytest.raises(FileError, match="outside of the folder"):
        np.asarray(image.array)
    chunk.unlink()
    os.mkfifo(chunk)
    with pytest.raises(FileError, match="is no file"):
        np.asarray(image.array)


def test_tiles_are_not_larger_than_memory(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", stack(), tile=(16, 16), compression="zlib", photometric="minisblack")
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+b") as tif:
        for page in tif.pages:
            page.aspage().tags["TileLength"].overwrite(2**32 - 16)
    with pytest.raises(FileError, match="larger than its slices"):
        read_stack(tmp_path / "a.tif")


def test_slices_in_other_files_are_not_longer_than_these(tmp_path: Path) -> None:
    path = laid_out("several.ome.tif", tmp_path)
    assert read_stack(path).array.shape
    with tifffile.TiffFile(tmp_path / "second.ome.tif", mode="r+b") as tif:
        tif.pages[0].aspage().tags["StripByteCounts"].overwrite(2**30)
    with pytest.raises(FileError, match="cut short"):
        read_stack(path)


def test_an_ome_tiff_names_no_file_elsewhere(tmp_path: Path) -> None:
    folder = tmp_path / "image"
    path = laid_out("several.ome.tif", folder)
    assert read_stack(path).array.shape == (2, 24, 20)
    (folder / "second.ome.tif").rename(tmp_path / "s.ome.tif")
    for name in (b"../s.ome.tif  ", b"..\\s.ome.tif  ", b"C:s.ome.tif   ", b"/tmp/x.ome.tif"):
        path.write_bytes(GOOD["several.ome.tif"].tree["several.ome.tif"].replace(b"second.ome.tif", name))
        with pytest.raises(FileError, match="not in its folder"):
            read_stack(path)


def test_members_of_a_model_lead_nowhere(tmp_path: Path) -> None:
    content = unzipped(GOOD["flat.zip"].tree["flat.zip"])
    path = tmp_path / "models" / "flat.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        for name, part in content.items():
            archive.writestr(name, part)
        archive.writestr("../evil", b"evil")
    load_model(path)
    assert [file.name for file in tmp_path.rglob("*")] == ["models", "flat.zip"]


@pytest.mark.skipif(os.name == "nt", reason="there are no pipes among the files")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    for name in ("a.mrc", "a.tif"):
        os.mkfifo(tmp_path / name)
        with pytest.raises(FileError, match="no file but"):
            read_stack(tmp_path / name)
    os.mkfifo(tmp_path / "a.json")
    with pytest.raises(FileError):
        load_kernel(tmp_path / "a.json")


# More than it says


def highest_memory(action: object) -> int:
    """Bytes that Python took at most."""
    tracemalloc.start()
    try:
        action()  # type: ignore[operator]
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


BOMBS = {
    "zlib.zarr": zlib.compress,
    "gzip.zarr": gzip.compress,
    "bz2.zarr": bz2.compress,
    "zstd.zarr": lambda data: numcodecs.Zstd().encode(data),
    "lz4.zarr": lambda data: numcodecs.LZ4().encode(data),
    "blosc.zarr": lambda data: numcodecs.Blosc().encode(data),
    "v3.zarr": lambda data: numcodecs.Zstd().encode(data),
    "v3gzip.zarr": gzip.compress,
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_chunk_unpacks_to_no_more_than_a_chunk(tmp_path: Path, name: str) -> None:
    path = laid_out(name, tmp_path)
    np.testing.assert_array_equal(read_stack(path).array, stack())
    chunks = [
        file for file in (path / "0").rglob("*") if file.is_file() and not file.name.startswith((".", "zarr"))
    ]
    bomb = BOMBS[name](bytes(150_000_000))
    for chunk in chunks:
        chunk.write_bytes(bomb)
    image = read_stack(path)

    def read() -> None:
        with pytest.raises(FileError, match=r"unpacks to more|not as large"):
            image.array[0]

    assert highest_memory(read) < 30_000_000


def test_a_chunk_in_a_shard_unpacks_to_no_more_than_a_chunk(tmp_path: Path) -> None:
    path = laid_out("sharded.zarr", tmp_path)
    np.testing.assert_array_equal(read_stack(path).array, stack())
    shard = next(file for file in (path / "0" / "c").rglob("*") if file.is_file())
    content = shard.read_bytes()
    index = np.frombuffer(content[-(16 * 6 + 4) : -4], "<u8").copy()
    bomb = gzip.compress(bytes(150_000_000))
    index[:2] = len(content) - 100, len(bomb)
    table = index.tobytes()
    shard.write_bytes(content[:-100] + bomb + table + crc(table))
    image = read_stack(path)
    for key in (0, slice(None)):

        def read(key: object = key) -> None:
            with pytest.raises(FileError, match=r"unpacks to more|not as large"):
                image.array[key]

        assert highest_memory(read) < 30_000_000


def crc(data: bytes) -> bytes:
    """The checksum that ends the index of a shard."""
    import google_crc32c

    return int(google_crc32c.value(data)).to_bytes(4, "little")


def test_a_jpeg_is_not_larger_than_its_place(tmp_path: Path) -> None:
    path = laid_out("jpeg.tif", tmp_path)
    assert np.asarray(read_stack(path).array).shape == stack().shape
    content = bytearray(path.read_bytes())
    place = content.find(b"\xff\xc0") + 5
    content[place : place + 4] = b"\xff\xdc\xff\xdc"  # 65500 × 65500
    path.write_bytes(content)
    with pytest.raises(FileError, match="larger than its place"):
        read_stack(path).array[0]


@pytest.mark.parametrize("name", ["jpeg2000.tif", "lzma.tif"])
def test_tiff_packed_in_ways_that_nobody_can_bound(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileError, match=r"packed with .* Save it again"):
        read_stack(laid_out(name, tmp_path))


def test_a_damaged_slice_is_told_when_it_is_read(tmp_path: Path) -> None:
    path = laid_out("slices", tmp_path)
    image = read_stack(path)
    bad = path / "1.tif"
    content = bytearray(bad.read_bytes())
    with tifffile.TiffFile(bad) as tif:
        start = tif.pages.first.dataoffsets[0]
    content[start + 20 : start + 60] = bytes(40)
    bad.write_bytes(content)
    np.testing.assert_array_equal(image.array[0], stack()[0])
    with pytest.raises(FileError, match="damaged"):
        image.array[1]
    bad.unlink()
    with pytest.raises(FileError):
        image.array[1]
    assert [plane.shape for plane in np.asarray(image.array[::2])] == [(24, 20)] * 2
    with pytest.raises(IndexError):
        image.array[3]


def test_zarr_that_promises_without_end(tmp_path: Path) -> None:
    path = laid_out("ours.zarr", tmp_path)
    about = path / "0" / ".zarray"
    good = json.loads(about.read_text())
    about.write_text(json.dumps(good | {"shape": [10**9, 24, 20]}))
    image = read_stack(path)  # a billion slices, all but three of them empty
    np.testing.assert_array_equal(image.array[10**9 - 1], np.zeros((24, 20)))
    for lie in ({"shape": [10**12, 24, 20]}, {"chunks": [10**6, 10**6, 20]}, {"shape": [3, 10**6, 10**6]}):
        about.write_text(json.dumps(good | lie))
        with pytest.raises(FileError):
            read_stack(path)
    about.write_text(json.dumps(good | {"shape": [3, 10**4, 10**4], "chunks": [1, 1, 1]}))
    with pytest.raises(FileError, match="chunks"):  # a hundred million files for a slice
        read_stack(path)


@pytest.mark.parametrize("codec", ["pickle", "lzma", "json2", "delta"])
def test_codecs_of_zarr_that_do_more_than_pack(tmp_path: Path, codec: str) -> None:
    path = laid_out("ours.zarr", tmp_path)
    about = path / "0" / ".zarray"
    good = json.loads(about.read_text())
    for where in ({"compressor": {"id": codec}}, {"filters": [{"id": codec, "dtype": "<f4"}]}):
        about.write_text(json.dumps(good | where))
        with pytest.raises(FileError):
            read_stack(path)


# Models and kernels


def bundle(tmp_path: Path, compression: int = zipfile.ZIP_STORED, **parts: bytes) -> Path:
    content = unzipped(GOOD["flat.zip"].tree["flat.zip"]) | {
        {"model": "model.json", "weights": "weights.safetensors"}[name]: part for name, part in parts.items()
    }
    with zipfile.ZipFile(tmp_path / "a.zip", "w", compression) as archive:
        for name, part in content.items():
            archive.writestr(name, part)
    return tmp_path / "a.zip"


def described(**changes: object) -> bytes:
    about = json.loads(unzipped(GOOD["flat.zip"].tree["flat.zip"])["model.json"])
    about["config"] |= changes
    return json.dumps(about).encode()


def test_a_packed_model_is_read_and_a_bomb_is_not(tmp_path: Path) -> None:
    load_model(bundle(tmp_path, zipfile.ZIP_DEFLATED))
    for part in ({"weights": bytes(100_000_000)}, {"model": b" " * 15_000_000 + described()}):
        path = bundle(tmp_path, zipfile.ZIP_DEFLATED, **part)

        def read(path: Path = path) -> None:
            with pytest.raises(ModelError):
                load_model(path)

        assert highest_memory(read) < 10_000_000


@linux
def test_a_network_of_any_size_is_not_made_before_its_weights_are_seen(tmp_path: Path) -> None:
    before = Path("/proc/self/statm").read_text().split()[1]
    path = bundle(tmp_path, model=described(features=512, depth=5, patch_size=64))  # 12 GB
    with pytest.raises(ModelError):
        load_model(path)
    after = Path("/proc/self/statm").read_text().split()[1]
    assert (int(after) - int(before)) * os.sysconf("SC_PAGESIZE") < 2**28


def test_weights_that_are_no_numbers(tmp_path: Path) -> None:
    from safetensors.numpy import load, save

    weights = load(unzipped(GOOD["flat.zip"].tree["flat.zip"])["weights.safetensors"])
    weights["head.bias"][:] = np.nan
    with pytest.raises(ModelError):
        load_model(bundle(tmp_path, weights=save(weights)))


def test_kernel_files_that_lie(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.ones((3, 3)))
    path.write_bytes(path.read_bytes().replace(b"(3, 3), }    ", b"(99999, 9999)}"[:13]))
    with pytest.raises(FileError):
        load_kernel(path)
    np.save(path, np.array([["a"]], dtype=object), allow_pickle=True)
    with pytest.raises(FileError):
        load_kernel(path)
    path.write_bytes(pickle.dumps([[1]]))
    with pytest.raises(FileError):
        load_kernel(path)
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4001, 4001)), compression="zlib")
    with pytest.raises(FileError, match="too large"):
        load_kernel(tmp_path / "a.tif")
    for text in ("[" * 100_000, '[["1"]]', "{}", "1", "[[1, 2], [3]]", "[[null]]"):
        (tmp_path / "a.json").write_text(text)
        with pytest.raises((FileError, KernelError)):
            load_kernel(tmp_path / "a.json")


def test_the_arrays_go_into_other_programs_as_before(tmp_path: Path) -> None:
    image = read_stack(laid_out("ours.zarr", tmp_path))
    assert (image.array.ndim, image.array.size, len(image.array)) == (3, 1440, 3)
    assert image.array.chunks == (1, 24, 20)
    assert zarr.open_group(tmp_path / "ours.zarr", mode="r")["0"].shape == image.array.shape
