"""Sums of columns → scores, of every draw at once: draws × 1, or draws × thresholds where the best is wanted.

The thresholds are 0.00, 0.01 … 0.99, or 0.01 … 0.99 where there are 99.
"""

from collections.abc import Callable

import numpy as np

from pipeline.ops.counts import Floats
from pipeline.ops.judged_columns import Sums, harmonic
from pipeline.ops.ods_ois_ap import divide

Statistic = Callable[[Sums], Floats]


def mean_f1(first: int) -> Statistic:
    """The mean over the scored images of F1, from the threshold of that number on."""
    return lambda sums: divide(sums["f1"][:, first:], _like(sums["scored"], sums["f1"][:, first:]), np.nan)


def mean_best_f1(name: str) -> Statistic:
    return lambda sums: divide(sums[name], sums["scored"], np.nan)


def average_precision(sums: Sums) -> Floats:
    """Of the pooled counts, in steps from t = 0.99 down to 0.01."""
    hits, predicted = sums["hits"][:, 1:], sums["scored_predicted"][:, 1:]
    recall = _recall(sums)[:, 1:]
    steps = recall - np.concatenate([recall[:, 1:], np.zeros((len(recall), 1))], axis=1)
    area = (steps * divide(hits, predicted)).sum(axis=1, keepdims=True)
    return np.where(sums["scored"] > 0, area, np.nan)


def mean_average_precision(sums: Sums) -> Floats:
    return divide(sums["ap"], sums["scored"], np.nan)


def pooled_f1(sums: Sums) -> Floats:
    """Of the scored images, from 0.01 on."""
    f1 = divide(2 * sums["hits"], sums["scored_predicted"] + sums["crack"])[:, 1:]
    return np.where(sums["scored"] > 0, f1, np.nan)


def pooled_best_f1(sums: Sums) -> Floats:
    return divide(2 * sums["best_hits"], sums["best_predicted"] + sums["crack"], np.nan)


def pixel_f1(sums: Sums) -> Floats:
    return _with_crack(sums, divide(2 * sums["hits"], sums["predicted"] + sums["crack"]))


def mean_of(name: str, first: int = 0) -> Statistic:
    """The mean over all images, at each threshold."""
    return lambda sums: sums[name][:, first:] / sums["images"]


def mean_iou_over_thresholds(sums: Sums) -> Floats:
    mean: Floats = (sums["iou"][:, 1:] / sums["images"]).mean(axis=1, keepdims=True)
    return mean


def macro_f1(sums: Sums) -> Floats:
    return harmonic(sums["precision"] / sums["images"], sums["recall"] / sums["images"])


def area_in_steps(sums: Sums) -> Floats:
    recall, precision = _curve(sums)
    widths = recall[:, :-1] - recall[:, 1:]
    return _with_crack(sums, (widths * precision[:, :-1]).sum(axis=1, keepdims=True))


def area_in_trapezoids(sums: Sums) -> Floats:
    recall, precision = _curve(sums)
    widths = recall[:, :-1] - recall[:, 1:]
    return _with_crack(sums, (widths * (precision[:, :-1] + precision[:, 1:]) / 2).sum(axis=1, keepdims=True))


def region_f1(sums: Sums) -> Floats:
    """At each draw's own best threshold of pixel_f1."""
    best = pixel_f1(sums).argmax(axis=1)[:, None]
    regions = sums["regions"].reshape(-1, 2, 101)
    above = np.take_along_axis(regions[:, :, ::-1].cumsum(axis=2)[:, :, ::-1], best[:, None] + 1, axis=2)
    false, found, cracked = above[:, 0], above[:, 1], regions[:, 1].sum(axis=1, keepdims=True)
    return _with_crack(sums, np.where(false + cracked > 0, divide(2 * found, found + false + cracked), np.nan))


def at(statistic: Statistic, threshold: int) -> Statistic:
    """One of the 100 thresholds."""
    return lambda sums: statistic(sums)[:, threshold : threshold + 1]


def pooled_precision(sums: Sums) -> Floats:
    return divide(sums["hits"], sums["predicted"])


def pooled_recall(sums: Sums) -> Floats:
    return divide(sums["hits"], _like(sums["crack"], sums["hits"]))


def pooled_iou(sums: Sums) -> Floats:
    return divide(sums["hits"], sums["predicted"] + sums["crack"] - sums["hits"], np.nan)


def pooled_two_classes(sums: Sums) -> Floats:
    """A class that is nowhere is left out."""
    union = sums["predicted"] + sums["crack"] - sums["hits"]
    background = divide(sums["pixels"] - union, sums["pixels"] - sums["hits"], np.nan)
    return _mean_of_known(pooled_iou(sums), background)


def accuracy(sums: Sums) -> Floats:
    right: Floats = (sums["pixels"] - sums["predicted"] - sums["crack"] + 2 * sums["hits"]) / sums["pixels"]
    return right


def class_accuracy(sums: Sums) -> Floats:
    background = sums["pixels"] - sums["crack"]
    right = background - sums["predicted"] + sums["hits"]
    recall = divide(sums["hits"], _like(sums["crack"], sums["hits"]), np.nan)
    return _mean_of_known(recall, divide(right, _like(background, right), np.nan))


def alarmed(sums: Sums) -> Floats:
    return divide(sums["alarmed"], _like(sums["free"], sums["alarmed"]), np.nan)


def alarmed_pixels(sums: Sums) -> Floats:
    return divide(sums["alarmed_pixels"], _like(sums["free_pixels"], sums["alarmed"]), np.nan)


def _mean_of_known(one: Floats, other: Floats) -> Floats:
    known = (~np.isnan(one)).astype(np.float64) + ~np.isnan(other)
    return divide(np.nan_to_num(one) + np.nan_to_num(other), known, np.nan)


def _recall(sums: Sums) -> Floats:
    return divide(sums["hits"], _like(sums["crack"], sums["hits"]))


def _curve(sums: Sums) -> tuple[Floats, Floats]:
    """Recall and precision, down to t = 1.00, where nothing is predicted."""
    ends = np.zeros((len(sums["crack"]), 1))
    precision = divide(sums["hits"], sums["predicted"], 1.0)
    return np.concatenate([_recall(sums), ends], axis=1), np.concatenate([precision, ends + 1], axis=1)


def _with_crack(sums: Sums, scores: Floats) -> Floats:
    return np.where(sums["crack"] > 0, scores, np.nan)


def _like(column: Floats, shape: Floats) -> Floats:
    return np.broadcast_to(column, shape.shape)
