"""Non-local means of scikit-image as its documentation advises, with the noise it estimates: no choices.

It runs in the environment of pystripe, which has the wavelets for the estimate.
"""

from __future__ import annotations

import time

import numpy as np
from _case import read, write
from pystripe_nlm import PATCHES, smooth


def main() -> None:
    """Denoise the case."""
    case = read()
    start = time.perf_counter()
    denoised = np.stack([smooth(image, PATCHES[0], None) for image in case.noisy])
    write(denoised, "non-local means, automatic", time.perf_counter() - start)


if __name__ == "__main__":
    main()
