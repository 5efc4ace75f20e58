"""Scores → the tables that are compared: FSV, CRF and WSV side by side, with their differences."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

METRICS = ("ods", "ois", "ap")
OF_THE_PAPER = {"full": "FSV", "crf": "CRF", "pseudo": "WSV"}
BESIDE = {  # kinds of labels whose columns a table has where somebody asked for them: short name, and what it says
    "generated": ("GEN", "generated photos, without any answer"),
    "answers": ("ANSWERS", "yes/no answers alone"),
    "merged": ("MERGED", "merged labels"),
    "round2": ("ROUND2", "labels of the second round"),
    "round3": ("ROUND3", "labels of the third round"),
}
SUPERVISION = OF_THE_PAPER | {labels: name for labels, (name, _) in BESIDE.items()}
_WITHOUT_CLASSIFIER = ("full", *BESIDE)
SEMI_SUPERVISED = "VIII"  # the table that sets pseudo labels with those of the test images beside those without
_TRAINED = ["train_set", "test_set", "segmenter"]
_GROUP = ["train_set", "test_set", "arch", "segmenter"]
_PLACE = ("paper_train_set", "paper_test_set", "paper_labels")
_PAPER_TABLE = (
    *("paper_train_set", "paper_test_set", "segmenter", "labels", "arch", "train_set", "test_set"),
    *(f"{whose}{metric}" for metric in METRICS for whose in ("", "paper_", "difference_")),
    *("images", "paper_images", "empty", "empty_images", "masks_used"),
)


def label_quality(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """One row per kind of label, the best first within a data set, classifier and split."""
    table = pd.DataFrame(list(rows))
    order = table.assign(_worst=-table["ods"]).sort_values(["dataset", "arch", "split", "_worst"], kind="stable")
    return order.drop(columns="_worst").reset_index(drop=True)


def comparison(segmentation: pd.DataFrame) -> pd.DataFrame:
    """One row per (test set, classifier, segmenter): FSV, CRF, WSV of each metric, WSV − CRF, WSV − FSV, WSV / FSV,
    and the same of the paper; where somebody asked for other kinds also each of these, its share of FSV, WSV − GEN.

    What needs no classifier stands beside every classifier's labels. A kind that was not trained leaves its cells
    empty; a share of FSV is nan where FSV is 0.
    """
    segmentation = segmentation[segmentation["labels"].isin(SUPERVISION)]
    weak = ~segmentation["labels"].isin(_WITHOUT_CLASSIFIER)
    trained = segmentation.set_index(_TRAINED).index
    alone = ~trained.isin(trained[weak])  # full masks without any labels to stand beside
    groups = segmentation[weak | alone][_GROUP].drop_duplicates()
    asked = [labels for labels in SUPERVISION if labels in OF_THE_PAPER or (segmentation["labels"] == labels).any()]
    return pd.DataFrame([_compared(segmentation, group, asked) for group in groups.to_dict("records")])


def _compared(segmentation: pd.DataFrame, group: Mapping[Any, Any], asked: Iterable[str]) -> dict[str, Any]:
    row: dict[str, Any] = {str(name): value for name, value in group.items()}
    found = {SUPERVISION[labels]: _score(segmentation, group, labels) for labels in asked}
    for whose in ("", "paper_"):
        for metric in METRICS:
            scores = {name: _number(score, f"{whose}{metric}") for name, score in found.items()}
            row |= {f"{whose}{name}_{metric}": value for name, value in _with_differences(scores).items()}
    return row | {f"{name}_scores_key": "" if score is None else score["scores_key"] for name, score in found.items()}


def _number(row: pd.Series[Any] | None, name: str) -> float:
    return float("nan") if row is None or name not in row else float(row[name])


def _with_differences(scores: Mapping[str, float]) -> dict[str, float]:
    full, weak = scores["FSV"], scores["WSV"]
    compared = {
        "WSV-CRF": weak - scores["CRF"],
        "WSV-FSV": weak - full,
        "WSV/FSV": weak / full if full > 0 else math.nan,
    }
    shares = {
        f"{name}/FSV": scores[name] / full if full > 0 else math.nan for name, _ in BESIDE.values() if name in scores
    }
    return {**scores, **compared, **({"WSV-GEN": weak - scores["GEN"]} if "GEN" in scores else {}), **shares}


def _score(segmentation: pd.DataFrame, group: Mapping[Any, Any], labels: str) -> pd.Series[Any] | None:
    chosen = segmentation["labels"] == labels
    for name in _GROUP:
        if not (name == "arch" and labels in _WITHOUT_CLASSIFIER):
            chosen &= segmentation[name] == group[name]
    return segmentation[chosen].iloc[0] if chosen.any() else None


def beside(row: Mapping[str, Any], theirs: Mapping[str, float | None], whose: str = "paper") -> dict[str, Any]:
    """A row with the paper's numbers and the differences ours − theirs; nan where the paper has none."""
    numbers = {f"{whose}_{name}": float("nan") if value is None else value for name, value in theirs.items()}
    differences = {f"difference_{name}": row[name] - numbers[f"{whose}_{name}"] for name in theirs if name in row}
    return {**row, **numbers, **differences}


def paper_tables(segmentation: pd.DataFrame, theirs: Mapping[str, Iterable[Mapping[str, Any]]]) -> dict[str, Any]:
    """The paper's tables that some of our rows belong to: in the paper's order, ours beside its numbers.

    `theirs`: table → its rows, one for each number. What the paper has and we have not is a row without our
    numbers; what we have and the paper has not comes last.
    """
    tables = {}
    for table, numbers in theirs.items():
        ours = _rows_of(segmentation, table)
        if ours:
            found = pd.DataFrame(_in_order(ours, _wide(numbers)))
            keys = [str(name) for name in found.columns if str(name).endswith("_key")]
            tables[table] = found[[name for name in (*_PAPER_TABLE, *keys) if name in found.columns]]
    return tables


def _rows_of(segmentation: pd.DataFrame, table: str) -> list[dict[str, Any]]:
    """Our rows of a table; in that of semi-supervision with the same segmenters trained without it."""
    rows: list[dict[str, Any]] = [
        {str(name): value for name, value in row.items()} for row in segmentation.to_dict("records")
    ]
    mine = [row for row in rows if row["paper_table"] == table]
    if table != SEMI_SUPERVISED:
        return mine
    pairs = {(row["test_set"], row["segmenter"], row["arch"]) for row in mine}
    without = [row for row in rows if row["labels"] == "pseudo"]
    return [row for row in without if (row["test_set"], row["segmenter"], row["arch"]) in pairs] + mine


def _wide(numbers: Iterable[Mapping[str, Any]]) -> dict[tuple[str, ...], dict[str, Any]]:
    """(training set, test set, labels, segmenter) → the paper's row of them, its numbers as paper_<metric>."""
    wide: dict[tuple[str, ...], dict[str, Any]] = {}
    for number in numbers:
        names = {f"paper_{name}": number[name] for name in ("train_set", "test_set", "labels")}
        place = (*names.values(), number["method"])
        row = wide.setdefault(place, {"segmenter": number["method"], "labels": number["labels"], **names})
        row[f"paper_{number['metric']}"] = number["value"]
    return wide


def _in_order(ours: list[dict[str, Any]], theirs: Mapping[tuple[str, ...], dict[str, Any]]) -> list[dict[str, Any]]:
    found: dict[tuple[str, ...], list[dict[str, Any]]] = {place: [] for place in theirs}
    for row in ours:
        found.setdefault((*(row[name] for name in _PLACE), row["segmenter"]), []).append(row)
    blank = {name: float("nan") if isinstance(value, float) else "" for name, value in ours[0].items()}
    return [row for place, rows in found.items() for row in (rows or [{**blank, **theirs[place]}])]


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


def note_on_images(segmentation: pd.DataFrame) -> str:
    """Where the paper tested on another number of images than we; '' where it did not."""
    sets = segmentation[segmentation["paper_table"] != ""].drop_duplicates("test_set").to_dict("records")
    return "; ".join(
        f"{row['test_set']}: {row['images']:g} images here, {row['paper_images']:g} in the paper"
        for row in sets
        if row["images"] != row["paper_images"]
    )


PLACE_COLUMNS = {"test_set": "test set", "segmenter": "segmenter", "labels": "labels", "arch": "classifier"}

PAPER_COLUMNS = {
    "paper_train_set": "trained on",
    "paper_test_set": "tested on",
    "segmenter": "segmenter",
    "labels": "labels",
    "arch": "our classifier",
} | {
    f"{whose}{metric}": f"{metric.upper()}{said}"
    for metric in METRICS
    for whose, said in {"": "", "paper_": " paper", "difference_": " difference"}.items()
}

LABEL_COLUMNS = {
    "dataset": "data set",
    "labels": "labels",
    "arch": "classifier",
    "split": "split",
    "ods": "ODS",
    "ois": "OIS",
    "ap": "AP",
    "images": "images",
    "masks_used": "masks used",
}


def comparison_columns(metric: str, compared: pd.DataFrame) -> dict[str, str]:
    """The columns of the comparison that a reader wants at a glance, for one metric; the paper's where it has any."""
    names = ["FSV", "CRF", "WSV", "WSV-CRF", "WSV/FSV"]
    names += ["GEN", "WSV-GEN"] if f"GEN_{metric}" in compared else []
    names += [
        f"{name}{of}" for name, _ in list(BESIDE.values())[1:] for of in ("", "/FSV") if f"{name}_{metric}" in compared
    ]
    names = [name for name in names if not compared[f"{name}_{metric}"].isna().all()] or names
    theirs = {f"paper_{name}_{metric}": f"paper {name}" for name in ("FSV", "CRF", "WSV")}
    return (
        {"test_set": "test set", "segmenter": "segmenter", "arch": "classifier"}
        | {f"{name}_{metric}": f"{name} {metric.upper()}" for name in names}
        | ({} if compared[list(theirs)].isna().all(axis=None) else theirs)
    )
