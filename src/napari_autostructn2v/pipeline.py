"""The whole way: Stage 1, noise analysis, Stage 2."""

from __future__ import annotations

import warnings
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_autostructn2v.analysis import NoiseAnalysis, analyze
from napari_autostructn2v.bundle import Model, load_model
from napari_autostructn2v.config import Config, Mode, Preset
from napari_autostructn2v.device import choose_device
from napari_autostructn2v.events import Event, Notice, StageStarted, finish
from napari_autostructn2v.io import ImageFile
from napari_autostructn2v.kernel import POINT, validate_kernel
from napari_autostructn2v.notch import NotchRule
from napari_autostructn2v.prediction import predict
from napari_autostructn2v.recovery import bring_back, recover
from napari_autostructn2v.run_folder import RunFolder, TrainingStage
from napari_autostructn2v.spectrum import check_region
from napari_autostructn2v.stack import Box, Stack, as_stack, few_slices_notice
from napari_autostructn2v.training import train


@dataclass(eq=False)
class Result:
    """What a run makes of a stack.

    Attributes
    ----------
    denoised
        float32, shape and value scale of the input, with its detail brought back. The same as ``stage1``
        where Stage 2 was not needed.
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
        ``out``: float32, shape and value scale of the stack.

    Raises
    ------
    StackError
        If the stack does not suit the model or holds values that are not finite.
    """
    denoised = yield from predict(stack, model, device=device, out=out)
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
) -> Generator[Event, Any, Result]:
    """Both stages as a stream of events; the arguments beyond those of :func:`denoise` are for its record.

    Parameters
    ----------
    stack, mode, config, kernel, region, box, device, seed
        As for :func:`denoise`.
    folder
        Where the run is kept. If it holds this very run, cancelled or done, the run goes on from there.
    source
        The file that the stack came from.

    Yields
    ------
    Event
        ``StageStarted`` before each stage, and what the stages yield.

    Returns
    -------
    Result

    Raises
    ------
    RunFolderError
        If the folder belongs to another run; and what :func:`denoise` raises.
    """
    stack = as_stack(stack, mode)
    choose_device(device)  # all that can be refused is refused before anything is written
    if kernel is not None:
        kernel = validate_kernel(kernel, mode)
    if region is not None:
        region = check_region(region, stack)
    if box is not None:
        as_stack(stack.cropped(box), mode)
    if (notice := few_slices_notice(stack, mode)) is not None:
        yield Notice(notice)
    run_folder = None
    if folder is not None:
        run_folder = RunFolder(folder)
        run_folder.open(
            stack, mode=mode, config=config, kernel=kernel, region=region, box=box, seed=seed, source=source
        )

    name = "" if source is None else source.name
    voxel_size = None if source is None else source.voxel_size

    def stage(
        which: TrainingStage, kernel: np.ndarray, notch: NotchRule | None
    ) -> Generator[Event, Any, tuple[Model, np.ndarray, np.ndarray]]:
        """The model, what it makes of the stack, and that with its detail back."""
        yield StageStarted(which)
        model = yield from _trained(stack, kernel, notch, config, which, box, device, seed, run_folder, name)
        predicted = yield from predict(stack, model, device=device)
        denoised = predicted
        if config.recovery > 0:
            yield StageStarted("recovery")
            detail = yield from recover(stack, predicted, notch)
            denoised = predicted + np.float32(config.recovery) * detail
        if run_folder is not None:
            run_folder.write_denoised(which, denoised, voxel_size)
        return model, predicted, denoised

    # Stage 1 is 2D in 2.5D as well: with neighbours in sight, noise that they share would pass through them
    model, predicted, stage1 = yield from stage("stage1", POINT, None)
    yield StageStarted("analysis")
    analysis = analyze(
        stack, predicted, mode=mode, config=config.analysis, region=region, voxel_size=voxel_size
    )
    if kernel is not None:
        analysis = analysis.with_kernel(kernel)
    if run_folder is not None:
        run_folder.write_analysis(analysis)
    denoised = stage1
    if kernel is not None or analysis.verdict.expect_gain:
        model, _, denoised = yield from stage("stage2", analysis.kernel, analysis.notch_rule)
    return Result(denoised=denoised, stage1=stage1, analysis=analysis, model=model)


def _trained(
    stack: Stack,
    kernel: np.ndarray,
    notch: NotchRule | None,
    config: Config,
    stage: TrainingStage,
    box: Box | None,
    device: str,
    seed: int,
    folder: RunFolder | None,
    name: str,
) -> Generator[Event, Any, Model]:
    settings = config.stage1 if stage == "stage1" else config.stage2
    if folder is None:
        return (
            yield from train(
                stack, kernel, settings, device=device, seed=seed, name=name, notch=notch, box=box
            )
        )
    if folder.model(stage).exists():
        model = load_model(folder.model(stage))
        if np.array_equal(model.kernel, kernel) and model.notch == notch:
            return model
    losses = folder.losses(stage)
    events = train(
        stack,
        kernel,
        settings,
        device=device,
        seed=seed,
        checkpoint=folder.checkpoint(stage),
        name=name,
        notch=notch,
        box=box,
    )
    try:
        while True:
            event = next(events)
            losses.record(event)
            yield event
    except StopIteration as end:
        model = end.value
    finally:
        events.close()  # cancelled: the training writes its checkpoint
    model.save(folder.model(stage), overwrite=True)
    folder.checkpoint(stage).unlink(missing_ok=True)
    return model
