"""Counts of images → columns of numbers whose weighted sums are all that any score of a set of images needs.

So a bootstrap draw is a row of weights, one for each image, and all draws are one product of matrices.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.ops.counts import Floats
from pipeline.ops.ods_ois_ap import Empty, divide
from pipeline.ops.other_papers_scores import ImageCounts

Columns = dict[str, Floats]  # name → images × width
Sums = Mapping[str, Floats]  # name → draws × width
_BLOCK = 256  # images whose columns are in memory at a time


@dataclass(frozen=True)
class Judged:
    """An image: its counts at all thresholds, and its shape counts at some places, by the name of the place."""

    counts: ImageCounts
    shapes: Mapping[str, Mapping[str, int]]


def resampled(images: Sequence[Judged], weights: npt.NDArray[np.integer], empty: Empty, tolerances: list[int]) -> Sums:
    """Draws × images of weights → the sums of all columns in each draw."""
    sums: dict[str, Floats] = {}
    for start in range(0, len(images), _BLOCK):
        columns = columns_of(images[start : start + _BLOCK], empty, tolerances)
        block = weights[:, start : start + _BLOCK].astype(np.float64)
        for name, column in columns.items():
            sums[name] = sums.get(name, 0.0) + block @ column
    return sums


def columns_of(images: Sequence[Judged], empty: Empty, tolerances: list[int]) -> Columns:
    hits = np.stack([image.counts.hits for image in images]).astype(np.float64)
    predicted = np.stack([image.counts.predicted for image in images]).astype(np.float64)
    crack = np.array([[image.counts.crack] for image in images], np.float64)
    pixels = np.array([[image.counts.pixels] for image in images], np.float64)
    regions = np.stack([image.counts.regions.reshape(-1) for image in images]).astype(np.float64)
    columns = {"images": np.ones_like(crack), "crack": crack, "pixels": pixels, "hits": hits, "predicted": predicted}
    columns |= {"regions": regions, **_means(hits, predicted, crack, pixels), **_empties(predicted, crack, pixels)}
    columns |= _scored(hits, predicted, crack, empty)
    for place in images[0].shapes:
        counted = [image.shapes[place] for image in images]
        shapes = {name: np.array([[each[name]] for each in counted], np.float64) for name in counted[0]}
        scores = shape_scores(shapes, tolerances, of_images=True)
        columns |= {f"{place}:{name}": column for name, column in shapes.items()}
        columns |= {f"{place}:mean {name}": column for name, column in scores.items()}
    return columns


def _means(hits: Floats, predicted: Floats, crack: Floats, pixels: Floats) -> Columns:
    """What is averaged over all images, at each threshold."""
    union = predicted + crack - hits
    background = divide(pixels - union, pixels - hits, 1.0)
    two_classes = np.where(union > 0, (divide(hits, union) + background) / 2, 0.0)
    return {
        "precision": divide(hits, predicted),
        "recall": divide(hits, np.broadcast_to(crack, hits.shape)),
        "iou": divide(hits, union, 1.0),
        "dice": divide(2 * hits, predicted + crack, 1.0),
        "miou": two_classes,
    }


def _empties(predicted: Floats, crack: Floats, pixels: Floats) -> Columns:
    """Of images without a crack: how many, their pixels, and at each threshold those with a false alarm and it."""
    free = crack == 0
    return {
        "free": free.astype(np.float64),
        "free_pixels": np.where(free, pixels, 0),
        "alarmed": (free & (predicted > 0)).astype(np.float64),
        "alarmed_pixels": np.where(free, predicted, 0),
    }


def _scored(hits: Floats, predicted: Floats, crack: Floats, empty: Empty) -> Columns:
    """What `ScoreSheet` adds up, at the thresholds from 0.00 where it has them from 0.01."""
    counts = np.ones_like(crack) if empty != "skip" else (crack > 0).astype(np.float64)
    f1 = divide(2 * hits, predicted + crack, 1.0 if empty == "one" else 0.0)
    best = f1[:, 1:].argmax(axis=1)[:, None] + 1
    recall = divide(hits, np.broadcast_to(crack, hits.shape))[:, 1:]
    steps = recall - np.concatenate([recall[:, 1:], np.zeros_like(crack)], axis=1)
    average_precision = (steps * divide(hits, predicted)[:, 1:]).sum(axis=1, keepdims=True)
    columns = {
        "f1": f1,
        "best_f1": np.take_along_axis(f1, best, axis=1),
        "best_f1_from_zero": f1.max(axis=1, keepdims=True),
        "best_hits": np.take_along_axis(hits, best, axis=1),
        "best_predicted": np.take_along_axis(predicted, best, axis=1),
        "ap": average_precision,
        "scored_predicted": predicted,
    }
    return {"scored": counts, **{name: column * counts for name, column in columns.items()}}


def shape_scores(shapes: Mapping[str, Floats], tolerances: Sequence[int], *, of_images: bool) -> Columns:
    """Scores of shape counts, of one image or of all together; 1 where mask and prediction are both empty.

    Those that JTFN's authors compute are 0 there, as with them.
    """
    neither = (shapes["mask_area"] + shapes["found_area"] == 0).astype(np.float64)

    def share(part: Floats, whole: Floats) -> Floats:
        return np.where(whole > 0, divide(part, whole), neither)

    def pair(name: str, kind: str) -> tuple[Floats, Floats]:
        return tuple(share(shapes[f"{whose}_{name}_near"], shapes[f"{whose}_{kind}"]) for whose in ("found", "mask"))  # type: ignore[return-value]

    def contour(suffix: str) -> Floats:
        total: Floats = shapes[f"straight{suffix}"] + np.sqrt(0.5) * shapes[f"across{suffix}"]
        return total

    correctness, completeness = pair("skeleton", "skeleton")
    buffered = harmonic(correctness, completeness)
    sensitivity = share(shapes["mask_skeleton_found"], shapes["mask_skeleton"])
    false_line = shapes["found_line"] - shapes["found_line_near"]
    scores = {
        "cliou": share(shapes["mask_line_near"], shapes["mask_line"] + false_line),
        "cldice": harmonic(share(shapes["found_skeleton_true"], shapes["found_skeleton"]), sensitivity),
        "nsd": share(contour("_near"), contour("")),
        "boundary_f1": harmonic(*pair("edge", "edge")),
        "boundary_iou": share(shapes["strip_both"], shapes["strip_any"]),
        **_to_the_pixel(shapes),
        "correctness_buffer": correctness,
        "completeness_buffer": completeness,
        "quality_buffer": buffered / (2 - buffered),
    }
    for reach in tolerances:
        precision, recall = pair(f"within_{reach}", "area")
        found = {"precision": precision, "recall": recall, "f1": harmonic(precision, recall)}
        scores |= {f"{name}_{reach}px": score for name, score in found.items()}
    return scores if of_images else scores | _lengths(shapes)


def _to_the_pixel(shapes: Mapping[str, Floats]) -> Columns:
    both, bones, other = (shapes[name] for name in ("skeleton_both", "mask_skeleton", "found_skeleton"))
    whole = {"correctness": other, "completeness": bones, "quality": other + bones - both}
    return {name: divide(both, pixels) for name, pixels in whole.items()}


def _lengths(shapes: Mapping[str, Floats]) -> Columns:
    parts = {"length_error": "line_difference", "length_ratio": "found_line"}
    return {name: divide(shapes[part], shapes["mask_line"], np.nan) for name, part in parts.items()}


def harmonic(one: Floats, other: Floats) -> Floats:
    """2ab / (a + b), 0 where both are 0."""
    return divide(2 * one * other, one + other)
