"""A training in trouble: numbers gone bad, memory that runs out, a graphics card that fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from napari_autostructn2v.config import TrainingConfig
from napari_autostructn2v.errors import TrainingError
from napari_autostructn2v.events import Event, Notice, SliceDone, Step, TrainingStarted, Validation, finish
from napari_autostructn2v.kernel import POINT
from napari_autostructn2v.learning.device import give_back_memory
from napari_autostructn2v.learning.network import UNet
from napari_autostructn2v.learning.prediction import predict
from napari_autostructn2v.learning.training import train

TINY = TrainingConfig(
    steps=12, batch_size=4, patch_size=32, features=8, validation_interval=3, validation_patches=4
)


@pytest.fixture(scope="module")
def stack() -> np.ndarray:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:48, :52]
    return (np.sin(y / 6) + np.cos(x / 5) + 0.5 * rng.standard_normal((4, 48, 52))).astype(np.float32)


def weights(model: Any) -> torch.Tensor:
    return torch.cat([p.flatten() for p in model.network.state_dict().values()])


def watched(events: Any) -> tuple[Any, list[Event]]:
    seen: list[Event] = []
    return finish(events, seen.append), seen


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[int, torch.Tensor, Any], Any]], None]:
    """Puts a fault between the network and whoever calls it: called with the number of the training step."""
    sound = UNet.forward

    def put(fault: Callable[[int, torch.Tensor, Any], Any]) -> None:
        calls = 0

        def forward(self: UNet, image: torch.Tensor) -> Any:
            nonlocal calls
            calls += self.training
            return fault(calls, image, lambda: sound(self, image))

        monkeypatch.setattr(UNet, "forward", forward)

    return put


def test_a_batch_is_cut_to_the_memory_there_is(stack: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU nothing is raised when memory runs out, so it is looked at before."""
    whole, seen = watched(train(stack, POINT, TINY))
    assert not [event for event in seen if isinstance(event, Notice)]
    monkeypatch.setattr("napari_autostructn2v.learning.training.free_memory", lambda device: 2_000_000)
    cut, seen = watched(train(stack, POINT, TINY))
    assert [e.message for e in seen if isinstance(e, Notice) and "in 4 parts" in e.message]
    assert len([event for event in seen if isinstance(event, Step)]) == TINY.steps
    assert cut.provenance["validation_loss"] == pytest.approx(whole.provenance["validation_loss"], rel=0.01)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e9])
def test_a_loss_without_bounds_goes_back_to_the_best_network_with_a_lower_rate(
    stack: np.ndarray, faulty: Any, bad: float
) -> None:
    faulty(lambda step, image, sound: sound() * bad if step == 8 else sound())
    model, seen = watched(train(stack, POINT, TINY))
    (notice,) = [event for event in seen if isinstance(event, Notice)]
    best = max(e.step for e in seen[: seen.index(notice)] if isinstance(e, Validation) and e.best)
    assert f"from step {best}" in notice.message
    after = [e.step for e in seen[seen.index(notice) :] if isinstance(e, Step)]
    assert after == list(range(best + 1, 13))
    assert weights(model).isfinite().all()


def test_before_anything_is_kept_it_begins_anew(stack: np.ndarray, faulty: Any) -> None:
    faulty(lambda step, image, sound: sound() * float("nan") if step == 2 else sound())
    _, seen = watched(train(stack, POINT, TINY))
    assert [e.step for e in seen if isinstance(e, Step)] == [1, *range(1, 13)]


def test_gone_wrong_again_it_says_what_to_look_for(stack: np.ndarray, faulty: Any) -> None:
    faulty(lambda step, image, sound: sound() * float("nan") if step >= 5 else sound())
    with pytest.raises(TrainingError, match="hot pixel"):
        finish(train(stack, POINT, TINY))


def test_a_rate_that_no_training_stands_is_found_out(stack: np.ndarray) -> None:
    """No fault put in: AdamW at a rate of 1 does diverge."""
    wild = TINY.model_copy(update={"learning_rate": 1.0, "steps": 60})
    try:
        _, seen = watched(train(stack, POINT, wild))
    except TrainingError:
        return
    assert any(isinstance(event, Notice) for event in seen) or [
        event for event in seen if isinstance(event, Validation) and event.loss < 10
    ]


@pytest.mark.parametrize("fits", [3, 2, 1])
def test_a_batch_that_memory_does_not_hold_is_computed_in_parts(
    stack: np.ndarray, faulty: Any, fits: int
) -> None:
    whole = finish(train(stack, POINT, TINY))

    def fault(step: int, image: torch.Tensor, sound: Callable[[], Any]) -> Any:
        if len(image) > fits:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return sound()

    faulty(fault)
    model, seen = watched(train(stack, POINT, TINY))
    notices = [event.message for event in seen if isinstance(event, Notice)]
    assert notices and "parts" in notices[-1]
    assert [e.step for e in seen if isinstance(e, Step)] == list(range(1, 13)), "no step is lost"
    # the same sums in another order
    torch.testing.assert_close(weights(model), weights(whole), rtol=0, atol=0.02)


def test_not_even_one_patch_fits(stack: np.ndarray, faulty: Any) -> None:
    def fault(step: int, image: torch.Tensor, sound: Callable[[], Any]) -> Any:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory.")

    faulty(fault)
    with pytest.raises(RuntimeError, match="out of memory"):
        finish(train(stack, POINT, TINY))


def test_a_prediction_that_memory_does_not_hold_is_computed_in_tiles(stack: np.ndarray, faulty: Any) -> None:
    large = np.tile(stack[:2], (1, 6, 5))
    model = finish(train(stack, POINT, TINY))
    whole = finish(predict(large, model))

    def fault(step: int, image: torch.Tensor, sound: Callable[[], Any]) -> Any:
        if image.numel() > 150**2:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return sound()

    faulty(fault)
    np.testing.assert_allclose(finish(predict(large, model)), whole, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kept_on_disk", [True, False])
def test_a_graphics_card_that_fails_hands_over_to_the_processor(
    stack: np.ndarray, faulty: Any, kept_on_disk: bool, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_autostructn2v.learning.training.CHECKPOINT_SECONDS", 0.0)

    def fault(step: int, image: torch.Tensor, sound: Callable[[], Any]) -> Any:
        if step == 8:
            raise RuntimeError("CUDA error: unspecified launch failure\nCUDA kernel errors might be ...")
        return sound()

    whole = finish(train(stack, POINT, TINY))
    faulty(fault)
    checkpoint = tmp_path / "checkpoint.safetensors" if kept_on_disk else None
    model, seen = watched(train(stack, POINT, TINY, checkpoint=checkpoint))
    (notice,) = [event for event in seen if isinstance(event, Notice)]
    assert "graphics card has failed" in notice.message
    begun = [event.step for event in seen if isinstance(event, TrainingStarted)]
    if kept_on_disk:  # nothing is lost: the state of the last step was on disk
        assert begun == [0, 7] and torch.equal(weights(model), weights(whole))
    else:
        assert begun[0] == 0 and 0 < begun[1] <= 6
    assert [event.step for event in seen if isinstance(event, Step)][-1] == 12


def test_a_card_that_is_gone_twice_is_an_error(stack: np.ndarray, faulty: Any) -> None:
    def fault(step: int, image: torch.Tensor, sound: Callable[[], Any]) -> Any:
        raise RuntimeError("CUDA error: no CUDA-capable device is detected")

    faulty(fault)
    with pytest.raises(RuntimeError, match="CUDA error"):
        finish(train(stack, POINT, TINY))


def test_a_card_that_fails_while_it_predicts_hands_over_to_the_processor(
    stack: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = finish(train(stack, POINT, TINY))
    whole = finish(predict(stack, model))
    sound, calls = UNet.forward, 0

    def forward(self: UNet, image: torch.Tensor) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            for weight in self.parameters():  # which nobody can read from a card that is gone
                weight.data.fill_(torch.nan)
            raise RuntimeError("CUDA error: unspecified launch failure\nCUDA kernel errors might be ...")
        return sound(self, image)

    monkeypatch.setattr(UNet, "forward", forward)
    made, seen = watched(predict(stack, model))
    np.testing.assert_array_equal(made, whole)
    (notice,) = [event for event in seen if isinstance(event, Notice)]
    assert "graphics card has failed (CUDA error" in notice.message
    assert [event.z for event in seen if isinstance(event, SliceDone)] == [0, 1, 2, 3], "nothing twice"
    assert calls == 5
    assert weights(model).isfinite().all(), "the model can still be saved"


def test_a_card_that_is_gone_for_predictions_too_is_an_error(stack: np.ndarray, faulty: Any) -> None:
    model = finish(train(stack, POINT, TINY))

    def fault(step: int, image: torch.Tensor, sound: Callable[[], Any]) -> Any:
        raise RuntimeError("CUDA error: no CUDA-capable device is detected")

    faulty(fault)
    with pytest.raises(RuntimeError, match="CUDA error"):
        finish(predict(stack, model))


def test_another_program_takes_the_memory_for_a_while(stack: np.ndarray, faulty: Any) -> None:
    """Both in the middle of a training and in the middle of a prediction."""
    free = {"whole": True}

    def fault(step: int, image: torch.Tensor, sound: Callable[[], Any]) -> Any:
        free["whole"] = not (step in (5, 6) and free["whole"])
        if image.numel() > 150**2 or (step in (5, 6) and len(image) > 2):
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. 1.20 GiB is held by process 4711")
        return sound()

    large = np.tile(stack[:2], (1, 6, 5))
    whole = finish(predict(large, finish(train(stack, POINT, TINY))))
    faulty(fault)
    model, seen = watched(train(stack, POINT, TINY))
    assert [event.step for event in seen if isinstance(event, Step)] == list(range(1, 13))
    assert len([event for event in seen if isinstance(event, Notice)]) == 1
    made, seen = watched(predict(large, model))
    assert len([event for event in seen if isinstance(event, SliceDone)]) == 2
    np.testing.assert_allclose(made, whole, atol=0.1)


@pytest.mark.parametrize("end", ["done", "cancelled", "failed"])
@pytest.mark.parametrize("what", ["training", "prediction"])
def test_the_memory_of_the_card_is_given_back(
    stack: np.ndarray, faulty: Any, what: str, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = finish(train(stack, POINT, TINY))
    given: list[str] = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: given.append(where(model)))
    for module in ("training", "prediction"):
        monkeypatch.setattr(
            f"napari_autostructn2v.learning.{module}.give_back_memory",
            lambda device: give_back_memory(torch.device("cuda")),
        )

    def fault(step: int, image: torch.Tensor, sound: Callable[[], Any]) -> Any:
        if end == "failed" and step == (8 if what == "training" else 0):
            raise ValueError("out of luck")
        return sound()

    faulty(fault)
    events = train(stack, POINT, TINY) if what == "training" else predict(stack, model)
    if end == "done":
        finish(events)
    elif end == "cancelled":
        next(events)
        next(events)
        events.close()
    else:
        with pytest.raises(ValueError, match="luck"):
            finish(events)
    assert given == ["cpu"], "once, and when nothing of the network is on the card any more"


def where(model: Any) -> str:
    return str(next(model.network.parameters()).device.type)
