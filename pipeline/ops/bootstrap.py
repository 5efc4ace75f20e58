"""Draws of images with replacement, as weights; images of one group are drawn together."""

import math
import warnings
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipeline.ops.counts import Floats


def weights_of(groups: Sequence[str], draws: int, seed: int) -> npt.NDArray[np.uint16]:
    """1 + draws rows, a column for each image: ones first, then how often each image was drawn.

    As many groups are drawn as there are, so the number of images may differ where groups differ in size. Of one
    group alone nothing can be drawn: then there is the first row only, and no interval.
    """
    names, group_of = np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)
    rng = np.random.default_rng(seed)
    draws = draws if len(names) > 1 else 0
    weights = np.ones((1 + draws, len(groups)), np.uint16)
    for draw in range(1, 1 + draws):
        times = np.bincount(rng.integers(0, len(names), len(names)), minlength=len(names))
        weights[draw] = times[group_of]
    return weights


def interval(samples: Floats, confidence: float) -> tuple[float, float]:
    """The percentiles that leave out the same share at both ends; draws without a value do not count."""
    if not samples.size:
        return math.nan, math.nan
    ends = [(1 - confidence) / 2, (1 + confidence) / 2]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # no draw has a value
        low, high = np.nanquantile(samples, ends)
    return float(low), float(high)
