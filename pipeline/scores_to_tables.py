"""Scores → the tables that are compared: FSV, CRF and WSV side by side, with their differences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

METRICS = ("ods", "ois", "ap")
SUPERVISION = {"full": "FSV", "crf": "CRF", "pseudo": "WSV"}
_GROUP = ["train_set", "test_set", "arch", "segmenter"]


def label_quality(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """One row per kind of label, the best first within a classifier and split."""
    table = pd.DataFrame(list(rows))
    order = table.assign(_worst=-table["ods"]).sort_values(["arch", "split", "_worst"], kind="stable")
    return order.drop(columns="_worst").reset_index(drop=True)


def comparison(segmentation: pd.DataFrame) -> pd.DataFrame:
    """One row per (test set, classifier, segmenter): FSV, CRF, WSV of each metric, WSV − CRF, WSV − FSV, WSV / FSV.

    Full masks need no classifier, so their scores stand beside every classifier's labels. A kind that was not
    trained leaves its cells empty; WSV / FSV is nan where FSV is 0.
    """
    weak = segmentation[segmentation["labels"] != "full"]
    groups = weak[_GROUP].drop_duplicates() if len(weak) else segmentation[_GROUP].drop_duplicates()
    return pd.DataFrame([_compared(segmentation, group) for group in groups.to_dict("records")])


def _compared(segmentation: pd.DataFrame, group: Mapping[Any, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {str(name): value for name, value in group.items()}
    keys: dict[str, Any] = {}
    for metric in METRICS:
        for labels, name in SUPERVISION.items():
            found = _score(segmentation, group, labels)
            row[f"{name}_{metric}"] = float("nan") if found is None else found[metric]
            keys[f"{name}_scores_key"] = "" if found is None else found["scores_key"]
        fsv, crf, wsv = (row[f"{name}_{metric}"] for name in SUPERVISION.values())
        row[f"WSV-CRF_{metric}"] = wsv - crf
        row[f"WSV-FSV_{metric}"] = wsv - fsv
        row[f"WSV/FSV_{metric}"] = wsv / fsv if fsv > 0 else float("nan")
    return {**row, **keys}


def _score(segmentation: pd.DataFrame, group: Mapping[Any, Any], labels: str) -> pd.Series[Any] | None:
    chosen = segmentation["labels"] == labels
    for name in _GROUP:
        if not (name == "arch" and labels == "full"):
            chosen &= segmentation[name] == group[name]
    return segmentation[chosen].iloc[0] if chosen.any() else None


def beside(row: Mapping[str, Any], theirs: Mapping[str, float | None]) -> dict[str, Any]:
    """A row with the paper's numbers and the differences ours − paper; nan where the paper has none."""
    paper = {f"paper_{name}": float("nan") if value is None else value for name, value in theirs.items()}
    differences = {f"difference_{name}": row[name] - paper[f"paper_{name}"] for name in theirs if name in row}
    return {**row, **paper, **differences}


def rate(count: int, seconds: Iterable[float]) -> float:
    """Count per second of the sum; nan when nothing was timed."""
    total = sum(seconds)
    return count / total if total else float("nan")


def note_on_empty(segmentation: pd.DataFrame) -> str:
    """What images without any crack do to the scores; '' when there are none. Their best possible F1 is the ceiling."""
    sets = segmentation.drop_duplicates("test_set").to_dict("records")
    words = {"zero": "counts as F1 = 0", "one": "counts as F1 = 1 when nothing is predicted", "skip": "is left out"}
    return "; ".join(
        f"{row['test_set']}: {row['empty_images']} of {row['images']} images show no crack, "
        f'and each {words[str(row["empty"])]} ([Scores] empty = "{row["empty"]}")'
        for row in sets
        if row["empty_images"]
    )


def markdown(table: pd.DataFrame, columns: Mapping[str, str]) -> str:
    """The named columns of a table as a Markdown table; numbers with four decimals."""
    lines = ["| " + " | ".join(columns.values()) + " |", "|" + " --- |" * len(columns)]
    lines += ["| " + " | ".join(_cell(row[name]) for name in columns) + " |" for row in table.to_dict("records")]
    return "\n".join(lines) + "\n"


def aligned(table: pd.DataFrame, columns: Mapping[str, str]) -> str:
    """The named columns as text for a console."""
    cells = [list(columns.values())] + [[_cell(row[name]) for name in columns] for row in table.to_dict("records")]
    widths = [max(len(line[index]) for line in cells) for index in range(len(columns))]
    return "\n".join(
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells
    )


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "–" if value != value else f"{value:.4f}"
    return str(value) or "–"


LABEL_COLUMNS = {
    "labels": "labels",
    "arch": "classifier",
    "split": "split",
    "ods": "ODS",
    "ois": "OIS",
    "ap": "AP",
    "images": "images",
}


def comparison_columns(metric: str) -> dict[str, str]:
    """The columns of the comparison that a reader wants at a glance, for one metric."""
    names = ["FSV", "CRF", "WSV", "WSV-CRF", "WSV/FSV"]
    return {"test_set": "test set", "segmenter": "segmenter", "arch": "classifier"} | {
        f"{name}_{metric}": f"{name} {metric.upper()}" for name in names
    }
