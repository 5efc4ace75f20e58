"""Rows of the tables: the scores of a stage, other people's numbers beside them, and the keys of all that made them."""

from __future__ import annotations

from typing import Any

from tasks.cams import Cams
from tasks.classifier import Classifier
from tasks.core.provenance import snake
from tasks.core.stage import Stage
from tasks.crf_labels import CrfLabels
from tasks.crf_search import CrfSearch
from tasks.dataset import Dataset
from tasks.edge_maps import EdgeMaps
from tasks.patch_maps import PatchMaps
from tasks.patches import Patches
from tasks.predictions import Predictions
from tasks.pseudo_labels import PseudoLabels
from tasks.refinements import Refinements
from tasks.reports import paper, published
from tasks.scores import Scores
from tasks.segmenter import Segmenter
from tasks.threshold_maps import ThresholdMaps

_KEY_STAGES: tuple[type[Stage], ...] = (
    Dataset,
    Patches,
    Classifier,
    PatchMaps,
    Cams,
    ThresholdMaps,
    EdgeMaps,
    PseudoLabels,
    CrfSearch,
    CrfLabels,
    Segmenter,
    Predictions,
    Refinements,
    Scores,
)


def segmentation_row(stage: Scores) -> dict[str, Any]:
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
