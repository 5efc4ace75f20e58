"""The files of Tables: rows of every stage, what is compared, curves, and a summary."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.classifier import Classifier
from tasks.core import files
from tasks.core.cache import Draft, Entry
from tasks.core.files import Row, snake
from tasks.core.stage import AnyStage
from tasks.core.walk import walk
from tasks.labels import LabelStage
from tasks.predictions import Predictions
from tasks.refinements import Refinements
from tasks.reports import paper, rows, summary
from tasks.scores import Scores
from tasks.supervision import Labels

if TYPE_CHECKING:
    import pandas as pd

SEGMENTATION, COMPARISON, LABEL_QUALITY = "segmentation.csv", "comparison.csv", "label_quality.csv"
CLASSIFIER, SETTINGS, MASKS, SUMMARY = "classifier.csv", "settings.csv", "masks.csv", "summary.md"
CURVES = "curves-"  # and the test set's name: precision and recall of every segmenter, as CSV and PNG


@dataclass(frozen=True)
class Writer:
    """Writes the tables of a data set; those of the further training sets are taken from their own."""

    draft: Draft
    dataset: str
    classifiers: list[Classifier]
    others: list[Entry]  # tables of the further training sets
    absent: list[str]

    def settings(self, stage: AnyStage) -> None:
        classifiers = [row for stage in self.classifiers for row in rows.classifier_rows(stage)]
        files.write_rows(self.draft.path(CLASSIFIER), [*classifiers, *self._theirs(CLASSIFIER)])
        files.write_rows(self.draft.path(SETTINGS), rows.settings_rows(stage))

    def unscored(self, stage: AnyStage) -> str:
        """Without masks nothing can be compared: a list of the folders in which labels and predictions lie."""
        made = [part for part in walk(stage) if isinstance(part, LabelStage | Predictions | Refinements)]
        listed = [_folder_row(part) for part in made]
        files.write_rows(self.draft.path(MASKS), listed)
        files.write_text(self.draft.path(SUMMARY), summary.unscored(self.dataset, listed, self.absent))
        return f"{len(listed)} folders of labels and predictions, none scored"

    def scored(self, label_scores: Iterable[Scores], segmentation_scores: list[Scores]) -> str:
        import pandas as pd

        from pipeline.reports import scores_to_tables as to_tables

        segmentation = pd.DataFrame([*map(rows.segmentation_row, segmentation_scores), *self._theirs(SEGMENTATION)])
        labels = [*map(rows.label_row, label_scores), *self._theirs(LABEL_QUALITY)]
        quality = to_tables.label_quality(labels) if labels else pd.DataFrame()
        compared = to_tables.comparison(segmentation)
        papers = to_tables.paper_tables(segmentation, paper.segmenter_tables())
        tables = {SEGMENTATION: segmentation, COMPARISON: compared, LABEL_QUALITY: quality}
        for name, table in (tables | {f"table_{number}.csv": table for number, table in papers.items()}).items():
            files.write_table(self.draft.path(name), table)
        text = summary.scored(self.dataset, compared, segmentation, quality, papers, self.absent)
        files.write_text(self.draft.path(SUMMARY), text)
        self._write_curves(segmentation_scores)
        return f"{len(segmentation)} segmentation rows, {len(quality)} label rows"

    def _theirs(self, name: str) -> Iterator[Row]:
        """The rows of a table of the further training sets."""
        for entry in self.others:
            yield from files.read_rows(entry.checked(name))

    def _write_curves(self, scores: Iterable[Scores]) -> None:
        """One CSV and one figure for each test set."""
        import pandas as pd

        from pipeline.reports.curves_to_figure import figure

        by_set: dict[str, list[pd.DataFrame]] = {}
        for stage in scores:
            names = {name: getattr(stage, name) for name in ("segmenter", "labels", "arch")}
            curve = stage.curve().assign(**names, scores_key=stage.short_key)
            by_set.setdefault(stage.target_dataset().dataset, []).append(curve)
        for test_set, curves in by_set.items():
            table = pd.concat(curves)
            files.write_table(self.draft.path(f"{CURVES}{test_set}.csv"), table)
            title = f"trained on {self.dataset}, tested on {test_set}: all pixels together"
            files.write_png(self.draft.path(f"{CURVES}{test_set}.png"), figure(table, title))
        for entry in self.others:
            for name in entry.manifest()["files"]:
                if name.startswith(CURVES):
                    files.write_bytes(self.draft.path(name), entry.checked(name).read_bytes())


def _folder_row(stage: Labels | Predictions | Refinements) -> Row:
    """What lies in a folder: of which network, trained on which labels, on which images of which data set."""
    axes = {name: getattr(stage, name, "") for name in ("segmenter", "labels", "arch")}
    images = {"images_of": stage.target_dataset().dataset, "split": stage.split}
    folder = {"folder": f"{snake(stage.stage())}/{stage.entry.name}"}
    return {"stage": stage.stage(), **axes, **images, **folder, **rows.keys_of(stage)}
