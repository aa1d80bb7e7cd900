"""One thing that was looked at."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes
    ----------
    name
        What it is.
    value
        What was found, in words.
    trouble
        What is wrong with it and what to do about it; empty if nothing is.
    """

    name: str
    value: str
    trouble: str = ""
