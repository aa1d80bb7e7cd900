"""A dock widget that holds original and denoised against one another."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Image
from qtpy.QtGui import QHideEvent, QKeyEvent
from qtpy.QtWidgets import (
    QDockWidget,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QVBoxLayout,
    QWidget,
)

from napari_autostructn2v._napari.canvas.slices import field_seen, full_shape, grey_values, slice_at
from napari_autostructn2v._napari.canvas.voxel_sizes import voxel_size
from napari_autostructn2v._napari.docks.compare.comparison import KEYS, Comparison, Way, check_comparable
from napari_autostructn2v._napari.docks.compare.judge_panel import JudgePanel
from napari_autostructn2v._napari.docks.compare.panels import AtWork, RemovedPanel, WayPanel
from napari_autostructn2v._napari.docks.compare.profile_panel import ProfilePanel
from napari_autostructn2v._napari.docks.compare.removed_layer import add_removed, removed
from napari_autostructn2v._napari.runs.closing import watch_closing
from napari_autostructn2v._napari.session.progress import Activity
from napari_autostructn2v._napari.widgets.bindings import Bindings, Connections
from napari_autostructn2v._napari.widgets.dock_title import DockTitle
from napari_autostructn2v._napari.widgets.layer_combo import LayerCombo
from napari_autostructn2v._napari.widgets.panel_parts import (
    DockColumn,
    Section,
    button,
    message_label,
    show_message,
)
from napari_autostructn2v._napari.workspace import workspace_of
from napari_autostructn2v.errors import AutoStructN2VError
from napari_autostructn2v.events import Event
from napari_autostructn2v.figures.comparison import Field, Pane, write_gif, write_png
from napari_autostructn2v.judge import scoring
from napari_autostructn2v.metrics import assess_quality

if TYPE_CHECKING:
    import napari.viewer

    from napari_autostructn2v.io import VoxelSize

TITLES = ("Ways to look", "Line profile", "What was removed", "Judge by a second recording", "Export")


class CompareWidget(DockColumn):
    """Two or three layers, the ways to look at them, and what can be said of the difference."""

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        DockTitle(self, "Compare")
        self._workspace = workspace_of(napari_viewer)
        self._viewer = viewer = self._workspace.viewer
        self.comparison = Comparison(viewer, self._workspace.views)
        self.removed: Image | None = None
        """The layer of what was removed, while there is one."""
        self._before_removed: Way | None = None
        """How the layers were compared before what was removed was shown."""
        self._pair: tuple[Image | None, Image | None] = (None, None)
        self._sources = Connections()
        self.first, self.second = LayerCombo(viewer, Image), LayerCombo(viewer, Image)
        self.third = LayerCombo(viewer, Image, nothing="none")
        self.first.setToolTip("The original")
        self.second.setToolTip("The denoised stack")
        self.third.setToolTip("A third layer, such as the result of stage 1. The swipe shows the first two")
        self.message = message_label()
        self.message.setToolTip("What happened last")
        self.message.hide()  # until something has happened
        self.ways = WayPanel(self.comparison, self.compare)
        self.profile = ProfilePanel(viewer, self.comparison, self._pictures)
        self.difference = RemovedPanel(self.toggle_removed, self.measure, self._fail)
        self.judge = JudgePanel(viewer, self.judge_by, self._fail)
        self.png = button(
            "Save picture …",
            "Write what is seen of the present slice of all layers, side by side, as .png",
            self._save_png,
        )
        self.gif = button(
            "Save film …", "Write all slices, side by side, as an animated .gif", self._save_gif
        )
        self.export_work = AtWork(lambda path: self._show(f"Saved {path}."), self._fail)
        self._lay_out()

        bindings = Bindings(self)
        bindings.connect(self.comparison.changed, self._refresh)
        bindings.connect(viewer.events.theme, self._refresh)
        bindings.connect(viewer.layers.events.removed, self._on_removed)
        bindings.connect(self._workspace.session.stage_finished, self._take_results)
        self.destroyed.connect(lambda: self._let_go())
        watch_closing(viewer, self.comparison.leave)
        self._take_results()
        for combo in (self.first, self.second, self.third):
            combo.chosen.connect(self._on_chosen)
        self.judge.recording.chosen.connect(self._on_recording)
        self._on_chosen()

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for title, combo in (("First", self.first), ("Second", self.second), ("Third", self.third)):
            form.addRow(title, combo)
        export = QWidget()
        column = QVBoxLayout(export)
        row = QHBoxLayout()
        row.addWidget(self.png)
        row.addWidget(self.gif)
        column.addLayout(row)
        column.addWidget(self.export_work)
        panels = (self.ways, self.profile, self.difference, self.judge, export)
        self.sections = [Section(title, panel) for title, panel in zip(TITLES, panels, strict=True)]
        self.sections[0].button.setChecked(True)
        self.sections[2].button.setChecked(True)

        self.column.addLayout(form)
        self.foot.addWidget(self.message)
        for section in self.sections:
            self.column.addWidget(section)
        self.column.addStretch()

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """The keys of the canvas: a click on a way to look leaves the keyboard here."""
        if event.text() in KEYS and self.comparison.way is not None:
            self.comparison.step(KEYS[event.text()])
        else:
            super().keyPressEvent(event)

    def hideEvent(self, event: QHideEvent) -> None:  # noqa: N802 - Qt's name
        """A dock that is closed ends its comparison; one behind another tab goes on."""
        dock = self.parent()
        if isinstance(dock, QDockWidget) and dock.isHidden():
            self._let_go()
        super().hideEvent(event)

    # ------------------------------------------------------------------ which layers

    def _take_results(self, *finished: Any) -> None:
        """Choose the image of the present run and the best of its results, or the first layers alike."""
        if self.comparison.way is not None:
            return
        results = self._workspace.images.results
        source, best = self._workspace.source_layer, results.get("stage2") or results.get("stage1")
        if source is not None and best is not None:
            self.first.choose(source)
            self.second.choose(best)
            return
        first = self.first.layer()
        others = [layer for layer in self._viewer.layers if isinstance(layer, Image) and layer is not first]
        for layer in others:
            if first is not None and full_shape(layer) == full_shape(first):
                self.second.choose(layer)

    def _pictures(self) -> list[Image]:
        """The chosen layers, each once; none unless two of them can be compared."""
        chosen = (combo.layer() for combo in (self.first, self.second, self.third))
        return list(dict.fromkeys(layer for layer in chosen if layer is not None))

    def _layers(self) -> list[Image]:
        return [*self._pictures(), *([self.removed] if self.removed is not None else [])]

    def _problem(self) -> str:
        pictures = self._pictures()
        if len(pictures) < 2 or self.first.layer() is self.second.layer():
            return "Choose two different image layers: the original first, then the denoised one."
        try:
            check_comparable(pictures)
        except AutoStructN2VError as error:
            return str(error)
        return ""

    def _on_chosen(self) -> None:
        pair = (self.first.layer(), self.second.layer())
        if pair != self._pair:
            self._pair = pair
            self.difference.forget()
            self.judge.forget()
            if self.removed is not None:
                self._viewer.layers.remove(self.removed)
            self._sources.release()
            for layer in pair:
                if layer is not None:
                    self._sources.connect(layer.events.data, self._on_data)
        if self.comparison.way is not None:
            self.compare(None if self._problem() else self.comparison.way)
        self._refresh()

    def _on_recording(self) -> None:
        self.judge.forget()
        self._refresh()

    def _on_data(self, event: Any = None) -> None:
        """A layer got other data, as when more detail is brought back."""
        self.difference.forget()
        self.judge.forget()
        if self.removed is not None and not self._problem():
            self.removed.data = removed(*self._pictures()[:2])

    # ------------------------------------------------------------------ what is asked for

    def compare(self, way: Way | None) -> None:
        """Hold the chosen layers against one another in this way, or end that."""
        self._show("")
        try:
            if way is None:
                self.comparison.leave()
            else:
                self.comparison.enter(way, self._layers())
        except AutoStructN2VError as error:
            self._fail(str(error))
        self._refresh()

    def toggle_removed(self) -> None:
        """Show what was removed beside the layers, or remove that layer and look as before."""
        way = self.comparison.way
        if self.removed is not None:
            self._viewer.layers.remove(self.removed)
            if way is not None and self._before_removed is not None:
                self.compare(self._before_removed)
            return
        try:
            self.removed = add_removed(self._viewer, *self._pictures()[:2])
        except AutoStructN2VError as error:
            self._fail(str(error))
            return
        self._before_removed = way
        self.compare(way if way in ("row", "column") else "row")

    def measure(self) -> None:
        """Say what can be said without knowing the truth."""
        original, denoised = self._pictures()[:2]
        review = self._workspace.session.review
        of_this = review is not None and original is self._workspace.source_layer
        analysis = review.analysis if review is not None and of_this else None
        self._show("")
        self.difference.at_work.start(
            "appraisal",
            Activity.MEASURING,
            assess_quality(grey_values(original), grey_values(denoised), analysis),
        )

    def judge_by(self, recording: Image) -> None:
        """Say how near the denoised layer is to the truth, by another recording of the same scene."""
        original, denoised = self._pictures()[:2]
        self._show("")
        if recording in (original, denoised):
            self._fail("Choose a third layer: another recording of the same scene, with noise of its own.")
            return
        stacks = (grey_values(layer) for layer in (denoised, original, recording))
        stream = scoring(*stacks, voxel_size=self._voxel_size())
        self.judge.at_work.start("score", Activity.JUDGING, stream)

    def _save_png(self) -> None:
        path = self._ask("Save the present slice", "png")
        if path is not None:
            first = self._pictures()[0]
            z, field = slice_at(self._viewer, first), field_seen(self._viewer, first)
            stream = picture_of(path, self._panes(), z, field, self._voxel_size())
            self.export_work.start("export", Activity.DRAWING, stream)

    def _save_gif(self) -> None:
        path = self._ask("Save all slices", "gif")
        if path is not None:
            stream = write_gif(path, self._panes(), self._voxel_size(), overwrite=True)
            self.export_work.start("export", Activity.DRAWING, stream)

    def _ask(self, title: str, kind: str) -> Path | None:
        """A path to write to; the dialog has asked about overwriting."""
        name = f"{self._pictures()[0].name}_compared.{kind}"
        chosen, _ = QFileDialog.getSaveFileName(self, title, name, f"{kind.upper()} (*.{kind})")
        return Path(chosen).with_suffix(f".{kind}") if chosen else None

    def _panes(self) -> list[Pane]:
        layers = self._layers()
        limits = self.comparison.limits(layers)
        return [
            Pane(layer.name, grey_values(layer), shown) for layer, shown in zip(layers, limits, strict=True)
        ]

    def _voxel_size(self) -> VoxelSize | None:
        return voxel_size(self._pictures()[0])

    # ------------------------------------------------------------------ what is shown

    def _refresh(self, event: Any = None) -> None:
        problem = self._problem()
        if problem:
            self._fail(problem)
        elif self._shown_problem:
            self._show("")
        self._shown_problem = bool(problem)
        comparable = not problem
        self.ways.refresh(comparable)
        self.profile.refresh()
        self.difference.refresh(comparable, self.removed is not None, self._viewer.theme)
        self.judge.refresh(comparable, self._viewer.theme)
        self.png.setEnabled(comparable)
        self.gif.setEnabled(comparable and len(full_shape(self._pictures()[0])) == 3)

    _shown_problem = False

    def _show(self, text: str) -> None:
        show_message(self.message, text, "text", self._viewer.theme)

    def _fail(self, text: str) -> None:
        show_message(self.message, text, "warning", self._viewer.theme)

    def _on_removed(self, event: Any) -> None:
        if event.value is self.removed:
            self.removed = None
            self._refresh()

    def _let_go(self) -> None:
        """Leave the viewer as it was found; what was removed stays as any other layer."""
        self._sources.release()
        self.comparison.leave()
        self.profile.close_line()


def picture_of(
    path: Path, panes: list[Pane], z: int, field: Field, size: VoxelSize | None
) -> Generator[Event, int | None, Path]:
    """Draw a picture as a stream of events, of which there are none."""
    yield from ()
    return write_png(path, panes, z, size, field=field, overwrite=True)
