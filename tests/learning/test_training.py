"""Training: repeatable, comparable, cancelled without loss, resumed to the same end."""

import gc
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_autostructn2v.box import Box
from napari_autostructn2v.config import Config, TrainingConfig
from napari_autostructn2v.errors import DeviceError, KernelError, RunFolderError, StackError
from napari_autostructn2v.events import (
    CheckpointWritten,
    Preview,
    SliceDone,
    Step,
    TrainingStarted,
    Validation,
    finish,
)
from napari_autostructn2v.kernel import POINT
from napari_autostructn2v.learning.blindspot import (
    allowed_flips,
    at_sites,
    choose_sites,
    hidden_pixels,
    kernel_offsets,
    replace_hidden,
)
from napari_autostructn2v.learning.device import mixed_precision
from napari_autostructn2v.learning.network import UNet, halo
from napari_autostructn2v.learning.prediction import predict
from napari_autostructn2v.learning.training import StopTraining, train
from napari_autostructn2v.learning.training_data import TrainingData
from napari_autostructn2v.learning.training_state import TrainingState, one_cycle
from napari_autostructn2v.pipeline import run
from napari_autostructn2v.runs.request import RunRequest
from napari_autostructn2v.stack import as_stack
from napari_autostructn2v.tiling import best_tile_size, tiles

TINY = TrainingConfig(
    steps=20, batch_size=2, patch_size=32, features=8, validation_interval=5, validation_patches=4
)
LINE = np.ones((1, 5), bool)


@pytest.fixture(scope="module")
def stack():
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:48, :52]
    return (np.sin(y / 6) + np.cos(x / 5) + 0.5 * rng.standard_normal((5, 48, 52))).astype(np.float32)


def weights(model):
    return torch.cat([p.flatten() for p in model.network.state_dict().values()])


@pytest.mark.parametrize("kernel", [POINT, LINE, np.ones((3, 1, 3), bool)])
def test_the_same_seed_gives_the_same_result(stack, kernel):
    first, again, other = (finish(train(stack, kernel, TINY, seed=seed)) for seed in (1, 1, 2))
    assert torch.equal(weights(first), weights(again))
    assert not torch.equal(weights(first), weights(other))


@pytest.mark.parametrize("kernel", [LINE, np.ones((3, 1, 3), bool)])
def test_a_training_is_this_loop(stack, kernel):
    """To the bit, whatever the events, the checkpoints and the precautions around it do."""
    config = TINY.model_copy(update={"validation_interval": TINY.steps})
    model = finish(train(stack, kernel, config, seed=3, preview=0, device="cpu"))
    data = TrainingData(as_stack(stack), kernel, config, torch.device("cpu"), seed=3)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        network = UNet(len(data.groups[0]), config.features, config.depth).channels_last()
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=config.weight_decay, fused=True)
    generator = torch.Generator().manual_seed(3)
    for step in range(config.steps):
        patches, sites, counts, _ = data.draw(generator)
        masked = replace_hidden(patches, hidden_pixels(patches.shape, sites, kernel_offsets(kernel)))
        with mixed_precision(masked.device):
            predicted = network(masked.contiguous(memory_format=torch.channels_last))
        errors = at_sites(predicted, sites) - at_sites(patches[:, patches.shape[1] // 2], sites)
        network.zero_grad()
        ((errors.square() * counts).sum() / counts.sum()).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.param_groups[0]["lr"] = config.learning_rate * one_cycle(step, config.steps)
        optimizer.step()
    trained = network.state_dict()
    assert all(torch.equal(value, trained[key]) for key, value in model.network.state_dict().items())


def test_other_random_numbers_are_left_alone(stack):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    finish(train(stack, POINT, TINY))
    assert torch.equal(torch.rand(1), expected)


def test_a_training_on_the_processor_asks_no_graphics_card(stack, monkeypatch):
    """Asking opens a context there: hundreds of megabytes on each card, by each process."""
    asked = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for name in ("get_rng_state", "set_rng_state", "manual_seed_all"):
        monkeypatch.setattr(torch.cuda, name, lambda *args, name=name: asked.append(name))
    finish(train(stack, POINT, TINY, device="cpu"))
    assert asked == []


def test_any_whole_number_is_a_seed(stack):
    negative, largest, beyond = (
        finish(train(stack, LINE, TINY, seed=seed)) for seed in (-1, 2**64 - 1, 2**65 - 1)
    )
    assert torch.equal(weights(negative), weights(largest))
    assert torch.equal(weights(negative), weights(beyond))
    assert negative.provenance["seed"] == -1


def test_the_stream_of_events(stack):
    events = []
    model = finish(train(stack, POINT, TINY, preview=2, name="test"), events.append)
    assert isinstance(events[0], TrainingStarted) and events[0].step == 0
    assert [e.step for e in events if isinstance(e, Step)] == list(range(1, 21))
    assert [e.step for e in events if isinstance(e, Validation)] == [5, 10, 15, 20]
    previews = [e for e in events if isinstance(e, Preview)]
    assert [(p.z, p.denoised.shape) for p in previews] == [(2, (48, 52))] * 4
    best = [e for e in events if isinstance(e, Validation) and e.best][-1]
    assert model.provenance["best_step"] == best.step
    assert model.provenance["validation_loss"] == best.loss
    assert model.provenance["input"] == "test"


def test_the_preview_follows_the_slice_that_is_looked_at(stack):
    events = train(stack, POINT, TINY, preview=0)
    event = next(events)
    shown = []
    try:
        while True:
            if isinstance(event, Preview):
                shown.append(event.z)
            event = events.send(4 if isinstance(event, Step) and event.step == 7 else None)
    except StopIteration:
        pass
    assert shown == [0, 4, 4, 4]


def states():
    """Of trainings, that are still held by anybody."""
    gc.collect()
    return {id(each) for each in gc.get_objects() if isinstance(each, TrainingState)}


def test_stop_keeps_the_best_so_far(stack):
    before = states()
    events = train(stack, POINT, TINY)
    while not (isinstance(event := next(events), Validation) and event.step == 10):
        pass
    stop = StopTraining()  # held here, as whoever throws it does
    with pytest.raises(StopIteration) as end:
        events.throw(stop)
    assert end.value.value.provenance["steps"] == 10
    assert states() <= before


@pytest.mark.parametrize("stop_at", [1, 7, 15])
def test_cancelled_and_resumed_equals_never_interrupted(stack, tmp_path, stop_at):
    whole = finish(train(stack, LINE, TINY, seed=3))
    checkpoint = tmp_path / "checkpoint.safetensors"
    events = train(stack, LINE, TINY, seed=3, checkpoint=checkpoint)
    while not (isinstance(event := next(events), Step) and event.step == stop_at):
        pass
    events.close()
    seen = []
    resumed = finish(train(stack, LINE, TINY, seed=3, checkpoint=checkpoint), seen.append)
    assert seen[0].step == stop_at
    assert torch.equal(weights(whole), weights(resumed))
    assert whole.provenance["validation_loss"] == resumed.provenance["validation_loss"]


def test_a_checkpoint_is_written_while_training(stack, tmp_path, monkeypatch):
    monkeypatch.setattr("napari_autostructn2v.learning.training.CHECKPOINT_SECONDS", 0.0)
    events = []
    finish(train(stack, POINT, TINY, checkpoint=tmp_path / "c.safetensors"), events.append)
    written = [e.step for e in events if isinstance(e, CheckpointWritten)]
    assert written and (tmp_path / "c.safetensors").exists()


def test_a_checkpoint_of_another_run_is_refused_and_kept(stack, tmp_path):
    checkpoint = tmp_path / "checkpoint.safetensors"
    events = train(stack, LINE, TINY, checkpoint=checkpoint)
    [next(events) for _ in range(4)]
    events.close()
    before = checkpoint.read_bytes()
    for other, kernel, message in ((stack, POINT, "kernel"), (stack + 1, LINE, "input")):
        with pytest.raises(RunFolderError, match=message):
            finish(train(other, kernel, TINY, checkpoint=checkpoint))
    assert checkpoint.read_bytes() == before
    checkpoint.write_bytes(before[: len(before) // 2])
    with pytest.raises(RunFolderError, match="damaged"):
        finish(train(stack, LINE, TINY, checkpoint=checkpoint))


def test_held_out_pixels_are_never_the_answer(stack):
    data = TrainingData(as_stack(stack), POINT, TINY, torch.device("cpu"), seed=0)
    held = data.held.repeat_interleave(data.cell, 1).repeat_interleave(data.cell, 2)[:, :48, :52]
    assert 0 < held.float().mean() < 0.3
    # a network that is right everywhere but in the held-out cells must have no training loss
    mark = held.float()
    generator = torch.Generator().manual_seed(0)
    data.slices = mark
    for _ in range(50):
        patches, sites, counts, _ = data.draw(generator)
        target = patches[:, 0]
        at = target.flatten(1).gather(1, sites[..., 0] * target.shape[-1] + sites[..., 1])
        assert (at[counts] == 0).all()
    patches, sites, counts, _ = data._validation(torch.nonzero(data.held)[: TINY.validation_patches], seed=0)
    target = patches[:, 0]
    at = target.flatten(1).gather(1, sites[..., 0] * target.shape[-1] + sites[..., 1])
    assert counts.all() and (at == 1).all()


def test_losses_of_two_moments_can_be_compared(stack):
    """They differ by the network alone, whatever was drawn in between and in however many parts."""
    data = TrainingData(as_stack(stack), LINE, TINY, torch.device("cpu"), seed=0)
    network, other = UNet(1, 8, 2).eval(), UNet(1, 8, 2).eval()
    with torch.inference_mode():
        before, of_other = data.validate(network), data.validate(other)
        for step in range(3):
            data.draw(torch.Generator().manual_seed(step))
        assert torch.equal(data.validate(network), before)
        torch.testing.assert_close(data.validate(network, micro_batches=3), before)
    assert before.shape == (TINY.validation_patches,)
    assert (before != of_other).all()


def test_validation_asks_for_hidden_pixels_by_their_squared_error(stack):
    data = TrainingData(as_stack(stack), LINE, TINY, torch.device("cpu"), seed=0)
    masked, target, sites = data.hide(data.validation), data.validation.patches[:, 0], data.validation.sites
    expected = [
        np.mean([(image[0, y, x] - truth[y, x]).item() ** 2 for y, x in where])
        for image, truth, where in zip(masked, target, sites, strict=True)
    ]
    shown = data.validate(lambda image: image[:, 0])
    np.testing.assert_allclose(shown, expected, rtol=1e-5)
    assert (shown > 0.1).all(), "who copies what is shown is wrong by the noise at least"
    assert (data.validate(lambda image: target) == 0).all()


def test_the_latest_network_is_kept_unless_it_is_clearly_worse():
    network = UNet(1, 8, 1)
    state = TrainingState(network, TINY, torch.Generator(), identity={})
    lowest = torch.rand(64, generator=torch.Generator().manual_seed(0))
    chance = 0.1 * torch.randn(64, generator=torch.Generator().manual_seed(1))
    chance -= chance.mean()
    verdicts = []
    for state.step, losses in enumerate(
        (lowest + 1, lowest, lowest + chance + 0.005, lowest + chance + 0.1, lowest * float("nan"))
    ):
        verdicts.append(state.keep_unless_worse(losses))
    assert verdicts == [True, True, True, False, False]
    assert state.best is not None and state.best.step == 2
    # small steps up, each within the error of the last, are still measured against the lowest
    for rise in (0.01, 0.02, 0.03, 0.04):
        kept = state.keep_unless_worse(lowest + chance + rise)
    assert not kept


@pytest.mark.parametrize("shape", [(1, 64, 64), (64, 64), (3, 16, 16), (2, 17, 200), (1, 30, 21)])
def test_any_size_down_to_the_smallest(shape):
    stack = np.random.default_rng(0).normal(size=shape)
    denoised = finish(predict(stack, finish(train(stack, LINE, TINY))))
    assert denoised.shape == shape and np.isfinite(denoised).all()


@pytest.mark.parametrize("shape", [(2, 16, 40), (3, 31, 31)])
def test_slices_too_small_for_a_deep_network_are_refused(shape, tmp_path):
    deep = TINY.model_copy(update={"depth": 5})
    small = np.random.default_rng(0).normal(size=shape)
    large = np.random.default_rng(0).normal(size=(2, 64, 64))
    box = Box((0, 1), (0, shape[1]), (0, shape[2]))
    model = finish(train(large, POINT, deep))
    config = Config(stage1=TINY, stage2=deep)
    for refused in (
        train(small, POINT, deep),
        train(large, POINT, deep, box=box),
        predict(small, model),
        run(small, RunRequest("2d", config), folder=tmp_path / "run"),
        run(large, RunRequest("2d", config, box=box), folder=tmp_path / "run"),
    ):
        with pytest.raises(StackError, match="depth 5: at least 32 × 32 are needed"):
            finish(refused)
    assert not (tmp_path / "run" / "run.json").exists(), "nothing is begun that cannot be finished"


def test_flips_do_not_change_what_is_asked(stack):
    """A flip-equivariant network must have one and the same loss under every allowed flip."""
    data = TrainingData(as_stack(stack), np.ones((3, 3, 3), bool), TINY, torch.device("cpu"), seed=0)
    generator = torch.Generator().manual_seed(0)
    corners, sites = torch.tensor([[0, 3, 9], [2, 16, 20]]), choose_sites(2, 20, data.patch, generator)

    def mean_of_slices(image):
        return image.mean(dim=1)

    batches = []
    for flip in data.flips:
        mirrored = torch.where(flip[1:], data.patch - 1 - sites, sites)
        batches.append(data._batch(corners, flip.expand(2, 3), mirrored))
    assert len(batches) == 8
    losses = [batch.loss(mean_of_slices(data.hide(batch))) for batch in batches]
    assert torch.stack(losses).std() < 1e-6
    for flip, batch in zip(data.flips, batches, strict=True):
        axes = [axis for axis, flipped in enumerate(flip, 1) if flipped]
        torch.testing.assert_close(data.hide(batch).flip(axes), data.hide(batches[0]))
        assert torch.equal(batch.counts, batches[0].counts)


def test_bad_arguments(stack):
    with pytest.raises(KernelError):
        next(train(stack, np.ones((2, 2)), TINY))
    with pytest.raises(StackError):
        next(train(stack[:2], np.ones((3, 1, 1)), TINY))
    with pytest.raises(DeviceError, match="not available"):
        next(train(stack, POINT, TINY, device="warp"))


def test_the_learning_rate_rises_and_falls():
    rates = [one_cycle(step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[10] == pytest.approx(1.0)
    assert rates[-1] < 0.02


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_nothing_beyond_the_halo_reaches_a_pixel(depth):
    network = UNet(1, 8, depth).double().eval()
    side = 4 * halo(depth)
    image = torch.randn(1, 1, side, side, dtype=torch.float64, requires_grad=True)
    # all output pixels whose positions relative to the grid differ
    for position in range(side // 2, side // 2 + 2**depth):
        (gradient,) = torch.autograd.grad(network(image)[0, position, position], image)
        reach = (torch.nonzero(gradient[0, 0]) - position).abs().max()
        assert reach <= halo(depth)


@pytest.mark.parametrize("mixed", [True, False])
def test_tiles_equal_the_whole_slice(stack, monkeypatch, mixed):
    large = np.tile(stack[:1], (1, 4, 5))
    model = finish(train(stack, LINE, TINY))
    whole = finish(predict(large, model, device="cpu", mixed=mixed))
    monkeypatch.setattr("napari_autostructn2v.learning.prediction.TILE_VALUES", 8 * 128 * 128)
    in_tiles = finish(predict(large, model, device="cpu", mixed=mixed))
    np.testing.assert_allclose(in_tiles, whole, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kernel", [LINE, np.ones((3, 1, 3), bool)])
def test_the_average_over_mirror_images_is_that_of_predictions_of_them(stack, kernel):
    model = finish(train(stack, kernel, TINY))
    averaged = finish(predict(stack, model, average=True, mixed=False))
    turned = []
    for flip in allowed_flips(kernel):
        axes = tuple(axis for axis, flipped in enumerate(flip) if flipped)
        there = np.ascontiguousarray(np.flip(stack, axes))
        turned.append(np.flip(finish(predict(there, model, mixed=False)), axes))
    expected = np.mean(turned, axis=0)
    np.testing.assert_allclose(averaged, expected, atol=1e-5)


def test_bfloat16_changes_far_less_than_the_noise_that_is_left(stack):
    model = finish(train(stack, LINE, TINY))
    exact = finish(predict(stack, model, mixed=False))
    left = (exact - stack).std()
    assert np.abs(finish(predict(stack, model)) - exact).std() < 0.02 * left


@pytest.mark.parametrize(
    ("shape", "most"),
    [
        ((48, 52), 10**6),
        ((1024, 1440), 2**21),
        ((4096, 4096), 2**21),
        ((301, 7003), 2**17),
        ((90, 90), 2**10),
    ],
)
@pytest.mark.parametrize("depth", [1, 2, 4])
def test_tiles_cover_a_slice_once_with_all_that_reaches_them(shape, most, depth):
    covered = np.zeros(shape, int)
    for tile in tiles(shape, best_tile_size(shape, halo(depth), 2**depth, most), halo(depth)):
        covered[tile.target] += 1
        for read, kept, there, size in zip(tile.source, tile.inner, tile.target, shape, strict=True):
            assert (read.start + kept.start, read.start + kept.stop) == (there.start, there.stop)
            assert read.start % 2**depth == 0, "on the grid of the pooling"
            assert read.start == max(0, there.start - halo(depth))
            assert read.stop == min(size, there.stop + halo(depth))
    assert (covered == 1).all()


def test_large_slices_are_computed_little_more_than_once():
    for side in (2048, 4096, 8192):
        shape = (side, side)
        made = tiles(shape, best_tile_size(shape, halo(2), 4, 2**21), halo(2))
        assert sum(np.empty(shape, bool)[tile.source].size for tile in made) < 1.1 * side**2


def test_prediction_writes_where_it_is_told_slice_by_slice(stack, tmp_path):
    model = finish(train(stack, POINT, TINY))
    out = np.lib.format.open_memmap(tmp_path / "out.npy", "w+", np.float32, stack.shape)
    out[:] = np.nan
    events = predict(stack, model, out=out)
    assert next(events) == SliceDone(z=0, done=1, total=5)
    assert np.isfinite(out[0]).all() and np.isnan(out[-1]).all()
    finish(events)
    np.testing.assert_array_equal(out, finish(predict(stack, model)))


def test_a_model_is_moved_by_nobody_under_another(stack, monkeypatch):
    """One thread predicts on another device, and in the middle of that a second one on the processor."""
    model = finish(train(stack, LINE, TINY))
    alone = finish(predict(stack, model))
    before = weights(model)
    beside = []

    def computing_elsewhere(images, network, scale, device, **options):
        assert {weight.device.type for weight in network.parameters()} == {"meta"}
        assert {weight.device.type for weight in model.network.parameters()} == {"cpu"}
        monkeypatch.undo()
        with ThreadPoolExecutor(1) as other:
            beside.append(other.submit(finish, predict(stack, model)).result())
        raise InterruptedError

    monkeypatch.setattr("napari_autostructn2v.learning.prediction.denoise_images", computing_elsewhere)
    with pytest.raises(InterruptedError):
        finish(predict(stack, model, device="meta"))
    np.testing.assert_array_equal(beside[0], alone)
    assert torch.equal(weights(model), before)


def test_two_threads_predict_what_one_does(stack):
    model = finish(train(stack, LINE, TINY))
    alone = finish(predict(stack, model))
    with ThreadPoolExecutor(2) as pool:
        for made in pool.map(lambda _: finish(predict(stack, model)), range(4)):
            np.testing.assert_array_equal(made, alone)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere nothing is told to the allocator")
def test_the_allocator_is_left_as_it_is_found_to_work(stack):
    """Whoever frees a large array after a training gives its memory back to the system."""
    finish(predict(stack, finish(train(stack, LINE, TINY))))
    large = np.ones(2**26, np.float32)
    held = resident()
    del large
    assert held - resident() > 2**27


def resident():
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
