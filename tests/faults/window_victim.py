"""What a window does, without one, until it kills itself: python window_victim.py STORE INPUT STAGE STEP.

STEP is one of the training, or with --slices a slice that is denoised. 0 kills nothing: the result is
written beside the runs.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import numpy as np

from napari_autostructn2v._napari.session.jobs import drive
from napari_autostructn2v._napari.session.session import Session
from napari_autostructn2v._napari.session.state import Phase, Source
from napari_autostructn2v.events import SliceDone, Step
from napari_autostructn2v.io import read_stack
from napari_autostructn2v.learning import training
from napari_autostructn2v.runs import stages
from napari_autostructn2v.runs.store import RunStore


def main() -> None:
    store, path, stage, step = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    training.CHECKPOINT_SECONDS = stages.CHECKPOINT_SECONDS = 0.0
    counted = SliceDone if "--slices" in sys.argv else Step
    session = Session(RunStore(store))
    session.choice.configure(preset="fast")
    session.configure_training(steps=12, features=8, batch_size=2, patch_size=32)

    def run(job) -> None:
        events = drive(job)
        while True:
            try:
                event = next(events)
            except StopIteration as end:
                session.runner.complete(job, end.value)
                return
            done = event.step if isinstance(event, Step) else getattr(event, "done", 0)
            if job.kind == stage and isinstance(event, counted) and 0 < step == done:
                os.kill(os.getpid(), signal.SIGKILL)
            session.runner.receive(job, event)

    session.runner.started.connect(run)
    image = read_stack(path)
    in_memory = "--memory" in sys.argv
    array = np.array(image.array) if in_memory else image.array
    session.choice.choose(Source(image.name, array, image.voxel_size, None if in_memory else path))
    session.start_stage1()
    assert session.phase is Phase.REVIEW, session.messages.error
    grid = session.review.kernel_grid
    changed = grid.copy()
    changed[len(grid) // 2, len(grid) // 2 + 2] ^= True
    changed[len(grid) // 2, len(grid) // 2 - 2] ^= True
    session.edit_kernel(changed)
    session.autosave()()
    if stage == "review":
        os.kill(os.getpid(), signal.SIGKILL)
    session.approve()
    assert session.phase is Phase.RESULT, session.messages.error
    np.save(store / "result.npy", session.run.denoised)


if __name__ == "__main__":
    main()
