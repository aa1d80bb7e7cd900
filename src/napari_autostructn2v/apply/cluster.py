"""Workers among which work is divided: on this machine, in the jobs of a Slurm cluster, or where they are."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from napari_autostructn2v.errors import ClusterError, ConfigError, MissingLibraryError
from napari_autostructn2v.threads import usable_cores

CONNECT_SECONDS = 30

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class SlurmJob:
    """What each job of a Slurm cluster asks for.

    Attributes
    ----------
    queue
        The partition; None for the default one.
    walltime
        After which it ends, hours:minutes:seconds; what it had not done by then another one does.
    cores, memory, gpus
        Of the one worker in it.
    """

    queue: str | None = None
    walltime: str = "04:00:00"
    cores: int = 8
    memory: str = "32GB"
    gpus: int = 0

    def cluster(self) -> Any:
        """A Dask cluster of such jobs, of which none is asked for yet."""
        from dask_jobqueue import SLURMCluster

        return SLURMCluster(
            queue=self.queue,
            walltime=self.walltime,
            # one piece of work at a time, with all the cores of the job
            cores=1,
            processes=1,
            job_cpu=self.cores,
            memory=self.memory,
            job_name="autostructn2v",
            scheduler_options={"dashboard_address": ":0"},  # any free port: several may run on a login node
            job_extra_directives=[f"--gres=gpu:{self.gpus}"] if self.gpus else [],
            job_script_prologue=[f"export {name}={self.cores}" for name in _THREADS],
        )


@dataclass(frozen=True)
class Workers:
    """Which workers to use. They must see the disks that this process sees, under the same names.

    Attributes
    ----------
    count
        How many to start; 0 if they run already.
    threads
        Of each; None leaves it to them.
    slurm
        Start them as jobs; None starts processes on this machine.
    scheduler
        Where they run already.
    """

    count: int
    threads: int | None
    slurm: SlurmJob | None = None
    scheduler: str | None = None

    @classmethod
    def asked_for(
        cls, count: int | None, slurm: SlurmJob | None, scheduler: str | None, threads: int | None
    ) -> Workers | None:
        """What the options of a command ask for; None if the work is not to be divided.

        Parameters
        ----------
        count
            How many workers to start, or jobs with ``slurm``; None if nothing is said.
        slurm
            What each job asks for; None if no jobs are wanted.
        scheduler
            Address of a Dask scheduler whose workers run already, such as ``tcp://node:8786``; None if there
            is none.
        threads
            Of each worker; None for a fair share of this machine. Jobs take their ``cores`` instead.

        Raises
        ------
        ConfigError
            If they contradict each other.
        MissingLibraryError
            If Dask's schedulers are not installed.
        """
        if count is None and slurm is None and scheduler is None:
            return None
        if scheduler is not None and (count is not None or slurm is not None):
            raise ConfigError("The workers of a scheduler run already: give --scheduler alone.")
        _check_library()
        if scheduler is not None:
            return cls(0, threads, scheduler=scheduler)
        if slurm is not None:
            return cls(count or 1, slurm.cores, slurm)
        assert count is not None
        return cls(count, threads or max(1, usable_cores() // count))

    @contextmanager
    def client(self) -> Iterator[Any]:
        """A Dask client of these workers, which end with it if it has started them.

        Raises
        ------
        ClusterError
            If they cannot be reached or started.
        """
        from distributed import Client, LocalCluster

        if self.scheduler is not None:
            try:
                client = Client(self.scheduler, timeout=CONNECT_SECONDS)
            except (OSError, TimeoutError, ValueError) as error:
                raise ClusterError(
                    f"No Dask scheduler answers at {self.scheduler}. Check that it runs, and the address, "
                    "such as tcp://node:8786."
                ) from error
            with client:
                yield client
            return
        with _deaf_to_ctrl_c():
            cluster = self.slurm.cluster() if self.slurm is not None else LocalCluster(
                n_workers=self.count,
                threads_per_worker=1,
                memory_limit=None,
                dashboard_address=":0",  # any free port
                silence_logs=logging.ERROR,
                env=dict.fromkeys(_THREADS, str(self.threads)),
            )  # fmt: skip
        with cluster:
            if self.slurm is not None:
                cluster.scale(self.count)
            with Client(cluster) as client:
                yield client


@contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """What is started meanwhile does not hear Ctrl-C, which a terminal sends to all: its starter ends it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _check_library() -> None:
    missing = [name for name in ("distributed", "dask_jobqueue") if find_spec(name) is None]
    if missing:
        raise MissingLibraryError(
            f"To divide work among several processes, {' and '.join(missing)} must be installed: "
            "pip install 'napari-autostructn2v[cluster]'"
        )
