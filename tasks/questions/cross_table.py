"""CrossTable: every network trained on each data set and tested on each, as SCNet's authors compare them."""

from __future__ import annotations

import dataclasses
import functools
import itertools

from pipeline.knobs import CrossTableKnobs
from tasks.core import files
from tasks.core.errors import SettingsError, StageError, one_of
from tasks.core.parameters import give_knobs, given
from tasks.core.question import PROVENANCE, Question
from tasks.dataset import Dataset
from tasks.reports import absent
from tasks.reports.forecast import forecast_lines
from tasks.reports.rows import segmentation_row
from tasks.scores import Scores
from tasks.segmenter import chosen
from tasks.supervision import SUPERVISIONS, TABLED

ROWS, MATRIX, SUMMARY = "cross.csv", "cross_matrix.csv", "cross.md"


class CrossTable(Question):
    """Trained on each data set, tested on the test images of each: outputs/tables/<dataset>/cross/…csv."""

    def settle(self) -> None:
        for labels in self.knobs.labels:
            one_of(labels, TABLED, "kind of labels")
        if not (self.knobs.labels and self.knobs.segmenters):
            raise SettingsError("[CrossTable] labels and segmenters must each name at least one")
        if not self.knobs.classifiers and any(SUPERVISIONS[labels].by_classifier for labels in self.knobs.labels):
            raise SettingsError("[CrossTable] classifiers is empty, but crf and pseudo labels need one")

    @functools.cached_property
    def knobs(self) -> CrossTableKnobs:
        """With the names that "all" stands for."""
        written = self.experiment.resolve(CrossTableKnobs, given(self, CrossTableKnobs))
        return dataclasses.replace(written, segmenters=chosen(written.segmenters, "segmenters", "CrossTable"))

    def named(self) -> dict[str, Dataset]:
        """The data sets that the settings name."""
        names = dict.fromkeys(self.dataset if name == "self" else name for name in self.knobs.datasets)
        return {name: self.experiment.of(name).task(Dataset) for name in names}

    @functools.cached_property
    def missing(self) -> dict[str, str]:
        """Those that this machine does not have, with what is missing."""
        found = absent.absent(self.named(), "CrossTable", self.knobs.absent)
        if len(self.named()) - len(found) < 2:
            here = ", ".join(name for name in self.named() if name not in found) or "none"
            gone = f", not here: {absent.told(found)}" if found else ""
            raise StageError(f"a cross table needs two data sets; here: {here}{gone}; name or get another")
        return found

    def scores(self) -> list[Scores]:
        """By segmenter and labels, then by the data set trained on, then by the one tested on."""
        knobs, here = self.knobs, [name for name in self.named() if name not in self.missing]
        trained = [
            {"segmenter": segmenter, "labels": labels, "arch": arch}
            for segmenter, labels in itertools.product(dict.fromkeys(knobs.segmenters), dict.fromkeys(knobs.labels))
            for arch in (knobs.classifiers if SUPERVISIONS[labels].by_classifier else [""])
        ]
        return [
            self.experiment.of(train_set).task(Scores, **axes, target="" if test_set == train_set else test_set)
            for axes, train_set, test_set in itertools.product(trained, here, here)
        ]

    def requires(self) -> list[Scores]:
        return self.scores()

    def ahead(self) -> list[str]:
        """What is told before anything runs."""
        return [*filter(None, [absent.left_out(self.missing)]), *forecast_lines(*self.scores())]

    def answer(self) -> None:
        import pandas as pd

        from pipeline.reports import scores_to_cross_table as to_table
        from pipeline.reports.tables_text import aligned

        folder = self.published_folder() / "cross"
        folder.mkdir(parents=True, exist_ok=True)
        table = pd.DataFrame([segmentation_row(stage) for stage in self.scores()])
        matrix = to_table.matrix(table)
        files.write_table(folder / ROWS, table)
        files.write_table(folder / MATRIX, matrix)
        files.write_text(folder / SUMMARY, to_table.summary(table, matrix, list(self.missing)))
        files.write_json(folder / PROVENANCE, {**self.provenance(), "left_out": self.missing})
        print("\nF1 of all pixels together, trained on one data set and tested on another")
        print(aligned(matrix, to_table.columns(matrix, "pixel_f1")))
        print(f"\nAll tables: {folder}", flush=True)


give_knobs(CrossTable, CrossTableKnobs)
