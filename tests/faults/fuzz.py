"""Damaged files thrown at the readers: each is refused in our own words, or read right.

Each file is read in another process whose memory is bounded, under a time limit and an audit hook, so that a
crash, a hang, a swollen memory, a foreign exception and a file touched outside of the folder are all seen.
What did it is kept. From the command line::

    python tests/faults/fuzz.py --files 100000 --keep found
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import select
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ADDRESS_BYTES = 2**30
"""What a reader may reserve beyond what the libraries take when they are loaded."""
RESIDENT_BYTES = 256 * 2**20
"""What it may really use for one file: the good files have 6 kB of pixels."""
PROCESSOR_SECONDS = 10
"""Nothing here has more than a few kilobytes to look at."""
SECONDS = 120
"""After this a file is given up: long, since other programs may hold the processor."""
READ_BYTES = 2**24
"""A stack that promises more than this is read at its ends only."""


# ---------------------------------------------------------------------------------- the process that reads


def reader(corpus: Path) -> None:
    """Read damaged files as asked for, one ``index seed`` a line of standard input; answer how it went."""
    import importlib
    import resource
    import warnings

    from mutations import damaged

    from napari_autostructn2v.errors import AutoStructN2VError

    warnings.simplefilter("ignore")
    sys.dont_write_bytecode = True  # of what is imported under watch: no reader's file
    importlib.import_module("ncempy.io.dm")  # which looks for what matplotlib keeps elsewhere
    goods = pickle.loads(corpus.read_bytes())  # written by ourselves a moment ago
    watch = _Watch()
    with TemporaryDirectory() as folder:
        beside = Path(folder) / "case"
        (Path(folder) / "outside.tif").write_bytes(
            next(good.tree[good.name] for good in goods if good.name == "imagej.tif")
        )
        for good in (
            goods if "FUZZ_HARM" not in os.environ else ()
        ):  # so that what libraries load at first use is not counted
            with suppress(AutoStructN2VError):  # some are packed in ways that are not read
                open_it(good.kind, _laid_out(good.tree, beside) / good.name)
        limit = _status("VmSize") + ADDRESS_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        sys.addaudithook(watch)
        print("ready", flush=True)
        for line in sys.stdin:
            index, seed = map(int, line.split())
            good = goods[index]
            _laid_out(damaged(good, goods, seed), beside)
            print(json.dumps(_watched(good.kind, beside, good.name, watch)), flush=True)


def _laid_out(tree: dict[str, bytes], folder: Path) -> Path:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, content in tree.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def _watched(kind: str, folder: Path, name: str, watch: _Watch) -> dict[str, Any]:
    import gc
    import resource

    from napari_autostructn2v.errors import AutoStructN2VError

    before = _fresh_peak()
    resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + PROCESSOR_SECONDS, -1))
    started, cpu = time.monotonic(), time.process_time()
    watch.start(folder)
    try:
        open_it(kind, folder / name)
        outcome = "read"
    except AutoStructN2VError as error:
        outcome = type(error).__name__
    except BaseException as error:
        outcome = f"foreign {type(error).__name__}: {str(error)[:200]} at {_where(error)}"
    outside = watch.stop()
    peak = _status("VmHWM") - before
    if not outcome.startswith("foreign"):
        if outside:
            outcome = f"foreign access: {outside[0]}"
        elif peak > RESIDENT_BYTES:
            outcome = f"foreign memory: {peak >> 20} MiB, then {outcome}"
    gc.collect(0)
    return {
        "outcome": outcome,
        "seconds": time.monotonic() - started,
        "cpu": time.process_time() - cpu,
        "peak": peak,
    }


def open_it(kind: str, path: Path) -> None:
    """Open a file as the package does, and read of it what is not too much."""
    _do_harm(os.environ.get("FUZZ_HARM", ""))
    if kind == "kernel":
        from napari_autostructn2v.kernel import load_kernel, validate_kernel

        validate_kernel(load_kernel(path))
    elif kind == "model":
        from napari_autostructn2v.learning.model import load_model

        load_model(path)
    elif kind == "run":
        _read_of_run(path)
    else:
        from napari_autostructn2v.io import read_stack

        _read_slices(read_stack(path).array)


def _read_of_run(path: Path) -> None:
    from napari_autostructn2v.learning.checkpoint import read_checkpoint
    from napari_autostructn2v.runs.folder import RunFolder

    match path.name:
        case "run.json":
            RunFolder(path.parent).read_request()
        case "edits.json":
            RunFolder(path.parent.parent).analysis.read_edits("2.5d")
        case "approved.json":
            RunFolder(path.parent.parent).read_approval()
        case _:
            read_checkpoint(path)


def _do_harm(harm: str) -> None:
    """What no reader does, so that a test can see that it would be seen."""
    match harm:
        case "crash":
            os.abort()
        case "hang":
            time.sleep(60)
        case "memory":
            bytearray(2 * RESIDENT_BYTES)
        case "outside":
            Path("/etc/hosts").read_bytes()
        case "foreign":
            raise ZeroDivisionError


def _read_slices(array: Any) -> None:
    import math

    import numpy as np

    shape, dtype = tuple(array.shape), np.dtype(array.dtype)
    plane = math.prod(shape[-2:]) * dtype.itemsize
    if plane > READ_BYTES:
        return
    whole = len(shape) == 3 and math.prod(shape) * dtype.itemsize <= READ_BYTES
    for z in range(shape[0]) if whole else (0, shape[0] - 1):
        got = np.asarray(array[z] if len(shape) == 3 else array[...])
        assert got.shape == shape[-2:] and got.dtype == dtype, f"{got.shape} {got.dtype}, not {shape} {dtype}"


class _Watch:
    """Audit hook that notes what no reader does: files outside of its folder, programs, pickles, writing."""

    FORBIDDEN = (
        "pickle.find_class",
        "subprocess.Popen",
        "os.system",
        "os.exec",
        "socket.connect",
        "os.rename",
    )

    def __init__(self) -> None:
        self._folder = ""
        self._seen: list[str] = []
        self._free = tuple(
            {
                os.path.realpath(place)
                for place in (*sys.path, sys.prefix, sys.base_prefix, "/proc", "/sys")
                if place
            }
        )

    def start(self, folder: Path) -> None:
        self._folder, self._seen = os.path.realpath(folder), []

    def stop(self) -> list[str]:
        self._folder = ""
        return self._seen

    def __call__(self, event: str, details: tuple[Any, ...]) -> None:
        if not self._folder:
            return
        if event in self.FORBIDDEN:
            self._seen.append(f"{event} {details!r:.200}")
        elif event == "open" and isinstance(details[0], str | bytes | os.PathLike):
            path = os.path.realpath(os.fsdecode(details[0]))
            # a nameless file is opened by the name of its folder
            if path != self._folder and not path.startswith((self._folder + os.sep, *self._free)):
                self._seen.append(f"open {path}")


def _status(what: str) -> int:
    """A figure of this process in bytes."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(what))
    return int(line.split()[1]) * 1024


def _fresh_peak() -> int:
    """Forget the highest use of memory so far; return the use now, in bytes."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _where(error: BaseException) -> str:
    import traceback

    frames = traceback.extract_tb(error.__traceback__)[-1:]
    return ", ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames)


# ----------------------------------------------------------------------------------- the process that asks


@dataclass
class Finding:
    """A damaged file that did something else than it should."""

    index: int
    seed: int
    outcome: str


@dataclass
class Figures:
    """How it went, over all files."""

    files: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    seconds: float = 0.0
    cpu: float = 0.0
    peak: int = 0

    def lines(self) -> Iterator[str]:
        """The figures in words."""
        for kind, count in sorted(self.files.items()):
            each = ", ".join(
                f"{outcome} {n}" for (of, outcome), n in sorted(self.outcomes.items()) if of == kind
            )
            yield f"{kind}: {count} files: {each}"
        yield f"slowest {self.seconds:.2f} s ({self.cpu:.2f} s of processor)"
        yield f"most memory {self.peak / 2**20:.0f} MiB"
        for finding in self.findings:
            yield f"NOT RIGHT: file {finding.index}, seed {finding.seed}: {finding.outcome}"


def fuzz(files: int, seed: int = 0, keep: Path | None = None, progress: int = 0) -> Figures:
    """Throw that many damaged files at the readers."""
    from strangers import all_good

    goods, figures = all_good(), Figures()
    kinds = sorted({good.kind for good in goods})
    by_kind = {kind: [index for index, good in enumerate(goods) if good.kind == kind] for kind in kinds}
    with TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus"
        corpus.write_bytes(pickle.dumps(goods))
        process = _Reader(corpus)
        for number in range(files):
            kind = kinds[number % len(kinds)]
            index = by_kind[kind][number // len(kinds) % len(by_kind[kind])]
            answer = process.ask(index, seed + number)
            _count(figures, kind, index, seed + number, answer)
            if answer["outcome"].startswith("foreign"):
                if keep is not None:
                    _keep(goods, index, seed + number, answer["outcome"], keep)
                if process.ended:
                    process = _Reader(corpus)
            if progress and (number + 1) % progress == 0:
                print(f"{number + 1} files", *figures.lines(), sep="\n  ", flush=True)
        process.end()
    return figures


def _count(figures: Figures, kind: str, index: int, seed: int, answer: dict[str, Any]) -> None:
    figures.files[kind] += 1
    outcome = answer["outcome"]
    if outcome.startswith("foreign"):
        figures.findings.append(Finding(index, seed, outcome))
        outcome = "NOT RIGHT"
    figures.outcomes[kind, outcome] += 1
    figures.seconds = max(figures.seconds, answer["seconds"])
    figures.cpu = max(figures.cpu, answer["cpu"])
    figures.peak = max(figures.peak, answer["peak"])


def _keep(goods: list[Any], index: int, seed: int, outcome: str, keep: Path) -> None:
    from mutations import damaged

    folder = keep / f"{index}-{seed}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    _laid_out(damaged(goods[index], goods, seed), folder)
    (keep / f"{index}-{seed}.txt").write_text(f"{goods[index].name}: {outcome}\n")


class _Reader:
    """The other process: started, asked, and given up when it does not answer."""

    def __init__(self, corpus: Path) -> None:
        here = Path(__file__).parent
        # one arena: each thread's own would reserve 64 MB and blur the limit
        environment = {**os.environ, "MALLOC_ARENA_MAX": "1", "OMP_NUM_THREADS": "1"}
        environment["PYTHONPATH"] = os.pathsep.join([str(here), *sys.path])
        self._process = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", str(here / "fuzz.py"), "--reader", str(corpus)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        self.ended = False
        assert self._line(600) == b"ready\n", "the reading process does not start"

    def ask(self, index: int, seed: int) -> dict[str, Any]:
        """How the reading of one file went."""
        assert self._process.stdin is not None
        started = time.monotonic()
        self._process.stdin.write(f"{index} {seed}\n".encode())
        self._process.stdin.flush()
        line = self._line(SECONDS)
        if line:
            answer: dict[str, Any] = json.loads(line)
            return answer
        self.end()
        code = self._process.returncode
        outcome = f"foreign end: {'no answer in time' if line is None else f'exit code {code}'}"
        return {"outcome": outcome, "seconds": time.monotonic() - started, "cpu": 0.0, "peak": 0}

    def _line(self, seconds: float) -> bytes | None:
        """The next line; empty if it has ended, None if it takes too long."""
        assert self._process.stdout is not None
        readable, _, _ = select.select([self._process.stdout], [], [], seconds)
        return self._process.stdout.readline() if readable else None

    def end(self) -> None:
        """Let it go."""
        self.ended = True
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()


def main() -> int:
    """Fuzz from the command line; the exit code says whether anything was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for the files that did something else")
    parser.add_argument("--progress", type=int, default=0, help="say how it stands every so many files")
    parser.add_argument("--reader", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.reader is not None:
        reader(options.reader)
        return 0
    started = time.monotonic()
    figures = fuzz(options.files, options.seed, options.keep, options.progress)
    print(*figures.lines(), f"{time.monotonic() - started:.0f} s in all", sep="\n")
    return 1 if figures.findings else 0


if __name__ == "__main__":
    sys.exit(main())
