"""A format is one entry of a table: what a new one needs, and that all that depends on formats follows it."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from napari_autostructn2v import Config, synthetic, train
from napari_autostructn2v.apply import denoise_to_file, result_paths
from napari_autostructn2v.errors import FileError
from napari_autostructn2v.events import finish
from napari_autostructn2v.io import Heading, ImageFile, VoxelSize, formats, read_stack, write_stack
from napari_autostructn2v.io.formats import Format
from napari_autostructn2v.kernel import POINT


@pytest.fixture
def dump(monkeypatch: pytest.MonkeyPatch) -> Format:
    """A format that holds float32 only, and no voxel sizes."""
    module = ModuleType("made_up_dump")

    def read(path: Path) -> ImageFile:
        return ImageFile(np.load(path, mmap_mode="r"), None, path.stem, path, "dump")

    def write(
        path: Path, array: Any, voxel_size: VoxelSize | None, heading: Heading | None, made_by: str
    ) -> None:
        with path.open("wb") as file:
            np.save(file, np.asarray(array[...], np.float32))

    module.read, module.write = read, write  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    made_up = Format("dump", (".dump", ".dmp"), module.__name__, ("float32",))
    monkeypatch.setattr(formats, "FORMATS", (*formats.FORMATS, made_up))
    return made_up


def test_a_made_up_format_is_written_and_read(dump: Format, tmp_path: Path) -> None:
    stack = np.random.default_rng(0).normal(size=(3, 20, 30)).astype(np.float32)
    image = read_stack(write_stack(tmp_path / "a.dmp", stack))
    assert image.format == dump.name
    np.testing.assert_array_equal(np.asarray(image.array), stack)


def test_a_model_is_applied_to_a_made_up_format(dump: Format, tmp_path: Path) -> None:
    noisy = synthetic.sample("scan_lines", shape=(4, 80, 80), seed=1).noisy
    config = Config.from_preset("fast").stage1.model_copy(update={"steps": 2})
    image = read_stack(write_stack(tmp_path / "a.dump", noisy))
    target = result_paths([(image.name, image.path)], tmp_path, "_denoised")[0]
    assert target == tmp_path / "a_denoised.dump"
    model = finish(train(noisy, POINT, config))
    assert read_stack(finish(denoise_to_file(image.array, model, target))).format == dump.name


def test_messages_name_a_made_up_format(dump: Format, tmp_path: Path) -> None:
    stack = np.zeros((3, 20, 30), np.float32)
    stack[0] = 1
    with pytest.raises(FileError, match=r"\.dump, \.dmp"):
        write_stack(tmp_path / "a.foo", stack)
    far = 1e12 + np.random.default_rng(0).normal(size=(3, 20, 30))
    with pytest.raises(FileError, match=r"dump cannot hold them.*\.tif or \.zarr"):
        write_stack(tmp_path / "a.dump", far)


def test_the_guide_has_the_table_of_formats() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "guide.md").read_text(encoding="utf-8")
    table = "\n".join(formats.table())
    assert table in guide, f"put this into docs/guide.md:\n\n{table}"
    assert all(known.kept for known in formats.written())


def test_no_suffix_is_of_two_formats() -> None:
    suffixes = [suffix for known in formats.FORMATS for suffix in known.suffixes]
    assert len(suffixes) == len(set(suffixes))
    assert all(suffix == suffix.lower() and suffix[0] == "." for suffix in suffixes)
