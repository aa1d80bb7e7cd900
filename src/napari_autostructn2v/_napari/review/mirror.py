"""Mirrored editing of a Labels layer: napari's own tools, mirrored live, one undo step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_autostructn2v._napari.napari_private import forget_last_step, stroke_is_open

if TYPE_CHECKING:
    from napari.layers import Labels


class Mirror:
    """Mirrors what is painted in a 2D Labels layer of odd sizes through its centre, whichever tool paints it.

    Only what a stroke changes is mirrored, and only while :attr:`on`: what was painted one-sided stays so.

    The mirrored pixels go into the very undo step of the stroke: a dab arrives inside napari's open history
    block, where writing through ``data_setitem`` joins it; a polygon or a call of ``layer.paint`` has
    committed its step already, and that step, which napari hands over as ``event.value``, is extended.

    Parameters
    ----------
    layer
        The layer.
    protected
        Pixels that keep their value whatever is painted, bool, shape of the layer.
    on_edit
        Called after a stroke, an undo or a redo, when the data are complete again.
    meaning
        What pixels that were painted, given as the data a stroke left, are to hold; as painted if None. It
        goes into the undo step, so that undo and redo bring back what was meant, not what was painted.
    """

    def __init__(
        self,
        layer: Labels,
        protected: np.ndarray,
        on_edit: Callable[[], None],
        meaning: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> None:
        self._layer = layer
        self._protected = protected
        self._on_edit = on_edit
        self._meaning = meaning
        self.on = True
        """Whether strokes are mirrored."""
        self._last = np.array(layer.data)
        self._told = self._last.copy()
        self._busy = False
        self._dabbed = False
        self._void = False  # whether all that the present stroke has painted was there already
        self._step: list[Any] | None = None  # a committed undo step whose change is yet to come
        layer.events.paint.connect(self._on_paint)
        layer.events.labels_update.connect(self._on_labels_update)
        layer.events.set_data.connect(self._on_set_data)

    def disconnect(self) -> None:
        """Leave the layer as any other."""
        self._layer.events.paint.disconnect(self._on_paint)
        self._layer.events.labels_update.disconnect(self._on_labels_update)
        self._layer.events.set_data.disconnect(self._on_set_data)

    def write(self, data: np.ndarray) -> None:
        """Show other data: no edit, no undo step."""
        if np.array_equal(self._layer.data, data):
            return
        self._busy = True
        try:
            self._layer.data[...] = data
            self._last[...] = data
            self._told[...] = data
            self._layer.refresh(extent=False)
        finally:
            self._busy = False

    @contextmanager
    def exact(self) -> Iterator[None]:
        """Take what is written inside as it is."""
        before, self.on = self.on, False
        try:
            yield
        finally:
            self.on = before

    def _tell(self) -> None:
        if (self._told != self._last).any():  # a fill ends in two events, an erased centre in no change
            self._told[...] = self._last
            # napari draws strokes, and leaves the thumbnail as it was
            self._layer.refresh(data_displayed=False, highlight=False, extent=False)
            self._on_edit()

    def _changed(self) -> np.ndarray:
        return np.asarray(self._layer.data != self._last)

    def _complete(self, step: list[Any] | None) -> None:
        """Mirror what changed since the last time, into the open undo step or into ``step``."""
        changed = self._changed()
        if not changed.any():
            return
        data = self._layer.data
        wanted = data.copy()
        missing = changed[::-1, ::-1] & ~changed & self.on
        wanted[missing] = data[::-1, ::-1][missing]
        if self._meaning is not None:
            touched = changed | missing
            wanted[touched] = self._meaning(wanted)[touched]
        wanted[self._protected] = self._last[self._protected]
        index = np.nonzero(wanted != data)
        if index[0].size:
            self._busy = True
            try:
                if step is None:
                    self._layer.data_setitem(index, wanted[index])
                else:
                    step.append((index, data[index].copy(), wanted[index].copy()))
                    data[index] = wanted[index]
                    self._layer.refresh(extent=False)
            finally:
                self._busy = False
        self._void = self._void and bool((wanted == self._last).all())
        self._last[...] = self._layer.data

    def _forget_if_void(self, step: list[Any]) -> None:
        """A stroke that changed nothing is no undo step: Ctrl+Z would seem to fail."""
        if self._void:
            forget_last_step(self._layer, step)

    def _on_labels_update(self, event: Any) -> None:
        if self._busy:
            return
        step, self._step = self._step, None
        if not self._dabbed:
            self._void = bool(self._changed().any())
        self._dabbed = self._dabbed or step is None
        self._complete(step)
        if step is not None:
            self._forget_if_void(step)
            self._tell()

    def _on_paint(self, event: Any) -> None:
        # After a stroke the data have changed already; a polygon announces itself before it writes.
        if self._busy:
            return
        if not self._dabbed and not self._changed().any():
            self._step = event.value
        else:
            self._complete(event.value)
            self._forget_if_void(event.value)
            self._tell()
        self._void = False
        self._dabbed = False

    def _on_set_data(self, event: Any) -> None:
        # Undo, redo and replaced data end here. So does a dab before the first draw, half done: its undo step
        # is still open, and its labels_update follows, as that of a step already committed does.
        if self._busy or self._step is not None or stroke_is_open(self._layer):
            return
        changed = self._changed()
        if not changed.any() or changed[self._protected].any():
            return
        self._last[...] = self._layer.data
        self._tell()
