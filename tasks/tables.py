"""Tables: what the experiment shows, as CSV, each row with the keys of the stages that made it."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from tasks.classifier import SCORES, Classifier
from tasks.core import cache, files
from tasks.core.cache import Draft
from tasks.core.errors import SettingsError, StageError
from tasks.core.provenance import snake
from tasks.core.stage import Stage, one_of
from tasks.dataset import Dataset
from tasks.labels import LabelStage
from tasks.predictions import Predictions
from tasks.refinements import Refinements, final_maps
from tasks.reports import absent as presence
from tasks.reports import paper, summary
from tasks.reports.rows import keys_of, segmentation_row, walk
from tasks.scores import Scores
from tasks.segmenter import LABELS, chosen

SEGMENTATION, COMPARISON, LABEL_QUALITY = "segmentation.csv", "comparison.csv", "label_quality.csv"
CLASSIFIER, SETTINGS, MASKS, SUMMARY = "classifier.csv", "settings.csv", "masks.csv", "summary.md"
CURVES = "curves-"  # and the test set's name: precision and recall of every segmenter, as CSV and PNG


class Tables(Stage):
    unit = "tables"
    version = 4  # numbers of other papers beside ours

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for labels in self.knobs.labels:
            one_of(labels, [known for known in LABELS if known != "semi"], "kind of labels")
        if not (self.knobs.labels and self.knobs.segmenters and self.knobs.test_sets):
            raise SettingsError("[Tables] labels, segmenters and test_sets must each name at least one")
        if not self.knobs.classifiers and set(self.knobs.labels) != {"full"}:
            raise SettingsError("[Tables] classifiers is empty, but crf and pseudo labels need one")
        if not self.knobs.scored and "full" in self.knobs.labels:
            raise SettingsError('[Tables] labels has "full", but scored = false says that there are no masks')
        if self.knobs.semi and not self.knobs.classifiers:
            raise SettingsError("[Tables] semi names segmenters, but classifiers is empty, which make pseudo labels")
        if self.knobs.also_train_on and not self.knobs.scored:
            raise SettingsError("[Tables] also_train_on names data sets, but scored = false says there are no tables")

    @functools.cached_property
    def knobs(self) -> Any:
        """With the names that "all" stands for, so that both ways of writing them have one key."""
        written = self.resolved(self.stage(), self)
        named = {knob: chosen(getattr(written, knob), knob) for knob in ("segmenters", "semi")}
        return dataclasses.replace(written, **named)

    @functools.cached_property
    def missing(self) -> dict[str, str]:
        """Data sets that the settings name and this machine does not have, with what is missing."""
        others = {name: Dataset(dataset=name) for name in self.knobs.test_sets if self._target(name)}
        others |= {name: self.sibling(Dataset, dataset=name, variant="") for name in self._also()}
        found = presence.absent(others)
        told = presence.told(found)
        if found and self.knobs.absent == "fail":
            raise StageError(f'data sets that [Tables] names are not here: {told}; get them, or set absent = "name"')
        if not set(self.knobs.test_sets) - set(found):
            raise StageError(f"none of the test sets of {self.dataset} is here: {told}; get one, or add self to them")
        return found

    def left_out(self) -> str:
        """One sentence about what is absent; '' when nothing is."""
        return presence.left_out(self.missing)

    def tested_on(self) -> list[str]:
        """Names of those that are here, '' for the data set itself."""
        return list(dict.fromkeys(self._target(name) for name in self.knobs.test_sets if name not in self.missing))

    def others(self) -> list[Tables]:
        """The tables of the further training sets that are here, each tested on its own test images only."""
        alone = {"variant": "", "scored": "true", "test_sets": '["self"]', "semi": "[]", "also_train_on": "[]"}
        return [self.sibling(Tables, dataset=name, **alone) for name in self._also() if name not in self.missing]

    def _also(self) -> list[str]:
        return [name for name in self.knobs.also_train_on if name != self.dataset]

    def classifier_stages(self) -> list[Classifier]:
        return [self.sibling(Classifier, arch=arch) for arch in self.knobs.classifiers]

    def label_scores(self) -> list[Scores]:
        """Thresholding alone, CRF labels and pseudo labels of the training images, against their masks."""
        kinds = [labels for labels in self.knobs.labels if labels != "full"]
        alone = [self.sibling(Scores, labels="threshold", split="train")] if kinds else []
        made = itertools.product(self.knobs.classifiers, kinds)
        return alone + [self.sibling(Scores, labels=labels, arch=arch, split="train") for arch, labels in made]

    def segmentation_scores(self) -> list[Scores]:
        return [self.sibling(Scores, **axes) for axes in self._trained()]

    def predictions(self) -> list[Predictions | Refinements]:
        return [final_maps(self, **axes) for axes in self._trained()]

    def _trained(self) -> list[dict[str, str]]:
        """The axes of every trained segmenter on every test set."""
        return [
            {"labels": labels, "segmenter": segmenter, "arch": arch, "target": target}
            for target in self.tested_on()
            for segmenter in dict.fromkeys(self.knobs.segmenters)
            for labels in (*self.knobs.labels, *(["semi"] if segmenter in self.knobs.semi else []))
            for arch in ([""] if labels == "full" else self.knobs.classifiers)
        ]

    def _target(self, name: str) -> str:
        return "" if name in (self.dataset, "self") else name

    def upstream(self) -> Mapping[str, Stage]:
        results = [*self.label_scores(), *self.segmentation_scores()] if self.knobs.scored else self.predictions()
        stages = [*self.classifier_stages(), *results, *self.others()]
        return {f"{snake(stage.stage())}_{number:03d}": stage for number, stage in enumerate(stages)}

    def make(self, draft: Draft) -> str:
        import pandas as pd

        files.write_table(draft.path(CLASSIFIER), pd.DataFrame(self._classifier_rows()))
        files.write_table(draft.path(SETTINGS), pd.DataFrame(self._settings_rows()))
        return self._make_scored(draft) if self.knobs.scored else self._make_unscored(draft)

    def _make_unscored(self, draft: Draft) -> str:
        """Without masks nothing can be compared: a list of the folders in which labels and predictions lie."""
        import pandas as pd

        made = [part for part in walk(self) if isinstance(part, (LabelStage, Predictions, Refinements))]
        rows = [
            {"stage": part.stage(), **part.axes, "folder": f"{snake(part.stage())}/{part.entry.name}", **keys_of(part)}
            for part in made
        ]
        files.write_table(draft.path(MASKS), pd.DataFrame(rows).fillna(""))
        files.write_text(draft.path(SUMMARY), summary.unscored(self.dataset, rows, list(self.missing)))
        return f"{len(rows)} folders of labels and predictions, none scored"

    def _make_scored(self, draft: Draft) -> str:
        import pandas as pd

        from pipeline.reports import scores_to_tables as to_tables

        rows = [*map(segmentation_row, self.segmentation_scores()), *self._theirs(SEGMENTATION)]
        segmentation = pd.DataFrame(rows)
        labels = [*map(self._label_row, self.label_scores()), *self._theirs(LABEL_QUALITY)]
        quality = to_tables.label_quality(labels) if labels else pd.DataFrame()
        compared = to_tables.comparison(segmentation)
        papers = to_tables.paper_tables(segmentation, paper.segmenter_tables())
        tables = {SEGMENTATION: segmentation, COMPARISON: compared, LABEL_QUALITY: quality}
        for name, table in (tables | {f"table_{number}.csv": table for number, table in papers.items()}).items():
            files.write_table(draft.path(name), table)
        text = summary.scored(self.dataset, compared, segmentation, quality, papers, list(self.missing))
        files.write_text(draft.path(SUMMARY), text)
        self._write_curves(draft)
        return f"{len(segmentation)} segmentation rows, {len(quality)} label rows"

    def _theirs(self, name: str) -> Iterator[dict[str, Any]]:
        """The rows of a table of the further training sets."""
        for other in self.others():
            path = other.entry.checked(name)
            rows = files.read_table(path).to_dict("records") if path.stat().st_size > 1 else []
            for row in rows:
                yield {str(column): value for column, value in row.items()}

    def _write_curves(self, draft: Draft) -> None:
        """One CSV and one figure for each test set."""
        import pandas as pd

        from pipeline.reports.curves_to_figure import figure

        by_set: dict[str, list[Any]] = {}
        for stage in self.segmentation_scores():
            names = {name: getattr(stage, name) for name in ("segmenter", "labels", "arch")}
            curve = stage.curve().assign(**names, scores_key=stage.short_key)
            by_set.setdefault(stage.target_dataset().dataset, []).append(curve)
        for test_set, curves in by_set.items():
            table = pd.concat(curves)
            files.write_table(draft.path(f"{CURVES}{test_set}.csv"), table)
            title = f"trained on {self.dataset}, tested on {test_set}: all pixels together"
            files.write_png(draft.path(f"{CURVES}{test_set}.png"), figure(table, title))
        for other in self.others():
            for name in other.published():
                if name.startswith(CURVES):
                    files.write_bytes(draft.path(name), other.entry.checked(name).read_bytes())

    def published(self) -> list[str]:
        """The files to lay out."""
        return sorted(self.entry.manifest()["files"])

    def _label_row(self, stage: Scores) -> dict[str, Any]:
        from pipeline.reports.scores_to_tables import beside

        maps = stage.maps()
        dropped = list(maps.kept().values()).count(False) if isinstance(maps, LabelStage) else 0
        axes = {"dataset": self.dataset, "labels": stage.labels, "arch": stage.arch, "split": stage.split}
        ours = {**axes, **stage.summary(), "left_out_of_training": dropped, "masks_used": stage.masks_used()}
        theirs = paper.label_scores(self.dataset, stage.labels, stage.arch, stage.split)
        return {**beside(ours, theirs), **keys_of(stage)}

    def _classifier_rows(self) -> Iterator[dict[str, Any]]:
        from pipeline.reports.scores_to_tables import beside

        for stage in self.classifier_stages():
            for row in files.read_table(stage.entry.checked(SCORES)).to_dict("records"):
                ours = {"dataset": self.dataset, **{str(name): value for name, value in row.items()}}
                theirs = paper.classifier_scores(self.dataset, stage.arch, str(row["split"]))
                yield {**beside(ours, theirs), **keys_of(stage)}
        yield from self._theirs(CLASSIFIER)

    def _settings_rows(self) -> Iterator[dict[str, str]]:
        """Every number of every stage behind the tables, under the key that the rows name."""
        for stage in walk(self):
            for name, value in stage.significant_knobs().items():
                yield {
                    "stage": stage.stage(),
                    "key": stage.short_key,
                    "knob": name,
                    "value": cache.canonical(value),
                }
