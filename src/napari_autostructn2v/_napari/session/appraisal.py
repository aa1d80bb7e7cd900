"""What can be said of the present result: measured by itself, beside other jobs, and of no other result."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_autostructn2v._napari.session.job_runner import JobRunner
from napari_autostructn2v._napari.session.jobs import Failure, Job
from napari_autostructn2v._napari.session.progress import Activity, Progress
from napari_autostructn2v.config import Config
from napari_autostructn2v.events import Event, SliceDone
from napari_autostructn2v.judge import Score, scoring
from napari_autostructn2v.metrics import QualityReport, assess_quality
from napari_autostructn2v.noise.analysis import NoiseAnalysis

if TYPE_CHECKING:
    from napari_autostructn2v._napari.session.session import Session
    from napari_autostructn2v._napari.session.state import Run
    from napari_autostructn2v.runs.output import StageOutput

FAST = Config.from_preset("fast").stage2


@dataclass(frozen=True, eq=False)
class Appraised:
    """What was measured of a result, and what a second recording says of it."""

    report: QualityReport
    score: Score | None


def appraising(run: Run, analysis: NoiseAnalysis, second: Any) -> Generator[Event, Any, Appraised]:
    """Measure a result, and judge it by a second recording if there is one."""
    assert run.denoised is not None
    report = yield from assess_quality(run.stack, run.denoised, analysis)
    if second is None:
        return Appraised(report, None)
    voxel_size = run.source.voxel_size
    return Appraised(report, (yield from scoring(run.denoised, run.stack, second, voxel_size=voxel_size)))


class Appraisal:
    """Follows the results of a session. Its job is its own: it waits for none and keeps none waiting.

    Attributes
    ----------
    runner
        The job that measures.
    found
        What was measured of the present result; None before that, or if it was cancelled.
    problem
        Why nothing could be measured.
    progress
        Of the job.
    second
        Another recording of the scene, an array of the shape of the data; None if there is none.
    """

    changed = Signal()

    def __init__(self, session: Session) -> None:
        self._session = session
        self.runner = JobRunner(self._on_event, self._on_end)
        self.found: Appraised | None = None
        self.problem = ""
        self.progress = Progress(Activity.MEASURING)
        self.second: Any = None
        self._of: tuple[StageOutput | None, float] = (None, 0.0)
        self._data: Any = None
        """What the present result was made of."""
        session.changed.connect(self._forget_another)

    @property
    def possible(self) -> bool:
        """Whether the session has a result that is done."""
        run = self._session.run
        return run is not None and run.done and self._session.review is not None

    @property
    def was_a_trial(self) -> bool:
        """Whether the network of the result is as small and as briefly trained as that of the preset fast."""
        run = self._session.run
        if run is None or run.model is None:
            return False
        trained = run.model.config
        return trained.steps <= FAST.steps and trained.features <= FAST.features

    def begin(self) -> None:
        """Measure the present result, unless that is done or going on."""
        run, review = self._session.run, self._session.review
        if not self.possible or run is None or review is None:
            return
        if self.found is not None or self.problem or self.runner.job is not None:
            return
        self.progress = Progress(Activity.MEASURING)
        self.runner.start("appraisal", appraising(run, review.analysis, self.second))
        self.changed.emit()

    def judge_by(self, second: Any) -> None:
        """Measure again, with this recording as the judge; None for none."""
        self.second = second
        self._forget()
        self.begin()

    def measure_again(self) -> None:
        """Measure what was cancelled."""
        self._forget()
        self.begin()

    def cancel(self) -> None:
        """Stop measuring; it is done when it is asked for."""
        self.runner.drop()
        self.problem = "Not measured: you have cancelled it."
        self.changed.emit()

    def close(self) -> None:
        """The window closes."""
        self.runner.drop()

    def _forget_another(self) -> None:
        """Figures are of one result: another one, or none, has none yet."""
        run = self._session.run
        of = (None if run is None else run.output, 0.0 if run is None else run.recovery)
        if of != self._of:
            data = None if run is None else run.source.array
            if data is not self._data:
                self._data, self.second = data, None
            self._of = of
            self._forget()

    def _forget(self) -> None:
        self.runner.drop()
        self.found, self.problem = None, ""
        self.changed.emit()

    def _on_event(self, event: Event) -> None:
        if isinstance(event, SliceDone):
            self.progress.done, self.progress.total = event.done, event.total
            self.changed.emit()

    def _on_end(self, job: Job, outcome: object) -> None:
        if isinstance(outcome, Failure):
            self.problem = outcome.message
        elif isinstance(outcome, Appraised):
            self.found = outcome
        self.changed.emit()
