"""Scores: ODS, OIS, AP of predictions or of labels against masks, and what other papers report instead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import luigi
from numpy.typing import NDArray

import models
from tasks.core import files
from tasks.core.cache import Draft
from tasks.core.errors import StageError
from tasks.core.stage import SPLITS, Choice, Stage
from tasks.crf_labels import CrfLabels
from tasks.dataset import Dataset, Photo, target_of
from tasks.labels import LabelStage
from tasks.predictions import Predictions
from tasks.refinements import Refinements, final_maps
from tasks.segmenter import LABELS, label_stage
from tasks.threshold_maps import ThresholdMaps

SUMMARY, CURVE = "summary.json", "curve.csv"


class Scores(Stage):
    """Without a segmenter the labels themselves are scored; `labels = threshold` is thresholding alone."""

    labels = Choice((*LABELS, "threshold"), "kind of labels")
    segmenter = Choice(models.SEGMENTERS, "segmenter", default="")
    arch = Choice(models.CLASSIFIERS, "arch", default="")
    target = luigi.Parameter(default="", positional=False, description="a data set; '' = the one trained on")
    split = Choice(SPLITS, "split", default="test")
    axis_names = ("segmenter", "labels", "split")
    version = 2  # summary.json has the metrics that other papers report

    def maps(self) -> Predictions | Refinements | LabelStage | ThresholdMaps:
        """The stage whose maps are scored."""
        if self.segmenter:
            axes = {"segmenter": self.segmenter, "labels": self.labels, "arch": self.arch}
            return final_maps(self, **axes, target=self.target, split=self.split)
        if self.labels == "threshold":
            return self.sibling(ThresholdMaps, split=self.split)
        return label_stage(self, self.labels, self.arch, self.split)

    def target_dataset(self) -> Dataset:
        return target_of(self, self.target)

    def upstream(self) -> Mapping[str, Stage]:
        return {"maps": self.maps(), "target": self.target_dataset()}

    def make(self, draft: Draft) -> str:
        from pipeline.predictions_to_scores import score_maps

        photos = [photo for photo in self.target_dataset().photos(self.split) if photo.mask_path]
        if not photos:
            raise StageError(
                f"no {self.split} image of {self.target_dataset().dataset} has a mask; nothing can be scored"
            )
        summary, by_image, curve = score_maps(self._pairs(photos), self.knobs)
        files.write_json(draft.path(SUMMARY), as_json(summary))
        files.write_table(draft.path("by_image.csv"), by_image)
        files.write_table(draft.path(CURVE), curve)
        return f"ODS {summary['ods']:.4f}  OIS {summary['ois']:.4f}  AP {summary['ap']:.4f}"

    def _pairs(self, photos: list[Photo]) -> Iterator[tuple[str, NDArray[Any], NDArray[Any]]]:
        stage = self.maps()
        with self.progress() as progress:
            for done, photo in enumerate(photos, start=1):
                mask = photo.mask()
                if mask is not None:
                    yield photo.id, _map_of(stage, photo.id), mask
                progress(done, len(photos))

    def summary(self) -> dict[str, Any]:
        loaded: dict[str, Any] = files.read_json(self.entry.checked(SUMMARY))
        order = dict.fromkeys(("ods", "ois", "ap", *loaded))
        return {name: float("nan") if loaded[name] is None else loaded[name] for name in order}

    def curve(self) -> Any:
        """A row for each threshold, with precision, recall and F1."""
        return files.read_table(self.entry.checked(CURVE))

    def masks_used(self) -> int:
        """How many masks of training images went into the maps, beyond the yes/no labels that they give."""
        if self.labels == "full":
            return sum(photo.mask_path is not None for photo in self.sibling(Dataset).photos("train"))
        if self.labels == "crf":
            return self.sibling(CrfLabels, arch=self.arch).search().masks_used()
        return 0


def as_json(summary: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has no nan."""
    return {name: None if value != value else value for name, value in summary.items()}


def _map_of(stage: Predictions | Refinements | LabelStage | ThresholdMaps, name: str) -> NDArray[Any]:
    return stage.label(name) if isinstance(stage, LabelStage) else stage.map(name)
