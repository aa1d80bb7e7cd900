"""The command line: the main job, its files, its exit codes, and Ctrl-C."""

import gzip
import os
import signal
import subprocess
import sys
import time

import mrcfile
import numpy as np
import pytest
from typer.testing import CliRunner

from napari_autostructn2v import cli
from napari_autostructn2v._version import __version__
from napari_autostructn2v.cli.progress import ExitCode
from napari_autostructn2v.config import Config, TrainingConfig
from napari_autostructn2v.errors import DeviceError, FileError, KernelError, StackError
from napari_autostructn2v.io import VoxelSize, read_stack, write_stack
from napari_autostructn2v.kernel import POINT, load_kernel
from napari_autostructn2v.learning.model import Model
from napari_autostructn2v.learning.network import UNet
from napari_autostructn2v.noise.verdict import CONCLUSIONS
from napari_autostructn2v.scale import Normalisation
from napari_autostructn2v.synthetic import sample

TINY = TrainingConfig(steps=6, batch_size=2, patch_size=16, features=8, validation_interval=3)


@pytest.fixture
def invoke(monkeypatch):
    monkeypatch.setattr(Config, "from_preset", lambda preset: Config(stage1=TINY, stage2=TINY))

    def run(*arguments):
        result = CliRunner().invoke(cli.app, [str(a) for a in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


@pytest.fixture
def tomogram(tmp_path):
    stack = sample("scan_lines", shape=(4, 80, 80)).noisy
    return write_stack(tmp_path / "tomogram.mrc", stack, voxel_size=VoxelSize(2.0, 1.0, 1.0))


def test_each_output_has_a_run_folder_of_its_own(invoke, tomogram, tmp_path):
    first, second = tmp_path / "tomo.v1.mrc", tmp_path / "tomo.v2.ome.tif"
    for seed, output in enumerate((first, second)):
        assert invoke("run", tomogram, output, "--seed", seed, "--quiet").exit_code == 0
    assert {path.name for path in tmp_path.glob("*_run")} == {"tomo.v1_run", "tomo.v2_run"}

    # as an earlier version named it; its model would be another after a training of its own
    earlier = (tmp_path / "tomo.v1_run").rename(tmp_path / "tomo_run")
    model = (earlier / "stage1" / "model.zip").stat().st_mtime_ns
    again = invoke("run", tomogram, first, "--seed", 0, "--overwrite", "--quiet")
    assert again.exit_code == 0 and not (tmp_path / "tomo.v1_run").exists(), "that one is gone on with"
    assert (earlier / "stage1" / "model.zip").stat().st_mtime_ns == model
    assert invoke("run", tomogram, tmp_path / "tomo.v3.mrc", "--seed", 3, "--quiet").exit_code == 0
    assert (tmp_path / "tomo.v3_run").exists(), "it was of another output"


def test_a_folder_of_slices_may_have_dots_in_its_name(invoke, tmp_path):
    stack = sample("scan_lines", shape=(2, 40, 40)).noisy
    (tmp_path / "tomo_1.5um").mkdir()
    for z in range(2):
        write_stack(tmp_path / "tomo_1.5um" / f"{z}.tif", stack[z])
    untrained = Model(
        UNet(1, 8, 1).eval(), POINT, None, TINY.model_copy(update={"depth": 1}), Normalisation(0, 1)
    )
    model = untrained.save(tmp_path / "model.zip")
    applied = invoke("apply", model, tmp_path / "tomo_1.5um", "--out", tmp_path / "out", "--quiet")
    assert applied.exit_code == 0
    assert read_stack(tmp_path / "out" / "tomo_1.5um.tif").array.shape == (2, 40, 40)


def test_run_analyze_apply_info(invoke, tomogram, tmp_path):
    assert invoke("run", tomogram, tmp_path / "clean.tif", "--quiet").exit_code == 0
    denoised = read_stack(tmp_path / "clean.tif")
    assert denoised.array.shape == (4, 80, 80)
    assert denoised.voxel_size == VoxelSize(2.0, 1.0, 1.0)

    report = invoke("analyze", tomogram, "--out", tmp_path / "noise").stdout
    assert "correlated along X" in report and "█" in report
    assert report.startswith(tuple(CONCLUSIONS.values())) and "Streaks along X" in report.splitlines()[0]
    kernel = load_kernel(tmp_path / "noise" / "kernel.tif")
    assert kernel.shape[0] == 1 and (tmp_path / "noise" / "noise.png").stat().st_size > 10_000

    model = tmp_path / "clean_run" / "stage2" / "model.zip"
    assert "kernel:" in invoke("info", model).stdout
    assert "2 × 1 × 1 nm" in invoke("info", tomogram).stdout
    assert invoke("apply", model, tomogram, "--out", tmp_path / "more", "--quiet").exit_code == 0
    applied = read_stack(tmp_path / "more" / "tomogram.mrc")
    np.testing.assert_allclose(applied.array, denoised.array, rtol=1e-5)
    assert applied.voxel_size == VoxelSize(2.0, 1.0, 1.0)

    said = invoke("apply", model, tomogram, "--out", tmp_path / "words", "--dtype", "uint16").stderr
    words = read_stack(tmp_path / "words" / "tomogram.mrc").array
    with mrcfile.open(tmp_path / "words" / "tomogram.mrc") as file:
        assert " 2D kernel 1x" in file.get_labels()[-1]
    assert words.dtype == np.uint16 and "65535 is" in said and "nothing is clipped" in said
    low, high = denoised.array.min(), denoised.array.max()
    np.testing.assert_allclose(low + (high - low) / 65535 * words, denoised.array, atol=(high - low) / 65535)
    bad = invoke("apply", model, tomogram, "--out", tmp_path / "bad", "--dtype", "int16")
    assert bad.exit_code == 2 and "uint8" in bad.stderr and not (tmp_path / "bad").exists()


def test_a_result_in_bytes(invoke, tomogram, tmp_path):
    target = tmp_path / "small.tif"
    assert invoke("run", tomogram, target, "--dtype", "uint8", "--quiet").exit_code == 0
    values = np.asarray(read_stack(target).array)
    assert values.dtype == np.uint8 and values.min() == 0 and values.max() == 255
    again = invoke("resume", tmp_path / "small_run", tmp_path / "large.tif", "--quiet")
    assert again.exit_code == 0 and read_stack(tmp_path / "large.tif").array.dtype == np.float32


def test_a_kernel_from_a_file_is_used(invoke, tomogram, tmp_path):
    np.save(tmp_path / "kernel.npy", np.ones((5, 1), bool))
    invoke("run", tomogram, tmp_path / "clean.mrc", "--kernel", tmp_path / "kernel.npy")
    assert load_kernel(tmp_path / "clean_run" / "analysis" / "kernel.tif").shape == (5, 1)


def test_nothing_is_overwritten_and_nothing_half_done(invoke, tomogram, tmp_path):
    (tmp_path / "clean.tif").write_text("precious")
    with pytest.raises(FileError, match="exists already"):
        invoke("run", tomogram, tmp_path / "clean.tif")
    assert (tmp_path / "clean.tif").read_text() == "precious"
    assert not (tmp_path / "clean_run").exists(), "refused before the training, not after"
    invoke("run", tomogram, tmp_path / "clean.tif", "--overwrite")
    assert read_stack(tmp_path / "clean.tif").array.shape == (4, 80, 80)


def test_bad_input(invoke, tomogram, tmp_path):
    write_stack(tmp_path / "small.tif", np.random.default_rng(0).random((5, 8, 8), np.float32))
    with pytest.raises(StackError, match="too small"):
        invoke("run", tmp_path / "small.tif", tmp_path / "out.tif")
    np.save(tmp_path / "even.npy", np.ones((2, 2)))
    with pytest.raises(KernelError, match="even"):
        invoke("run", tomogram, tmp_path / "out.tif", "--kernel", tmp_path / "even.npy")
    invoke("run", tomogram, tmp_path / "clean.tif")
    with pytest.raises(FileError, match="its own input"):
        invoke("run", tomogram, tomogram, "--overwrite")
    assert not (tmp_path / "tomogram_run").exists()
    for output, message in (("out.foo", "format"), ("nowhere/out.tif", "does not exist")):
        with pytest.raises(FileError, match=message):
            invoke("run", tomogram, tmp_path / output)
    with pytest.raises(FileError, match="cannot be made"):
        invoke("run", tomogram, tmp_path / "out.mrc", "--run-dir", tomogram / "run")
    with pytest.raises(DeviceError):
        invoke("run", tomogram, tmp_path / "out.mrc", "--device", "warp")
    assert not (tmp_path / "out_run").exists(), "nothing is left of what was refused"
    with pytest.raises(StackError):
        invoke("analyze", tmp_path / "small.tif", "--out", tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()
    with pytest.raises(FileError, match="its own input"):
        invoke("apply", tmp_path / "clean_run" / "stage1" / "model.zip", tomogram, "--out", tmp_path)
    assert not (tmp_path / "out.tif").exists()


def command(*arguments, steps=None):
    program = "from napari_autostructn2v.cli import main; main()"
    if steps:
        rest = "batch_size=2, features=8, validation_interval=5, validation_patches=16"
        program = (
            "from napari_autostructn2v.config import Config, TrainingConfig; "
            f"stages = [TrainingConfig(steps=steps, {rest}) for steps in ({steps}, 5)]; "
            f"Config.from_preset = lambda preset: Config(stage1=stages[0], stage2=stages[1]); {program}"
        )
    return [sys.executable, "-c", program, *map(str, arguments)]


def test_exit_codes_and_messages_without_a_traceback(tmp_path):
    missing = subprocess.run(command("info", tmp_path / "no.mrc"), capture_output=True, text=True)
    assert missing.returncode == ExitCode.FAILED
    assert "Error: There is no file" in missing.stderr and "Traceback" not in missing.stderr
    assert subprocess.run(command("run", "--nonsense"), capture_output=True).returncode == 2


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no SIGINT to a single process")
def test_ctrl_c_leaves_a_run_that_goes_on(tomogram, tmp_path):
    arguments = command("run", tomogram, tmp_path / "clean.mrc", steps=200)
    process = subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "clean_run" / "stage1" / "losses.csv").exists():  # the first validation is done
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, messages = process.communicate(timeout=600)
    assert process.returncode == ExitCode.INTERRUPTED
    assert "goes on from here" in messages and "Traceback" not in messages
    assert (tmp_path / "clean_run" / "stage1" / "checkpoint.safetensors").exists()
    assert not (tmp_path / "clean.mrc").exists()
    again = subprocess.run(arguments, capture_output=True, text=True, timeout=600)
    assert again.returncode == 0, again.stderr
    assert read_stack(tmp_path / "clean.mrc").array.shape == (4, 80, 80)


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--background", "0:10,0:10", "outlined background is too small"),
        ("--train-on", "0:4,0:900,0:900", "does not lie in the stack, whose shape is"),
    ],
)
def test_a_part_that_cannot_be_is_refused_before_anything_is_trained(
    invoke, tomogram, tmp_path, option, value, said
):
    with pytest.raises(StackError, match=said):
        invoke("run", tomogram, tmp_path / "clean.mrc", option, value, "--quiet")
    assert not (tmp_path / "clean_run").exists(), "the same command with another value is no other run"


def test_the_version(invoke):
    assert invoke("--version").stdout.strip() == __version__


def test_what_a_packed_file_takes_is_said_and_its_header_reaches_the_result(invoke, tomogram, tmp_path):
    with mrcfile.open(tomogram, mode="r+") as file:
        file.header.origin = (1, 2, -3)
    packed = tmp_path / "tomo.map.gz"
    packed.write_bytes(gzip.compress(tomogram.read_bytes()))
    told = invoke("info", packed)
    assert told.exit_code == 0 and "unpacked beside it" in told.output
    assert invoke("run", packed, tmp_path / "out.mrc", "--quiet").exit_code == 0
    model = next((tmp_path / "out_run").rglob("model.zip"))
    assert "unpacked" in invoke("apply", model, packed, "--out", tmp_path / "applied").output
    for result in (tmp_path / "out.mrc", tmp_path / "applied" / "tomo.map"):
        with mrcfile.open(result) as file:
            assert file.header.origin.tolist() == (1, 2, -3)


def test_names_are_printed_as_they_are(invoke, tomogram, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "grid [1] [bold]x[red] :smile:"
    place.mkdir()
    source = tomogram.rename(place / "ts [bin4] [red].mrc")
    result = place / "a rather long name, so that the line is longer than a terminal is wide [x].mrc"
    said = invoke("run", source, result)
    assert said.exit_code == 0 and str(result) in said.output
    model = next(place.rglob("model.zip"))
    said = invoke("apply", model, source, "--out", place / "res [y]")
    assert f"Written: {place / 'res [y]' / source.name}" in said.output
    said = invoke("analyze", source, "--out", place / "noise [z]")
    assert str(place / "noise [z]") in said.output
    assert source.name in invoke("info", source).output


def test_names_in_errors_are_printed_as_they_are(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["autostructn2v", "info", str(tmp_path / "[b]none[/b] [/] :smile:.mrc")])
    with pytest.raises(SystemExit):
        cli.main()
    assert "[b]none[/b] [/] :smile:.mrc" in capsys.readouterr().err


def test_a_wave_is_taken_if_it_is_finer_than_the_microscope_is_said_to_resolve(invoke, tmp_path):
    """Of 2.5 pixels, 0.4 nm each: 1 nm."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:256, :256]
    noisy = (rng.normal(size=y.shape) + np.sin(2 * np.pi * (0.28 * x - 0.29 * y))).astype(np.float32)
    source = write_stack(tmp_path / "sem.mrc", noisy, voxel_size=VoxelSize(0.4, 0.4, 0.4))
    asked = invoke("analyze", source, "--out", tmp_path / "default").stdout
    assert "the detector's or the sample's?" in " ".join(asked.split())
    taken = invoke("analyze", source, "--resolution-limit", 1.2, "--out", tmp_path / "sem").stdout
    assert "finer than the microscope resolves" in " ".join(taken.split())
