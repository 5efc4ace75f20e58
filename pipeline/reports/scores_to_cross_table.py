"""Scores of networks trained on each data set and tested on each → a matrix, and the same in Markdown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from pipeline.ops.other_papers_scores import DEFINITIONS
from pipeline.reports.tables_text import markdown

METRICS = ("pixel_f1", "ods", "region_f1", "miou")
_TRAINED = ["segmenter", "labels", "arch", "train_set"]
_NAMES = {"segmenter": "segmenter", "labels": "labels", "arch": "classifier", "train_set": "trained on"}


def matrix(rows: pd.DataFrame) -> pd.DataFrame:
    """One row for each trained network, one column `<metric> on <test set>` for each test set.

    `<metric> own` is the score on the test images of the data set it was trained on, `<metric> elsewhere` the mean
    over the others, `<metric> lost` own − elsewhere, and `published_<metric>` what its paper prints for its own.
    """
    groups = rows.groupby(_TRAINED, sort=False)
    return pd.DataFrame([_network(dict(zip(_TRAINED, place, strict=True)), group) for place, group in groups])


def _network(place: dict[str, Any], tested: pd.DataFrame) -> dict[str, Any]:
    row: dict[str, Any] = place
    own = tested["test_set"] == place["train_set"]
    for metric in METRICS:
        row |= {f"{metric} on {name}": score for name, score in zip(tested["test_set"], tested[metric], strict=True)}
        at_home, elsewhere = tested.loc[own, metric].mean(), tested.loc[~own, metric].mean()
        row |= {f"{metric} own": at_home, f"{metric} elsewhere": elsewhere, f"{metric} lost": at_home - elsewhere}
        if f"published_{metric}" in tested:
            row[f"published_{metric}"] = tested.loc[own, f"published_{metric}"].mean()
    return row | {"published_source": "; ".join(filter(None, tested.loc[own, "published_source"]))}


def columns(matrix: pd.DataFrame, metric: str) -> dict[str, str]:
    """What a reader wants of one metric: the test sets, their mean without the own one, and the published number."""
    scores = {name: name.removeprefix(f"{metric} ") for name in matrix.columns if name.startswith(f"{metric} ")}
    names = {name: said for name, said in _NAMES.items() if name != "arch" or matrix["arch"].any()}
    published = f"published_{metric}"
    shown = published in matrix.columns and matrix[published].notna().any()
    return names | scores | ({published: "published, own"} if shown else {})


def summary(rows: pd.DataFrame, matrix: pd.DataFrame, absent: Iterable[str]) -> str:
    """A matrix for each metric, with what the metric is and how many images each test set has."""
    left_out = ", ".join(absent)
    parts = ["# Trained on one data set, tested on another\n"]
    parts += [f"Left out, because they are not on this machine: {left_out}.\n"] if left_out else []
    images = rows.drop_duplicates("test_set")
    counts = ", ".join(f"{name} {count}" for name, count in zip(images["test_set"], images["images"], strict=True))
    parts += [f"Test images: {counts}. A published number is of other images of the same data set.\n"]
    for metric in METRICS:
        meaning = DEFINITIONS.get(metric, "Best mean over the images of their F1, over t = 0.01 … 0.99 (König et al.).")
        parts += [f"## {metric}\n", f"{meaning}\n", markdown(matrix, columns(matrix, metric))]
    sources = dict.fromkeys(filter(None, matrix["published_source"]))
    return "\n".join([*parts, *(f"Published: {source}.\n" for source in sources)])
