"""Models on disk: they come back as they were, and a damaged or hostile file is refused."""

import json
import pickle
import zipfile

import numpy as np
import pytest

from napari_autostructn2v.config import TrainingConfig
from napari_autostructn2v.errors import FileError, ModelError, StackError
from napari_autostructn2v.events import finish
from napari_autostructn2v.learning.model import load_model
from napari_autostructn2v.learning.prediction import predict
from napari_autostructn2v.learning.training import train

STACK = np.random.default_rng(0).normal(50, 3, (4, 32, 32)).astype(np.float32)
TINY = TrainingConfig(steps=3, batch_size=2, patch_size=16, features=8)


@pytest.fixture(scope="module", params=[(1, 5), (3, 1, 3)])
def model(request):
    return finish(train(STACK, np.ones(request.param, bool), TINY, seed=4, name="stack"))


def test_round_trip(model, tmp_path):
    loaded = load_model(model.save(tmp_path / "model.zip"))
    np.testing.assert_array_equal(finish(predict(STACK, loaded)), finish(predict(STACK, model)))
    np.testing.assert_array_equal(loaded.kernel, model.kernel)
    assert (loaded.config, loaded.normalisation, loaded.mode) == (
        model.config,
        model.normalisation,
        model.mode,
    )
    assert loaded.provenance == model.provenance
    assert loaded.provenance["seed"] == 4 and loaded.provenance["input_shape"] == [4, 32, 32]


def test_it_is_not_overwritten_unasked(model, tmp_path):
    path = model.save(tmp_path / "model.zip")
    with pytest.raises(FileError, match="exists already"):
        model.save(path)
    model.save(path, overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["model.zip"]


def test_a_25d_model_needs_three_slices(tmp_path):
    model = finish(train(STACK, np.ones((3, 1, 1), bool), TINY))
    with pytest.raises(StackError, match="three neighbouring slices"):
        finish(predict(STACK[:2], model))


def rewrite(path, change):
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    change(parts)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


def changed(**values):
    def change(parts):
        parts["model.json"] = json.dumps(json.loads(parts["model.json"]) | values)

    return change


def with_pickled_weights(parts):
    parts["weights.safetensors"] = pickle.dumps({"weights": [1, 2, 3]})


DAMAGE = {
    "no weights": lambda parts: parts.pop("weights.safetensors"),
    "no description": lambda parts: parts.pop("model.json"),
    "weights cut short": lambda parts: parts.update(
        {"weights.safetensors": parts["weights.safetensors"][:-50]}
    ),
    "pickled weights": with_pickled_weights,
    "description is no JSON": lambda parts: parts.update({"model.json": b"{"}),
    "description is a list": lambda parts: parts.update({"model.json": b"[]"}),
    "another format": changed(format="something"),
    "even kernel": changed(kernel=[[1, 1]]),
    "kernel of another mode": changed(kernel=[[[1]], [[1]], [[1]], [[1]]]),
    "huge network": changed(config={"features": 10**9}),
    "zero scale": changed(std=0),
    "unknown field": changed(extra=1),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_bundle_is_refused(model, tmp_path, damage):
    path = model.save(tmp_path / "model.zip")
    rewrite(path, DAMAGE[damage])
    with pytest.raises(ModelError, match="damaged or no model"):
        load_model(path)


def test_weights_of_the_other_mode_are_refused(model, tmp_path):
    path = model.save(tmp_path / "model.zip")
    other = [[1]] if model.mode == "2.5d" else [[[1]], [[1]], [[1]]]
    rewrite(path, changed(kernel=other))
    with pytest.raises(ModelError):
        load_model(path)


def test_a_newer_version_says_so(model, tmp_path):
    path = model.save(tmp_path / "model.zip")
    rewrite(path, changed(version=99))
    with pytest.raises(ModelError, match="newer version"):
        load_model(path)


def test_a_truncated_file_and_no_file(model, tmp_path):
    path = model.save(tmp_path / "model.zip")
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ModelError):
        load_model(path)
    with pytest.raises(FileError, match="cannot be opened"):
        load_model(tmp_path / "missing.zip")


def test_the_folder_of_a_run_is_no_model_but_holds_one(tmp_path):
    with pytest.raises(FileError, match=r"stage2/model\.zip"):
        load_model(tmp_path)
