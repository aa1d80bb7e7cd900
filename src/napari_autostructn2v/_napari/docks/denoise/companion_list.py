"""Which other image layers are trained on together with the image chosen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Image
from qtpy.QtCore import QSignalBlocker, QSize, Qt
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_autostructn2v._napari.canvas.placement import is_derived
from napari_autostructn2v._napari.canvas.voxel_sizes import image_layer
from napari_autostructn2v._napari.widgets.bindings import Bindings
from napari_autostructn2v._napari.widgets.panel_parts import button, message_label, show_message
from napari_autostructn2v._napari.widgets.stack_files import STACK_FILES
from napari_autostructn2v.errors import AutoStructN2VError
from napari_autostructn2v.io import read_stack

if TYPE_CHECKING:
    from napari_autostructn2v._napari.workspace import Workspace

ROWS = 3
"""Layers that are seen without scrolling."""

ROW_HEIGHT, MARGINS = 20, 4
"""Pixels of a row, which has a box to hit, and of what napari's style puts around all of them."""

TIP = (
    "Stacks of the same noise, as of one session at the microscope: one network is trained on all that are "
    "ticked and on the image, each normalised by itself and each seen as often. One kernel is found that "
    "suits them, the review says where they disagree, and each gets its denoised layer"
)


class CompanionList(QWidget):
    """A list of image layers to tick, and what is wrong with those that are."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace, self._session = workspace, workspace.session
        self._layers: list[Image] = []
        title = QLabel("Train together with")
        title.setToolTip(TIP)
        self.add_files = button(
            "Add files …", "Open stacks as layers, and train on them together with the image", self._ask
        )
        self.list = QListWidget()
        self.list.setToolTip(TIP)
        self.list.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.itemChanged.connect(lambda item: self._choose())
        self.message = message_label()
        self.message.setToolTip("Whether these stacks can be trained on together")
        head = QHBoxLayout()
        head.addWidget(title, 1)
        head.addWidget(self.add_files)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addLayout(head)
        column.addWidget(self.list)
        column.addWidget(self.message)
        self._names = Bindings(self)
        bindings = Bindings(self)
        for event in ("inserted", "removed", "reordered"):
            bindings.connect(getattr(workspace.viewer.layers.events, event), self._follow)
        bindings.connect(workspace.companions.changed, self._follow)
        self._follow()

    def refresh(self) -> None:
        """Show the session."""
        workspace, free = self._workspace, self._session.runner.job is None
        self._follow()
        self.list.setEnabled(free)
        self.add_files.setEnabled(free and workspace.chosen is not None)
        show_message(self.message, self._session.choice.problem_together, "error", workspace.viewer.theme)

    @property
    def _candidates(self) -> list[Image]:
        """All image layers but the one chosen."""
        workspace = self._workspace
        return [
            layer
            for layer in workspace.viewer.layers
            if isinstance(layer, Image) and not is_derived(layer) and layer is not workspace.chosen
        ]

    def _follow(self, event: Any = None) -> None:
        with QSignalBlocker(self.list):
            if self._candidates != self._layers:
                self._list_anew()
            for row, layer in enumerate(self._layers):
                item = self.list.item(row)
                item.setText(layer.name)
                item.setToolTip(layer.name)
                on = layer in self._workspace.companions.layers
                item.setCheckState(Qt.CheckState.Checked if on else Qt.CheckState.Unchecked)

    def _list_anew(self) -> None:
        self._layers = self._candidates
        self._names.release()
        self.list.clear()
        for layer in self._layers:
            self._names.connect(layer.events.name, self._follow)
            item = QListWidgetItem(layer.name, self.list)
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
            item.setSizeHint(QSize(0, ROW_HEIGHT))
        rows = min(len(self._layers), ROWS)
        self.list.setFixedHeight(rows * ROW_HEIGHT + 2 * self.list.frameWidth() + MARGINS)
        self.list.setVisible(bool(self._layers))

    def _choose(self) -> None:
        rows = range(self.list.count())
        ticked = [self.list.item(row).checkState() is Qt.CheckState.Checked for row in rows]
        chosen = [layer for layer, on in zip(self._layers, ticked, strict=True) if on]
        self._workspace.companions.choose(chosen)

    def _ask(self) -> None:
        chosen, _ = QFileDialog.getOpenFileNames(self, "Train together with", "", STACK_FILES)
        companions, viewer = self._workspace.companions, self._workspace.viewer
        try:
            opened = [image_layer(read_stack(Path(path))) for path in chosen]
        except AutoStructN2VError as error:
            self._session.messages.fail(str(error))
            return
        added = [viewer.add_image(array, visible=False, **meta) for array, meta, _ in opened]
        if added:
            companions.choose([*companions.layers, *added])
