"""Maps of several networks, all in [0, 1] → one soft label."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.knobs import MergedLabelsKnobs, MergeRule, RoundLabelsKnobs
from pipeline.ops.morphology import dilate
from pipeline.ops.types import Grey, Map, Mask
from pipeline.ops.weighing import Squares, true_to_answers, weighed


def merged(maps: Sequence[Map], rule: MergeRule, weights: Sequence[float]) -> Map:
    """float32 H×W: of every pixel the mean, geometric mean, product or largest of the maps, or each by its weight."""
    if rule == "answers":
        return weighed(maps, weights)
    stacked = np.stack(maps)
    if rule == "mean":
        return np.asarray(stacked.mean(axis=0), np.float32)
    if rule == "max":
        return np.asarray(stacked.max(axis=0), np.float32)
    product = np.asarray(stacked.prod(axis=0), np.float32)
    return product if rule == "product" else np.asarray(product ** (1 / len(maps)), np.float32)


def merged_label(
    maps: Sequence[Map], dark: Mask | None, squares: Squares, knobs: MergedLabelsKnobs, weights: Sequence[float]
) -> Grey:
    """The merged maps, where the photo is not dark less by `threshold_weight`; true to answers, widened, cut."""
    found = merged(maps, knobs.rule, weights)
    if dark is not None:
        found = found * np.where(dark, np.float32(1), np.float32(1 - knobs.threshold_weight))
    if squares:
        found = true_to_answers(found, squares, pool_px=knobs.pool_px, sure=knobs.sure)
    if knobs.extent == "wide":
        found = dilate(found, kernel_px=2 * knobs.widen_px + 1, iterations=1)
    return as_label(found, gain=knobs.gain, cut=knobs.cut)


def round_label(answer: Map, before: Map | None, squares: Squares, knobs: RoundLabelsKnobs) -> Grey:
    """What a network answers about a photo it was trained on, alone or merged with the label it was trained on."""
    found = (
        answer if before is None else merged([answer, before], "geometric" if knobs.rule == "geometric" else "mean", [])
    )
    if squares:
        found = true_to_answers(found, squares, pool_px=knobs.pool_px, sure=knobs.sure)
    return as_label(found, gain=knobs.gain, cut=knobs.cut)


def nothing(shape_hw: tuple[int, int]) -> Grey:
    """The label of a photo without a crack."""
    return np.zeros(shape_hw, np.uint8)


def as_label(confidence: Map, *, gain: float, cut: float) -> Grey:
    """uint8: times `gain`, at most 1; what is below `cut` then is 0."""
    sure = np.minimum(confidence * np.float32(gain), np.float32(1))
    return np.asarray(np.rint(np.where(sure < cut, 0, sure) * 255), np.uint8)
