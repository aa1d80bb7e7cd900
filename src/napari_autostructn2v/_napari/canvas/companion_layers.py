"""Layers that are trained on together with the image chosen, and what comes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_autostructn2v._napari.canvas.layer_names import RESULTS
from napari_autostructn2v._napari.canvas.placement import Placement
from napari_autostructn2v._napari.canvas.slices import by_slices, contrast_limits, problem_of
from napari_autostructn2v._napari.canvas.sources import source_of
from napari_autostructn2v._napari.canvas.voxel_sizes import SOURCE_EVENTS

if TYPE_CHECKING:
    from napari.layers import Image
    from napari.viewer import Viewer

    from napari_autostructn2v._napari.session.session import Session
    from napari_autostructn2v.runs.output import StageOutput


@dataclass(eq=False)
class _Placed:
    """A stack of the present run: where it lies, and the layers of its results by stage."""

    place: Placement
    results: dict[str, Image] = field(default_factory=dict)


class CompanionLayers:
    """Follows the layers that are chosen, and shows what the stages make of them where they lie.

    The layers of results are added hidden, as those of the image chosen.
    """

    changed = Signal()
    """Others are chosen."""

    def __init__(self, viewer: Viewer, session: Session) -> None:
        self._viewer, self._session = viewer, session
        self.layers: tuple[Image, ...] = ()
        """Those chosen for the next run."""
        self._placed: list[_Placed] = []
        self._before: list[_Placed] = []
        """Of the run before, which comes back if the present one is given up."""
        self._recovery = session.choice.settings.recovery
        session.stage_finished.connect(self._on_stage_finished)
        session.changed.connect(self._bring_detail_back)
        viewer.layers.events.removed.connect(self._on_layer_removed)

    def choose(self, layers: Sequence[Image]) -> None:
        """Train on these layers as well from the next run on."""
        self._unfollow()
        self.layers = tuple(layers)
        for layer in self.layers:
            for event in SOURCE_EVENTS:
                getattr(layer.events, event).connect(self._tell)
        self._tell()
        self.changed.emit()

    def _unfollow(self) -> None:
        for layer in self.layers:
            for event in SOURCE_EVENTS:
                getattr(layer.events, event).disconnect(self._tell)

    def _tell(self) -> None:
        problems = filter(None, map(problem_of, self.layers))
        self._session.choice.train_with([source_of(layer) for layer in self.layers], next(problems, ""))

    def _on_layer_removed(self, event: Any) -> None:
        if event.value in self.layers:
            self.choose([layer for layer in self.layers if layer is not event.value])

    # ------------------------------------------------------------------ the present run

    def start(self) -> None:
        """Place what follows where the layers lie now; earlier results stay as ordinary layers."""
        self._before, self._placed = self._placed, [_Placed(Placement.of(layer)) for layer in self.layers]

    def go_back(self) -> None:
        """What was begun came to nothing: what follows is of the run before again."""
        self._placed = self._before

    def _on_stage_finished(self, kind: str, output: StageOutput) -> None:
        self._recovery = self._session.choice.settings.recovery
        for placed, of_stack in zip(self._placed, output.others, strict=False):
            denoised = of_stack.denoised(self._recovery)
            limits, layer = contrast_limits(denoised), placed.results.get(kind)
            if layer is not None and layer in self._viewer.layers:
                layer.data, layer.contrast_limits = by_slices(denoised), limits
                continue
            active = self._viewer.layers.selection.active
            placed.results[kind] = self._viewer.add_image(
                by_slices(denoised),
                name=RESULTS[kind].format(placed.place.name),
                contrast_limits=limits,
                visible=False,
                **placed.place.result(denoised.ndim),
            )
            self._viewer.layers.selection.active = active

    def _bring_detail_back(self) -> None:
        """Show the results with as much of their detail as is chosen."""
        run = self._session.run
        if run is None or run.recovery == self._recovery:
            return
        self._recovery = run.recovery
        for kind, output in (("stage1", run.stage1), ("stage2", run.stage2)):
            for placed, of_stack in zip(self._placed, output.others if output else (), strict=False):
                layer = placed.results.get(kind)
                if layer is not None and layer in self._viewer.layers:
                    layer.data = by_slices(of_stack.denoised(run.recovery))

    def close(self) -> None:
        """The window closes."""
        self._unfollow()
        self.layers = ()
