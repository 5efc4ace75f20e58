"""Predictions: a trained segmenter's probability maps for the test images of any data set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import luigi
import numpy as np
from numpy.typing import NDArray

import models
from tasks.core import files
from tasks.core.cache import Draft
from tasks.core.stage import SPLITS, Choice, Stage
from tasks.core.trained_stage import NetworkStage
from tasks.dataset import Dataset, target_of
from tasks.edge_maps import EdgeMaps, image_of
from tasks.segmenter import LABELS, Segmenter


class SegmenterMaps(Stage):
    """A map for each image, from a trained segmenter.

    `target` is the data set that is segmented, `dataset` the one that was trained on.
    """

    segmenter = Choice(models.SEGMENTERS, "segmenter")
    labels = Choice(LABELS, "kind of labels")
    arch = Choice(models.CLASSIFIERS, "arch", default="")
    target = luigi.Parameter(default="", positional=False, description="a data set; '' = the one trained on")
    split = Choice(SPLITS, "split", default="test")
    axis_names = ("split",)

    def target_dataset(self) -> Dataset:
        return target_of(self, self.target)

    def map(self, name: str) -> NDArray[Any]:
        """uint8 or uint16 H×W."""
        return files.read_png(self.entry.folder / f"{name}.png")


class Predictions(SegmenterMaps, NetworkStage):
    def trained(self) -> Segmenter:
        added = self.target if self.labels == "semi" and self.target != self.dataset else ""
        return self.sibling(Segmenter, segmenter=self.segmenter, labels=self.labels, arch=self.arch, added=added)

    def upstream(self) -> Mapping[str, Stage]:
        edges = self.edge_maps()
        return {"segmenter": self.trained(), "target": self.target_dataset(), **({"edge_maps": edges} if edges else {})}

    def edge_maps(self) -> EdgeMaps | None:
        """The edges of the images, if the segmenter takes them."""
        return self.trained().edge_maps(self.split, self.target)

    def make(self, draft: Draft) -> str:
        from pipeline.segmenter_to_predictions import predict

        device = self.device(threads=1)
        model = self.trained().model().to(device)
        photos = {photo.id: photo for photo in self.target_dataset().some_photos(self.split)}
        edges = self.edge_maps()

        def work(name: str) -> None:
            device = self.device(threads=1)  # in the worker process too
            image = image_of(photos[name], edges)
            files.write_png(draft.path(f"{name}.png"), predict(model, image, self.knobs, device=device))

        self.for_each(list(photos), lambda name: f"{name}.png", draft, work)
        return f"{len(photos)} maps"

    def probability(self, name: str) -> NDArray[np.float32]:
        """float32 H×W in [0, 1]."""
        from pipeline.segmenter_to_predictions import as_probability

        return as_probability(self.map(name))
