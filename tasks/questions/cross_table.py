"""CrossTable: every network trained on each data set and tested on each, as SCNet's authors compare them."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from typing import Any

import luigi

from pipeline.knobs import CrossTableKnobs
from tasks.core import console, files
from tasks.core.errors import HairlineError, SettingsError, StageError
from tasks.core.stage import Stage, give_knobs, one_of
from tasks.dataset import Dataset
from tasks.questions.run_all import Question
from tasks.reports import absent as presence
from tasks.reports.forecast import forecast_line
from tasks.reports.rows import segmentation_row
from tasks.scores import Scores
from tasks.segmenter import LABELS, chosen

ROWS, MATRIX, SUMMARY, PROVENANCE = "cross.csv", "cross_matrix.csv", "cross.md", "provenance.json"


class CrossTable(Question):
    """Trained on each data set, tested on the test images of each: outputs/tables/<dataset>/cross/…csv."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for labels in self.knobs.labels:
            one_of(labels, [known for known in LABELS if known != "semi"], "kind of labels")
        if not (self.knobs.labels and self.knobs.segmenters):
            raise SettingsError("[CrossTable] labels and segmenters must each name at least one")
        if not self.knobs.classifiers and set(self.knobs.labels) != {"full"}:
            raise SettingsError("[CrossTable] classifiers is empty, but crf and pseudo labels need one")

    @functools.cached_property
    def knobs(self) -> CrossTableKnobs:
        """With the names that "all" stands for."""
        written: CrossTableKnobs = self.resolved("CrossTable", self)
        return dataclasses.replace(written, segmenters=chosen(written.segmenters, "segmenters", "CrossTable"))

    def named(self) -> dict[str, Dataset]:
        """The data sets that the settings name; only this one takes the variant."""
        names = dict.fromkeys(self.dataset if name == "self" else name for name in self.knobs.datasets)
        return {name: self.sibling(Dataset, **self._of(name)) for name in names}

    def missing(self) -> dict[str, str]:
        """Those that this machine does not have, with what is missing."""
        found = presence.absent(self.named())
        told = presence.told(found)
        if found and self.knobs.absent == "fail":
            raise StageError(
                f'data sets that [CrossTable] names are not here: {told}; get them, or set absent = "name"'
            )
        if len(self.named()) - len(found) < 2:
            here = ", ".join(name for name in self.named() if name not in found) or "none"
            absent = f", not here: {told}" if told else ""
            raise StageError(f"a cross table needs two data sets; here: {here}{absent}; name or get another")
        return found

    def scores(self) -> list[Scores]:
        """By segmenter and labels, then by the data set trained on, then by the one tested on."""
        knobs, here = self.knobs, [name for name in self.named() if name not in self.missing()]
        trained = [
            {"segmenter": segmenter, "labels": labels, "arch": arch}
            for segmenter, labels in itertools.product(dict.fromkeys(knobs.segmenters), dict.fromkeys(knobs.labels))
            for arch in ([""] if labels == "full" else knobs.classifiers)
        ]
        return [
            self.sibling(Scores, **self._of(train_set), **axes, target="" if test_set == train_set else test_set)
            for axes, train_set, test_set in itertools.product(trained, here, here)
        ]

    def _of(self, name: str) -> dict[str, str]:
        return {"dataset": name, "variant": self.variant if name == self.dataset else ""}

    def requires(self) -> list[Stage]:
        return list(self.scores())

    def answer(self) -> None:
        import pandas as pd

        from pipeline.reports import scores_to_cross_table as to_table
        from pipeline.reports.tables_text import aligned

        folder = self.published_folder() / "cross"
        folder.mkdir(parents=True, exist_ok=True)
        table, missing = pd.DataFrame([segmentation_row(stage) for stage in self.scores()]), self.missing()
        matrix = to_table.matrix(table)
        files.write_table(folder / ROWS, table)
        files.write_table(folder / MATRIX, matrix)
        files.write_text(folder / SUMMARY, to_table.summary(table, matrix, list(missing)))
        files.write_json(folder / PROVENANCE, {**self.provenance(), "left_out": missing})
        print("\nF1 of all pixels together, trained on one data set and tested on another")
        print(aligned(matrix, to_table.columns(matrix, "pixel_f1")))
        print(f"\nAll tables: {folder}", flush=True)


give_knobs(CrossTable, "CrossTable")


@CrossTable.event_handler(luigi.Event.DEPENDENCY_DISCOVERED)
def _before_it_starts(question: CrossTable, needed: Scores) -> None:
    """Luigi tells of each score that is needed while it plans; at the first one it is said what lies ahead."""
    try:
        stages = question.scores()
        lines = (presence.left_out(question.missing()), forecast_line(*stages)) if needed == stages[0] else ()
    except HairlineError:
        return  # Luigi comes to the same next, and then it is said, once
    for line in filter(None, lines):
        console.say(CrossTable.__name__, line)
