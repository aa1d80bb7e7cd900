"""The engine's work as jobs: one stream of events each, driven in a thread and steered from outside."""

from __future__ import annotations

import threading
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from napari_autostructn2v.analysis import NoiseAnalysis, analyze
from napari_autostructn2v.config import AnalysisConfig, Config, Mode
from napari_autostructn2v.errors import AutoStructN2VError
from napari_autostructn2v.events import Event, SliceDone, StageStarted, Step
from napari_autostructn2v.kernel import POINT
from napari_autostructn2v.stack import Stack

JobKind = Literal["stage1", "analysis", "stage2", "apply"]
Stream = Generator[Event, "int | None", Any]


@dataclass
class Control:
    """What the window asks of a running job. Set in the GUI thread, read in the worker's."""

    cancelled: threading.Event = field(default_factory=threading.Event)
    stop_early: threading.Event = field(default_factory=threading.Event)
    z: int | None = None
    """Slice the person looks at: the next previews show it."""


@dataclass(eq=False)
class Job:
    """One long operation: its stream of events, and the means to steer it."""

    kind: JobKind
    stream: Stream
    control: Control = field(default_factory=Control)


@dataclass(frozen=True)
class Failure:
    """A job ended in an error the person can act on."""

    message: str


@dataclass(frozen=True)
class Cancelled:
    """A job ended because it was cancelled."""


@dataclass(frozen=True, eq=False)
class StageOutput:
    """What a stage leaves: its model and the denoised stack; the first stage the analysis as well."""

    model: Any
    denoised: np.ndarray
    analysis: NoiseAnalysis | None = None


def blind_point(mode: Mode) -> np.ndarray:
    """The kernel of the first stage: one blind pixel, in 2.5D that of the middle slice."""
    if mode == "2d":
        return POINT
    kernel = np.zeros((3, 1, 1), dtype=bool)
    kernel[1] = True
    return kernel


def stage(
    stack: Stack, kernel: np.ndarray, config: Config, which: Literal["stage1", "stage2"], name: str
) -> Stream:
    """Train on ``stack`` with ``kernel``, denoise it, and after the first stage look at the noise."""
    # torch takes seconds to import: here that happens in the worker's thread, not in the window's.
    from napari_autostructn2v.prediction import predict
    from napari_autostructn2v.training import train

    yield StageStarted(which)
    training = config.stage1 if which == "stage1" else config.stage2
    model = yield from train(stack, kernel, training, preview=0, name=name)
    denoised = yield from predict(stack, model)
    if which == "stage2":
        return StageOutput(model, denoised)
    mode: Mode = "2.5d" if kernel.ndim == 3 else "2d"
    analysis = yield from look_at_noise(stack, denoised, mode, config.analysis)
    return StageOutput(model, denoised, analysis)


def look_at_noise(stack: Stack, denoised: np.ndarray, mode: Mode, config: AnalysisConfig) -> Stream:
    """Analyse the noise that the first stage took out."""
    yield StageStarted("analysis")
    return analyze(stack, denoised, mode=mode, config=config)


def drive(job: Job) -> Generator[Event, None, object]:
    """Run a job's stream to its end, heeding its control at every event.

    Returns what the stream returns, or :class:`Failure` or :class:`Cancelled`. napari's ``worker.quit()``
    does not run a generator's ``finally``, so the control's event is what cancels, and the stream is closed
    here.
    """
    training = False  # only between the first step and the first slice is there something to stop early
    try:
        event = next(job.stream)
        while True:
            yield event
            if job.control.cancelled.is_set():
                return Cancelled()
            training = (training or isinstance(event, Step)) and not isinstance(event, SliceDone)
            if training and job.control.stop_early.is_set():
                from napari_autostructn2v.training import StopTraining

                job.control.stop_early.clear()
                event = job.stream.throw(StopTraining())
            else:
                event = job.stream.send(job.control.z)
    except StopIteration as end:
        return Cancelled() if job.control.cancelled.is_set() else end.value
    except AutoStructN2VError as error:
        return Failure(str(error))
    except MemoryError:
        return Failure("There is not enough memory. Close other programs, or crop the stack.")
    finally:
        job.stream.close()
