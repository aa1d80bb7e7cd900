"""A list of stacks through the command line: killed, it goes on, and a bad stack fails alone."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from napari_autostructn2v import cli
from napari_autostructn2v.cli.progress import ExitCode
from napari_autostructn2v.config import TrainingConfig
from napari_autostructn2v.errors import WorkListError
from napari_autostructn2v.io import VoxelSize, read_stack, write_stack
from napari_autostructn2v.learning.model import Model, load_model
from napari_autostructn2v.learning.network import UNet
from napari_autostructn2v.scale import Normalisation
from napari_autostructn2v.series.work_list import read_list
from napari_autostructn2v.synthetic import sample

TINY = TrainingConfig(
    steps=4, batch_size=2, patch_size=16, features=8, validation_interval=2, validation_patches=4
)
SMALL = json.dumps({"stage1": TINY.model_dump(), "stage2": TINY.model_dump()})

DIES_IN_THE_SECOND = """
import os, signal
from napari_autostructn2v.series import batch
really, rows = batch.run_to_file, []
def dying(request, folder, **options):
    rows.append(request)
    for event in (events := really(request, folder, **options)):
        yield event
        if len(rows) == 2 and type(event).__name__ == "Step":
            os.kill(os.getpid(), signal.SIGKILL)
batch.run_to_file = lambda request, folder, **options: (
    dying(request, folder, **options) if rows else rows.append(0) or really(request, folder, **options)
)
from napari_autostructn2v.cli import main
main()
"""


@pytest.fixture
def stacks(tmp_path: Path) -> list[Path]:
    (tmp_path / "raw").mkdir()
    return [
        write_stack(
            tmp_path / "raw" / f"tomo_{seed}.mrc", sample("scan_lines", shape=(4, 72, 80), seed=seed).noisy
        )
        for seed in (1, 2, 3)
    ]


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    (tmp_path / "small.json").write_text(SMALL)
    return tmp_path / "small.json"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    network = UNet(1, features=8, depth=2).eval()
    trained = Model(network, np.ones((1, 5), bool), None, TrainingConfig(features=8), Normalisation(0.5, 0.3))
    return trained.save(tmp_path / "model.zip")


def table(path: Path, *rows: str, heading: str = "input,output") -> Path:
    path.write_text("\n".join([heading, *rows]) + "\n")
    return path


def command(*arguments: Any) -> Any:
    result = CliRunner().invoke(cli.app, [*map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def summary(folder: Path) -> list[dict[str, str]]:
    with (folder / "summary.csv").open(newline="") as file:
        return list(csv.DictReader(file))


class Page(HTMLParser):
    """What a browser would look for elsewhere, and the pictures that are in the page itself."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.inside, self.elsewhere = 0, list[str]()
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if name in ("src", "href"):
                if str(value).startswith("data:image/png;base64,"):
                    self.inside += 1
                else:
                    self.elsewhere.append(str(value))


def test_each_row_is_trained_on_and_a_bad_one_fails_alone(
    stacks: list[Path], settings: Path, tmp_path: Path
) -> None:
    write_stack(tmp_path / "raw" / "empty.mrc", np.zeros((4, 72, 80), np.float32))
    rows = [
        "raw/tomo_1.mrc,one.mrc,raw/tomo_2.mrc",
        "raw/empty.mrc,empty_out.mrc,",
        "raw/tomo_3.mrc,three.tif,",
    ]
    listed = table(tmp_path / "day.csv", *rows, heading="input,output,second")
    done = command("batch", listed, "--config", settings)
    assert done.exit_code == ExitCode.FAILED and "empty.mrc is left out" in done.output
    one, empty, three = summary(tmp_path / "day_batch")
    assert [row["state"] for row in (one, empty, three)] == ["done", "failed", "done"]
    assert "is blank" in empty["reason"] and one["verdict"] and one["kernel"]
    assert one["conclusion"] in ("helps", "adds_nothing", "look_first") and one["headline"].endswith(".")
    assert one["gain_db"] and not three["gain_db"], "only the first has a recording that judges"
    for name in ("one.mrc", "three.tif"):
        assert read_stack(tmp_path / name).array.shape == (4, 72, 80)
    page = Page((tmp_path / "day_batch" / "summary.html").read_text())
    assert page.inside == 4 and not page.elsewhere, "before and after of two, and no other file is needed"

    times = {name: (tmp_path / name).stat().st_mtime_ns for name in ("one.mrc", "three.tif")}
    again = command("batch", listed, "--config", settings)
    assert again.exit_code == ExitCode.FAILED and "2 of 3 rows were done before" in again.output
    assert times == {name: (tmp_path / name).stat().st_mtime_ns for name in times}, "what is done stays"


def test_stacks_of_a_group_share_a_network(stacks: list[Path], settings: Path, tmp_path: Path) -> None:
    rows = ["raw/tomo_1.mrc,a,raw/tomo_3.mrc", "raw/tomo_2.mrc,,", "raw/tomo_3.mrc,a,"]
    listed = table(tmp_path / "day.csv", *rows, heading="input,group,second")
    arguments = ("batch", listed, "--out", tmp_path / "out", "--config", settings, "--per-group")
    done = command(*arguments)
    assert done.exit_code == 0 and "Group a: one network for 2 stacks" in done.output
    one, two, three = (
        load_model(tmp_path / "out" / f"tomo_{n}_run" / "stage1" / "model.zip") for n in (1, 2, 3)
    )
    weights = [next(each.network.parameters()) for each in (one, two, three)]
    assert torch.equal(weights[0], weights[2]) and not torch.equal(weights[0], weights[1])
    records = summary(tmp_path / "day_batch")
    assert all(row["state"] == "done" and row["verdict"] for row in records)
    assert records[0]["gain_db"] and not records[2]["gain_db"]

    def made() -> dict[str, np.ndarray]:
        return {path.name: np.asarray(read_stack(path).array) for path in (tmp_path / "out").glob("*.mrc")}

    before = made()
    assert "3 of 3 rows were done before" in command(*arguments).output
    (tmp_path / "out" / "tomo_3.mrc").unlink()
    again = command(*arguments)
    assert again.exit_code == 0 and "2 of 3 rows were done before" in again.output
    np.testing.assert_equal(made(), before, "it goes on with what is trained")


def test_a_group_that_cannot_share_a_network_is_answered_before_any_work(
    stacks: list[Path], settings: Path, tmp_path: Path
) -> None:
    for number, size in ((1, 1.0), (2, 1.004), (3, 0.5)):
        array = read_stack(stacks[number - 1]).array[...]
        write_stack(stacks[number - 1], array, voxel_size=VoxelSize(size, size, size, "nm"), overwrite=True)
    rows = ["raw/tomo_1.mrc,a,2d", "raw/tomo_2.mrc,a,2.5d", "raw/tomo_3.mrc,a,2d"]
    listed = table(tmp_path / "day.csv", *rows, heading="input,group,mode")
    arguments = ("batch", listed, "--out", tmp_path / "out", "--config", settings)
    with pytest.raises(WorkListError, match="Group a: one network is either 2d or 2") as refused:
        command(*arguments, "--per-group")
    assert "row 1 has 1 × 1 nm, row 3 has 0.5 × 0.5 nm" in str(refused.value)
    assert not list((tmp_path / "out").glob("*"))


@pytest.mark.skipif(os.name == "nt", reason="Windows knows no such signal")
def test_what_was_killed_goes_on(stacks: list[Path], settings: Path, tmp_path: Path) -> None:
    listed = table(tmp_path / "day.csv", *(f"raw/tomo_{n}.mrc" for n in (1, 2)), heading="input")
    arguments = ["batch", listed, "--out", tmp_path / "out", "--config", settings, "--seed", 4]
    killed = subprocess.run(
        [sys.executable, "-c", DIES_IN_THE_SECOND, *map(str, arguments)], capture_output=True, text=True
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    first = tmp_path / "out" / "tomo_1.mrc"
    before = first.stat().st_mtime_ns
    assert [row["state"] for row in summary(tmp_path / "day_batch")] == ["done", "waiting"]
    done = command(*arguments)
    assert done.exit_code == 0 and "1 of 2 rows were done before" in done.output
    assert first.stat().st_mtime_ns == before
    assert [row["state"] for row in summary(tmp_path / "day_batch")] == ["done", "done"]


def test_by_workers_side_by_side_as_by_one(stacks: list[Path], settings: Path, tmp_path: Path) -> None:
    write_stack(tmp_path / "raw" / "empty.mrc", np.zeros((4, 72, 80), np.float32))
    rows = ("raw/tomo_1.mrc", "raw/empty.mrc", "raw/tomo_2.mrc")
    listed = table(tmp_path / "day.csv", *rows, heading="input")
    arguments = ("batch", listed, "--config", settings)
    alone = command(*arguments, "--out", tmp_path / "alone")
    many = command(*arguments, "--out", tmp_path / "many", "--workers", 2)
    assert alone.exit_code == many.exit_code == ExitCode.FAILED and "empty.mrc is left out" in many.output
    assert [row["state"] for row in summary(tmp_path / "day_batch")] == ["done", "failed", "done"]
    for name in ("tomo_1.mrc", "tomo_2.mrc"):
        np.testing.assert_allclose(
            read_stack(tmp_path / "many" / name).array, read_stack(tmp_path / "alone" / name).array, atol=1e-5
        )


def test_a_result_that_was_written_before_the_kill_is_our_own(
    stacks: list[Path], model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program dies between the result and the note that it is done."""
    from napari_autostructn2v.series import batch

    listed = table(tmp_path / "day.csv", "raw/tomo_1.mrc,one.mrc")

    def die(*arguments: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(batch, "analyze", die)
        CliRunner().invoke(cli.app, ["batch", str(listed), "--model", str(model)])
    assert (tmp_path / "one.mrc").exists()
    assert command("batch", listed, "--model", model).exit_code == 0
    assert [row["state"] for row in summary(tmp_path / "day_batch")] == ["done"]
    assert not list(tmp_path.glob(".work-*"))


def test_a_model_is_applied_to_each(stacks: list[Path], model: Path, tmp_path: Path) -> None:
    listed = table(tmp_path / "day.csv", *(f"raw/tomo_{n}.mrc" for n in (1, 2)), heading="input")
    assert command("batch", listed, "--model", model, "--out", tmp_path / "out", "--quiet").output == ""
    rows = summary(tmp_path / "day_batch")
    assert [row["kernel"] for row in rows] == ["1 × 5", "1 × 5"], "the model's"
    assert all("correlated along X" in row["summary"] for row in rows), "the noise of each is looked at"
    assert command("apply", model, stacks[0], "--out", tmp_path / "alone", "--quiet").exit_code == 0
    np.testing.assert_array_equal(
        read_stack(tmp_path / "out" / "tomo_1.mrc").array[:],
        read_stack(tmp_path / "alone" / "tomo_1.mrc").array[:],
    )


@pytest.mark.parametrize(
    ("heading", "rows", "said"),
    [
        ("input,output", ["raw/tomo_1.mrc,a.mrc", "raw/none.mrc,b.mrc"], "row 2: there is no file"),
        ("input,output", ["raw/tomo_1.mrc,a.mrc", "raw/tomo_2.mrc,A.mrc"], "rows 1 and 2 have one output"),
        ("input,output", ["raw/tomo_1.mrc,raw/tomo_2.mrc", "raw/tomo_2.mrc,b.mrc"], "is the input of row 2"),
        ("input,output,colour", ["raw/tomo_1.mrc,a.mrc,red"], "not known: 'colour'"),
        ("input;output;mode", ["raw/tomo_1.mrc;a.mrc;3d"], "no mode '3d'"),
        ("input", ["raw/tomo_1.mrc"], "give --out"),
        ("output", ["a.mrc"], "needs a heading"),
        ("input,output", [], "lists no stacks"),
        ("input,output", ["raw/tomo_1.mrc,a.mrc,b"], "row 1 has 3 cells"),
        ("input,output,second", ["raw/tomo_1.mrc,a.mrc,raw/tomo_1.mrc"], "second recording is the first"),
        ("input,output", ["raw/tomo_1.mrc,a.foo"], "Cannot tell the format"),
        ("input,output,mode", ["raw/flat.mrc,a.mrc,2.5d"], "this stack has 2"),
        ("input,output,second", ["raw/tomo_1.mrc,a.mrc,raw/flat.mrc"], "shape"),
    ],
)
def test_a_bad_list_is_answered_before_any_work(
    stacks: list[Path], settings: Path, tmp_path: Path, heading: str, rows: list[str], said: str
) -> None:
    write_stack(tmp_path / "raw" / "flat.mrc", np.random.default_rng(0).random((2, 72, 80), np.float32))
    before = set(tmp_path.rglob("*"))
    listed = table(tmp_path / "day.csv", *rows, heading=heading)
    with pytest.raises(WorkListError, match=said):
        command("batch", listed, "--config", settings)
    assert set(tmp_path.rglob("*")) == before | {listed}


def test_a_model_of_another_mode_is_answered_before_any_work(
    stacks: list[Path], model: Path, tmp_path: Path
) -> None:
    rows = ["raw/tomo_1.mrc,a.mrc,2d", "raw/tomo_2.mrc,b.mrc,2.5d"]
    listed = table(tmp_path / "day.csv", *rows, heading="input,output,mode")
    with pytest.raises(WorkListError, match=r"Row 2, tomo_2.mrc: It is to be 2.5d, and the model is of 2d"):
        command("batch", listed, "--model", model)
    assert not (tmp_path / "a.mrc").exists() and not (tmp_path / "day_batch").exists()


def test_a_star_file_of_relion(stacks: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("starfile")
    monkeypatch.chdir(tmp_path)  # the project
    (tmp_path / "Tomograms").mkdir()
    star = tmp_path / "Tomograms" / "tomograms.star"
    star.write_text(
        "# version 50001\n\ndata_general\n\n_rlnTomoSubTomosAre2DStacks 1\n\n\n# version 50001\n\n"
        "data_global\n\nloop_\n_rlnTomoName #1\n_rlnOpticsGroupName #2\n_rlnTomoReconstructedTomogram #3\n"
        "_rlnTomoReconstructedTomogramHalf1 #4\n_rlnTomoReconstructedTomogramHalf2 #5\n"
        "TS_01 optics1 raw/tomo_3.mrc raw/tomo_1.mrc raw/tomo_2.mrc\n"
    )
    (row,) = read_list(star, tmp_path / "out")
    assert (row.input, row.second, row.group) == (Path("raw/tomo_1.mrc"), Path("raw/tomo_2.mrc"), "optics1")
    assert row.output == tmp_path / "out" / "tomo_1.mrc"
    star.write_text("data_\n\nloop_\n_rlnMicrographName #1\nraw/tomo_1.mrc\nraw/tomo_2.mrc\n")
    assert [row.input.name for row in read_list(star, tmp_path)] == ["tomo_1.mrc", "tomo_2.mrc"]
    star.write_text("data_particles\n\nloop_\n_rlnCoordinateX #1\n1.0\n")
    with pytest.raises(WorkListError, match="no column with tomograms"):
        read_list(star, tmp_path)
