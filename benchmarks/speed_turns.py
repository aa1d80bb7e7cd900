"""Timing in turns: what a busy machine does to one contender it does to the others too."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch


class Turns:
    """Times of contenders that took turns, seconds a unit of work, one of each round.

    Parameters
    ----------
    contenders
        Each does a short piece of work and says how many seconds a unit of it took.
    rounds
        How often each has its turn, after one that warms up and does not count.
    """

    def __init__(self, contenders: Mapping[str, Callable[[], float]], rounds: int) -> None:
        self.times: dict[str, list[float]] = {name: [] for name in contenders}
        for number in range(rounds + 1):
            # forwards and backwards, so that nobody always comes after the same other
            for name in sorted(contenders, reverse=bool(number % 2)):
                seconds = contenders[name]()
                if number:
                    self.times[name].append(seconds)

    def seconds(self, name: str) -> float:
        """The median."""
        return float(np.median(self.times[name]))

    def faster(self, name: str, other: str) -> float:
        """How many times faster one is than another: the median of the rounds' ratios."""
        pairs = zip(self.times[other], self.times[name], strict=True)
        return float(np.median([theirs / ours for theirs, ours in pairs]))


def computed(device: torch.device) -> None:
    """Wait for the device: a GPU is given work long before it has done it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
