"""A run that is killed, over and over: python victim.py FOLDER KILLS SEED.

Each child is a fork that has imported everything, so that a kill costs no start. Every second kill comes from
outside after a random number of steps, the others from within, at a random renaming, linking or opening of a
file: that is where a folder could be left between two states. Prints as JSON what became of the children.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch

from napari_autostructn2v import cli
from napari_autostructn2v.config import Config, TrainingConfig
from napari_autostructn2v.events import Step, TrainingStarted
from napari_autostructn2v.learning import checkpoint, training
from napari_autostructn2v.runs import stages

TINY = TrainingConfig(
    steps=24, batch_size=2, patch_size=32, features=8, validation_interval=6, validation_patches=4
)
FILE_EVENTS = ("os.rename", "os.link", "os.remove")


def child(arguments: list[str], log: Path, kill_at_event: int | None = None) -> int:
    """Start the command line in a fork; it notes its steps in ``log``."""
    pid = os.fork()
    if pid:
        return pid
    devnull = os.open(log.with_suffix(".txt"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(devnull, 2)
    note = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    really = training.train

    def noted(*args, **options):
        events = really(*args, **options)
        sent = None
        try:
            while True:
                event = events.send(sent)
                if isinstance(event, (TrainingStarted, Step)):
                    started = isinstance(event, TrainingStarted)
                    os.write(note, f"{'start' if started else 'step'} {event.step}\n".encode())
                sent = yield event
        except StopIteration as end:
            return end.value
        finally:
            events.close()

    stages.train = noted
    seen = 0

    def hook(event: str, args: object) -> None:
        nonlocal seen
        if event in FILE_EVENTS:
            seen += 1
            if seen == kill_at_event:
                os.kill(os.getpid(), signal.SIGKILL)

    if kill_at_event is not None:
        sys.addaudithook(hook)
    sys.argv = ["autostructn2v", *arguments, "--quiet"]
    code = 0
    try:
        cli.main()
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        os._exit(code)


def main() -> None:
    folder, kills, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    dice = random.Random(seed)
    torch.set_num_threads(1)
    training.CHECKPOINT_SECONDS = stages.CHECKPOINT_SECONDS = 0.0
    Config.from_preset = classmethod(lambda cls, preset: Config(stage1=TINY, stage2=TINY))
    stack, log = str(folder / "noisy.mrc"), folder / "steps.log"

    _, status = os.waitpid(child(["run", stack, str(folder / "whole.mrc")], folder / "whole.log"), 0)
    outcome = {"whole": os.waitstatus_to_exitcode(status), "killed": [], "lost": []}

    run = folder / "clean_run"
    for number in range(kills + 1):
        again = ["run", stack, str(folder / "clean.mrc")]
        if (folder / "clean.mrc").exists():  # it was done before it was killed: begin another run
            same(folder, outcome)
            (folder / "clean.mrc").unlink()
            run.rename(folder / f"done_{number}")
        arguments = ["resume", str(run)] if (run / "run.json").exists() else again
        log.unlink(missing_ok=True)
        last = number == kills
        at_event = None if last or number % 2 else 1 + int(dice.expovariate(1 / 40))
        pid = child(arguments, log, at_event)
        if not last and at_event is None:
            noted = dice.randint(0, TINY.steps)
            while works(pid) and not (log.exists() and log.read_text().count("\n") > noted):
                time.sleep(0.001)
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        outcome["killed"].append(code)
        if code not in (0, -signal.SIGKILL):
            outcome["message"] = log.with_suffix(".txt").read_text()
            break
        outcome["lost"].append(steps_lost(log, run))
    same(folder, outcome)
    print(json.dumps(outcome))


def works(pid: int) -> bool:
    """Whether a child has not ended yet; it is still to be waited for."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


def steps_lost(log: Path, run: Path) -> int:
    """Steps of the last training that are in no checkpoint; 0 if its stage is done."""
    lines = log.read_text().split("\n") if log.exists() else []
    starts = sum(line.startswith("start") for line in lines)
    steps = [int(line.split()[1]) for line in lines if line.startswith("step")]
    stage = "stage2" if (run / "stage1" / "model.zip").exists() else "stage1"
    if not starts or not steps or (run / stage / "model.zip").exists():
        return 0
    kept = steps_kept(run).get(stage)
    return 0 if kept is None and steps[-1] == TINY.steps else steps[-1] - (kept or 0)


def steps_kept(run: Path) -> dict[str, int]:
    kept = {}
    for stage in ("stage1", "stage2"):
        file = run / stage / "checkpoint.safetensors"
        if file.exists():
            kept[stage] = checkpoint.read_checkpoint(file)[0]["step"]
    return kept


def same(folder: Path, outcome: dict) -> None:
    """Note whether the result is the very bytes of the run that nobody killed, voxels and all."""
    if not (folder / "clean.mrc").exists():
        return
    clean, whole = ((folder / name).read_bytes()[1024:] for name in ("clean.mrc", "whole.mrc"))
    outcome.setdefault("same", []).append(clean == whole)


if __name__ == "__main__":
    main()
