"""Counts of images → every definition's score with its interval, per image and in pairs of systems."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.knobs import JudgeKnobs, ScoresKnobs
from pipeline.ops.bootstrap import interval, weights_of
from pipeline.ops.counts import TOP
from pipeline.ops.judged_columns import Judged, resampled, shape_scores
from pipeline.ops.judged_definitions import CURVES, FIXED, ODS, SUFFIXES, Definition, of_pixels, of_shapes
from pipeline.ops.ods_ois_ap import ScoreSheet
from pipeline.ops.other_papers_scores import THRESHOLDS_FROM_ZERO, ImageCounts, MetricSheet, count_image
from pipeline.ops.shape_counts import Reach, shape_counts, shapes_of

_SHEET_NAMES = {"ods_pooled": "pooled_f1"}  # where the sheet has another name for the same
_OF_SHEETS = ("iou", "dice", "miou", "accuracy", "class_accuracy")  # at a threshold
HEADLINES = ("ods", "ois", "ap")
Key = tuple[str, str]  # a definition's name, and where it is cut


@dataclass(frozen=True)
class Judgement:
    """Of one system."""

    table: pd.DataFrame  # a row for each definition
    by_image: pd.DataFrame
    curve: pd.DataFrame
    samples: Mapping[Key, NDArray[np.float64]]  # of all images, then of every draw

    def worst(self, count: int) -> list[str]:
        """Names by crack IoU where the best ODS cuts, the least first; among equals those with more wrong pixels."""
        iou, wrong = (self.by_image[f"{name} at {ODS}"] for name in ("iou", "wrong_pixels"))
        order = np.lexsort((-wrong.to_numpy(), iou.to_numpy()))
        return [str(name) for name in self.by_image["image"].iloc[order[:count]]]


def count(prediction: NDArray[Any], mask: NDArray[np.bool_], knobs: ScoresKnobs) -> ImageCounts:
    return count_image(prediction, mask, knobs.region_px, knobs.region_crack_share, knobs.region_hit_share)


def compare_shapes(
    prediction: NDArray[Any], mask: NDArray[np.bool_], knobs: JudgeKnobs, places: Mapping[str, int]
) -> dict[str, dict[str, int]]:
    """The shape counts of an image at each place, whose number is that of one of the 100 thresholds."""
    reach = Reach(
        cliou_px=knobs.cliou_px,
        nsd_px=knobs.nsd_px,
        edge_px=knobs.boundary_px,
        buffer_px=knobs.buffer_px,
        tolerances_px=knobs.tolerances_px,
        strip_share=knobs.boundary_share,
    )
    shapes = shapes_of(mask, reach)
    at = {threshold: shape_counts(cut(prediction, threshold), shapes, reach) for threshold in set(places.values())}
    return {place: at[threshold] for place, threshold in places.items()}


def cut(prediction: NDArray[Any], threshold: int) -> NDArray[np.bool_]:
    """Where the probability is above threshold/100, strictly."""
    values = prediction.astype(np.float64) / TOP.get(prediction.dtype, 1)
    found: NDArray[np.bool_] = values > THRESHOLDS_FROM_ZERO[threshold]
    return found


def places_of(counts: Sequence[ImageCounts], scores: ScoresKnobs, knobs: JudgeKnobs) -> dict[str, int]:
    """The two places where a prediction is cut: the fixed threshold, and the best of ODS on these images."""
    sheet = ScoreSheet(empty=scores.empty)
    for image in counts:
        sheet.add_counts(image.hits[1:], image.predicted[1:], image.crack)
    best = sheet.totals()["ods_threshold"]
    if math.isnan(best):
        raise ValueError(
            'no mask has a crack pixel, and [Scores] empty = "skip" leaves such images out: nothing can be scored; '
            'set empty = "zero"'
        )
    return {FIXED: _number(knobs.threshold), ODS: _number(best)}


def thresholds_of(places: Mapping[str, int]) -> dict[str, float]:
    """Place → the threshold of its number."""
    return {place: float(THRESHOLDS_FROM_ZERO[number]) for place, number in places.items()}


def _number(threshold: float) -> int:
    return int(THRESHOLDS_FROM_ZERO.searchsorted(threshold))


def judge(
    named: Mapping[str, tuple[str, Judged]],
    weights: NDArray[np.integer[Any]],
    scores: ScoresKnobs,
    knobs: JudgeKnobs,
    places: Mapping[str, int],
) -> Judgement:
    """`named`: name → (group, image). `weights`: ones in the first row, then a row for each draw."""
    images = [image for _, image in named.values()]
    exact, by_image, curve = _sheets(named, scores, knobs, places)
    sums = resampled(images, weights, scores.empty, knobs.tolerances_px)
    rows, samples = [], {}
    for definition in definitions(places, knobs):
        key = (definition.name, definition.cut)
        values = definition.statistic(sums)
        samples[key] = values.max(axis=1)
        samples[key][0] = exact.get(key, samples[key][0])
        rows.append(_row(definition, values, samples[key], knobs, places))
    return Judgement(pd.DataFrame(rows), by_image, curve, samples)


def refereed(
    pairs: Callable[[], Iterable[tuple[str, NDArray[Any], NDArray[np.bool_]]]],
    groups: Sequence[str],
    scores: ScoresKnobs,
    knobs: JudgeKnobs,
) -> dict[str, float]:
    """Every definition's score, by its name and where it is cut, of maps that are read twice; intervals of `HEADLINES`.

    `groups`: of which photo each image is, so that images of one are drawn together.
    """
    counts = [count(prediction, mask, scores) for _, prediction, mask in pairs()]
    places = places_of(counts, scores, knobs)
    shapes = [compare_shapes(prediction, mask, knobs, places) for _, prediction, mask in pairs()]
    images = [Judged(*image) for image in zip(counts, shapes, strict=True)]
    named = {str(number): image for number, image in enumerate(zip(groups, images, strict=True))}
    table = judge(named, weights_of(groups, knobs.draws, knobs.seed), scores, knobs, places).table
    found: dict[str, float] = {}
    for row in table.to_dict("records"):
        found[row["score"] + SUFFIXES.get(row["cut"], "")] = row["value"]
        if row["score"] in HEADLINES:
            found |= {f"{row['score']}_{end}": row[end] for end in ("low", "high")}
    return found


def definitions(places: Mapping[str, int], knobs: JudgeKnobs) -> list[Definition]:
    at = [[*of_pixels(place, number), *of_shapes(place, knobs.tolerances_px)] for place, number in places.items()]
    return [*CURVES, *itertools.chain(*at)]


def _row(
    definition: Definition,
    values: NDArray[np.float64],
    samples: NDArray[np.float64],
    knobs: JudgeKnobs,
    places: Mapping[str, int],
) -> dict[str, Any]:
    low, high = interval(samples[1:], knobs.confidence)
    threshold = math.nan
    if definition.cut in places:
        threshold = thresholds_of(places)[definition.cut]
    elif values.shape[1] > 1 and not math.isnan(samples[0]):
        threshold = float(THRESHOLDS_FROM_ZERO[100 - values.shape[1] + int(values[0].argmax())])
    return {
        "score": definition.name,
        "images": definition.average,
        "cut": definition.cut,
        "threshold": threshold,
        "value": float(samples[0]),
        "low": low,
        "high": high,
        "used_by": definition.used_by,
        "definition": definition.text,
    }


def _sheets(
    named: Mapping[str, tuple[str, Judged]], scores: ScoresKnobs, knobs: JudgeKnobs, places: Mapping[str, int]
) -> tuple[dict[Key, float], pd.DataFrame, pd.DataFrame]:
    """What `Scores` would say of the same images, to every digit; a row per image; a row per threshold."""
    sheet = ScoreSheet(empty=scores.empty)
    regions = {name: getattr(scores, name) for name in ("region_px", "region_crack_share", "region_hit_share")}
    others = {place: MetricSheet(threshold=cut, **regions) for place, cut in thresholds_of(places).items()}
    rows = []
    for name, (group, image) in named.items():
        counts = image.counts
        row = {"image": name, "group": group, "pixels": counts.pixels}
        row |= sheet.add_counts(counts.hits[1:], counts.predicted[1:], counts.crack)
        rows.append(row | _at_places(image, others, knobs))
    curves = {**sheet.totals(), **others[FIXED].totals()}
    exact = {(each.name, each.cut): curves.get(_SHEET_NAMES.get(each.name, each.name), math.nan) for each in CURVES}
    exact = {key: value for key, value in exact.items() if _SHEET_NAMES.get(key[0], key[0]) in curves}
    for place, other in others.items():
        exact |= {(name, place): value for name, value in other.totals().items() if name in _OF_SHEETS}
    return exact, pd.DataFrame(rows), pd.DataFrame(sheet.curve())


def _at_places(image: Judged, sheets: Mapping[str, MetricSheet], knobs: JudgeKnobs) -> dict[str, float]:
    """The scores of one image at each place, which its sheet adds up."""
    row: dict[str, float] = {}
    for place, sheet in sheets.items():
        shapes = {name: np.array([count], np.float64) for name, count in image.shapes[place].items()}
        scores = shape_scores(shapes, knobs.tolerances_px, of_images=True)
        pixels = sheet.add_counts(image.counts)
        found, hits = image.shapes[place]["found_area"], image.shapes[place]["hits"]
        here: dict[str, float] = {"predicted_pixels": found, "wrong_pixels": found + image.counts.crack - 2 * hits}
        here |= {name: pixels[name] for name in ("iou", "dice")}
        here |= {name: float(score[0]) for name, score in scores.items()}
        row |= {f"{name} at {place}": value for name, value in here.items()}
    return row


def differences(judgements: Mapping[str, Judgement], confidence: float) -> pd.DataFrame:
    """One row per pair of systems and definition: first − second on the same images, in the same draws."""
    rows = []
    for (one, first), (other, second) in itertools.combinations(judgements.items(), 2):
        for key in first.samples:
            samples = first.samples[key] - second.samples[key]
            low, high = interval(samples[1:], confidence)
            pair = {"first": one, "second": other, "score": key[0], "cut": key[1]}
            rows.append({**pair, "difference": float(samples[0]), "low": low, "high": high})
    return pd.DataFrame(rows)


def facts(named: Mapping[str, tuple[str, Judged]], places: Mapping[str, int]) -> dict[str, int]:
    """How many images, groups, empty masks and, at each place, empty predictions there are."""
    images = [image for _, image in named.values()]
    found = {
        "images": len(images),
        "groups": len({group for group, _ in named.values()}),
        "empty_masks": sum(image.counts.crack == 0 for image in images),
    }
    empty = {place: sum(image.shapes[place]["found_area"] == 0 for image in images) for place in places}
    return found | {f"empty_predictions at {place}": count for place, count in empty.items()}
