"""Pixels predicted and found at the thresholds 0.01 … 0.99, all from one look at each pixel.

A pixel is predicted crack when its value is > t, strictly. The rank of a value is how many of the 99 thresholds
it exceeds: the joint histogram of rank and mask holds the counts at every threshold.
"""

import functools
from typing import Any, NamedTuple, TypeAlias

import numba
import numpy as np
import numpy.typing as npt

from pipeline.ops.types import Mask

Floats: TypeAlias = npt.NDArray[np.float64]
Counts: TypeAlias = npt.NDArray[np.int64]
Bytes: TypeAlias = npt.NDArray[np.uint8]

THRESHOLDS: Floats = np.arange(1, 100) / 100  # the float64 nearest to k/100; np.arange(0.01, 1, 0.01) strays
TOP = {np.dtype(np.bool_): 1, np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}

compiled = numba.njit(cache=True, nogil=True, error_model="numpy")


class PixelCounts(NamedTuple):
    hits: Counts  # at each threshold, crack pixels predicted as such
    predicted: Counts  # at each threshold
    crack: int


def count_pixels(prediction: npt.NDArray[Any], mask: Mask) -> PixelCounts:
    """Counts of one image: the prediction as floats in [0, 1], uint8 (p/255), uint16 (p/65535) or bool.

    Values are compared with the thresholds in float64.
    """
    if mask.dtype != np.bool_ or prediction.shape != mask.shape:
        raise ValueError(
            f"a prediction of shape {prediction.shape}, a mask of {mask.dtype}, shape {mask.shape}; "
            "both H×W and a bool mask are needed"
        )
    levels, ranks = levels_of(prediction.ravel())
    of_rank = _joint_histogram(levels, mask.ravel().view(np.uint8), ranks)
    exceeding = of_rank[:, ::-1].cumsum(axis=1)[:, ::-1]  # rank ≥ 0, ≥ 1, … ≥ 99
    return PixelCounts(exceeding[1, 1:], exceeding.sum(axis=0)[1:], int(exceeding[1, 0]))


def levels_of(values: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], Bytes]:
    """Whole numbers, and a table of their ranks."""
    if values.dtype in TOP:
        return values.view(np.uint8) if values.dtype == np.bool_ else values, _table(TOP[values.dtype])
    if values.dtype.kind != "f" or not ((values >= 0) & (values <= 1)).all():
        raise ValueError(
            f"a prediction of {values.dtype} with values that are not all in [0, 1]; "
            "floats in [0, 1], uint8, uint16 or bool are needed"
        )
    return _ranks(values.astype(np.float64), THRESHOLDS), np.arange(100, dtype=np.uint8)


@functools.cache
def _table(top: int) -> Bytes:
    return _ranks(np.arange(top + 1) / top, THRESHOLDS)


@compiled
def _ranks(values: Floats, thresholds: Floats) -> Bytes:
    """How many thresholds each value in [0, 1] exceeds: a guess, put right by comparing with its neighbours."""
    ranks = np.empty(values.size, np.uint8)
    for i in range(values.size):
        rank = min(int(values[i] * 100), 99)
        while rank > 0 and values[i] <= thresholds[rank - 1]:
            rank -= 1
        while rank < 99 and values[i] > thresholds[rank]:
            rank += 1
        ranks[i] = rank
    return ranks


@compiled
def _joint_histogram(levels: npt.NDArray[Any], mask: Bytes, ranks: Bytes) -> Counts:
    """(2, 100) pixels by mask and rank.

    Four histograms take turns: equal neighbours would otherwise wait for each other's sum to reach memory.
    """
    histograms = np.zeros((4, 2, 100), np.int64)
    whole = levels.size - levels.size % 4
    for start in range(0, whole, 4):
        for turn in range(4):
            histograms[turn, mask[start + turn], ranks[levels[start + turn]]] += 1
    for i in range(whole, levels.size):
        histograms[0, mask[i], ranks[levels[i]]] += 1
    joint: Counts = histograms.sum(axis=0)
    return joint
