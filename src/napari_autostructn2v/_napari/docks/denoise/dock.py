"""The dock widget that leads from data to result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_info
from qtpy.QtCore import QUrl
from qtpy.QtGui import QDesktopServices, QKeySequence
from qtpy.QtWidgets import QApplication, QFileDialog
from superqt.utils import create_worker

from napari_autostructn2v._napari import actions
from napari_autostructn2v._napari.canvas.voxel_sizes import voxel_size
from napari_autostructn2v._napari.docks.denoise.analysis_panel import AnalysisPanel
from napari_autostructn2v._napari.docks.denoise.data_panel import DataPanel
from napari_autostructn2v._napari.docks.denoise.kernel_panel import KernelPanel
from napari_autostructn2v._napari.docks.denoise.kernel_storage import KernelStorage
from napari_autostructn2v._napari.docks.denoise.left_out_bar import LeftOutBar
from napari_autostructn2v._napari.docks.denoise.other_image_bar import OtherImageBar
from napari_autostructn2v._napari.docks.denoise.peak_panel import PeakPanel
from napari_autostructn2v._napari.docks.denoise.result_panel import ResultPanel
from napari_autostructn2v._napari.docks.denoise.review_panel import ReviewPanel
from napari_autostructn2v._napari.docks.denoise.save_dialog import SaveDialog
from napari_autostructn2v._napari.docks.denoise.stage_panel import StagePanel
from napari_autostructn2v._napari.docks.denoise.zoo_dialog import ZooDialog
from napari_autostructn2v._napari.docks.view_strip import ViewStrip
from napari_autostructn2v._napari.session.state import Phase, Run
from napari_autostructn2v._napari.widgets.bindings import Bindings
from napari_autostructn2v._napari.widgets.dock_title import DockTitle
from napari_autostructn2v._napari.widgets.next_click import NextClick
from napari_autostructn2v._napari.widgets.panel_parts import (
    DockColumn,
    Section,
    button,
    message_label,
    show_message,
)
from napari_autostructn2v._napari.widgets.told_once import told_before
from napari_autostructn2v._napari.worker import error_text_of, with_lock
from napari_autostructn2v._napari.workspace import workspace_of
from napari_autostructn2v.error_report import problem_report
from napari_autostructn2v.errors import AutoStructN2VError, is_worth_a_report
from napari_autostructn2v.events import finish
from napari_autostructn2v.io import write_stack
from napari_autostructn2v.io.formats import written
from napari_autostructn2v.io.whole_numbers import in_type
from napari_autostructn2v.kernel.library import KernelLibrary
from napari_autostructn2v.model_zoo import check_zoo_library, export_model_zoo

if TYPE_CHECKING:
    import napari.viewer

STACK_FILES = ";;".join(f"{known.name} (*{known.suffixes[0]})" for known in written())
MODEL_FILES = "Model (*.zip)"

# which sections are open in a phase
OPEN = {
    Phase.DATA: {Phase.DATA, Phase.STAGE1},
    Phase.STAGE1: {Phase.STAGE1},
    Phase.REVIEW: {Phase.REVIEW},
    Phase.STAGE2: {Phase.STAGE2},
    Phase.RESULT: {Phase.RESULT},
}


class StructuredDenoisingWidget(DockColumn):
    """Data, stage 1, review, stage 2, result: five sections over one session.

    The session belongs to the viewer: a dock that is closed and opened again goes on where it was.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        DockTitle(self, "Structured denoising")
        actions.register()
        self.workspace = workspace_of(napari_viewer)
        self.session = self.workspace.session
        self._phase: Phase | None = None
        self._copied: BaseException | None = None
        """The error whose report was copied last."""
        self.message = message_label()
        self.message.setToolTip("What happened last")
        NextClick(self.session.messages, self)
        self.copy_report = button(
            "Copy report",
            "Copy versions, settings and where in the program it happened, to paste into an issue. None of "
            "your data goes along.",
            self._copy_report,
        )
        self.open_folder = button("Open folder", "Look at the folder of what was saved", self._open_folder)
        self.left_out = LeftOutBar(self.workspace)
        self.data = DataPanel(self.workspace)
        self.stage1 = StagePanel(self.workspace, "stage1")
        storage = KernelStorage(self.workspace, KernelLibrary.of_user(), self._ask)
        self.peaks = PeakPanel(self.workspace)
        self.kernel = KernelPanel(self.workspace, storage)
        self.analysis = AnalysisPanel(self.workspace)
        self.parts = {
            title: Section(title, panel)
            for title, panel in (
                ("Peaks", self.peaks),
                ("Kernel tools", self.kernel),
                ("Analysis settings", self.analysis),
            )
        }
        self.review = ReviewPanel(self.workspace, *self.parts.values())
        self.stage2 = StagePanel(self.workspace, "stage2")
        self.result = ResultPanel(self.workspace, self._save_result, self._save_model, self._open_zoo)
        self.others = {
            phase: OtherImageBar(self.workspace) for phase in (Phase.REVIEW, Phase.STAGE2, Phase.RESULT)
        }
        self._of_another = False
        """Whether these sections spoke of another image than the one chosen when they were last shown."""
        self.sections = {
            phase: Section(title, panel, self.others.get(phase))
            for phase, title, panel in zip(
                Phase,
                ("Data", "Stage 1", "Review", "Stage 2", "Result"),
                (self.data, self.stage1, self.review, self.stage2, self.result),
                strict=True,
            )
        }
        self.foot.addWidget(self.message)
        self.foot.addWidget(self.copy_report)
        self.foot.addWidget(self.open_folder)
        self.head.addWidget(self.left_out)
        self.strip = ViewStrip(self.workspace)
        self.head.addWidget(self.strip)
        for section in self.sections.values():
            self.column.addWidget(section)
        self.column.addStretch()
        self.below.addWidget(self.review.decision)
        self.sections[Phase.REVIEW].button.toggled.connect(self.review.decision.refresh)

        bindings = Bindings(self)
        bindings.connect(self.session.changed, self._refresh)
        bindings.connect(self.session.reviewed, self._refresh_review)
        bindings.connect(self.workspace.viewer.events.theme, self._refresh)
        self._find_device()
        self._refresh()

    def keyPressEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Undo what a tool did as a stroke is undone: a click on it leaves the keyboard here."""
        review = self.workspace.review
        for keys, act in (
            (QKeySequence.StandardKey.Undo, review.undo),
            (QKeySequence.StandardKey.Redo, review.redo),
        ):
            if event.matches(keys) and review.painted:
                act()
                return
        super().keyPressEvent(event)

    def _refresh(self, event: Any = None) -> None:
        session = self.session
        error = "" if session.messages.about else session.messages.error
        text, kind = (error, "error") if error else ("\n".join(session.messages.notices), "warning")
        if text == session.messages.confirmation:
            kind = "text"
        show_message(self.message, text, kind, self.workspace.viewer.theme)
        cause = session.messages.cause
        self.copy_report.setVisible(bool(error) and cause is not None and is_worth_a_report(cause))
        self.open_folder.setVisible(session.messages.saved_in is not None)
        if cause is not self._copied:
            self.copy_report.setText("Copy report")
        for panel in (
            self.left_out, self.data, self.stage1, self.review, self.peaks, self.analysis, self.stage2,
            self.result,
        ):  # fmt: skip
            panel.refresh()
        if session.phase is not self._phase:
            self._enter(session.phase)
        self._say_whose()
        self._refresh_decision()

    def _say_whose(self) -> None:
        """Grey what is of another image than the one chosen, and say so."""
        of_another = self.workspace.of_another
        for phase, bar in self.others.items():
            bar.refresh()
            self.sections[phase].panel.setEnabled(not of_another)
        if of_another and not self._of_another:
            self.sections[Phase.DATA].button.setChecked(True)
        self._of_another = of_another

    def _refresh_review(self) -> None:
        self.review.refresh()
        self._refresh_decision()

    def _refresh_decision(self) -> None:
        self.review.decision.refresh(self.sections[Phase.REVIEW].button.isChecked())

    def _copy_report(self) -> None:
        cause = self.session.messages.cause
        if cause is None:
            return
        QApplication.clipboard().setText(problem_report(cause, self.session.choice.facts))
        self._copied = cause
        self.copy_report.setText("Copied: paste it into an issue")

    def _open_folder(self) -> None:
        folder = self.session.messages.saved_in
        if folder is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder.absolute())))

    def _enter(self, phase: Phase) -> None:
        self._phase = phase
        for each, section in self.sections.items():
            section.button.setChecked(each in OPEN[phase])

    def _find_device(self) -> None:
        """Say which device will be used; importing PyTorch for that takes seconds, so in a thread."""
        session = self.session
        if session.monitor.device:
            return

        def know(found: tuple[str, str]) -> None:
            session.monitor.device, advice = found
            session.changed.emit()
            if advice and not told_before("graphics card"):
                show_info(advice)

        worker = create_worker(device_here, _start_thread=False, _ignore_errors=True)
        worker.returned.connect(know)
        worker.start()

    def _save_result(self) -> None:
        run, layer = self.session.run, self.workspace.source_layer
        if run is None or run.denoised is None:
            return
        voxels = run.source.voxel_size if layer is None else voxel_size(layer)
        dialog = SaveDialog(self, voxels, run.denoised.dtype.name)
        dialog.accepted.connect(lambda: self._write_result(run, dialog))
        dialog.open()

    def _write_result(self, run: Run, dialog: SaveDialog) -> None:
        path = self._ask("Save the denoised stack", f"{run.source.name}_denoised.tif", STACK_FILES)
        if path is None:
            return
        array, dtype, voxels, said = run.denoised, dialog.dtype, dialog.voxel_size, list[str]()

        def write() -> None:
            stack, words = finish(in_type(array, dtype))
            said.extend([words] if words else [])
            write_stack(
                path,
                stack,
                voxel_size=voxels,
                heading=run.source.heading,
                how="" if run.model is None else run.model.in_brief,
                overwrite=True,
            )

        self._save(path, write, then=partial(self.session.disk.note_result_saved, run), said=said)

    def _save_model(self) -> None:
        run = self.session.run
        if run is None or run.model is None:
            return
        path = self._ask("Save the trained model", f"{run.source.name}_model.zip", MODEL_FILES)
        if path is not None:
            self._save(path, partial(run.model.save, path, overwrite=True))

    def _open_zoo(self) -> None:
        run = self.session.run
        if run is None or run.model is None:
            return
        try:
            check_zoo_library()
        except AutoStructN2VError as error:
            self.session.messages.fail(str(error))
            return
        dialog = ZooDialog(self, run.source.name, run.model, run.source.array)
        dialog.accepted.connect(lambda: self._export_zoo(dialog))
        dialog.open()

    def _export_zoo(self, dialog: ZooDialog) -> None:
        path = self._ask("Export for the BioImage Model Zoo", f"{dialog.name.text()}.zip", MODEL_FILES)
        if path is not None:
            words = dialog.words()
            self._save(path, partial(export_model_zoo, dialog.model, path, overwrite=True, **words))

    def _ask(self, title: str, name: str, kinds: str) -> Path | None:
        """A path to write to; the dialog has asked about overwriting."""
        chosen, kind = QFileDialog.getSaveFileName(self, title, name, kinds)
        if not chosen:
            return None
        path = Path(chosen)
        return path if path.suffix else path.with_suffix(kind[kind.index("*") + 1 : -1])

    def _save(
        self,
        path: Path,
        write: Callable[[], Any],
        then: Callable[[], None] = lambda: None,
        said: Sequence[str] = (),
    ) -> None:
        """Write in a thread: a large stack takes a while, and the window stays alive.

        What ``said`` holds by the end is told along with the place.
        """

        def done(problem: str) -> None:
            if problem:
                self.session.messages.fail(problem)
                return
            then()
            self.session.messages.confirm(" ".join([f"Saved {path}.", *said]), path.parent)

        worker = create_worker(
            error_text_of, with_lock, path, write, _start_thread=False, _ignore_errors=True
        )
        worker.returned.connect(done)
        self.session.messages.confirm(f"Saving {path.name} …")
        worker.start()


def device_here() -> tuple[str, str]:
    """The device that ``"auto"`` takes here, in words, and how to have a graphics card compute."""
    from napari_autostructn2v.doctor.device import gpu_advice
    from napari_autostructn2v.learning.device import choose_device, describe_device

    return describe_device(choose_device()), gpu_advice()
