"""All that belongs to one viewer and outlives the dock widget: the session, its layers, its threads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from superqt.utils import qdebounced

from napari_autostructn2v._napari import worker
from napari_autostructn2v._napari.batch.layers import BatchLayers, show_stack
from napari_autostructn2v._napari.batch.queue import Batch
from napari_autostructn2v._napari.canvas.background import Background
from napari_autostructn2v._napari.canvas.companion_layers import CompanionLayers
from napari_autostructn2v._napari.canvas.file_voxel_size import FileVoxelSize
from napari_autostructn2v._napari.canvas.image_layers import ImageLayers
from napari_autostructn2v._napari.canvas.layer_names import KERNEL, LAGS
from napari_autostructn2v._napari.canvas.left_out_layer import LeftOutLayer
from napari_autostructn2v._napari.canvas.outline import outlined_field, outlined_region
from napari_autostructn2v._napari.canvas.placement import in_a_row, slice_shown
from napari_autostructn2v._napari.canvas.slices import problem_of, stack_at
from napari_autostructn2v._napari.canvas.sources import source_of
from napari_autostructn2v._napari.canvas.views import View, Views
from napari_autostructn2v._napari.canvas.voxel_sizes import SOURCE_EVENTS
from napari_autostructn2v._napari.napari_private import unwrapped
from napari_autostructn2v._napari.review.noise_canvas import NoiseCanvas
from napari_autostructn2v._napari.review.picked_peak import PickedPeak
from napari_autostructn2v._napari.review.quick_look_layer import QuickLookLayer
from napari_autostructn2v._napari.review.review_layers import ReviewLayers
from napari_autostructn2v._napari.review.spectrum_choice import SpectrumChoice
from napari_autostructn2v._napari.runs.closing import watch_closing
from napari_autostructn2v._napari.runs.run_dialogs import RunDialogs
from napari_autostructn2v._napari.runs.run_keeper import RunKeeper
from napari_autostructn2v._napari.session.appraisal import Appraisal
from napari_autostructn2v._napari.session.jobs import Job
from napari_autostructn2v._napari.session.session import Session
from napari_autostructn2v._napari.widgets.bindings import Connections
from napari_autostructn2v.config import Mode
from napari_autostructn2v.errors import AutoStructN2VError
from napari_autostructn2v.noise.patterns import pattern_of
from napari_autostructn2v.runs.store import RunStore

if TYPE_CHECKING:
    from napari.layers import Image, Labels, Shapes
    from napari.viewer import Viewer

SETTLED_MS = 400
"""Time without a change after which a result is measured: a slider that is dragged makes many."""

EASY_TO_HIT = 10.0
"""Screen pixels of a kernel pixel that is to be edited."""

_workspaces: WeakKeyDictionary[Any, Workspace] = WeakKeyDictionary()


def workspace_of(viewer: Any) -> Workspace:
    """The workspace of a viewer: one for every dock widget opened in it, and for the canvas of its noise."""
    viewer = unwrapped(viewer)
    for workspace in _workspaces.values():
        if workspace.noise.model is viewer:  # a key was pressed there
            return workspace
    if viewer not in _workspaces:
        _workspaces[viewer] = Workspace(viewer)
    return _workspaces[viewer]


class Workspace:
    """Binds a session to the layers and threads of a viewer."""

    def __init__(self, viewer: Viewer) -> None:
        self.viewer = viewer
        self.session = Session(RunStore.of_user())
        self.keeper = RunKeeper(self.session)
        self.views = Views(viewer)
        self.noise = NoiseCanvas(viewer)
        self.images = ImageLayers(viewer, self.session)
        self.companions = CompanionLayers(viewer, self.session)
        self.file_voxel_size = FileVoxelSize()
        self.left_out = LeftOutLayer(viewer, self.session, lambda: self.images.placement)
        self.spectrum = SpectrumChoice(self.session)
        self.review = ReviewLayers(
            lambda: self.noise.model, self.session, lambda: self.images.placement, self.spectrum, in_a_row
        )
        self.noise.follow(self.review, self.add_to_layer_list, self.session.reviewed)
        self._listed: ReviewLayers | None = None
        """The same layers in the layer list, if they were put there."""
        self.noise.changed.connect(self.views.rearrange)
        self.picked = PickedPeak(self.noise, self.session, self.review)
        self.noise.presses = [self.review.activate_pressed, self.picked.on_press]
        self.quick_look = QuickLookLayer(self.noise, self.session)
        self.background = Background(
            viewer, self.session, lambda: self._running, lambda: self.images.placement
        )
        self.background.asked.connect(self.analyse_again)
        self.appraisal = Appraisal(self.session)
        self._appraise_soon = qdebounced(self.appraisal.begin, timeout=SETTLED_MS)
        self.session.changed.connect(lambda: self._appraise_soon())
        self.images.changed.connect(self._show_run)
        self.images.previewed.connect(self._compare_run)
        self.images.finished.connect(self._compare_run)
        self.batch = Batch(self.session)
        self.batch_layers = BatchLayers(viewer, self.batch, self.views)
        self.training_outline: Shapes | None = None
        """The layer whose box is trained on; None for whole slices."""
        self.left_out_outline: Labels | Shapes | None = None
        """The layer whose pixels are left out; None for what is found alone."""
        self._chosen: Image | None = None
        self._follows = Connections()
        """To the layer chosen: its data may be replaced."""
        self._running: Image | None = None
        self._running_before: Image | None = None
        """The layer of the run before, which comes back if the present one is given up."""
        self._before_pattern: View | None = None
        """How the pictures were looked at before the pattern was shown."""
        self.session.reviewed.connect(self._on_reviewed)
        self.session.went_back.connect(self._on_went_back)
        self.session.runner.started.connect(self._on_job_started)  # before the job's thread starts
        worker.serve(self.session.runner)
        worker.serve(self.batch.runner)
        worker.serve(self.appraisal.runner)
        worker.load_ahead()
        self.quick_look.appeared.connect(lambda: self.fly_to_noise(LAGS, KERNEL))
        viewer.layers.events.removed.connect(self._on_layer_removed)
        viewer.dims.events.current_step.connect(self._on_slider)
        takes = self.choose, self.companions.choose, self.train_in, self.leave_out
        self.runs = RunDialogs(viewer, self.session, self.batch, *takes)
        watch_closing(viewer, self.close, self.runs.may_close)

    def choose(self, layer: Image | None) -> None:
        """Take a layer's data as the session's source. What was to be trained on with another is not."""
        if layer is not self._chosen and self.companions.layers:
            self.companions.choose([])
        self._chosen = layer
        if layer is not None and layer is self._running:
            self._show_run()  # in place of what came of another one
        self._follows.release()
        self.file_voxel_size.look(layer)
        if layer is None:
            self.session.choice.choose(None)
            return
        for event in SOURCE_EVENTS:
            self._follows.connect(getattr(layer.events, event), self._on_layer_changed)
        self._take_source(layer)

    def _on_layer_changed(self) -> None:
        if self._chosen is not None:
            self._take_source(self._chosen)

    def _take_source(self, layer: Image) -> None:
        self.session.choice.choose(source_of(layer), problem_of(layer))

    @property
    def chosen(self) -> Image | None:
        """The layer that the source is taken from."""
        return self._chosen

    def take_stack_shown(self) -> None:
        """Choose the stack that is shown of the layer chosen, which holds several."""
        if self._chosen is not None:
            self.choose(show_stack(self.viewer, self._chosen, stack_at(self.viewer, self._chosen)))

    @property
    def source_layer(self) -> Image | None:
        """The image layer of the present run, while it is there."""
        return self._running

    @property
    def of_another(self) -> bool:
        """Whether the present run, which waits for the person, is of another image than the one chosen."""
        session = self.session
        there = session.run is not None and session.runner.job is None
        return there and self._chosen is not None and self._chosen is not self._running

    @property
    def decidable(self) -> bool:
        """Whether the person can end the review, which is of the image chosen."""
        session = self.session
        return session.review is not None and session.runner.job is None and not self.of_another

    def show_run_again(self) -> None:
        """Choose the image of the present run, and show it and what was made of it; add what was removed."""
        run = self.session.run
        if run is None:
            return
        if self._running is None:
            self._running = self.images.add_again(run)
        self.choose(self._running)

    @property
    def pattern(self) -> Image | None:
        """The layer of what the notch takes away, while it is there."""
        return self.images.pattern

    def toggle_quick_look(self) -> None:
        """Train for a moment with the kernel as it is, on what is seen of the image; or end that."""
        if self._running is not None:
            self.quick_look.toggle(self._running, self.views.pixels_seen, self._point)
            if self.quick_look.look.on:
                self.fly_to_noise(LAGS, KERNEL)

    def fly_to_noise(self, *keys: str) -> None:
        """Show layers of the review, and the quick look beside them while there is one."""
        self.review.ensure()
        layers = [self.review.layers[key] for key in keys if key in self.review.layers]
        looks = [] if self.quick_look.layer is None else [self.quick_look.layer]
        flat = self.session.review is not None and self.session.review.kernel_grid.ndim == 2
        large = flat and KERNEL in keys and layers and not looks  # of three slices all are to be seen
        self.noise.fly_to([*layers, *looks], EASY_TO_HIT / abs(layers[-1].scale[-1]) if large else 0.0)

    def toggle_noise(self) -> None:
        """Show spectrum and kernel below the image, or the image alone."""
        if self.noise.shown:
            self.noise.hide()
        elif self.session.review is not None:
            self.noise.show()

    def add_to_layer_list(self) -> None:
        """Put spectrum, peaks and kernel into the layer list as well, within the image."""
        placement = self.images.placement
        if placement is None:
            return
        if self._listed is None:
            self._listed = ReviewLayers(
                lambda: self.viewer,
                self.session,
                lambda: self.images.placement,
                self.spectrum,
                self._inside,
            )
            self.viewer.mouse_drag_callbacks.append(self._listed.activate_pressed)
        self._listed.ensure()

    def _inside(self, shapes: Sequence[tuple[int, ...]]) -> list[dict[str, Any]]:
        """Where pictures of such shapes go within the image."""
        placement = self.images.placement
        assert placement is not None  # there is no review without an image
        return placement.inside(shapes)

    def toggle_pattern(self) -> None:
        """Show what the notch takes away beside the pictures, or remove that layer and look as before."""
        run, review = self.session.run, self.session.review
        if self.pattern is not None:
            self.images.show_pattern(None)
            if self._before_pattern is not None and self.views.view == "side":
                self.views.show(self._before_pattern)
        elif run is not None and review is not None:
            self._before_pattern = self.views.view
            self.images.show_pattern(pattern_of(run.stack, review.analysis.notch).array)
            self.views.show("side")
        self.session.changed.emit()

    def train_in(self, layer: Shapes | None) -> None:
        """Train on the box that a layer outlines from now on; on whole slices if None."""
        self.training_outline = layer
        self.session.choice.train_in_part(layer is not None)

    def leave_out(self, layer: Labels | Shapes | None) -> None:
        """Leave out what a layer outlines in the next run; what is found alone if None."""
        self.left_out_outline = layer

    def start_stage1(self) -> None:
        """Train on what is chosen and outlined by now."""
        if self._take_left_out() and self._take_training_field(self._chosen):
            self.session.start_stage1()

    def _take_left_out(self) -> bool:
        """Hand the session the pixels to leave out; say so and return False if the layer has none."""
        layer, image = self.left_out_outline, self._chosen
        try:
            outlined = None if layer is None or image is None else outlined_region(layer, image)
        except AutoStructN2VError as error:
            self.session.messages.fail(str(error))
            return False
        self.session.choice.leave_out(outlined)
        return True

    def approve(self) -> None:
        """Train again with the reviewed kernel, on what is outlined by now."""
        if self._take_training_field(self._running):
            self.picked.pick(None)
            self.session.approve()

    def _take_training_field(self, image: Image | None) -> bool:
        """Hand the session the box to train in; say so and return False if there is none in the layer."""
        if self.training_outline is None or image is None:
            self.session.choice.field = None
            return True
        try:
            self.session.choice.field = outlined_field(self.training_outline, image)
        except AutoStructN2VError as error:
            self.session.messages.fail(str(error))
            return False
        return True

    def outline_background(self) -> None:
        """Show the image alone, with the tool in hand that outlines background on it."""
        self.views.show("original")
        self.background.draw()

    def analyse_again(self, mode: Mode | None = None) -> None:
        """Analyse the noise again, in what is outlined by now, and in another mode if given."""
        if self.background.hand_over():
            self.session.analyse_again(mode)

    def _on_reviewed(self) -> None:
        """Another notch takes away another pattern."""
        run, review = self.session.run, self.session.review
        if self.pattern is None:
            return
        notch = None if review is None else review.analysis.notch
        self.images.show_pattern(pattern_of(run.stack, notch).array if run is not None and notch else None)

    def paint_in(self, key: str, under: str) -> None:
        """Fly to what is edited, over the layer that it is judged by, with a brush in hand."""
        self.fly_to_noise(under, key)
        layer = self.review.layers.get(key)
        if layer is not None:
            self.noise.model.layers.selection.active = layer
            layer.mode = "paint"

    def _show_run(self) -> None:
        """Show the pictures of the present run, as many as there are by now."""
        self.views.take(self.images.pictures)

    def _compare_run(self) -> None:
        """Show side by side what there is by now."""
        self.views.take(self.images.pictures, "side")

    def close(self) -> None:
        """The window closes: stop the thread, forget the viewer."""
        self._follows.release()
        self.companions.close()
        self.keeper.close()
        self._appraise_soon.cancel()
        self.appraisal.close()
        self.session.cancel()
        self.batch.cancel_all()
        self.quick_look.close()
        self.views.close()
        self.spectrum.close()
        self.review.close()
        if self._listed is not None:
            self._listed.close()
            self.viewer.mouse_drag_callbacks.remove(self._listed.activate_pressed)
        self.noise.close()
        _workspaces.pop(self.viewer, None)

    def _on_job_started(self, job: Job) -> None:
        if job.kind in ("stage1", "reopen") and self._chosen is not None:
            self.views.end()
            self._running_before, self._running = self._running, self._chosen
            self.images.start(self._chosen)
            self.companions.start()
            self._show_run()
        self._on_slider()

    def _on_went_back(self) -> None:
        """Show the run before again, if there was one."""
        self.companions.go_back()
        if self.session.run is None:
            return
        self._running = self._running_before if self._running_before in self.viewer.layers else None
        self.images.go_back()
        self._show_run()

    def _on_slider(self) -> None:
        if self._running is not None:
            self.session.look_at(slice_shown(self._running, self._point))

    @property
    def _point(self) -> tuple[float, ...]:
        """Where the sliders cut."""
        return tuple(np.asarray(self.viewer.dims.point))

    def _on_layer_removed(self, event: Any) -> None:
        if event.value is self.left_out_outline:
            self.left_out_outline = None
        if event.value in self.views.pictures.values():
            self.views.drop(event.value)
        running = self._running
        if running is None or event.value is not running:
            return
        self._running = None
        self.session.cancel(f"The layer {running.name} was removed, so its job was cancelled.")
