"""A small search over the label knobs on a few images that have masks; the labeller is handed in."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.knobs import CrfSearchKnobs, TuneLabelsKnobs
from pipeline.ops.ods_ois_ap import ScoreSheet

Combination = tuple[int, float, float, int]  # window_px, cam_weight, localization_threshold, erosion_iterations
NAMES = ("window_px", "cam_weight", "localization_threshold", "erosion_iterations")


def combinations(knobs: TuneLabelsKnobs) -> list[Combination]:
    """Every combination, in the order of the settings."""
    return list(
        itertools.product(knobs.windows_px, knobs.cam_weights, knobs.localization_thresholds, knobs.erosion_iterations)
    )


def draw(names: list[str], knobs: TuneLabelsKnobs | CrfSearchKnobs) -> list[str]:
    """The images that are searched on: drawn with the seed, without replacement, in their own order."""
    if len(names) <= knobs.images:
        return names
    chosen = np.random.default_rng(knobs.seed).choice(len(names), knobs.images, replace=False)
    return [names[index] for index in sorted(chosen)]


def search(
    images: Iterable[tuple[NDArray[np.bool_], Mapping[Combination, NDArray[np.uint8]]]], empty: Any
) -> list[dict[str, Any]]:
    """One row per combination, the best ODS first; ties go to the combination that the settings name first."""
    sheets: dict[Combination, ScoreSheet] = {}
    for mask, labels in images:
        for choice, label in labels.items():
            sheets.setdefault(choice, ScoreSheet(empty=empty)).add(label, mask)
    rows = [{**dict(zip(NAMES, choice, strict=True)), **sheet.totals()} for choice, sheet in sheets.items()]
    return sorted(rows, key=lambda row: -row["ods"])


def as_table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame([{"rank": rank, **row} for rank, row in enumerate(rows, start=1)])


def labels_of(
    dark_by_window: Mapping[int, NDArray[np.bool_]],
    options: list[Combination],
    labeller: Callable[[NDArray[np.bool_], Mapping[str, Any]], NDArray[np.uint8]],
) -> dict[Combination, NDArray[np.uint8]]:
    """The label of one image for every combination."""
    return {
        choice: labeller(dark_by_window[choice[0]], dict(zip(NAMES[1:], choice[1:], strict=True))) for choice in options
    }
