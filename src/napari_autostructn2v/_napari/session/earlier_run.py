"""The run before the present one: it comes back if that is given up, and its edits are used again."""

from __future__ import annotations

from typing import NamedTuple

from napari_autostructn2v._napari.session.progress import Losses
from napari_autostructn2v._napari.session.state import Attempt, Phase, Run, Settings
from napari_autostructn2v.noise.review import Review


class RunBefore(NamedTuple):
    """All that the session held of the run before, until the first stage of the present one is done."""

    phase: Phase
    run: Run | None
    review: Review | None
    attempts: list[Attempt]
    losses: dict[str, Losses]
    settings: Settings

    @classmethod
    def none(cls) -> RunBefore:
        """There was no run before."""
        return cls(Phase.DATA, None, None, [], {}, Settings())


class EarlierEdits:
    """Remembers the last edited review, and the run that it belongs to.

    The edits are used again when the same data go through stage 1 again.
    """

    def __init__(self) -> None:
        self._last: tuple[Run, Review] | None = None

    def remember(self, run: Run | None, review: Review | None) -> None:
        """Remember the review of a run that gives way to another one, if the person edited it."""
        if run is not None and review is not None and review.edited:
            self._last = run, review

    def put_on(self, review: Review, run: Run) -> Review:
        """The new review of ``run``, with the edits if they were made on the same data."""
        last, self._last = self._last, None
        if last is None or last[0].source.array is not run.source.array:
            return review
        return last[1].with_automatic(review)

    def forget(self) -> None:
        """Forget the edits: a saved run was opened, and has its own."""
        self._last = None
