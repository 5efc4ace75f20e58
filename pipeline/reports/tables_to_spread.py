"""The same table of several seeds → every row with its seed, and mean ± standard deviation over the seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from pipeline.ops.judged_definitions import CURVES, SUFFIXES
from pipeline.ops.other_papers_scores import DEFINITIONS
from pipeline.reports.scores_to_tables import LABEL_COLUMNS, METRICS, PLACE_COLUMNS

SEED = "seed"
SCORED = tuple(dict.fromkeys((*METRICS, *DEFINITIONS, *(each.name for each in CURVES), "patch_f1")))
OF_SEGMENTERS = ("train_set", "test_set", "segmenter", "labels", "arch", "split")
OF_LABELS = ("dataset", "labels", "arch", "split")
ABLATION_COLUMNS = {
    "row": "what is different",
    **{name: name.upper() for name in METRICS},
    "pixel_f1": "pixel F1",
    "region_f1": "region F1",
    "patch_f1": "F1 of patches",
    "miou": "mIoU",
    "published_metric": "published as",
    "published": "published",
    "seeds": "seeds",
}
OF_COMPARISONS = ("train_set", "test_set", "segmenter", "arch")


def scored(table: pd.DataFrame) -> list[str]:
    """The columns of a table that are scores, if they are there."""
    return [*SCORED, *(str(name) for name in table.columns if str(name).endswith(tuple(SUFFIXES.values())))]


def together(tables: Mapping[int, pd.DataFrame]) -> pd.DataFrame:
    """The rows of all seeds, each with its seed in front."""
    rows = [table.assign(**{SEED: seed}) for seed, table in tables.items()]
    joined = pd.concat(rows, ignore_index=True)
    return joined[[SEED, *(name for name in joined.columns if name != SEED)]]


def compared_numbers(table: pd.DataFrame) -> list[str]:
    """Of a comparison: our own scores, differences and shares; not the paper's, which have no seeds."""
    ours = [str(name) for name in table.columns if not str(name).startswith("paper_")]
    return [name for name in ours if name.rsplit("_", 1)[-1] in METRICS]


def spread(table: pd.DataFrame, by: Sequence[str], numbers: Sequence[str]) -> pd.DataFrame:
    """One row for each group: how many seeds have a number, its mean and its standard deviation (n − 1; nan for one).

    A seed whose number is nan has no part in it.
    """
    numbers = [name for name in numbers if name in table.columns and not table[name].isna().all()]
    rows: list[dict[str, Any]] = []
    for key, group in table.groupby(list(by), sort=False, dropna=False):
        row: dict[str, Any] = dict(zip(by, key, strict=True))
        row["seeds"] = " ".join(map(str, group[SEED]))
        for name in numbers:
            values = group[name].dropna()
            row |= {f"{name}_n": len(values), f"{name}_mean": values.mean(), f"{name}_std": values.std()}
        rows.append(row)
    return pd.DataFrame(rows)


def in_words(table: pd.DataFrame, numbers: Sequence[str]) -> pd.DataFrame:
    """With a column "0.6750 ± 0.0050" for each number; without ± where there is one seed alone."""

    def told(row: Mapping[Any, Any], name: str) -> str:
        mean, deviation = row[f"{name}_mean"], row[f"{name}_std"]
        if mean != mean:
            return "–"
        return f"{mean:.4f}" if deviation != deviation else f"{mean:.4f} ± {deviation:.4f}"

    shown = [name for name in numbers if f"{name}_mean" in table.columns]
    texts = {name: [told(row, name) for row in table.to_dict("records")] for name in shown}
    return table.assign(**texts)


def segmenter_columns(table: pd.DataFrame) -> dict[str, str]:
    return _there(table, PLACE_COLUMNS | {name: name.upper() for name in METRICS} | {"seeds": "seeds"})


def label_columns(table: pd.DataFrame) -> dict[str, str]:
    names = {name: said for name, said in LABEL_COLUMNS.items() if name not in ("images", "masks_used")}
    return _there(table, names | {"seeds": "seeds"})


def _there(table: pd.DataFrame, columns: Mapping[str, str]) -> dict[str, str]:
    return {name: said for name, said in columns.items() if name in table.columns}
