"""Tables: what the experiment shows, as CSV, each row with the keys of the stages that made it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from tasks import cache, files, paper
from tasks.base import Stage, one_of
from tasks.cache import Draft
from tasks.cams import Cams
from tasks.classifier import SCORES, Classifier
from tasks.crf_labels import CrfLabels
from tasks.dataset import Dataset
from tasks.errors import SettingsError
from tasks.labels import LabelStage
from tasks.patch_maps import PatchMaps
from tasks.patches import Patches
from tasks.predictions import Predictions
from tasks.provenance import snake
from tasks.pseudo_labels import PseudoLabels
from tasks.scores import Scores
from tasks.segmenter import LABELS, Segmenter
from tasks.threshold_maps import ThresholdMaps

PUBLISHED = (
    "comparison.csv",
    "segmentation.csv",
    "label_quality.csv",
    "classifier.csv",
    "settings.csv",
    "summary.md",
    "masks.csv",
)


class Tables(Stage):
    unit = "tables"
    version = 2  # classifier.csv has the paper's numbers; masks.csv

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for labels in self.knobs.labels:
            one_of(labels, LABELS, "kind of labels")
        if not (self.knobs.labels and self.knobs.segmenters and self.knobs.test_sets):
            raise SettingsError("[Tables] labels, segmenters and test_sets must each name at least one")
        if not self.knobs.classifiers and set(self.knobs.labels) != {"full"}:
            raise SettingsError("[Tables] classifiers is empty, but crf and pseudo labels need one")
        if not self.knobs.scored and "full" in self.knobs.labels:
            raise SettingsError('[Tables] labels has "full", but scored = false says that there are no masks')

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

    def predictions(self) -> list[Predictions]:
        return [self.sibling(Predictions, **axes) for axes in self._trained()]

    def _trained(self) -> list[dict[str, str]]:
        """The axes of every trained segmenter on every test set."""
        return [
            {"labels": labels, "segmenter": segmenter, "arch": arch, "target": self._target(target)}
            for target in self.knobs.test_sets
            for segmenter in self.knobs.segmenters
            for labels in self.knobs.labels
            for arch in ([""] if labels == "full" else self.knobs.classifiers)
        ]

    def _target(self, name: str) -> str:
        return "" if name in (self.dataset, "self") else name

    def upstream(self) -> Mapping[str, Stage]:
        results = [*self.label_scores(), *self.segmentation_scores()] if self.knobs.scored else self.predictions()
        stages = [*self.classifier_stages(), *results]
        return {f"{snake(stage.stage())}_{number:03d}": stage for number, stage in enumerate(stages)}

    def make(self, draft: Draft) -> str:
        import pandas as pd

        files.write_table(draft.path("classifier.csv"), pd.DataFrame(self._classifier_rows()))
        files.write_table(draft.path("settings.csv"), pd.DataFrame(self._settings_rows()))
        return self._make_scored(draft) if self.knobs.scored else self._make_unscored(draft)

    def _make_unscored(self, draft: Draft) -> str:
        """Without masks nothing can be compared: a list of the folders in which labels and predictions lie."""
        import pandas as pd

        made = [part for part in walk(self) if isinstance(part, (LabelStage, Predictions))]
        rows = [
            {"stage": part.stage(), **part.axes, "folder": f"{snake(part.stage())}/{part.entry.name}", **keys_of(part)}
            for part in made
        ]
        files.write_table(draft.path("masks.csv"), pd.DataFrame(rows).fillna(""))
        listed = "".join(f"* {row['stage']}: outputs/{row['folder']}\n" for row in rows)
        files.write_text(draft.path("summary.md"), f"# {self.dataset}\n\nNothing to score against.\n\n{listed}")
        return f"{len(rows)} folders of labels and predictions, none scored"

    def _make_scored(self, draft: Draft) -> str:
        import pandas as pd

        from pipeline import scores_to_tables as to_tables

        segmentation = pd.DataFrame([self._segmentation_row(stage) for stage in self.segmentation_scores()])
        compared = to_tables.comparison(segmentation)
        quality = pd.DataFrame()
        files.write_table(draft.path("segmentation.csv"), segmentation)
        files.write_table(draft.path("comparison.csv"), compared)
        if self.label_scores():
            quality = to_tables.label_quality([self._label_row(stage) for stage in self.label_scores()])
        files.write_table(draft.path("label_quality.csv"), quality)
        files.write_text(
            draft.path("summary.md"), summary(self.dataset, compared, quality, to_tables.note_on_empty(segmentation))
        )
        return f"{len(segmentation)} segmentation rows, {len(quality)} label rows"

    def _segmentation_row(self, stage: Scores) -> dict[str, Any]:
        axes = {
            "labels": stage.labels,
            "arch": stage.arch,
            "segmenter": stage.segmenter,
            "split": stage.split,
        }
        sets = {"train_set": self.dataset, "test_set": stage.target_dataset().dataset}
        return {**sets, **axes, **stage.summary(), **keys_of(stage)}

    def _label_row(self, stage: Scores) -> dict[str, Any]:
        maps = stage.maps()
        dropped = list(maps.kept().values()).count(False) if isinstance(maps, LabelStage) else 0
        axes = {"dataset": self.dataset, "labels": stage.labels, "arch": stage.arch, "split": stage.split}
        return {**axes, **stage.summary(), "left_out_of_training": dropped, **keys_of(stage)}

    def _classifier_rows(self) -> Iterator[dict[str, Any]]:
        from pipeline.scores_to_tables import beside

        for stage in self.classifier_stages():
            for row in files.read_table(stage.entry.checked(SCORES)).to_dict("records"):
                ours = {"dataset": self.dataset, **{str(name): value for name, value in row.items()}}
                theirs = paper.classifier_scores(self.dataset, stage.arch, str(row["split"]))
                yield {**beside(ours, theirs), **keys_of(stage)}

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


_KEY_STAGES: tuple[type[Stage], ...] = (
    Dataset,
    Patches,
    Classifier,
    PatchMaps,
    Cams,
    ThresholdMaps,
    PseudoLabels,
    CrfLabels,
    Segmenter,
    Predictions,
    Scores,
)


def keys_of(stage: Stage) -> dict[str, str]:
    """The keys of the stages that made a row; '' where a stage had no part in it."""
    keys = {f"{snake(kind.stage())}_key": "" for kind in _KEY_STAGES}
    for part in walk(stage):
        if f"{snake(part.stage())}_key" in keys:
            keys[f"{snake(part.stage())}_key"] = part.short_key
    return keys


def walk(stage: Stage) -> list[Stage]:
    """The stage and all that it rests on, each once, upstream first."""
    seen: dict[tuple[str, str], Stage] = {}

    def visit(part: Stage) -> None:
        name = (part.stage(), part.entry.name)
        if name in seen:
            return
        for above in part.upstream().values():
            visit(above)
        seen[name] = part

    visit(stage)
    return list(seen.values())


def summary(dataset: str, compared: Any, quality: Any, note: str) -> str:
    """The tables at a glance, in Markdown."""
    from pipeline import scores_to_tables as to_tables

    parts = [f"# {dataset}\n\nSegmenters trained on full masks (FSV), CRF labels (CRF) and pseudo labels (WSV).\n"]
    parts += [to_tables.markdown(compared, to_tables.comparison_columns(metric)) for metric in to_tables.METRICS]
    parts += [f"{note}.\n"] if note else []
    if len(quality):
        parts += ["Labels of the training images against their masks.\n"]
        parts += [to_tables.markdown(quality, to_tables.LABEL_COLUMNS)]
    return "\n".join(parts)
