"""A trained model from file to file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_autostructn2v import Config, synthetic, train
from napari_autostructn2v.apply import denoise_to_file, result_paths
from napari_autostructn2v.errors import FileError, StackError
from napari_autostructn2v.events import finish
from napari_autostructn2v.io import VoxelSize, read_stack
from napari_autostructn2v.io.image import stack_name
from napari_autostructn2v.io.slice_file import ScratchStack
from napari_autostructn2v.kernel import POINT
from napari_autostructn2v.learning.model import Model
from napari_autostructn2v.pipeline import denoise_with


@pytest.fixture(scope="module")
def noisy() -> np.ndarray:
    return synthetic.sample("scan_lines", shape=(4, 80, 80), seed=1).noisy


@pytest.fixture(scope="module")
def model(noisy: np.ndarray) -> Model:
    config = Config.from_preset("fast").stage1.model_copy(update={"steps": 2})
    return finish(train(noisy, POINT, config))


@pytest.mark.parametrize("recovery", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("name", ["out.mrc", "out.tif", "out.zarr"])
def test_the_file_holds_what_memory_would(
    noisy: np.ndarray, model: Model, tmp_path: Path, recovery: float, name: str
) -> None:
    size = VoxelSize(2, 1, 1)
    path = finish(denoise_to_file(noisy, model, tmp_path / name, voxel_size=size, recovery=recovery))
    written = read_stack(path)
    right = finish(denoise_with(noisy, model, recovery=recovery))
    np.testing.assert_array_equal(np.asarray(written.array[:]), right)
    assert written.voxel_size == size
    assert list(tmp_path.iterdir()) == [path], "no scratch is left"


def test_a_single_slice(noisy: np.ndarray, model: Model, tmp_path: Path) -> None:
    path = finish(denoise_to_file(noisy[0], model, tmp_path / "out.tif"))
    written = np.asarray(read_stack(path).array)
    np.testing.assert_array_equal(written, finish(denoise_with(noisy[0], model)))


def test_what_stops_half_way_leaves_nothing(noisy: np.ndarray, model: Model, tmp_path: Path) -> None:
    bad = np.zeros_like(noisy)
    with pytest.raises(StackError, match="nothing to denoise"):
        finish(denoise_to_file(bad, model, tmp_path / "out.tif"))
    events = denoise_to_file(noisy, model, tmp_path / "out.tif")
    next(events)
    events.close()
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_written_is_refused_before_the_work(
    noisy: np.ndarray, model: Model, tmp_path: Path
) -> None:
    (tmp_path / "out.tif").write_text("precious")
    for name in ("out.tif", "out.foo", "nowhere/out.tif"):
        with pytest.raises(FileError):
            next(denoise_to_file(noisy, model, tmp_path / name))
    assert (tmp_path / "out.tif").read_text() == "precious"


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no device that is always full")
    full = Path("/dev/full").open("r+b", buffering=0)  # noqa: SIM115 - closed by the stack
    monkeypatch.setattr("tempfile.TemporaryFile", lambda dir, buffering: full)
    with ScratchStack((2, 16, 16), tmp_path / "out.tif") as scratch, pytest.raises(FileError, match="full"):
        scratch[0] = np.ones((16, 16))


@pytest.mark.parametrize(
    ("name", "origin", "expected"),
    [
        ("a", "a.mrc", "a_new.mrc"),
        ("a.b", "a.b.REC", "a.b_new.REC"),
        ("a", "a.ome.tif", "a_new.ome.tif"),
        ("a", "a.zarr", "a_new.zarr"),
        ("slices", "slices", "slices_new.tif"),
        ("crop: a/b", None, "crop_ a_b_new.tif"),
        ("run.5", None, "run.5_new.tif"),
    ],
)
def test_names_of_results(name: str, origin: str | None, expected: str, tmp_path: Path) -> None:
    source = None if origin is None else Path("/somewhere") / origin
    assert result_paths([(name, source)], tmp_path, "_new")[0] == tmp_path / expected


@pytest.mark.parametrize(
    ("origins", "expected"),
    [
        (["a/x.mrc", "b/x.mrc"], ["a_x.mrc", "b_x.mrc"]),
        (["a/x.mrc", "b/x.tif"], ["x.mrc", "x.tif"]),
        (["a/x.mrc", "b/X.MRC", "c/y.mrc"], ["a_x.mrc", "b_X.MRC", "y.mrc"]),
        (["a/run/x.mrc", "b/run/x.mrc"], ["a_run_x.mrc", "b_run_x.mrc"]),
        (["a/run/x.mrc", "b/run/x.mrc", "a/y/x.mrc"], ["a_run_x.mrc", "b_run_x.mrc", "y_x.mrc"]),
        (["a/x.map", "a/x.map.gz"], ["x.map", "x_2.map"]),
        ([None, None], ["x.tif", "x_2.tif"]),
        (["a/x.mrc", "a/b_x.mrc", "b/x.mrc"], ["x.mrc", "b_x.mrc", "x.mrc"]),
    ],
)
def test_results_of_one_name_are_told_apart(
    origins: list[str | None], expected: list[str], tmp_path: Path
) -> None:
    paths = [None if origin is None else Path("/somewhere") / origin for origin in origins]
    stacks = [("x" if path is None else stack_name(path), path) for path in paths]
    found = [path.name for path in result_paths(stacks, tmp_path, "")]
    assert len({name.casefold() for name in found}) == len(found)
    if len(set(expected)) == len(expected):
        for name, wanted in zip(found, expected, strict=True):
            assert name == wanted or (name.endswith(wanted) and "somewhere" in name)
