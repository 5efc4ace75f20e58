"""Maps and masks → scores of a data set, of each image, and along the thresholds (method, section 8)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.knobs import ScoresKnobs
from pipeline.ops.ods_ois_ap import ScoreSheet, classification_scores
from pipeline.ops.other_papers_scores import MetricSheet

CRACK_PROBABILITY = 0.5  # the two classes are equally likely: the only threshold that an arg-max has


def score_maps(
    pairs: Iterable[tuple[str, NDArray[Any], NDArray[np.bool_]]], knobs: ScoresKnobs
) -> tuple[dict[str, Any], pd.DataFrame, pd.DataFrame]:
    """(summary, one row per image, one row per threshold) of (name, map, mask) triples, read once.

    `empty` is about ODS, OIS and AP only; the others have their own rules, in `pipeline.ops.other_papers_scores`.
    """
    sheet = ScoreSheet(empty=knobs.empty)
    others = MetricSheet(
        threshold=knobs.fixed_threshold,
        region_px=knobs.region_px,
        region_crack_share=knobs.region_crack_share,
        region_hit_share=knobs.region_hit_share,
    )
    rows = [
        {"id": name, **sheet.add(prediction, mask), **others.add(prediction, mask)} for name, prediction, mask in pairs
    ]
    summary = {**sheet.totals(), "empty": knobs.empty, **others.totals()}
    return summary, pd.DataFrame(rows), pd.DataFrame(sheet.curve())


def score_ways(
    images: Iterable[tuple[NDArray[np.bool_], Mapping[str, NDArray[Any]]]], *, empty: Literal["zero", "one", "skip"]
) -> pd.DataFrame:
    """One row per way of labelling, from (mask, {way: map}) of every image, read once."""
    sheets: dict[str, ScoreSheet] = {}
    for mask, maps in images:
        for way, found in maps.items():
            sheets.setdefault(way, ScoreSheet(empty=empty)).add(found, mask)
    return pd.DataFrame([{"way": way, **sheet.totals(), "empty": empty} for way, sheet in sheets.items()])


def score_patches(labels: NDArray[Any], probabilities: NDArray[np.float32]) -> dict[str, Any]:
    """F1, precision, recall, AUC and confusion counts of a patch classifier."""
    return classification_scores(labels.astype(bool), probabilities, CRACK_PROBABILITY)
