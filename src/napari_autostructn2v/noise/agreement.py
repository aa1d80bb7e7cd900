"""What the noise of several stacks has in common, and which of them differ."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from napari_autostructn2v.errors import plural
from napari_autostructn2v.kernel import centre, embed_kernel, trim_kernel
from napari_autostructn2v.noise.analysis import NoiseAnalysis
from napari_autostructn2v.noise.notch import NotchRule

NEEDED_SHARE = 0.25
"""Share of the stacks that have to show a pixel of the kernel: of few stacks one is enough, of many one
may be chance."""

OTHER_DIRECTION_DEG = 20.0
"""From this angle on two directions are not the same."""

HIDDEN_SHARE = 0.5
"""Share of a stack's own correlation that the common kernel has to hide, or the stack is of another kind."""


@dataclass(frozen=True, eq=False)
class StackNoise:
    """The noise of one of several stacks.

    Attributes
    ----------
    name
        Of the stack.
    kernel
        That it would have by itself, bool (K, K) or (3, K, K).
    direction_deg
        Of that, from X towards Y, 0 to 180 degrees; None if it has none.
    strength
        The strongest correlation of a pixel with another, -1 to 1; 0 if the noise has no structure.
    differs
        How its noise differs from that of the others, in words; empty if it does not.
    """

    name: str
    kernel: np.ndarray
    direction_deg: float | None
    strength: float
    differs: str = ""

    @property
    def sentence(self) -> str:
        """The noise in words."""
        if self.kernel.sum() == 1:
            said = "no kernel of its own"
        else:
            shape = " × ".join(map(str, self.kernel.shape[-2:]))
            where = "" if self.direction_deg is None else f" along {self.direction_deg:.0f}°"
            said = f"{shape}, {int(self.kernel.sum())} pixels{where}, correlation {self.strength:+.2f}"
        return f"{self.name}: {said}" + (f". It differs: {self.differs}" if self.differs else "")


@dataclass(frozen=True, eq=False)
class Agreement:
    """What a kernel and a notch for all of some stacks are made of.

    Attributes
    ----------
    kernel
        For all, bool (K, K) or (3, K, K).
    notch
        Patterns to take from each; None if there are none.
    stacks
        The noise of each.
    expect_gain
        Whether Stage 2 is expected to help any of them.
    """

    kernel: np.ndarray
    notch: NotchRule | None
    stacks: tuple[StackNoise, ...]
    expect_gain: bool

    @property
    def sentences(self) -> tuple[str, ...]:
        """For a person: whether they agree, and each that does not."""
        others = [stack for stack in self.stacks if stack.differs]
        shape, pixels = " × ".join(map(str, self.kernel.shape)), int(self.kernel.sum())
        kernel = f"One kernel for all: {shape}, {plural(pixels, 'pixel')}."
        if not others:
            return (f"The noise of all {len(self.stacks)} stacks is of one kind. {kernel}",)
        if len(self.stacks) == 2:
            said = f"The noise of the two stacks differs. {kernel} Each may do better by itself."
        else:
            said = (
                f"The noise of {len(others)} of {len(self.stacks)} stacks differs from that of the others. "
                f"{kernel} Those that differ may do better in a group of their own."
            )
        return said, *(stack.sentence for stack in others)


def agree(analyses: Sequence[NoiseAnalysis], names: Sequence[str]) -> Agreement:
    """Find a kernel and a notch that suit all of some stacks.

    A pixel is in the kernel if at least a quarter of the stacks show it, and so is a peak in the notch.

    Parameters
    ----------
    analyses
        Of each stack, in one mode and with the same settings.
    names
        Of the stacks.
    """
    needed = max(1, math.ceil(NEEDED_SHARE * len(analyses)))
    side = max(max(analysis.kernel.shape[-2:]) for analysis in analyses)
    votes = np.sum([embed_kernel(analysis.kernel, side) for analysis in analyses], axis=0)
    kernel = votes >= needed
    kernel[centre(kernel.shape)] = True
    kernel = trim_kernel(kernel)
    described = [
        StackNoise(name, analysis.kernel, _direction(analysis), _strength(analysis))
        for analysis, name in zip(analyses, names, strict=True)
    ]
    usual = _usual_direction([stack.direction_deg for stack in described])
    stacks = tuple(
        replace(stack, differs=_difference(stack, analysis, kernel, usual, len(analyses)))
        for stack, analysis in zip(described, analyses, strict=True)
    )
    gain = any(analysis.verdict.expect_gain for analysis in analyses)
    return Agreement(kernel, _common_notch(analyses, needed), stacks, gain)


def _common_notch(analyses: Sequence[NoiseAnalysis], needed: int) -> NotchRule | None:
    """The peaks that enough stacks have, of those that were measured on the usual tiles."""
    rules = [analysis.notch_rule for analysis in analyses if analysis.notch_rule is not None]
    if not rules:
        return None
    side = max(len(rule.peaks) for rule in rules)
    votes = np.sum([rule.peaks for rule in rules if len(rule.peaks) == side], axis=0)
    peaks = votes >= needed
    return replace(rules[0], peaks=peaks, limit_px=_common_limit(rules)) if peaks.any() else None


def _common_limit(rules: Sequence[NotchRule]) -> tuple[float, float] | None:
    """The finest limit of the optics in pixels, which does not harm any stack; None if one is not known."""
    limits = [rule.limit_px for rule in rules if rule.limit_px is not None]
    if len(limits) < len(rules):
        return None
    return min(y for y, _ in limits), min(x for _, x in limits)


def _direction(analysis: NoiseAnalysis) -> float | None:
    return analysis.verdict.direction_deg if analysis.kernel.sum() > 1 else None


def _strength(analysis: NoiseAnalysis) -> float:
    """The strongest correlation at a pixel of the kernel, within a slice."""
    correlation = analysis.autocorrelation
    correlation = correlation if correlation.ndim == 2 else correlation[1]
    kernel = analysis.kernel if analysis.kernel.ndim == 2 else analysis.kernel[1]
    side = max(len(correlation), *kernel.shape)
    hidden = np.pad(correlation, (side - len(correlation)) // 2) * embed_kernel(kernel, side)
    hidden[centre(hidden.shape)] = 0
    return float(hidden.flat[np.abs(hidden).argmax()])


def _usual_direction(directions: Sequence[float | None]) -> float | None:
    """The one that is nearest to all others; None if there are none."""
    found = [direction for direction in directions if direction is not None]
    if not found:
        return None
    return min(found, key=lambda one: sum(_angle(one, other) for other in found))


def _angle(one: float, other: float) -> float:
    """Between two directions, 0 to 90 degrees."""
    return abs((one - other + 90) % 180 - 90)


def _difference(
    stack: StackNoise, analysis: NoiseAnalysis, kernel: np.ndarray, usual: float | None, stacks: int
) -> str:
    if kernel.sum() == 1:
        return ""
    if stack.kernel.sum() == 1:
        return "its noise has no structure that a kernel hides"
    if usual is not None and stack.direction_deg is not None:
        angle = _angle(stack.direction_deg, usual)
        if angle > OTHER_DIRECTION_DEG:
            others = "the other is" if stacks == 2 else "most of the others are"
            return f"{others} correlated along {usual:.0f}°"
    covered = analysis.with_common_kernel(kernel).verdict.covered
    if covered < HIDDEN_SHARE:
        return f"the kernel for all hides only {covered:.0%} of its correlation"
    return ""
