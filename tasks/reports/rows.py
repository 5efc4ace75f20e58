"""Rows of the tables: the scores of a stage, other people's numbers beside them, and the keys of all that made them."""

from __future__ import annotations

import math
from collections.abc import Iterator

from tasks.classifier import SCORES, Classifier
from tasks.core import cache, files
from tasks.core.files import Row, snake
from tasks.core.stage import AnyStage
from tasks.core.walk import walk
from tasks.labels import LabelStage, kept
from tasks.patch_maps import PatchMaps
from tasks.reports import paper, published
from tasks.scores import Scores

# in the order of the figure
_KEYED = [
    *("Dataset", "Patches", "Classifier", "PatchMaps", "Cams", "ThresholdMaps", "EdgeMaps", "PseudoLabels"),
    *("CrfSearch", "CrfLabels", "Generated", "MergeWeights", "MergedLabels", "RoundLabels"),
    *("Segmenter", "Predictions", "Refinements", "Scores"),
]


def segmentation_row(stage: Scores) -> Row:
    """A trained segmenter on a test set: our scores, the paper's, and those of the papers of other systems."""
    from pipeline.reports.scores_to_tables import beside

    test_set = stage.target_dataset().dataset
    sets = {"train_set": stage.dataset, "test_set": test_set}
    axes = {name: getattr(stage, name) for name in ("labels", "arch", "segmenter", "split")}
    place = paper.place(stage.dataset, test_set, stage.labels)
    ours = {**sets, **axes, **stage.summary(), "masks_used": stage.masks_used()}
    row = {**beside(ours, paper.segmenter_scores(place, stage.segmenter)), **paper.about(place)}
    theirs = published.scores(stage.segmenter, stage.dataset, test_set, stage.labels)
    return {**beside(row, theirs.values, "published"), "published_source": theirs.source, **keys_of(stage)}


def label_row(stage: Scores) -> Row:
    """Labels of a split against their masks, and how many of them are not fit for training."""
    from pipeline.reports.scores_to_tables import beside

    maps = stage.maps()
    dropped = list(kept(maps.entry).values()).count(False) if isinstance(maps, LabelStage) else 0
    axes = {"dataset": stage.dataset, "labels": stage.labels, "arch": stage.arch, "split": stage.split}
    ours = {**axes, **stage.summary(), "left_out_of_training": dropped, "masks_used": stage.masks_used()}
    theirs = paper.label_scores(stage.dataset, stage.labels, stage.arch, stage.split)
    return {**beside(ours, theirs), **keys_of(stage)}


def classifier_rows(stage: Classifier) -> Iterator[Row]:
    """How well patches of each split are told apart."""
    from pipeline.reports.scores_to_tables import beside

    for row in files.read_rows(stage.entry.checked(SCORES)):
        theirs = paper.classifier_scores(stage.dataset, stage.arch, str(row["split"]))
        yield {**beside({"dataset": stage.dataset, **row}, theirs), **keys_of(stage)}


def patches_told_apart(stage: Scores) -> Row:
    """Where a classifier's own map is scored: its F1 of the split's patches, at a half; the map's is of pixels."""
    maps = stage.maps()
    if not isinstance(maps, PatchMaps):
        return {}
    scores = files.read_rows(maps.classifier().entry.checked(SCORES))
    of_split = {row["split"]: row["f1"] for row in scores}
    return {"patch_f1": of_split.get(stage.split, math.nan)}


def settings_rows(*stages: AnyStage) -> Iterator[Row]:
    """Every number of every stage behind the tables, under the key that the rows name."""
    for stage in walk(*stages):
        for name, value in stage.significant_knobs().items():
            yield {"stage": stage.stage(), "key": stage.short_key, "knob": name, "value": cache.canonical(value)}


def keys_of(stage: AnyStage) -> Row:
    """The keys of the stages that made a row; '' where a stage had no part in it, of several the one nearest to it."""
    keys: Row = {f"{snake(kind)}_key": "" for kind in _KEYED}
    for part in walk(stage):
        if f"{snake(part.stage())}_key" in keys:
            keys[f"{snake(part.stage())}_key"] = part.short_key
    return keys
