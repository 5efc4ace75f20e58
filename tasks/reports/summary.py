"""The tables at a glance, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from tasks.core.files import Row

if TYPE_CHECKING:
    import pandas as pd


def kinds(compared: pd.DataFrame) -> str:
    """What the short names in a comparison stand for."""
    from pipeline.reports.scores_to_tables import BESIDE

    there = {"full masks": "FSV", "CRF labels": "CRF", "pseudo labels": "WSV"} | {
        words: name for name, words in BESIDE.values()
    }
    shown = [
        f"{words} ({name})"
        for words, name in there.items()
        if f"{name}_ods" in compared and not compared[f"{name}_ods"].isna().all()
    ]
    return f"Segmenters trained on {', '.join(shown)}"


def scored(
    dataset: str,
    compared: pd.DataFrame,
    segmentation: pd.DataFrame,
    quality: pd.DataFrame,
    papers: Mapping[str, pd.DataFrame],
    absent: Iterable[str],
) -> str:
    """Every table of an experiment with masks, the paper's numbers where it has any, and what to know of them."""
    from pipeline.reports import scores_to_tables as to_tables
    from pipeline.reports.tables_text import markdown

    parts = [f"# {dataset}\n", *left_out(absent), f"{kinds(compared)}.\n"]
    parts += [markdown(compared, to_tables.comparison_columns(metric, compared)) for metric in to_tables.METRICS]
    notes = (to_tables.note_on_empty(segmentation), to_tables.note_on_images(segmentation))
    parts += [f"{note}.\n" for note in notes if note]
    parts += [f"## Table {number} of the paper\n\n{_beside(table)}" for number, table in papers.items()]
    if len(quality):
        parts += ["## Labels of the training images against their masks\n"]
        parts += [markdown(quality, to_tables.LABEL_COLUMNS)]
    return "\n".join([*parts, *_other_metrics(segmentation), _elsewhere(dataset)])


def _elsewhere(dataset: str) -> str:
    """The tables that other commands make."""
    return (
        "## More tables\n\n"
        f"* `luigi --module tasks LabelTables --dataset {dataset}`: Tables II and VII of the paper (label quality, "
        "ablations), the diagnosis, and what the searches tried, as `labels-train/table_II.csv`, `table_VII.csv`, "
        "`diagnosis.csv`, `crf_search-<classifier>.csv` and, after TuneLabels, `tune_labels.csv`\n"
        f"* `luigi --module tasks CrossTable --dataset {dataset}`: trained on each data set, tested on each\n"
        "* `luigi --module tasks Efficiency`: what each network costs\n"
    )


def _beside(table: pd.DataFrame) -> str:
    from pipeline.reports.scores_to_tables import PAPER_COLUMNS
    from pipeline.reports.tables_text import markdown

    return markdown(table, PAPER_COLUMNS)


def _other_metrics(segmentation: pd.DataFrame) -> list[str]:
    """What other papers report of the same predictions, and what they mean by it."""
    from pipeline.ops.other_papers_scores import DEFINITIONS
    from pipeline.reports.scores_to_tables import PLACE_COLUMNS
    from pipeline.reports.tables_text import markdown

    names = [name for name in DEFINITIONS if name in segmentation.columns]
    table = markdown(segmentation, PLACE_COLUMNS | {name: name for name in names})
    return ["## What other papers report\n", table, "".join(f"* `{name}`: {DEFINITIONS[name]}\n" for name in names)]


def unscored(dataset: str, rows: Iterable[Row], absent: Iterable[str]) -> str:
    """Where labels and predictions lie."""
    listed = "".join(f"* {_words(row)}: outputs/{row['folder']}\n" for row in rows)
    return "\n".join([f"# {dataset}\n", *left_out(absent), "Nothing to score against.\n", listed])


def _words(row: Row) -> str:
    """Predictions of unet trained on pseudo labels by resnet18, test images of bridge."""
    network = f" of {row['segmenter']} trained on {row['labels']} labels" if row["segmenter"] else ""
    classifier = f" by {row['arch']}" if row["arch"] else ""
    return f"{row['stage']}{network}{classifier}, {row['split']} images of {row['images_of']}"


def left_out(absent: Iterable[str]) -> list[str]:
    names = ", ".join(absent)
    return [f"Left out, because they are not on this machine: {names}.\n"] if names else []
