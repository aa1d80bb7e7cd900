"""Tools for the kernel: shapes to draw on it, where kernels are kept, what this one hides."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from magicgui.widgets import CheckBox, ComboBox, Slider
from qtpy.QtWidgets import QDoubleSpinBox, QFormLayout, QGridLayout, QSpinBox, QVBoxLayout, QWidget

from napari_autostructn2v._napari.canvas.layer_names import KERNEL, LAGS
from napari_autostructn2v._napari.widgets.bindings import Bindings
from napari_autostructn2v._napari.widgets.panel_parts import button, explain_slider, message_label
from napari_autostructn2v.errors import plural
from napari_autostructn2v.kernel.shapes import Slices, box, cross, line, thickened, thinned

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_autostructn2v._napari.docks.denoise.kernel_storage import KernelStorage
    from napari_autostructn2v._napari.workspace import Workspace
    from napari_autostructn2v.noise.analysis import NoiseAnalysis


BLOCKS: dict[Slices, str] = {"middle": "block z", "all": "all blocks"}
"""What the tools act on, by the choice of slices."""


class KernelPanel(QWidget):
    """Changes the kernel as strokes on its layer do, so that Ctrl+Z takes each change back."""

    def __init__(self, workspace: Workspace, storage: KernelStorage) -> None:
        super().__init__()
        self._workspace, self._session, self.storage = workspace, workspace.session, storage
        self._followed: list[Layer] = []
        self._make_tools()
        self._make_view()
        self._lay_out()
        self._bindings = Bindings(self)
        self._bindings.connect(self._session.changed, self.refresh)
        self._bindings.connect(self._session.reviewed, self.refresh)
        self._bindings.connect(workspace.noise.changed, self.refresh)
        self.refresh()

    def _make_tools(self) -> None:
        self.shape = ComboBox(
            choices=["line", "box", "cross"],
            tooltip="What Draw adds to the kernel and Erase takes away, always through its centre",
        )
        self.shape.changed.connect(self.refresh)
        self.angle = QDoubleSpinBox()
        self.angle.setRange(0.0, 180.0)
        self.angle.setWrapping(True)
        self.angle.setDecimals(1)
        self.angle.setSingleStep(5.0)
        self.angle.setSuffix("°")
        self.angle.setToolTip("Direction of the line: 0° along X, 45° rising to the right, 90° along Y")
        self.length = _size("Pixels of the line, or of each bar of the cross, along X or Y")
        self.rows = _size("Rows of the box")
        self.columns = _size("Columns of the box")
        self.slices = ComboBox(
            choices=[("middle slice", "middle"), ("all three slices", "all")],
            tooltip="Where the tools act: in the slice to denoise, the block in the middle, or in both "
            "neighbours as well, where slices share their noise",
        )
        self.slices.changed.connect(self.refresh)
        self.blocks = message_label()
        self.blocks.setToolTip("The three blocks are the slice to denoise, z, and its neighbours")
        self.draw = button(
            "Draw", "Add this shape to the kernel (Ctrl+Z takes it back)", lambda: self._shape(True)
        )
        self.erase = button(
            "Erase",
            "Take this shape's pixels out of the kernel; the centre stays",
            lambda: self._shape(False),
        )
        self.thicken = button(
            "Thicken", "Grow the kernel by a pixel all around: where noise is left in the result",
            lambda: self._replace(lambda grid: thickened(grid, slices=self.slices.value)),
        )  # fmt: skip
        self.thin = button(
            "Thin", "Take the outermost pixels off, but lines of a pixel: where detail is lost in the result",
            lambda: self._replace(lambda grid: thinned(grid, slices=self.slices.value)),
        )  # fmt: skip

        self.mirror = CheckBox(
            text="Mirror what is painted",
            tooltip="Paint and erase on both sides of the centre, as neighbours on either side share the "
            "same noise. Off, a stroke changes only the pixels under the brush: for a one-sided kernel",
        )
        self.mirror.changed.connect(lambda on: setattr(self._workspace.review, "mirrored", on))

    def _make_view(self) -> None:
        self.numbers = message_label()
        self.numbers.setToolTip("Size of the kernel, and how much of the correlated noise it hides")
        self.heat = CheckBox(
            text="Show the autocorrelation",
            tooltip="How much noise each neighbour shares, in colours below the kernel: orange alike, blue "
            "opposite. The status bar tells the value under the pointer",
        )
        self.heat.changed.connect(lambda on: setattr(self._workspace.review, "heat", on))
        self.opacity = Slider(
            min=20, max=100, step=5,
            tooltip="Opacity of the kernel's pixels in percent: lower to see the autocorrelation below them",
        )  # fmt: skip
        explain_slider(self.opacity)
        self.opacity.changed.connect(self._set_opacity)

    def _lay_out(self) -> None:
        self._form = QFormLayout()
        self._form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self._form.addRow("Shape", self.shape.native)
        self._form.addRow("Angle", self.angle)
        self._form.addRow("Length", self.length)
        self._form.addRow("Height", self.rows)
        self._form.addRow("Width", self.columns)
        self._form.addRow("Slices", self.slices.native)
        self._form.addRow(self.blocks)
        tools = QGridLayout()
        for place, tool in enumerate((self.draw, self.erase, self.thicken, self.thin)):
            tools.addWidget(tool, *divmod(place, 2))
        view = QFormLayout()
        view.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        view.addRow(self.heat.native)
        view.addRow("Opacity, %", self.opacity.native)
        column = QVBoxLayout(self)
        column.addWidget(self.numbers)
        column.addLayout(self._form)
        column.addLayout(tools)
        column.addWidget(self.mirror.native)
        column.addWidget(self.storage)
        column.addLayout(view)

    def refresh(self) -> None:
        """Show the session."""
        review, shape = self._session.review, self.shape.value
        self.setEnabled(review is not None)
        with self.mirror.changed.blocked():
            self.mirror.value = self._workspace.review.mirrored
        self._show_row(self.angle, shape == "line")
        self._show_row(self.length, shape != "box")
        self._show_row(self.rows, shape == "box")
        self._show_row(self.columns, shape == "box")
        three = review is not None and review.kernel_grid.ndim == 3
        self._show_row(self.slices.native, three)
        self.blocks.setVisible(three)
        changed = BLOCKS[self.slices.value]
        self.blocks.setText(f"The tools change {changed}, the brush the block under it.")
        self.numbers.setVisible(review is not None)
        if review is None:
            return
        self.numbers.setText(in_numbers(review.analysis))
        for size in (self.length, self.rows, self.columns):
            size.setMaximum(review.kernel_grid.shape[-1])
        self._show_layers()

    def _show_row(self, field: QWidget, shown: bool) -> None:
        field.setVisible(shown)
        self._form.labelForField(field).setVisible(shown)

    def _show_layers(self, event: Any = None) -> None:
        """Show what the layers are like: napari's own controls change them as well."""
        review, layers = self._workspace.review, self._workspace.review.layers
        self.heat.enabled = self.opacity.enabled = bool(layers)
        if not layers:
            return
        lags, kernel = followed = [layers[LAGS], layers[KERNEL]]
        if followed != self._followed:
            self._followed = followed
            for emitter in (lags.events.visible, lags.events.colormap, kernel.events.opacity):
                self._bindings.connect(emitter, self._show_layers)
        with self.heat.changed.blocked(), self.opacity.changed.blocked():
            self.heat.value = review.heat
            self.opacity.value = round(100 * kernel.opacity)

    def _set_opacity(self, percent: int) -> None:
        layers = self._workspace.review.layers
        if layers:
            layers[KERNEL].opacity = percent / 100

    def _shape(self, value: bool) -> None:
        options: Any = {"slices": self.slices.value, "value": value}
        match self.shape.value:
            case "line":
                self._replace(lambda grid: line(grid, self.angle.value(), self.length.value(), **options))
            case "box":
                self._replace(lambda grid: box(grid, self.rows.value(), self.columns.value(), **options))
            case _:
                self._replace(lambda grid: cross(grid, self.length.value(), **options))

    def _replace(self, change: Callable[[np.ndarray], np.ndarray]) -> None:
        review = self._session.review
        if review is not None:
            if not self._workspace.noise.shown:  # nobody draws on what is not seen
                self._workspace.fly_to_noise(LAGS, KERNEL)
            self._workspace.review.draw_kernel(change(review.kernel_grid))


def in_numbers(analysis: NoiseAnalysis) -> str:
    """Size, pixels and effect of a kernel in a line."""
    rows, columns = analysis.kernel.shape[-2:]
    slices = " in 3 slices" if analysis.kernel.ndim == 3 else ""
    pixels = int(analysis.kernel.sum())
    return (
        f"{rows} × {columns}{slices}, {plural(pixels, 'pixel')}, "
        f"hides {analysis.verdict.covered:.0%} of the noise's correlation"
    )


def _size(tooltip: str) -> QSpinBox:
    """A box for a number of pixels, odd as the kernel has a middle."""
    size = QSpinBox()
    size.setRange(1, 99)
    size.setSingleStep(2)
    size.setValue(9)
    size.setSuffix(" px")
    size.setToolTip(f"{tooltip}, the centre included; an odd number")
    size.editingFinished.connect(lambda: size.setValue(size.value() | 1))
    return size
