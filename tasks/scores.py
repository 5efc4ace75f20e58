"""Scores: ODS, OIS, AP of predictions or of labels against masks, and what other papers report instead."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import models
from pipeline.knobs import JudgeKnobs, ScoresKnobs, as_dict
from pipeline.ops.types import Map, Mask, Pixels
from tasks.classifier import ARCH
from tasks.core import files
from tasks.core.cache import Draft
from tasks.core.errors import StageError
from tasks.core.parameters import Choice
from tasks.core.stage import AnyStage, Stage
from tasks.dataset import Dataset
from tasks.intake.photo_index import Photo
from tasks.patch_maps import PatchMaps
from tasks.predictions import TARGET, TEST, Predictions
from tasks.refinements import Refinements, final_maps
from tasks.supervision import SUPERVISIONS, Labels
from tasks.threshold_maps import ThresholdMaps

if TYPE_CHECKING:
    import pandas as pd

SUMMARY, CURVE = "summary.json", "curve.csv"
THRESHOLD = "threshold"  # thresholding alone, as if it were a kind of labels
PATCHES = "patches"  # a classifier's patch map, the same way
# of [Judge], what a score of the referee depends on
JUDGED_BY = (
    *("threshold", "draws", "confidence", "seed", "cliou_px", "nsd_px", "boundary_px", "boundary_share", "buffer_px"),
    "tolerances_px",
)


class Scores(Stage[ScoresKnobs]):
    """Without a segmenter the labels themselves are scored."""

    labels = Choice((*SUPERVISIONS, THRESHOLD, PATCHES), "kind of labels")
    segmenter = Choice(models.SEGMENTERS, "segmenter", default="")
    arch, target, split = ARCH, TARGET, TEST
    axis_names = ("segmenter", "labels", "split")
    version = 2  # summary.json has the metrics that other papers report

    def maps(self) -> Predictions | Refinements | Labels | ThresholdMaps | PatchMaps:
        """The stage whose maps are scored."""
        if self.segmenter:
            axes = {"segmenter": self.segmenter, "labels": self.labels, "arch": self.arch}
            return final_maps(self.experiment, **axes, target=self.target, split=self.split)
        if self.labels == THRESHOLD:
            return self.sibling(ThresholdMaps, split=self.split)
        if self.labels == PATCHES:
            return self.sibling(PatchMaps, arch=self.arch, split=self.split)
        return SUPERVISIONS[self.labels].labels(self.experiment, arch=self.arch, split=self.split)

    def target_dataset(self) -> Dataset:
        return self.experiment.of(self.target).task(Dataset)

    def upstream(self) -> Mapping[str, AnyStage]:
        return {"maps": self.maps(), "target": self.target_dataset()}

    def _rules(self) -> JudgeKnobs:
        return self.experiment.resolve(JudgeKnobs)

    def significant_knobs(self) -> dict[str, object]:
        """The referee's own numbers only where it is asked: scores from before it came stay valid."""
        mine = super().significant_knobs()
        if not self.knobs.referee:
            return {name: value for name, value in mine.items() if name != "referee"}
        rules = as_dict(self._rules())
        return {**mine, **{f"judge_{name}": rules[name] for name in JUDGED_BY}}

    def make(self, draft: Draft) -> str:
        from pipeline.predictions_to_judgement import refereed
        from pipeline.predictions_to_scores import score_maps

        photos = [photo for photo in self.target_dataset().photos(self.split) if photo.mask_path]
        if not photos:
            raise StageError(
                f"no {self.split} image of {self.target_dataset().dataset} has a mask; nothing can be scored"
            )
        summary, by_image, curve = score_maps(self._pairs(photos), self.knobs)
        if self.knobs.referee:
            group_of = {row.id: row.group for row in self.target_dataset().rows}
            groups = [group_of[photo.id] or photo.id for photo in photos]
            summary = {**refereed(lambda: self._pairs(photos), groups, self.knobs, self._rules()), **summary}
        files.write_json(draft.path(SUMMARY), as_json(summary))
        files.write_table(draft.path("by_image.csv"), by_image)
        files.write_table(draft.path(CURVE), curve)
        return f"ODS {summary['ods']:.4f}  OIS {summary['ois']:.4f}  AP {summary['ap']:.4f}"

    def _pairs(self, photos: list[Photo]) -> Iterator[tuple[str, Pixels | Mask | Map, Mask]]:
        maps = self.maps().maps()
        with self.progress() as progress:
            for done, photo in enumerate(photos, start=1):
                yield photo.id, maps.of(photo), photo.checked_mask()
                progress(done, len(photos))

    def summary(self) -> files.Row:
        loaded: files.Row = files.read_json(self.entry.checked(SUMMARY))
        order = dict.fromkeys(("ods", "ois", "ap", *loaded))
        return {name: math.nan if loaded[name] is None else loaded[name] for name in order}

    def curve(self) -> pd.DataFrame:
        """A row for each threshold, with precision, recall and F1."""
        return files.read_table(self.entry.checked(CURVE))

    def masks_used(self) -> int:
        """How many masks of training images went into the maps, beyond the yes/no labels that they give."""
        if self.labels in (THRESHOLD, PATCHES):
            return 0
        return SUPERVISIONS[self.labels].masks_used(self.experiment, self.arch)


def as_json(summary: Mapping[str, object]) -> files.Row:
    """JSON has no nan."""
    return {name: None if value != value else value for name, value in summary.items()}
