"""Probabilities as logits, weighed and summed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.ops.types import Map

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
