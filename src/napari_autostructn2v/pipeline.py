"""The whole way: Stage 1, noise analysis, Stage 2."""

from __future__ import annotations

import warnings
from collections.abc import Generator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, overload

import numpy as np

from napari_autostructn2v.box import Box
from napari_autostructn2v.config import Config, Mode, Preset
from napari_autostructn2v.disk.waiting import retry_when_full
from napari_autostructn2v.errors import RunFolderError
from napari_autostructn2v.events import Event, Notice, StageStarted, finish
from napari_autostructn2v.kernel import Edits
from napari_autostructn2v.learning.model import Model
from napari_autostructn2v.learning.prediction import predict
from napari_autostructn2v.noise.detail import bring_back
from napari_autostructn2v.runs.checks import checked
from napari_autostructn2v.runs.companions import companion_folders
from napari_autostructn2v.runs.folder import RunFolder
from napari_autostructn2v.runs.output import StageOutput
from napari_autostructn2v.runs.request import RunRequest
from napari_autostructn2v.runs.result import Result
from napari_autostructn2v.runs.stage_folder import TrainingStage
from napari_autostructn2v.runs.stage_spec import StageSpec
from napari_autostructn2v.runs.stages import examine_noise, first_stage, look_through, run_stage
from napari_autostructn2v.stack import Stack, as_stack
from napari_autostructn2v.survey import few_slices_notice
from napari_autostructn2v.together import Together, run_together


@overload
def denoise(
    stack: list[Any] | tuple[Any, ...],
    *,
    mode: Mode = ...,
    preset: Preset = ...,
    kernel: np.ndarray | None = ...,
    config: Config | None = ...,
    region: np.ndarray | None = ...,
    left_out: np.ndarray | None = ...,
    box: Box | None = ...,
    device: str = ...,
    seed: int = ...,
    start_from: Model | None = ...,
) -> Together: ...


@overload
def denoise(
    stack: Any,
    *,
    mode: Mode = ...,
    preset: Preset = ...,
    kernel: np.ndarray | None = ...,
    config: Config | None = ...,
    region: np.ndarray | None = ...,
    left_out: np.ndarray | None = ...,
    box: Box | None = ...,
    device: str = ...,
    seed: int = ...,
    start_from: Model | None = ...,
) -> Result: ...


def denoise(
    stack: Any,
    *,
    mode: Mode = "2d",
    preset: Preset = "balanced",
    kernel: np.ndarray | None = None,
    config: Config | None = None,
    region: np.ndarray | None = None,
    left_out: np.ndarray | None = None,
    box: Box | None = None,
    device: str = "auto",
    seed: int = 0,
    start_from: Model | None = None,
) -> Result | Together:
    """Remove random and structured noise from a stack, with no clean data.

    Parameters
    ----------
    stack
        Shape (Z, Y, X) or (Y, X), any integer or float type; NumPy, memory map, Dask or Zarr. Or a list of
        several of one noise, of any sizes: one network is trained on all, each normalised by itself, and one
        kernel is found that suits them.
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
    left_out
        Pixels to leave out, bool (Y, X) or (Z, Y, X), besides those that are found by themselves: they keep
        their values, and nothing is learned from them.
    box
        Part of the stack to train on, and to look for noise in; all of it if None. All of the stack is
        denoised either way.
    device
        ``"auto"`` takes a GPU when there is one; otherwise a PyTorch device name.
    seed
        The same seed gives the same result on the same processor.
    start_from
        Model of the same noise whose weights the training goes on from, in a quarter of the steps of the
        preset. The noise is analysed anew.

    Returns
    -------
    Result
        Of one stack; of several :class:`~napari_autostructn2v.together.Together`, which holds the result of
        each and says whether their noise is of one kind.

    Raises
    ------
    StackError
        If the stack cannot be denoised as it is, or the region or what is left out does not suit it.
    KernelError
        If the kernel is none, or not one of the mode.
    DeviceError
        If the device is not there.

    Warns
    -----
    UserWarning
        If 2.5D has fewer than 20 slices to learn from, or parts of the stack were never measured.
    """
    if config is None:
        config = Config.from_preset(preset)
        config = config if start_from is None else config.going_on_from(start_from.config)

    def warn(event: Event) -> None:
        if isinstance(event, Notice):
            warnings.warn(event.message, UserWarning, stacklevel=4)

    request = RunRequest(
        mode,
        config,
        kernel=kernel,
        region=region,
        left_out=left_out,
        box=box,
        seed=seed,
        mostly_blank=True,
        start=start_from,
    )
    if isinstance(stack, (list, tuple)):
        return finish(run_together(stack, [request] * len(stack), device=device), warn)
    return finish(run(stack, request, device=device), warn)


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
        Shape (Z, Y, X) or (Y, X), read one slice at a time; or a
        :class:`~napari_autostructn2v.stack.Stack`, of which pixels are left out.
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
        If the stack does not suit the model, or nothing of it was measured.
    """
    stack = as_stack(stack)
    denoised = yield from predict(stack, model, device=device, out=out, average=average)
    if recovery > 0:
        yield StageStarted("recovery")
        yield from bring_back(stack, denoised, recovery, model.notch)
    return denoised


def run(
    stack: Any, request: RunRequest, *, device: str = "auto", folder: Path | None = None
) -> Generator[Event, Any, Result]:
    """Both stages as a stream of events.

    Parameters
    ----------
    stack
        As for :func:`denoise`.
    request
        What is asked.
    device
        As for :func:`denoise`.
    folder
        Where the run is kept. If it holds this very run, however that ended, the run goes on from there. No
        other process may use it meanwhile.

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
    stack, request = checked(stack, request, device)
    if (notice := few_slices_notice(stack, request.mode)) is not None:
        yield Notice(notice)
    yield from look_through(stack, request)
    if folder is None:
        return (yield from _both_stages(stack, request, device, None))
    run_folder = RunFolder(folder)
    with run_folder.hold():
        yield from retry_when_full(partial(run_folder.open, stack, request), folder)
        return (yield from _both_stages(stack, request, device, run_folder))


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
    request = replace(run_folder.read_request(), source=run_folder.read_input(), mostly_blank=True)
    assert request.source is not None
    if request.together and _waits_for_others(run_folder):
        raise RunFolderError(
            f"The run in {folder} is one of {len(request.together)} that are trained together. Give the same "
            "run command again, or open the folder in napari if it was begun there: it goes on from there."
        )
    return (yield from run(request.source.array, request, device=device, folder=folder))


def _waits_for_others(folder: RunFolder) -> bool:
    """Whether a run of several stacks still has to be trained, or reviewed: this one alone would differ."""
    if not folder.stage("stage1").model.exists():
        return True
    begun = folder.read_approval() is not None or bool(companion_folders(folder))
    return begun and not folder.stage("stage2").model.exists()


def _both_stages(
    stack: Stack, request: RunRequest, device: str, folder: RunFolder | None
) -> Generator[Event, Any, Result]:
    recovery = request.config.recovery

    def stage(which: TrainingStage, spec: StageSpec) -> Generator[Event, Any, tuple[StageOutput, np.ndarray]]:
        """What the stage leaves, and the stack with its detail back."""
        output = yield from run_stage(
            stack, which, spec, request, device=device, folder=folder, recovery=recovery > 0
        )
        denoised = output.denoised(recovery)
        if folder is None:
            return output, np.asarray(denoised)
        write = partial(folder.stage(which).write_denoised, denoised, request.voxel_size)
        yield from retry_when_full(write, folder.path)
        return output, folder.stage(which).read_denoised(stack.input_shape)

    output, stage1 = yield from stage("stage1", first_stage(request))
    edits = (Edits(), Edits()) if folder is None else folder.analysis.read_edits(request.mode)
    review = yield from examine_noise(stack, output.predicted, request, *edits)
    analysis = review.analysis
    if request.kernel is not None and review.kernel_edits == Edits():  # too large to be one
        analysis = analysis.with_kernel(request.kernel)
    approved = None
    if folder is not None:
        approved = folder.read_approval()
        yield from retry_when_full(partial(folder.analysis.write, analysis), folder.path)
    denoised = stage1
    if approved is None and (request.kernel is not None or analysis.verdict.expect_gain):
        approved = StageSpec(analysis.kernel, analysis.notch_rule, request.config.stage2, request.box)
        if folder is not None and not folder.stage("stage2").model.exists():
            yield from retry_when_full(partial(folder.approve, approved), folder.path)
    if approved is not None:
        output, denoised = yield from stage("stage2", approved)
    return Result(denoised=denoised, stage1=stage1, analysis=analysis, model=output.model)
