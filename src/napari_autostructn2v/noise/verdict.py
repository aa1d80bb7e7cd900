"""What an analysis means, in words and numbers: for the person who decides what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from napari_autostructn2v.noise.direction import extent
from napari_autostructn2v.noise.lattice_words import about_lattices
from napari_autostructn2v.noise.verdict_input import (
    FEW_TILES,
    LONG_RANGE_SCATTER,
    VerdictInput,
    covered,
    hides_enough,
    hides_mostly_detail,
    middle_correlation,
    structured,
    weak,
)
from napari_autostructn2v.noise.verdict_words import (
    BLUR,
    about_kernel,
    about_patterns,
    about_point_by_hand,
    headline,
)

SHARED_NOISE_SHARE = 0.1
"""Share of noise in common from which neighbouring slices are said to share it."""

DOUBTFUL_CONFIRMED_SHARE = 0.3
"""Share of the peaks confirmed by the residual below which a person should look."""

DOUBTFUL_ROUND_SHARE = 0.5
"""Share of the correlation that a kernel alike in all directions has to hide, or it may be made of detail."""

Kind = Literal["none", "kernel", "long_range", "isotropic", "unclear"]

Conclusion = Literal["helps", "adds_nothing", "look_first"]
"""What a verdict comes to."""

CONCLUSIONS: dict[Conclusion, str] = {
    "helps": "Stage 2 will help",
    "adds_nothing": "Stage 2 adds nothing",
    "look_first": "Look first",
}
"""Each of them in words, the same in the window and on the command line."""

Advice = Literal["2.5d", "all_patterns", "quick_look", "outline"]
"""What to try that may do better: the other mode, a notch of all patterns, a look before anything, or an
outline of empty background."""

NextStep = Literal["approve", "keep_stage1"] | Advice
"""What a person is advised to do now."""


@dataclass(frozen=True)
class Verdict:
    """What the analysis means.

    Attributes
    ----------
    kind
        ``none``: no structure in the noise. ``kernel``: structure that a kernel hides. ``isotropic``: the
        same, but alike in all directions. ``long_range``: a pattern that reaches farther than a small kernel,
        for the notch, with or without a kernel for the rest. ``unclear``: too little background to tell.
    conclusion
        ``helps``: Stage 2 is expected to help. ``adds_nothing``: it is not. ``look_first``: a person should
        look before one or the other, for the reason that :attr:`caution` gives.
    headline
        What was found, as one sentence in plain words.
    caution
        Why to look first, as a sentence; empty if there is no need to.
    summary
        All of it, in a few sentences.
    expect_gain
        Whether Stage 2 is expected to help.
    direction_deg
        Of the kernel's longest extent, or else of the strongest wave, from X towards Y, 0 to 180 degrees;
        None if there is neither.
    length_px
        Of the kernel's longest extent, in pixels.
    period_px
        Of the strongest wave that the notch takes away, in pixels, or None.
    covered
        Share of the noise's squared autocorrelation that the kernel hides, 0 to 1.
    notched
        Share of the background's variance that the notch takes away, 0 to 1.
    confirmed
        Share of the peaks at which the residual of Stage 1 departs from its rings as well, up or down, 0 to
        1; None without Stage 1 or peaks.
    advice
        What the summary says may do better, if anything.
    """

    kind: Kind
    conclusion: Conclusion
    headline: str
    caution: str
    summary: str
    expect_gain: bool
    direction_deg: float | None
    length_px: int
    period_px: float | None
    covered: float
    notched: float
    confirmed: float | None
    advice: Advice | None = None

    @property
    def brief(self) -> str:
        """The conclusion and what it rests on, in a line."""
        return " ".join(filter(None, (f"{CONCLUSIONS[self.conclusion]}:", self.headline, self.caution)))

    @property
    def next_step(self) -> NextStep:
        """What a person is advised to do now."""
        if self.advice == "2.5d" or (self.advice is not None and self.conclusion == "look_first"):
            return self.advice
        return "approve" if self.conclusion == "helps" else "keep_stage1"


def judge(found: VerdictInput) -> Verdict:
    """Say what an analysis means, and what to do.

    Parameters
    ----------
    found
        What the analysis has found.
    """
    direction, length = extent(found.middle, np.square(middle_correlation(found)))
    direction = None if found.round else direction
    has_kernel = bool(found.kernel.sum() > 1)
    sentences: list[str] = []
    kind: Kind = "none"
    gain = has_kernel or bool(found.notch)
    if found.notch:
        kind = "long_range"
        sentences.append(
            f"{about_patterns(found)}. No small kernel can hide that; the notch takes it away before Stage "
            f"2, {found.notched:.0%} of the variance of the background."
        )
    if has_kernel:
        kind = kind if found.notch else "isotropic" if found.round else "kernel"
        sentences += about_kernel(found, direction, length)
        gain = bool(found.notch) or not (found.risky or (found.by_hand and not hides_enough(found)))
    elif found.by_hand and structured(found):
        sentences += about_point_by_hand(found)
    elif not found.notch:
        kind, gain, sentence = _about_nothing(found)
        sentences.append(sentence)
    else:
        sentences.append(
            "What is left is independent from pixel to pixel, so that a kernel of one pixel does. Stage 2 is "
            "expected to help."
        )
    if gain and found.confirmed is not None and found.confirmed < DOUBTFUL_CONFIRMED_SHARE:
        sentences.append(
            f"But the residual of Stage 1 confirms only {found.confirmed:.0%} of the peaks: look at them "
            "before you go on."
        )
    if has_kernel and _shared_unseen(found):
        sentences.append(
            f"Neighbouring slices share {abs(found.coherence):.0%} of the noise: 2.5D may do better."
        )
    sentences += about_lattices(found)
    caution = _caution(found, kind, gain)
    wave = max(found.notch.waves, key=lambda wave: wave.share, default=None)
    return Verdict(
        kind=kind,
        conclusion="look_first" if caution else "helps" if gain else "adds_nothing",
        headline=headline(found, direction, length),
        caution=caution,
        summary=" ".join(sentences),
        expect_gain=gain,
        direction_deg=direction if direction is not None or wave is None else wave.direction_deg,
        length_px=length,
        period_px=None if wave is None else wave.period_px,
        covered=covered(found),
        notched=found.notched,
        confirmed=found.confirmed,
        advice=_advice(found, kind, caution),
    )


def _shared_unseen(found: VerdictInput) -> bool:
    """Whether neighbouring slices share noise and are not looked at."""
    return not found.stacked and abs(found.coherence) >= SHARED_NOISE_SHARE


def _caution(found: VerdictInput, kind: Kind, gain: bool) -> str:
    """Why a person should look before going on, the first reason that there is; empty if there is none."""
    has_kernel = bool(found.kernel.sum() > 1)
    if has_kernel and hides_mostly_detail(found):
        return BLUR
    if found.tiles < FEW_TILES and (gain or kind == "unclear"):
        return f"There are only {found.tiles} tiles of background to measure."
    if found.risky:
        return "So wide a kernel hides much of serial sections as well."
    if gain and found.confirmed is not None and found.confirmed < DOUBTFUL_CONFIRMED_SHARE:
        return f"The residual of Stage 1 confirms only {found.confirmed:.0%} of its peaks."
    if has_kernel and found.round and covered(found) < DOUBTFUL_ROUND_SHARE:
        return "It may be fine detail of the image."
    if weak(found):
        return "It is weak: to hide it costs about as much detail."
    if found.given_up is not None and not gain:
        return f"A kernel would hide only {found.given_up:.0%} of it: it may be fine detail of the image."
    if not gain and not found.by_hand and kind == "long_range":
        return "A small kernel cannot hide it, and the notch was not sure of it."
    if not gain and any(wave.asked_about for wave in found.left_alone.waves):
        return f"{found.slices_do_not_tell} whether a regular pattern is noise or a lattice of the sample."
    return ""


def _advice(found: VerdictInput, kind: Kind, caution: str) -> Advice | None:
    """What to try that may do better, the first of what the sentences say."""
    if found.lattice or (kind == "long_range" and not found.notch):
        return "all_patterns"
    if found.kernel.sum() > 1 and _shared_unseen(found):
        return "2.5d"
    if not caution:
        return None
    return "outline" if kind == "unclear" else "quick_look"


def _about_nothing(found: VerdictInput) -> tuple[Kind, bool, str]:
    """Kind, whether Stage 2 helps all the same, and the sentence, where there is neither kernel nor notch."""
    if found.tiles < FEW_TILES:
        return "unclear", False, (
            f"There are only {found.tiles} tiles of background to measure: too few to tell structure from "
            "chance. Outline some background, take more slices, or draw the kernel by hand."
        )  # fmt: skip
    if found.given_up is not None:
        return "unclear", False, (
            f"A kernel would hide only {found.given_up:.0%} of the correlation that is measured. Most of it "
            "would stay; it may be fine detail of the image. Outline some empty background to find out, or "
            "draw the kernel by hand. Stage 2 is not expected to help."
        )  # fmt: skip
    if found.noiseless:
        return "none", False, (
            "There is hardly any noise, or the stack was resampled to finer pixels than it was recorded "
            "with, which hides it: then bin it back. Stage 2 would add nothing."
        )  # fmt: skip
    if found.any_peaks and found.far_scatter > LONG_RANGE_SCATTER:
        return "long_range", False, (
            "The background has a regular pattern that reaches across the whole field. A small kernel cannot "
            "hide it, so Stage 2 is not expected to help."
        )  # fmt: skip
    if found.stacked:
        return "none", True, (
            "No structure found in the noise, and neighbouring slices do not share it. Stage 2 can use them "
            "to predict the slice between, with a single blind pixel."
        )  # fmt: skip
    return "none", False, (
        "No structure found in the noise: it is independent from pixel to pixel. Stage 1 has done what can "
        "be done; Stage 2 would add nothing."
        if found.isotropic is not None
        else "No structure found in the noise: it is independent from pixel to pixel, or alike in all "
        "directions, which here cannot be told from fine detail; outline some empty background to find out. "
        "Stage 2 is not expected to add anything."
    )  # fmt: skip
