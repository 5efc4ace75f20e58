"""Numbers that the papers of the other systems print, to stand beside ours: `configs/published.csv`, with sources.

Where several sources have a number for the same place, the first in the file is shown; it is the system's own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from tasks.core.files import Row
from tasks.reports.paper import bare, read
from tasks.supervision import SUPERVISIONS

TABLE = "published.csv"
PARAMETERS = "parameters"


@dataclass(frozen=True)
class Published:
    """Metric → number, None where nobody printed one, and who did; '' for nobody."""

    values: dict[str, float | None]
    source: str


def rows(metric: str = "") -> list[dict[str, str]]:
    """All rows, or those of one metric, in the file's order; `value` is the text of a number."""
    return [dict(row) for row in read(TABLE) if metric in ("", row["metric"])]


def metrics() -> list[str]:
    """What is printed about how well a segmenter does."""
    return [name for name in dict.fromkeys(row["metric"] for row in rows()) if name != PARAMETERS]


def scores(segmenter: str, train_set: str, test_set: str, labels: str) -> Published:
    """How well a segmenter does in its paper, or in another's. All were trained on the masks themselves."""
    place = (segmenter, "", bare(train_set), bare(test_set))
    values: dict[str, float | None] = dict.fromkeys(metrics())
    sources: list[str] = []
    for row in rows() if SUPERVISIONS[labels].published else []:
        fits = (row["segmenter"], row["variant"], row["train_set"], row["test_set"]) == place
        if fits and values[row["metric"]] is None:
            values[row["metric"]] = float(row["value"])
            sources.append(row["source"])
    return Published(values, "; ".join(dict.fromkeys(sources)))


def of_variant(segmenter: str, variant: str, dataset: str, metric: str = "") -> Row:
    """The first number of a metric ("": of any) printed of a variant on a data set; nan and '' where there is none."""
    for row in rows(metric):
        place = (row["segmenter"], row["variant"], row["train_set"], row["test_set"])
        if place == (segmenter, variant, dataset, dataset) and row["metric"] != PARAMETERS:
            value, metric, source = float(row["value"]), row["metric"], row["source"]
            return {"published_metric": metric, "published": value, "published_source": source}
    return {"published_metric": "", "published": math.nan, "published_source": ""}


def parameters(segmenter: str) -> Row:
    """The first row that counts this network as published; nan and '' where none does."""
    for row in rows(metric=PARAMETERS):
        if (row["segmenter"], row["variant"]) == (segmenter, ""):
            count, source, note = round(float(row["value"])), row["source"], row["note"]
            return {"published_parameters": count, "published_source": source, "published_note": note}
    return {"published_parameters": math.nan, "published_source": "", "published_note": ""}
