"""A second recording, from the command line: it judges, and the two of them are averaged."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from napari_autostructn2v.cli import app
from napari_autostructn2v.config import AnalysisConfig, Config, TrainingConfig
from napari_autostructn2v.errors import ConfigError, FileError, StackError
from napari_autostructn2v.events import finish
from napari_autostructn2v.io import VoxelSize, read_stack, write_stack
from napari_autostructn2v.judge import score
from napari_autostructn2v.learning.model import load_model
from napari_autostructn2v.metrics import assess_quality
from napari_autostructn2v.pipeline import denoise_with
from napari_autostructn2v.synthetic import sample

TINY = TrainingConfig(steps=6, batch_size=2, patch_size=32, features=8, validation_interval=3)
QUICK = Config(stage1=TINY, stage2=TINY, analysis=AnalysisConfig(tile_size=31))
SIZE = VoxelSize(2, 1.5, 1.5)


@pytest.fixture
def invoke(monkeypatch):
    monkeypatch.setattr(Config, "from_preset", lambda preset: QUICK)

    def run(*arguments):
        done = CliRunner().invoke(app, [str(each) for each in arguments])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done

    return run


@pytest.fixture(scope="module")
def recordings():
    """Of one scene, with scan lines of their own."""
    first, second = (sample("scan_lines", shape=(4, 80, 80), seed=1) for _ in range(2))
    rng = np.random.default_rng(5)
    noise = np.repeat(rng.normal(size=(4, 80, 20)), 4, axis=2)
    return first.noisy, (second.clean + 0.6 * noise).astype(np.float32)


@pytest.fixture
def files(tmp_path, recordings):
    return [
        write_stack(tmp_path / f"{name}.mrc", array, voxel_size=SIZE)
        for name, array in zip(("even", "odd"), recordings, strict=True)
    ]


def test_a_result_is_judged(tmp_path, files, recordings, invoke):
    result = write_stack(tmp_path / "made.tif", recordings[0] / 2)
    done = invoke("score", result, "--raw", files[0], "--second", files[1], "--out", tmp_path / "said")
    found = score(recordings[0] / 2, *recordings, voxel_size=SIZE)
    assert found.sentences[0] in done.output
    written = json.loads((tmp_path / "said" / "score.json").read_text())
    assert written["gain_db"] == pytest.approx(found.gain_db, abs=1e-3)
    assert written["rings"]["unit"] == "nm" and written["sentences"] == list(found.sentences)
    assert (tmp_path / "said" / "score.png").stat().st_size > 10_000
    with pytest.raises(FileError, match="exists already"):
        invoke("score", result, "--raw", files[0], "--second", files[1], "--out", tmp_path / "said")


def test_a_result_is_appraised_without_a_second_recording(tmp_path, files, recordings, invoke, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = write_stack(tmp_path / "made.tif", recordings[0] / 2)
    said = invoke("score", result, "--raw", files[0]).output.replace("\n", " ")
    found = finish(assess_quality(np.asarray(read_stack(files[0]).array), recordings[0] / 2))
    assert all(sentence in said for sentence in found.sentences)
    printed = invoke("score", result, "--raw", files[0], "--json", "--quiet").output
    assert json.loads(printed)["appraisal"] == json.loads(json.dumps(found.as_dict()))
    assert not (tmp_path / "made_score").exists(), "there is nothing to write"
    both = invoke("score", result, "--raw", files[0], "--second", files[1], "--json", "--quiet").output
    assert json.loads(both)["score"]["gain_db"] is not None


def test_a_run_is_judged_at_its_end(tmp_path, files, recordings, invoke):
    done = invoke("run", files[0], tmp_path / "clean.mrc", "--second", files[1])
    result = np.asarray(read_stack(tmp_path / "clean.mrc").array)
    found = score(result, *recordings, voxel_size=SIZE)
    assert found.sentences[0] in done.output.replace("\n", " ")
    assert json.loads((tmp_path / "clean_run" / "score.json").read_text())["gain_db"] is not None
    alone = invoke("run", files[0], tmp_path / "alone.mrc", "--quiet")
    assert alone.exit_code == 0
    np.testing.assert_array_equal(np.asarray(read_stack(tmp_path / "alone.mrc").array), result)


def test_halves_are_denoised_by_each_others_model_and_averaged(tmp_path, files, recordings, invoke):
    done = invoke("run", files[0], tmp_path / "mean.mrc", "--second", files[1], "--average")
    folders = [tmp_path / "mean_run", tmp_path / "mean_run_second"]
    models = []
    for folder in folders:
        stage2 = folder / "stage2" / "model.zip"
        models.append(load_model(stage2 if stage2.exists() else folder / "stage1" / "model.zip"))
    made = [
        np.asarray(finish(denoise_with(array, model)))
        for array, model in zip(recordings, reversed(models), strict=True)
    ]
    mean = read_stack(tmp_path / "mean.mrc")
    np.testing.assert_allclose(np.asarray(mean.array), (made[0] + made[1]) / 2, atol=1e-5)
    assert mean.voxel_size == SIZE
    for number, (array, pair) in enumerate(zip(made, (recordings, recordings[::-1]), strict=True), start=1):
        written = json.loads((folders[0] / f"score_{number}.json").read_text())
        assert written["gain_db"] == pytest.approx(score(array, *pair).gain_db, abs=0.01)
    assert "Recording 1: " in done.output and "the mean of both" in done.output
    again = invoke("run", files[0], tmp_path / "mean.mrc", "--second", files[1], "--average", "--overwrite")
    assert again.exit_code == 0, "it goes on from what is there"


def test_what_is_no_pair_is_refused_before_anything_is_trained(tmp_path, files, recordings, invoke):
    other = write_stack(tmp_path / "other.mrc", recordings[0][:3])
    with pytest.raises(StackError, match="second recording has shape"):
        invoke("run", files[0], tmp_path / "clean.mrc", "--second", other)
    assert invoke("run", files[0], tmp_path / "clean.mrc", "--average").exit_code == 2
    assert not (tmp_path / "clean_run").exists()


def test_many_processes_train_no_two_networks(tmp_path, files, invoke, monkeypatch):
    monkeypatch.setattr("napari_autostructn2v.learning.distributed.world_size", lambda: 2)
    with pytest.raises(ConfigError, match="torchrun"):
        invoke("run", files[0], tmp_path / "clean.mrc", "--second", files[1], "--average")
