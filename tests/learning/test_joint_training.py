"""One network of several stacks: each normalised by itself, each with its share of the patches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_autostructn2v import train
from napari_autostructn2v.config import TrainingConfig
from napari_autostructn2v.errors import RunFolderError, StackError
from napari_autostructn2v.events import finish
from napari_autostructn2v.kernel import POINT
from napari_autostructn2v.learning import training_data
from napari_autostructn2v.learning.joint_data import JointTrainingData
from napari_autostructn2v.learning.model import load_model
from napari_autostructn2v.learning.prediction import predict
from napari_autostructn2v.stack import as_stack
from napari_autostructn2v.synthetic import sample

TINY = TrainingConfig(
    steps=6, batch_size=4, patch_size=32, features=8, validation_interval=3, validation_patches=8
)


def stacks() -> list[np.ndarray]:
    """Of three sizes, and on three scales."""
    small, tall, wide = (
        sample("scan_lines", shape=shape, seed=seed).noisy
        for seed, shape in enumerate([(2, 40, 48), (6, 96, 40), (3, 48, 120)])
    )
    return [small, 1000 + 50 * tall, wide / 1e4]


def test_patches_come_evenly_from_all_whatever_their_size() -> None:
    given = [as_stack(stack) for stack in stacks()]
    data = JointTrainingData(given, np.ones((1, 3), bool), TINY, torch.device("cpu"), 0)
    generator = torch.Generator().manual_seed(0)
    whole = [torch.from_numpy(stack.normalised(range(stack.shape[0]))) for stack in given]
    found = np.zeros(3)
    for _ in range(60):
        for patch in data.draw(generator).patches[:, 0]:
            pixels = patch.flatten()[:5]
            (which,) = {i for i, values in enumerate(whole) if torch.isin(pixels, values).all()}
            found[which] += 1
    assert found.sum() == 240
    assert (np.abs(found - 80) < 4 * np.sqrt(240 * 2 / 9)).all(), found


def test_each_is_normalised_by_itself_and_so_is_what_the_model_is_given(tmp_path: Path) -> None:
    model = finish(train(stacks(), POINT, TINY, device="cpu"))
    model = load_model(model.save(tmp_path / "model.zip"))
    assert model.each_normalised and model.provenance["stacks"] == 3
    stack = sample("scan_lines", shape=(3, 64, 64), seed=9).noisy
    small, large = (finish(predict(scale, model, device="cpu")) for scale in (stack, 1e4 + 1e3 * stack))
    np.testing.assert_allclose((large - 1e4) / 1e3, small, atol=2e-2 * small.std())
    assert np.abs(small - stack.mean()).mean() < 3 * stack.std()


def test_one_stack_in_a_list_is_one_stack(tmp_path: Path) -> None:
    stack = stacks()[0]
    alone, listed = (finish(train(given, POINT, TINY, device="cpu")) for given in (stack, [stack]))
    assert not listed.each_normalised
    for name, weights in alone.network.state_dict().items():
        torch.testing.assert_close(weights, listed.network.state_dict()[name], rtol=0, atol=0)


def test_what_was_cut_off_goes_on_with_the_same_stacks_alone(tmp_path: Path) -> None:
    def training(given: list[np.ndarray]) -> Any:
        return train(given, POINT, TINY, device="cpu", checkpoint=tmp_path / "checkpoint.safetensors")

    events = training(stacks())
    while getattr(next(events), "step", 0) < 3:
        pass
    events.close()
    with pytest.raises(RunFolderError, match="input"):
        finish(training(stacks()[:2]))
    resumed = finish(training(stacks()))
    whole = finish(train(stacks(), POINT, TINY, device="cpu"))
    for name, weights in whole.network.state_dict().items():
        torch.testing.assert_close(weights, resumed.network.state_dict()[name], rtol=0, atol=0)


def test_all_together_take_the_memory_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = as_stack(sample("scan_lines", shape=(12, 64, 64)).noisy)
    monkeypatch.setattr(training_data, "MAX_TRAINING_VOXELS", 12 * 64 * 64)
    data = JointTrainingData([stack] * 4, POINT, TINY, torch.device("cpu"), 0)
    assert sum(each.slices.numel() for each in data._of_each) <= 12 * 64 * 64
    assert len(data.validation.patches) == TINY.validation_patches


def test_none_at_all_is_refused() -> None:
    with pytest.raises(StackError, match="no stack"):
        next(train([], POINT, TINY))
