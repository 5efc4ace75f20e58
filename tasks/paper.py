"""The paper's own numbers, to stand beside ours: `configs/paper_tables.csv`, every number of its Tables I to IX.

Source: König, Jenkins, Mannion, Barrie, Morison, "Weakly-Supervised Surface Crack Segmentation by Generating
Pseudo-Labels using Localization with a Classifier and Thresholding" (2021).
"""

from __future__ import annotations

import csv
import functools

from tasks import settings

TABLES = "paper_tables.csv"
CLASSIFIER_METRICS = ("f1", "precision", "recall")
_AXES = ("table", "train_set", "test_set", "labels", "method", "metric")


@functools.cache
def _all() -> tuple[dict[str, str], ...]:
    with (settings.ROOT / "configs" / TABLES).open(encoding="utf-8", newline="") as stream:
        return tuple(csv.DictReader(stream))


def rows(table: str) -> list[dict[str, str | float]]:
    """All rows of a table, I to IX, in the paper's order; `value` is a number."""
    return [{**row, "value": float(row["value"])} for row in _all() if row["table"] == table]


@functools.cache
def _values() -> dict[tuple[str, ...], dict[str, float]]:
    """(table, test set, labels, method, metric) → value for each training set."""
    values: dict[tuple[str, ...], dict[str, float]] = {}
    for row in _all():
        place = tuple(row[name] for name in _AXES if name != "train_set")
        values.setdefault(place, {})[row["train_set"]] = float(row["value"])
    return values


def paper_value(
    table: str, *, test_set: str, labels: str, method: str, metric: str, train_set: str = ""
) -> float | None:
    """One number of the paper, None where it has none. `train_set` is needed only in Table VIII, which has two."""
    found = _values().get((table, test_set, labels, method, metric), {})
    if train_set:
        return found.get(train_set)
    if len(found) > 1:
        raise ValueError(f"Table {table} has several training sets ({', '.join(found)}); name one of them")
    return next(iter(found.values()), None)


def classifier_scores(dataset: str, arch: str, split: str) -> dict[str, float | None]:
    """Table I has the patches of test images only."""

    def value(metric: str) -> float | None:
        return paper_value("I", train_set=dataset, test_set=dataset, labels="class", method=arch, metric=metric)

    return {metric: value(metric) if split == "test" else None for metric in CLASSIFIER_METRICS}
