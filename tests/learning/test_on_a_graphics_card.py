"""What holds on a graphics card as well; left out where there is none that PyTorch can use."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_autostructn2v.config import TrainingConfig
from napari_autostructn2v.events import Step, finish
from napari_autostructn2v.kernel import POINT
from napari_autostructn2v.learning import training
from napari_autostructn2v.learning.prediction import predict
from napari_autostructn2v.learning.training import StopTraining, train
from napari_autostructn2v.metrics import psnr
from napari_autostructn2v.synthetic import sample

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no graphics card that PyTorch can use")

KERNELS = {"point": POINT, "line": np.ones((1, 9), bool), "2.5D": np.ones((3, 1, 5), bool)}
CONFIG = TrainingConfig(steps=60, features=16, validation_interval=20)


@pytest.fixture(scope="module")
def scan():
    return sample("scan_lines", shape=(4, 128, 128))


@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
def test_the_same_seed_gives_the_same_network(scan, kernel):
    once, again = (finish(train(scan.noisy, kernel, CONFIG, seed=5)) for _ in range(2))
    for one, other in zip(once.network.parameters(), again.network.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
def test_recorded_steps_are_those_of_the_function(scan, kernel, monkeypatch):
    def losses():
        return [event.loss for event in train(scan.noisy, kernel, CONFIG) if isinstance(event, Step)]

    recorded = losses()
    monkeypatch.setattr(training, "RecordedStep", lambda compute: compute)
    plain = losses()
    assert recorded[0] == pytest.approx(plain[0], rel=1e-3)  # of bfloat16, summed in another order
    assert np.mean(recorded[-20:]) == pytest.approx(np.mean(plain[-20:]), rel=0.05)


def test_several_stacks(scan):
    other = sample("scan_lines", shape=(2, 96, 160), seed=1).noisy
    once, again = (finish(train([scan.noisy, other], POINT, CONFIG)) for _ in range(2))
    for one, same in zip(once.network.parameters(), again.network.parameters(), strict=True):
        assert torch.equal(one, same)


def test_a_training_that_is_cut_off_ends_where_it_would_have(scan, tmp_path):
    whole = finish(train(scan.noisy, KERNELS["line"], CONFIG))
    kept = tmp_path / "checkpoint"
    cut = train(scan.noisy, KERNELS["line"], CONFIG, checkpoint=kept)
    for event in cut:
        if isinstance(event, Step) and event.step == 30:
            break
    cut.close()
    resumed = finish(train(scan.noisy, KERNELS["line"], CONFIG, checkpoint=kept))
    for one, other in zip(whole.network.parameters(), resumed.network.parameters(), strict=True):
        assert torch.equal(one, other)


def test_memory_that_runs_out_is_met_in_smaller_parts(scan, monkeypatch):
    real, asked = training.compute_gradients, []

    def narrow(state, data, batch):
        asked.append(state.micro_batches)
        if state.micro_batches == 1:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return real(state, data, batch)

    monkeypatch.setattr(training, "compute_gradients", narrow)
    finish(train(scan.noisy, POINT, CONFIG))
    assert asked[0] == 1
    assert set(asked[1:]) == {2}


def test_the_card_and_the_processor_denoise_alike(scan):
    model = finish(train(scan.noisy, KERNELS["line"], CONFIG.model_copy(update={"steps": 200})))
    by = {device: finish(predict(scan.noisy, model, device=device)) for device in ("cuda", "cpu")}
    noise = np.std(scan.noisy - by["cpu"])
    assert np.std(by["cuda"] - by["cpu"]) < 0.01 * noise
    assert psnr(by["cuda"], scan.clean) > psnr(scan.noisy, scan.clean) + 2


def test_memory_is_given_back(scan):
    before = torch.cuda.memory_reserved()
    finish(train(scan.noisy, POINT, CONFIG))
    assert torch.cuda.memory_reserved() <= before
    stopped, stop = train(scan.noisy, POINT, CONFIG), StopTraining()
    while not isinstance(next(stopped), Step):
        pass
    with pytest.raises(StopIteration):
        stopped.throw(stop)
    assert torch.cuda.memory_reserved() <= before
