"""The files of Tables over several seeds: every row of every seed, and mean ± standard deviation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.core import files
from tasks.core.cache import Draft, Entry
from tasks.core.settings import Experiment
from tasks.reports.laid_out import CLASSIFIER, COMPARISON, CURVES, LABEL_QUALITY, SEGMENTATION, SETTINGS, SUMMARY
from tasks.reports.summary import left_out

if TYPE_CHECKING:
    import pandas as pd

SPREADS = {name: name.replace(".csv", "_seeds.csv") for name in (SEGMENTATION, COMPARISON, LABEL_QUALITY)}


def seeded(experiment: Experiment, seed: int) -> Experiment:
    """All that is trained starts from the seed; photos, splits and the masks of a search stay the same."""
    trained = f"Classifier.seed={seed};Segmenter.seed={seed}"
    return experiment.varied(f"{trained};Tables.seeds=[];Tables.also_train_on=[]")


def write(draft: Draft, dataset: str, tables: Mapping[int, Sequence[Entry]], absent: Iterable[str]) -> str:
    """`tables`: of each seed those of the data set itself, then those of further training sets."""
    import pandas as pd

    from pipeline.reports.tables_to_spread import (
        OF_COMPARISONS,
        OF_LABELS,
        OF_SEGMENTERS,
        compared_numbers,
        scored,
        spread,
        together,
    )

    names = {name for entries in tables.values() for entry in entries for name in entry.manifest()["files"]}
    found = {name: _read(tables, name) for name in (SEGMENTATION, COMPARISON, LABEL_QUALITY, CLASSIFIER, SETTINGS)}
    whole = {name: together(each) if each else pd.DataFrame() for name, each in found.items()}
    papers = {name: together(_read(tables, name)) for name in sorted(names) if name.startswith("table_")}
    for name, table in (whole | papers).items():
        files.write_table(draft.path(name), table)
    wanted = {
        SEGMENTATION: (OF_SEGMENTERS, scored(whole[SEGMENTATION])),
        COMPARISON: (OF_COMPARISONS, compared_numbers(whole[COMPARISON])),
        LABEL_QUALITY: (OF_LABELS, scored(whole[LABEL_QUALITY])),
    }
    spreads = {name: spread(whole[name], *how) for name, how in wanted.items() if len(whole[name])}
    for name, table in spreads.items():
        files.write_table(draft.path(SPREADS[name]), table)
    files.write_text(draft.path(SUMMARY), _summary(dataset, list(tables), spreads, absent))
    for seed, entries in tables.items():
        for name in entries[0].manifest()["files"]:
            if name.startswith(CURVES):
                path = draft.path(f"{Path(name).stem}-seed{seed}{Path(name).suffix}")
                files.write_bytes(path, entries[0].checked(name).read_bytes())
    return f"{len(tables)} seeds, {len(whole[SEGMENTATION])} segmentation rows, {len(whole[LABEL_QUALITY])} label rows"


def _read(tables: Mapping[int, Sequence[Entry]], name: str) -> dict[int, pd.DataFrame]:
    """Seed → the rows of a table of all its entries; a table without rows is left out."""
    import pandas as pd

    found = {
        seed: [
            files.read_table(entry.checked(name))
            for entry in entries
            if name in entry.manifest()["files"] and files.read_rows(entry.checked(name))
        ]
        for seed, entries in tables.items()
    }
    return {seed: pd.concat(each, ignore_index=True) for seed, each in found.items() if each}


def _summary(dataset: str, seeds: Sequence[int], spreads: Mapping[str, pd.DataFrame], absent: Iterable[str]) -> str:
    from pipeline.reports.tables_text import markdown
    from pipeline.reports.tables_to_spread import SCORED, in_words, label_columns, segmenter_columns

    parts = [f"# {dataset}\n", f"Mean ± standard deviation over the seeds {', '.join(map(str, seeds))}.\n"]
    parts += left_out(absent)
    titles = {
        SEGMENTATION: ("Segmenters", segmenter_columns),
        LABEL_QUALITY: ("Labels of the training images", label_columns),
    }
    for name, (title, columns) in titles.items():
        if name in spreads:
            table = in_words(spreads[name], SCORED)
            parts += [f"## {title}\n", markdown(table, columns(table))]
    return "\n".join(parts)
