"""Probabilities as logits, weighed and summed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from pipeline.ops.types import Map

Squares = Iterable[tuple[int, int, int, bool]]  # row, column, side, and whether a crack is inside
SUREST = np.float32(1 / 512)  # closer to 0 or 1 an 8-bit map does not say how sure it is


def logit(probability: Map) -> Map:
    """float32: log(p / (1 − p)), p kept within [SUREST, 1 − SUREST]."""
    kept = np.clip(probability, SUREST, 1 - SUREST)
    return np.asarray(np.log(kept / (1 - kept)), np.float32)


def weighed(maps: Sequence[Map], weights: Sequence[float]) -> Map:
    """float32: σ(Σ wₖ·logit(pₖ) / Σ wₖ): the word of each map by its weight; all weights 0 count as equal."""
    shares = np.asarray(weights, np.float64)
    shares = shares / shares.sum() if shares.sum() > 0 else np.full(len(maps), 1 / len(maps))
    total = sum(np.float32(share) * logit(each) for share, each in zip(shares, maps, strict=True))
    return np.asarray(1 / (1 + np.exp(-total)), np.float32)


def said(logits: Map, pool_px: int) -> float:
    """What a square says as a whole: the mean of its `pool_px` highest logits, of all where it has fewer."""
    count = min(pool_px, logits.size)
    return float(np.partition(logits.ravel(), logits.size - count)[-count:].mean())


def true_to_answers(confidence: Map, squares: Squares, *, pool_px: int, sure: float) -> Map:
    """float32: 0 inside every square answered "no"; raised in those answered "yes" that say too little.

    Where what a square says is below logit(sure), what is missing is added to all its pixels; a pixel of several such
    squares gets the mean of what they miss.
    """
    logits, wanted = logit(confidence), float(np.log(sure / (1 - sure)))
    possible = np.ones(confidence.shape, np.bool_)
    missing, asked = np.zeros(confidence.shape, np.float32), np.zeros(confidence.shape, np.float32)
    for row, col, side, yes in squares:
        inside = np.s_[row : row + side, col : col + side]
        if not yes:
            possible[inside] = False
            continue
        missing[inside] += max(wanted - said(logits[inside], pool_px), 0)
        asked[inside] += 1
    raised = logits + missing / np.maximum(asked, 1)
    return np.asarray(possible / (1 + np.exp(-raised)), np.float32)
