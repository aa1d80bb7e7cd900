"""The whole way: Stage 1, noise analysis, Stage 2."""

from __future__ import annotations

import time
import warnings
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from napari_autostructn2v.config import Config, Mode, Preset
from napari_autostructn2v.disk.waiting import when_there_is_room
from napari_autostructn2v.errors import DiskFullError, FileError, StackError
from napari_autostructn2v.events import Event, Notice, SliceDone, StageStarted, finish
from napari_autostructn2v.io import ImageFile, VoxelSize
from napari_autostructn2v.io.slice_file import KeptStack
from napari_autostructn2v.kernel import POINT, Edits, embed_kernel, trim_kernel, validate_kernel
from napari_autostructn2v.learning.device import choose_device
from napari_autostructn2v.learning.model import Model, load_model
from napari_autostructn2v.learning.prediction import predict
from napari_autostructn2v.learning.training import CHECKPOINT_SECONDS, StopTraining, train
from napari_autostructn2v.noise.analysis import NoiseAnalysis, analyze
from napari_autostructn2v.noise.recovery import WithDetail, bring_back, recover
from napari_autostructn2v.noise.spectrum import check_region, choose_tiles
from napari_autostructn2v.runs.folder import Made, RunFolder, TrainingStage
from napari_autostructn2v.runs.losses import Losses
from napari_autostructn2v.runs.stage_spec import Approval
from napari_autostructn2v.stack import Box, Stack, as_stack, few_slices_notice


@dataclass(eq=False, repr=False)
class Result:
    """What a run makes of a stack.

    Attributes
    ----------
    denoised
        Shape and value scale of the input, with its detail brought back: float32, or float64 where float32
        does not hold its values. Of a run in a folder, a memory map of the file there. The same as
        ``stage1`` where Stage 2 was not needed.
    stage1
        After Noise2Void alone, likewise.
    analysis
        What was found in the noise, with the kernel that was used.
    model
        Of the last stage that ran.
    """

    denoised: np.ndarray
    stage1: np.ndarray
    analysis: NoiseAnalysis
    model: Model

    def __repr__(self) -> str:
        return f"<Result of shape {self.denoised.shape}: {self.analysis.verdict.summary}>"


def denoise(
    stack: Any,
    *,
    mode: Mode = "2d",
    preset: Preset = "balanced",
    kernel: np.ndarray | None = None,
    config: Config | None = None,
    region: np.ndarray | None = None,
    box: Box | None = None,
    device: str = "auto",
    seed: int = 0,
) -> Result:
    """Remove random and structured noise from a stack, with no clean data.

    Parameters
    ----------
    stack
        Shape (Z, Y, X) or (Y, X), any integer or float type; NumPy, memory map, Dask or Zarr.
    mode
        ``"2d"`` slice by slice, or ``"2.5d"``, which predicts a slice from its neighbours too.
    preset
        ``"fast"``, ``"balanced"`` or ``"high"``.
    kernel
        Blind spot for Stage 2, bool (K, K) or, for 2.5D, (3, K, K). Found by the noise analysis if None.
    config
        Settings instead of those of the preset.
    region
        Where the stack shows nothing but noise, bool (Y, X) or (Z, Y, X); found by itself if None.
    box
        Part of the stack to train on; all of it if None. All of the stack is denoised either way.
    device
        ``"auto"`` takes a GPU when there is one; otherwise a PyTorch device name.
    seed
        The same seed gives the same result on the same processor.

    Raises
    ------
    StackError
        If the stack cannot be denoised as it is, or the region does not suit it.
    KernelError
        If the kernel is none, or not one of the mode.
    DeviceError
        If the device is not there.

    Warns
    -----
    UserWarning
        If 2.5D has fewer than 20 slices to learn from.
    """
    config = config or Config.from_preset(preset)

    def warn(event: Event) -> None:
        if isinstance(event, Notice):
            warnings.warn(event.message, UserWarning, stacklevel=4)

    events = run(
        stack, mode=mode, config=config, kernel=kernel, region=region, box=box, device=device, seed=seed
    )
    return finish(events, warn)


def denoise_with(
    stack: Any,
    model: Model,
    *,
    recovery: float = Config().recovery,
    average: bool = False,
    device: str = "auto",
    out: Any = None,
) -> Generator[Event, Any, Any]:
    """Denoise a stack with a trained model and bring its detail back.

    Parameters
    ----------
    stack
        Shape (Z, Y, X) or (Y, X).
    model
        Trained on this stack or on another of the same microscope.
    recovery
        How much of the detail found in the residual is brought back, 0 to 1.
    average
        As for :func:`~napari_autostructn2v.learning.prediction.predict`.
    device
        As for :func:`denoise`.
    out
        An array of the stack's shape whose slices can be written and read again; in memory if None.

    Yields
    ------
    Event
        ``SliceDone``; ``StageStarted`` before the recovery.

    Returns
    -------
    array
        ``out``: shape and value scale of the stack.

    Raises
    ------
    StackError
        If the stack does not suit the model or holds values that are not finite.
    """
    denoised = yield from predict(stack, model, device=device, out=out, average=average)
    if recovery > 0:
        yield StageStarted("recovery")
        yield from bring_back(stack, denoised, recovery, model.notch)
    return denoised


def run(
    stack: Any,
    *,
    mode: Mode,
    config: Config,
    kernel: np.ndarray | None = None,
    region: np.ndarray | None = None,
    box: Box | None = None,
    device: str = "auto",
    seed: int = 0,
    folder: Path | None = None,
    source: ImageFile | None = None,
    output: Path | None = None,
) -> Generator[Event, Any, Result]:
    """Both stages as a stream of events; the arguments beyond those of :func:`denoise` are for its record.

    Parameters
    ----------
    stack, mode, config, kernel, region, box, device, seed
        As for :func:`denoise`.
    folder
        Where the run is kept. If it holds this very run, however that ended, the run goes on from there. No
        other process may use it meanwhile.
    source
        The file that the stack came from.
    output
        Where the result is to go, for who finishes the run from its folder alone.

    Yields
    ------
    Event
        ``StageStarted`` before each stage, and what the stages yield; ``Waiting`` while the disk is full.

    Returns
    -------
    Result

    Raises
    ------
    RunFolderError
        If the folder belongs to another run; and what :func:`denoise` raises.
    BusyError
        If another process works in the folder.
    """
    levels = max(config.stage1.depth, config.stage2.depth)
    stack = as_stack(stack, mode, levels)
    choose_device(device)  # all that can be refused is refused before anything is written
    if kernel is not None:
        kernel = validate_kernel(kernel, mode)
    if region is not None:
        region = check_region(region, stack)
        choose_tiles(stack, None, config.analysis, region)  # said now if it is too small, not after Stage 1
    if box is not None:
        if box != box.within(stack.shape):
            raise StackError(
                f"The part to train on reaches beyond the stack, which has {stack.shape[0]} slices of "
                f"{stack.shape[1]} × {stack.shape[2]} pixels. Choose a part of it."
            )
        as_stack(stack.cropped(box), mode, levels)
    if (notice := few_slices_notice(stack, mode)) is not None:
        yield Notice(notice)
    if folder is None:
        return (yield from _both_stages(stack, mode, config, kernel, region, box, device, seed, None, source))
    run_folder = RunFolder(folder)
    with run_folder.hold():
        opened = partial(
            run_folder.open, stack, mode=mode, config=config, kernel=kernel, region=region, box=box,
            seed=seed, source=source, output=output,
        )  # fmt: skip
        yield from when_there_is_room(opened, folder)
        return (
            yield from _both_stages(
                stack, mode, config, kernel, region, box, device, seed, run_folder, source
            )
        )


def resume(folder: Path, *, device: str = "auto") -> Generator[Event, Any, Result]:
    """Finish the run in a folder, whether it was cancelled, killed or done, with nothing but the folder.

    Parameters
    ----------
    folder
        Of a run, made by :func:`run` or in the window; what a person edited and approved there counts.
    device
        As for :func:`denoise`.

    Yields
    ------
    Event
        As :func:`run`.

    Returns
    -------
    Result
        The same as without the interruption, on the same processor.

    Raises
    ------
    RunFolderError
        If it is no run folder, is damaged, or its input was changed or is gone.
    """
    run_folder = RunFolder(folder)
    asked, image = run_folder.read_settings(), run_folder.read_input()
    return (
        yield from run(
            image.array,
            mode=asked.mode,
            config=asked.config,
            kernel=asked.kernel,
            region=run_folder.read_region(),
            box=asked.box,
            device=device,
            seed=asked.seed,
            folder=folder,
            source=image,
        )
    )


def _both_stages(
    stack: Stack,
    mode: Mode,
    config: Config,
    kernel: np.ndarray | None,
    region: np.ndarray | None,
    box: Box | None,
    device: str,
    seed: int,
    folder: RunFolder | None,
    source: ImageFile | None,
) -> Generator[Event, Any, Result]:
    name = "" if source is None else source.name
    voxel_size = None if source is None else source.voxel_size

    def stage(which: TrainingStage, order: Approval) -> Generator[Event, Any, tuple[Model, Any, np.ndarray]]:
        """The model, what it makes of the stack, and that with its detail back."""
        yield StageStarted(which)
        model = yield from train_stage(
            stack, which, order, device=device, seed=seed, folder=folder, name=name
        )
        predicted, detail = yield from apply_stage(
            stack, which, model, device=device, folder=folder, voxel_size=voxel_size,
            recovery=config.recovery > 0,
        )  # fmt: skip
        denoised = predicted if detail is None else WithDetail(predicted, detail, config.recovery)
        if folder is None:
            return model, predicted, np.asarray(denoised)
        write = partial(folder.write_denoised, which, denoised, voxel_size)
        yield from when_there_is_room(write, folder.path)
        return model, predicted, folder.read_denoised(which, stack.input_shape)

    # Stage 1 is 2D in 2.5D as well: with neighbours in sight, noise that they share would pass through them
    model, predicted, stage1 = yield from stage("stage1", Approval(POINT, None, config.stage1, box))
    yield StageStarted("analysis")
    analysis = analyze(
        stack, predicted, mode=mode, config=config.analysis, region=region, voxel_size=voxel_size
    )
    approved = None
    if folder is not None:
        analysis = with_edits(analysis, *folder.read_edits(mode))
        approved = folder.read_approval()
    if kernel is not None:
        analysis = analysis.with_kernel(kernel)
    if folder is not None:
        yield from when_there_is_room(partial(folder.write_analysis, analysis), folder.path)
    denoised = stage1
    if approved is None and (kernel is not None or analysis.verdict.expect_gain):
        approved = Approval(analysis.kernel, analysis.notch_rule, config.stage2, box)
        if folder is not None and not folder.model("stage2").exists():
            yield from when_there_is_room(partial(folder.approve, approved), folder.path)
    if approved is not None:
        model, _, denoised = yield from stage("stage2", approved)
    return Result(denoised=denoised, stage1=stage1, analysis=analysis, model=model)


def with_edits(analysis: NoiseAnalysis, peaks: Edits, kernel: Edits) -> NoiseAnalysis:
    """The analysis with what a person added to and erased from the peaks and the kernel."""
    if peaks != Edits():
        analysis = analysis.with_peaks(peaks.apply(analysis.peaks))
    if kernel != Edits():
        grid = embed_kernel(analysis.kernel, analysis.autocorrelation.shape[-1])
        analysis = analysis.with_kernel(trim_kernel(kernel.apply(grid)))
    return analysis


def train_stage(
    stack: Stack,
    stage: TrainingStage,
    order: Approval,
    *,
    device: str = "auto",
    seed: int = 0,
    folder: RunFolder | None = None,
    name: str = "",
    preview: int | None = None,
) -> Generator[Event, Any, Model]:
    """Train a stage, or go on with it, or take its model, by what there is of it in the folder.

    Parameters
    ----------
    stack
        The input of the run.
    stage
        Where in the folder it is kept.
    order
        What to train with.
    device, seed, name, preview
        As for :func:`~napari_autostructn2v.learning.training.train`.
    folder
        Of the run, held by the caller; None keeps nothing.

    Yields
    ------
    Event
        As the training; ``Waiting`` while the disk is full.

    Returns
    -------
    Model

    Raises
    ------
    RunFolderError
        If the folder holds another training.
    """
    events = train(
        stack, order.kernel, order.config, device=device, seed=seed, preview=preview,
        checkpoint=None if folder is None else folder.checkpoint(stage),
        name=name, notch=order.notch, box=order.box,
    )  # fmt: skip
    if folder is None:
        return (yield from events)
    if folder.model(stage).exists():
        model = load_model(folder.model(stage))
        if np.array_equal(model.kernel, order.kernel) and model.notch == order.notch:
            return model
    model = yield from _recorded(events, folder.losses(stage))
    save = partial(model.save, folder.model(stage), overwrite=True)
    yield from when_there_is_room(save, folder.path)
    folder.forget_checkpoints(stage)
    return model


def apply_stage(
    stack: Stack,
    stage: TrainingStage,
    model: Model,
    *,
    device: str = "auto",
    folder: RunFolder | None = None,
    voxel_size: VoxelSize | None = None,
    recovery: bool = True,
) -> Generator[Event, Any, tuple[Any, Any]]:
    """Denoise the stack with the model of a stage, and find the detail that it lost.

    Parameters
    ----------
    stack
        The input of the run.
    stage
        Where in the folder the model is and what it makes is kept.
    model
        Of the stage.
    device
        As for :func:`~napari_autostructn2v.learning.prediction.predict`.
    folder
        Of the run, held by the caller. Slices that were done before it was cut off are not done again.
        None keeps what is made in memory.
    voxel_size
        For the files.
    recovery
        Whether the detail is wanted.

    Yields
    ------
    Event
        ``SliceDone``; ``StageStarted`` before the recovery; ``Waiting`` while the disk is full.

    Returns
    -------
    predicted, detail : array
        What the network made, and what its recovery is to add to it; None if that was not wanted. Both of
        the stack's shape: arrays in memory, or else in files from which slices are read.
    """

    def place(what: Made) -> Generator[Event, Any, tuple[Any, int]]:
        """What is to be filled, and from which slice on."""
        if folder is None:
            return np.empty(stack.input_shape, dtype=stack.scale.dtype), 0
        open_file = partial(folder.made, stage, what, stack, voxel_size)
        file = yield from when_there_is_room(open_file, folder.path)
        return file, file.done

    predicted, first = yield from place("predicted")
    yield from _marked(predict(stack, model, device=device, out=predicted, first=first), predicted)
    if not recovery:
        return predicted, None
    yield StageStarted("recovery")
    detail, first = yield from place("detail")
    yield from _marked(recover(stack, predicted, model.notch, out=detail, first=first), detail)
    return predicted, detail


def _marked(events: Generator[SliceDone | Notice, Any, Any], out: Any) -> Generator[Event, Any, None]:
    """The same stream; in a file that outlives the program it is marked now and then how far it came."""
    done, saved = 0, time.monotonic()
    try:
        for event in events:
            done = event.done if isinstance(event, SliceDone) else done
            yield event
            if isinstance(out, KeptStack) and time.monotonic() - saved > CHECKPOINT_SECONDS:
                yield from when_there_is_room(partial(out.keep, done), out.path.parent)
                saved = time.monotonic()
    finally:
        events.close()
        if isinstance(out, KeptStack) and done > out.done:
            with suppress(FileError):  # then the mark before has to do
                out.keep(done)


def _recorded(events: Generator[Event, Any, Model], losses: Losses) -> Generator[Event, Any, Model]:
    """The same stream, taken note of."""
    try:
        event = next(events)
        while True:
            yield from when_there_is_room(partial(losses.record, event), losses.path.parent)
            try:
                sent = yield event
            except StopTraining as stop:
                event = events.throw(stop)
            else:
                event = events.send(sent)
    except StopIteration as end:
        model: Model = end.value
        return model
    finally:
        with suppress(DiskFullError):  # then the checkpoint before has to do
            events.close()  # cancelled: the training writes its checkpoint
