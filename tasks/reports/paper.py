"""The paper's own numbers, to stand beside ours: `configs/paper_tables.csv`, every number of its Tables I to IX.

Source: König, Jenkins, Mannion, Barrie, Morison, "Weakly-Supervised Surface Crack Segmentation by Generating
Pseudo-Labels using Localization with a Classifier and Thresholding" (2021).
"""

from __future__ import annotations

import csv
import functools
import math
from dataclasses import dataclass

from tasks.core import settings
from tasks.supervision import SUPERVISIONS

TABLES = "paper_tables.csv"
TEST_SETS = "paper_test_sets.csv"
CLASSIFIER_METRICS = ("f1", "precision", "recall")
METRICS = ("ods", "ois", "ap")
_AXES = ("table", "train_set", "test_set", "labels", "method", "metric")
_OF_SEGMENTERS = ("III", "IV", "V", "VI", "VIII", "IX")


@functools.cache
def read(name: str) -> tuple[dict[str, str], ...]:
    """The rows of a table in configs/."""
    with (settings.ROOT / "configs" / name).open(encoding="utf-8", newline="") as stream:
        return tuple(csv.DictReader(stream))


def _all() -> tuple[dict[str, str], ...]:
    return read(TABLES)


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


@dataclass(frozen=True)
class Place:
    """Where the paper reports a segmenter: the table, and what it calls the training set, test set and labels."""

    table: str
    train_set: str
    test_set: str
    labels: str

    def images(self) -> int:
        """How many images the paper's test set has."""
        return next(int(row["images"]) for row in read(TEST_SETS) if row["test_set"] == self.test_set)


def place(train_set: str, test_set: str, labels: str) -> Place | None:
    """Where the paper tests on the same data set, None where it does not.

    Our names tell what a data set is used for (cfd-all, cfd-train); the paper's are without that.
    """
    if not SUPERVISIONS[labels].of_the_data_set:
        return None  # the paper knows no such
    theirs, added = bare(train_set), "+test" if SUPERVISIONS[labels].adds_test_images else ""
    for name in (bare(test_set), f"{bare(test_set)}-test", f"{bare(test_set)}-rest"):
        table = _places().get((theirs + added, name))
        if table:
            return Place(table, theirs + added, name, "pseudo" if added else labels)
    return None


def about(place: Place | None) -> dict[str, str | float]:
    """A place as columns of a table: '' and nan where the paper has none."""
    found = place or Place("", "", "", "")
    names = {"paper_table": found.table, "paper_train_set": found.train_set, "paper_test_set": found.test_set}
    return {**names, "paper_labels": found.labels, "paper_images": place.images() if place else math.nan}


def segmenter_scores(place: Place | None, segmenter: str) -> dict[str, float | None]:
    """ODS, OIS and AP of a segmenter there, None where the paper has none."""
    if place is None:
        return dict.fromkeys(METRICS)
    table, axes = place.table, {"train_set": place.train_set, "test_set": place.test_set, "labels": place.labels}
    return {metric: paper_value(table, **axes, method=segmenter, metric=metric) for metric in METRICS}


def segmenter_tables() -> dict[str, list[dict[str, str | float]]]:
    """Table → all its rows, of the tables that report segmenters."""
    return {table: rows(table) for table in _OF_SEGMENTERS}


def label_scores(dataset: str, labels: str, arch: str, split: str) -> dict[str, float | None]:
    """Table II has the labels of the training images."""
    axes = {"test_set": f"{dataset}-{split}", "labels": labels, "method": arch}
    return {metric: paper_value("II", **axes, metric=metric) for metric in METRICS}


def bare(name: str) -> str:
    """What papers call a data set whose name with us also tells what it is used for."""
    return name.removesuffix("-all").removesuffix("-train")


@functools.cache
def _places() -> dict[tuple[str, str], str]:
    """(training set, test set) → the first table that reports segmenters for them."""
    places: dict[tuple[str, str], str] = {}
    for table in _OF_SEGMENTERS:
        for row in rows(table):
            places.setdefault((str(row["train_set"]), str(row["test_set"])), table)
    return places


def classifier_scores(dataset: str, arch: str, split: str) -> dict[str, float | None]:
    """Table I has the patches of test images only."""

    def value(metric: str) -> float | None:
        return paper_value("I", train_set=dataset, test_set=dataset, labels="class", method=arch, metric=metric)

    return {metric: value(metric) if split == "test" else None for metric in CLASSIFIER_METRICS}
