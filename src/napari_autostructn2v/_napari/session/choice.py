"""What the person has chosen: the data, the settings, where to train and where to measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_autostructn2v._napari.session.state import (
    ANALYSIS_SETTINGS,
    Companion,
    Field,
    Run,
    Settings,
    Source,
)
from napari_autostructn2v.box import Box
from napari_autostructn2v.config import Config, Mode, Preset, TrainingConfig
from napari_autostructn2v.errors import MostlyBlankError, StackError
from napari_autostructn2v.runs.folder import RunFolder
from napari_autostructn2v.runs.masks import mask_digest
from napari_autostructn2v.runs.request import RunRequest
from napari_autostructn2v.stack import Stack, as_stack
from napari_autostructn2v.survey import few_slices_notice

if TYPE_CHECKING:
    from napari_autostructn2v.learning.model import Model


PART_OF_ONE = (
    "Stacks that are trained on together are trained on as a whole. Set Train on to whole slices and switch "
    "only slices off."
)


class Choice:
    """Data, settings, and the parts of the data that were outlined. A run takes them when it starts."""

    changed = Signal(Settings)
    """Other data or other settings are chosen. With it come the settings as they were before."""

    def __init__(self) -> None:
        self.settings = Settings()
        self.source: Source | None = None
        self.problem = ""
        """Why the chosen data cannot be denoised as they are."""
        self.field: Field | None = None
        """Part of each slice to train on; None trains on whole slices."""
        self.region: np.ndarray | None = None
        """Where to measure noise, bool (Y, X) or (Z, Y, X); None measures in the flattest parts."""
        self.left_out: np.ndarray | None = None
        """Pixels to leave out, bool (Y, X) or (Z, Y, X); None leaves out what is found by itself."""
        self.mostly_blank = False
        """Whether the person knows that most of the data is left out."""
        self.start: Model | None = None
        """Model whose weights the next run goes on from; None trains from nothing."""
        self.companions: tuple[Source, ...] = ()
        """Other data that the next run trains on together with the source."""
        self.problem_together = ""
        """Why these cannot be trained on together."""
        self._outlined = False
        self._problem_of_companions = ""
        self._problem_of_layer = ""
        self._refused: tuple[Any, str] = (None, "")
        """Data that showed nothing when they were looked at, and why."""

    def choose(self, source: Source | None, problem: str = "") -> None:
        """Take these data, or none.

        ``problem`` is why they cannot be used, where only the window can know it (colours, for example).
        """
        before = self.settings
        if source is None or self.source is None or source.array.shape != self.source.array.shape:
            self.settings = replace(self.settings, slices=None)
        if source is None or self.source is None or source.array is not self.source.array:
            self.mostly_blank = False
        self.source, self._problem_of_layer = source, problem
        self._check()
        self.changed.emit(before)

    def train_in_part(self, outlined: bool) -> None:
        """Whether the next training is in an outline; :attr:`field` is read off that as it begins."""
        self._outlined = outlined
        self._check()
        self.changed.emit(self.settings)

    def train_with(self, companions: Sequence[Source], problem: str = "") -> None:
        """Train on these data as well; ``problem`` as for :meth:`choose`."""
        self.companions, self._problem_of_companions = tuple(companions), problem
        self._check()
        self.changed.emit(self.settings)

    def refuse(self, array: Any, problem: str) -> None:
        """Say why these data cannot be denoised, if they are the ones chosen: it took a look at them."""
        if self.source is not None and self.source.array is array and not self.problem:
            self._refused, self.problem = (array, problem), problem
            self.changed.emit(self.settings)

    def leave_out(self, mask: np.ndarray | None) -> None:
        """Leave out these pixels, or only what is found by itself if None."""
        if mask_digest(mask) != mask_digest(self.left_out):
            self.left_out, self.mostly_blank = mask, False

    def ask_about(self, error: MostlyBlankError) -> str:
        """Ask, in words, whether most of the data is meant to be left out; starting again says yes."""
        self.mostly_blank = True
        return f"{error.found} If that is meant, press Run stage 1 once more: then it goes on."

    def configure(self, **changes: Any) -> None:
        """Change settings by name. Another preset brings its own training settings."""
        if changes.get("preset", self.settings.preset) != self.settings.preset:
            changes = {"training": self._training_of(changes["preset"]), **changes}
        before, self.settings = self.settings, replace(self.settings, **changes)
        if self.settings == before:
            return
        if "mode" in changes or "slices" in changes:
            self._check()
        self.changed.emit(before)

    def start_from(self, model: Model | None) -> None:
        """Go on from the weights of a model in the next run, with fewer steps; from nothing if None."""
        if model is not self.start:
            before, self.start = self.settings, model
            self.settings = replace(before, training=self._training_of(before.preset))
            self.changed.emit(before)

    def _training_of(self, preset: Preset) -> TrainingConfig:
        """The settings of a training by a preset, from nothing or from the model chosen."""
        config = Config.from_preset(preset)
        return (config if self.start is None else config.going_on_from(self.start.config)).stage1

    def new_run(self, source: Source, folder: RunFolder | None) -> Run:
        """A run of these data with what is chosen."""
        mode = self.settings.mode
        companions = tuple(Companion(each, as_stack(each.array, mode)) for each in self.companions)
        return Run(
            source,
            self.stack(source, mode),
            mode,
            recovery=self.settings.recovery,
            start=self.start,
            folder=folder,
            companions=companions,
        )

    def saved_run(self, request: RunRequest, source: Source, folder: RunFolder | None) -> Run:
        """The run that a saved one was, with its settings, without :attr:`changed`."""
        mode, start, recovery = request.mode, request.start, request.config.recovery
        stack = as_stack(source.array, mode, left_out=request.left_out)
        self._take_request(request, stack)
        companions = tuple(Companion(each, as_stack(each.array, mode)) for each in self.companions)
        return Run(
            source, stack, mode, request.seed, recovery=recovery, start=start, folder=folder,
            companions=companions,
        )  # fmt: skip

    def take_mode(self, mode: Mode) -> None:
        """Use the mode of the present run, without :attr:`changed`: the session tells the views itself."""
        self.settings = replace(self.settings, mode=mode)
        self._check()

    def _take_request(self, request: RunRequest, stack: Stack) -> None:
        config, box = request.config, request.box
        depth, height, width = stack.shape
        self.settings = replace(
            self.settings,
            training=config.stage1,
            slices=None if box is None or box.z == (0, depth) else box.z,
            **{name: getattr(config.analysis, name) for name in ANALYSIS_SETTINGS},
            recovery=config.recovery,
        )
        self.field = None if box is None or (box.y, box.x) == ((0, height), (0, width)) else (box.y, box.x)
        self.region, self.left_out, self.start = request.region, request.left_out, request.start
        self._check()

    @property
    def usable(self) -> bool:
        """Whether there are data, and they can be denoised."""
        return self.source is not None and not self.problem and not self.problem_together

    @property
    def hint(self) -> str:
        """Warnings about the chosen data, also in the chosen mode, or nothing."""
        if self.source is None or self.problem:
            return ""
        few = few_slices_notice(as_stack(self.source.array), self.settings.mode)
        return "\n".join([*self.source.notices, *([few] if few else [])])

    @property
    def facts(self) -> dict[str, Any]:
        """What a report of a problem may say of the choice: settings, shape and type of the data."""
        facts = {"mode": self.settings.mode, **self.settings.config().model_dump()}
        if self.source is not None:
            facts |= {"shape": list(self.source.array.shape), "dtype": str(self.source.array.dtype)}
        return facts

    def request(self, run: Run) -> RunRequest:
        """What is asked of the run with the present settings."""
        region = self.region
        if region is not None and region.shape not in (run.stack.shape, run.stack.shape[1:]):
            region = None  # it was drawn on other data, and must not end a training in an error
        return RunRequest(
            run.mode,
            self.settings.config(),
            region=region,
            left_out=run.stack.left_out,
            mostly_blank=self.mostly_blank,
            box=self.box(run.stack),
            seed=run.seed,
            source=run.source,
            start=run.start,
        )

    def stack(self, source: Source, mode: Mode) -> Stack:
        """The data as a stack without what is left out, where that was outlined on data of this shape."""
        stack = as_stack(source.array, mode)
        if self.left_out is None or self.left_out.shape not in (stack.shape, stack.shape[1:]):
            return stack
        return as_stack(stack, mode, left_out=self.left_out)

    def box(self, stack: Stack) -> Box | None:
        """The part of the stack to train on; None for all of it."""
        if self.field is None and self.settings.slices is None:
            return None
        depth, height, width = stack.shape
        y, x = self.field or ((0, height), (0, width))
        return Box(self.settings.slices or (0, depth), y, x)

    def _check(self) -> None:
        self.problem_together = self._why_not_together()
        self.problem = self._problem_of_layer
        if self.source is None or self.problem:
            return
        refused, problem = self._refused
        if refused is self.source.array:
            self.problem = problem
            return
        try:
            as_stack(self.source.array, self.settings.mode)
        except StackError as error:
            self.problem = str(error)

    def _why_not_together(self) -> str:
        """Why the source and its companions cannot be trained on together; nothing if they can."""
        if self.source is None or not self.companions:
            return ""
        if self._problem_of_companions:
            return self._problem_of_companions
        if self._outlined or self.settings.slices is not None:
            return PART_OF_ONE
        for companion in self.companions:
            try:
                as_stack(companion.array, self.settings.mode)
            except StackError as error:
                return f"{companion.name}: {error}"
        pixels = {
            source.name: size.pixel_in_words
            for source in (self.source, *self.companions)
            if (size := source.voxel_size) is not None and size.pixel_in_words
        }
        if len(set(pixels.values())) > 1:
            said = ", ".join(f"{name} has {pixel}" for name, pixel in pixels.items())
            return f"Pixel sizes differ, and so do noise and detail: {said}. Train on them one by one."
        return ""
