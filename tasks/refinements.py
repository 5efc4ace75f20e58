"""Refinements: predictions sharpened by a dense CRF or a guided filter; not there when [Refinements] says "none"."""

from __future__ import annotations

from collections.abc import Mapping

import luigi
import numpy as np
from numpy.typing import NDArray

import models
from tasks import files
from tasks.base import SPLITS, Choice, Experiment, Stage
from tasks.cache import Draft
from tasks.dataset import Dataset, target_of
from tasks.predictions import Predictions
from tasks.segmenter import LABELS


class Refinements(Stage):
    """The axes are those of the predictions that are refined."""

    segmenter = Choice(models.SEGMENTERS, "segmenter")
    labels = Choice(LABELS, "kind of labels")
    arch = Choice(models.CLASSIFIERS, "arch", default="")
    target = luigi.Parameter(default="", positional=False, description="a data set; '' = the one trained on")
    split = Choice(SPLITS, "split", default="test")
    axis_names = ("split",)
    resumable = True

    def predictions(self) -> Predictions:
        axes = {name: str(getattr(self, name)) for name in ("segmenter", "labels", "arch", "target", "split")}
        return self.sibling(Predictions, **axes)

    def target_dataset(self) -> Dataset:
        return target_of(self, self.target)

    def upstream(self) -> Mapping[str, Stage]:
        return {"predictions": self.predictions(), "target": self.target_dataset()}

    def make(self, draft: Draft) -> str:
        from pipeline.predictions_to_refinements import refined

        photos = {photo.id: photo for photo in self.target_dataset().photos(self.split)}

        def work(name: str) -> None:
            files.write_png(
                draft.path(f"{name}.png"),
                refined(photos[name].image(), self.predictions().probability(name), self.knobs),
            )

        self.for_each(list(photos), lambda name: f"{name}.png", draft, work)
        return f"{len(photos)} maps"

    def map(self, name: str) -> NDArray[np.uint8]:
        return files.read_png(self.entry.folder / f"{name}.png")


def final_maps(stage: Experiment, **axes: str) -> Predictions | Refinements:
    """The predictions as they are scored: refined, if the settings say so."""
    refined = stage.sibling(Refinements, **axes)
    return refined.predictions() if refined.knobs.method == "none" else refined
