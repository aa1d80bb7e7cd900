"""The edits of the run before: they are used again when the same data go through stage 1 again."""

from __future__ import annotations

from napari_autostructn2v._napari.session.state import Run
from napari_autostructn2v.noise.review import Review


class EarlierEdits:
    """Remembers the last edited review, and the run that it belongs to."""

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
        return last[1].with_automatic(review.automatic)

    def forget(self) -> None:
        """Forget the edits: a saved run was opened, and has its own."""
        self._last = None
