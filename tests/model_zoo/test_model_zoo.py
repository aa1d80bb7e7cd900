"""Shared models: the zoo's own program runs them, and they do what they do here."""

import zipfile
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from napari_autostructn2v import cli, model_zoo
from napari_autostructn2v.config import TrainingConfig
from napari_autostructn2v.errors import ConfigError, FileError, MissingLibraryError, ModelError, StackError
from napari_autostructn2v.events import finish
from napari_autostructn2v.io import write_stack
from napari_autostructn2v.learning.model import load_model
from napari_autostructn2v.learning.prediction import predict
from napari_autostructn2v.learning.training import train
from napari_autostructn2v.model_zoo import export_model_zoo
from napari_autostructn2v.model_zoo.card import notch_notice
from napari_autostructn2v.model_zoo.description import Tiling
from napari_autostructn2v.noise.notch import NotchRule
from napari_autostructn2v.scale import Normalisation

STACK = np.random.default_rng(0).normal(50, 3, (5, 112, 128)).astype(np.float32)
TINY = TrainingConfig(steps=3, batch_size=2, patch_size=16, features=8, validation_patches=4)
WORDS = {"name": "Denoising of a test stack", "authors": ["Ada Lovelace", "Emmy Noether"]}
HALO = Tiling.of(TINY.depth).halo

# the zoo's library leaves it to Python to close the files that it reads
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@pytest.fixture(scope="module")
def zoo():
    """The zoo's own program."""
    return pytest.importorskip("bioimageio.core", reason="the extra 'zoo' is not installed")


@pytest.fixture(scope="module", params=[(1, 5), (3, 1, 3)], ids=["2d", "2.5d"])
def model(request):
    return finish(train(STACK, np.ones(request.param, bool), TINY, name="stack"))


@pytest.fixture(scope="module")
def flat_model():
    return finish(train(STACK, np.ones((1, 5), bool), TINY, name="stack"))


@pytest.fixture(scope="module")
def shared(zoo, model, tmp_path_factory):
    """The model as a package, alone in its folder."""
    return export_model_zoo(model, tmp_path_factory.mktemp("zoo") / "shared.zip", example=STACK, **WORDS)


def run_by_the_zoo(zoo, path, model, stack, z, **how):
    """Slice z denoised by the zoo's program, (Y, X)."""
    from bioimageio.core.digest_spec import create_sample_for_model
    from bioimageio.spec import load_model_description

    planes = (z - 1, z, z + 1) if model.mode == "2.5d" else (z,)
    pipeline = zoo.create_prediction_pipeline(load_model_description(path), devices=["cpu"])
    pipeline.load()  # and not unloaded, for which it would collect the garbage of all tests before
    image = np.stack([stack[p] for p in planes])[None]
    sample = create_sample_for_model(pipeline.model_description, inputs=image)
    if how:
        result = pipeline.predict_sample_with_blocking(sample, **how)
    else:
        result = pipeline.predict_sample_without_blocking(
            sample, skip_input_padding=True, skip_output_cropping=True
        )
    return result.members["denoised"].data.to_numpy()[0, 0]


def test_the_zoos_own_test_run_passes(zoo, shared):
    summary = zoo.test_model(shared, devices=["cpu"])
    assert summary.status == "passed", summary.display()
    assert "pytorch_state_dict" in " ".join(detail.name for detail in summary.details)
    assert [p.name for p in shared.parent.iterdir()] == ["shared.zip"]


def test_whole_slices_are_what_predict_makes_of_them(zoo, model, shared):
    ours = finish(predict(STACK, model, device="cpu", mixed=False))
    theirs = run_by_the_zoo(zoo, shared, model, STACK, 2)
    np.testing.assert_allclose(theirs, ours[2], atol=1e-4, rtol=0)
    assert np.abs(ours[2] - STACK[2]).max() > 1, "the network does something"


def test_tiles_of_the_zoo_fit_together(zoo, model, shared):
    stack = np.random.default_rng(1).normal(50, 3, (3, 160, 176)).astype(np.float32)
    theirs = run_by_the_zoo(zoo, shared, model, stack, 1, ns=2)  # tiles of 128 pixels, 48 of them inside
    ours = finish(predict(stack, model, device="cpu", mixed=False))[1]
    inside = (slice(HALO, -HALO), slice(HALO, -HALO))
    np.testing.assert_allclose(theirs[inside], ours[inside], atol=1e-4, rtol=0)


@pytest.mark.parametrize(("mean", "std"), [(30000, 30), (-1000, 2), (0, 1), (2e-3, 1e-4)])
def test_values_of_any_scale(zoo, flat_model, tmp_path, mean, std):
    model = replace(flat_model, normalisation=Normalisation(mean, std))
    stack = (STACK - 50) / 3 * np.float32(std) + np.float32(mean)
    path = export_model_zoo(model, tmp_path / "shared.zip", example=stack, **WORDS)
    ours = finish(predict(stack, model, device="cpu", mixed=False))
    theirs = run_by_the_zoo(zoo, path, model, stack, 2)
    rounding = 2 * np.abs(stack).max() * np.finfo(np.float32).eps
    np.testing.assert_allclose(theirs, ours[2], atol=1e-4 * std + rounding, rtol=0)


def test_values_too_small_for_the_zoo(zoo, flat_model, tmp_path):
    model = replace(flat_model, normalisation=Normalisation(0, 1e-9))
    with pytest.raises(ConfigError, match="too small"):
        export_model_zoo(model, tmp_path / "shared.zip", **WORDS)
    assert not list(tmp_path.iterdir())


def test_what_is_inside(model, shared, tmp_path):
    import torch

    with zipfile.ZipFile(shared) as package:
        package.extractall(tmp_path)
    weights = torch.load(tmp_path / "weights.pt", weights_only=True)
    assert weights.keys() == model.network.state_dict().keys()
    whole = load_model(tmp_path / "autostructn2v_model.zip")
    np.testing.assert_array_equal(whole.kernel, model.kernel)
    image = np.load(tmp_path / "input.npy")
    np.testing.assert_array_equal(image[0, len(image[0]) // 2], STACK[2])
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "Ada Lovelace, Emmy Noether" in card and "CC-BY-4.0" in card
    assert "█" * model.kernel.shape[-1] in card
    assert "notch" not in card


def test_no_pixel_is_published_unasked(zoo, flat_model, tmp_path):
    path = export_model_zoo(flat_model, tmp_path / "shared.zip", **WORDS)
    with zipfile.ZipFile(path) as package, package.open("input.npy") as file:
        image = np.load(file)
    assert image.shape == (1, 1, 256, 256)
    assert (image.mean(), image.std()) == pytest.approx((50, 3), rel=0.01)


def test_a_notch_is_said_to_be_missing(zoo, flat_model, tmp_path):
    peaks = np.zeros((15, 15), bool)
    peaks[7, 3] = peaks[7, 11] = True
    model = replace(flat_model, notch=NotchRule(peaks, "auto"))
    assert notch_notice(flat_model) is None
    path = export_model_zoo(model, tmp_path / "shared.zip", **WORDS)
    with zipfile.ZipFile(path) as package:
        assert notch_notice(model) in package.read("README.md").decode()


@pytest.mark.parametrize(
    ("name", "changes", "error", "message"),
    [
        ("shared.tar", {}, FileError, "does not end in .zip"),
        ("nowhere/shared.zip", {}, FileError, "does not exist"),
        ("there.zip", {}, FileError, "exists already"),
        ("shared.zip", {"name": "σ"}, ConfigError, "the name"),
        ("shared.zip", {"authors": []}, ConfigError, "author"),
        ("shared.zip", {"authors": ["A/B"]}, ConfigError, "slash"),
        ("shared.zip", {"license": "mine"}, ConfigError, "SPDX"),
        ("shared.zip", {"description": "long " * 1000}, ConfigError, "description"),
        ("shared.zip", {"example": STACK[:, :64, :64]}, StackError, "at least 80"),
        ("shared.zip", {"example": np.full((96, 96), np.nan)}, StackError, "no numbers"),
    ],
)
def test_what_is_refused_leaves_nothing(zoo, flat_model, tmp_path, name, changes, error, message):
    (tmp_path / "there.zip").write_text("precious")
    with pytest.raises(error, match=message):
        export_model_zoo(flat_model, tmp_path / name, **{**WORDS, **changes})
    assert [p.name for p in tmp_path.iterdir()] == ["there.zip"]
    assert (tmp_path / "there.zip").read_text() == "precious"


def test_a_package_that_fails_its_test_run_is_not_written(zoo, flat_model, tmp_path, monkeypatch):
    def wrong(stack, model, **how):
        yield
        return np.asarray(stack) + 1

    monkeypatch.setattr("napari_autostructn2v.learning.prediction.predict", wrong)
    with pytest.raises(ModelError, match="did not pass"):
        export_model_zoo(flat_model, tmp_path / "shared.zip", **WORDS)
    assert not list(tmp_path.iterdir())


def test_without_the_extra_it_says_what_to_install(flat_model, tmp_path, monkeypatch):
    monkeypatch.setattr(model_zoo, "find_spec", lambda name: None)
    with pytest.raises(MissingLibraryError, match=r"pip install 'napari-autostructn2v\[zoo\]'"):
        export_model_zoo(flat_model, tmp_path / "shared.zip", **WORDS)
    assert not list(tmp_path.iterdir())


def test_command_line(zoo, flat_model, tmp_path):
    bundle = flat_model.save(tmp_path / "model.zip")
    stack = write_stack(tmp_path / "stack.tif", STACK)
    words = ["--name", WORDS["name"], "--author", "Ada Lovelace", "--author", "Emmy Noether"]

    def export(output):
        return CliRunner().invoke(
            cli.app, ["export", str(bundle), str(output), *words, "--example", str(stack)]
        )

    assert export(tmp_path / "shared.zip").exit_code == 0
    with zipfile.ZipFile(tmp_path / "shared.zip") as package:
        assert "- name: Emmy Noether" in package.read("rdf.yaml").decode()
    assert isinstance(export(tmp_path / "shared.zip").exception, FileError)
    assert isinstance(export(bundle).exception, FileError)
    assert load_model(bundle).mode == "2d"
