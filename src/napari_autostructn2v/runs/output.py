"""What a stage leaves: its model and what that makes of the stack."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_autostructn2v.io.slice_file import KeptStack, delete_kept

if TYPE_CHECKING:
    from napari_autostructn2v.computed import ComputedArray
    from napari_autostructn2v.learning.model import Model


@dataclass(frozen=True, eq=False)
class StageOutput:
    """What a stage leaves. Its stacks are in files where the run is kept, else in memory.

    Attributes
    ----------
    model
        Trained by the stage.
    predicted
        What the model made of the stack, shape of the input.
    detail
        What its recovery is to add to that, same shape; None if that was not wanted.
    others
        What it leaves of the other stacks that are trained on together with this one, in their order.
    """

    model: Model
    predicted: Any
    detail: Any
    others: tuple[StageOutput, ...] = ()

    def denoised(self, recovery: float) -> ComputedArray | Any:
        """The stack with a share of its detail brought back, slice by slice as it is read.

        Parameters
        ----------
        recovery
            The share, 0 to 1.
        """
        from napari_autostructn2v.noise.detail import with_detail  # imports torch, which takes seconds

        return self.predicted if self.detail is None else with_detail(self.predicted, self.detail, recovery)

    def forget(self, others: Iterable[StageOutput]) -> None:
        """Delete its files, if it has any, but for those that others have as well.

        Parameters
        ----------
        others
            Outputs of other attempts that are still wanted.
        """
        shared = {file.path for other in others for file in other._files}
        for file in self._files:
            if file.path not in shared:
                delete_kept(file.path)

    @property
    def kept(self) -> bool:
        """Whether what it made is in files, to be gone on with should the program end."""
        return bool(self._files)

    @property
    def _files(self) -> list[KeptStack]:
        own = [made for made in (self.predicted, self.detail) if isinstance(made, KeptStack)]
        return [*own, *(file for other in self.others for file in other._files)]
