"""PatchMaps: the classifier's crack probability, window by window, as one small grid per image."""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import luigi
import numpy as np
from numpy.typing import NDArray

import models
from tasks.classifier import Classifier
from tasks.core import files
from tasks.core.cache import Draft
from tasks.core.stage import SPLITS, Choice, Stage
from tasks.core.trained_stage import NetworkStage
from tasks.dataset import Dataset, Photo, target_of

if TYPE_CHECKING:
    import torch

    from models.resnet import Classifier as Resnet

Localizer = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


class LocalizingStage(NetworkStage):
    """A stage that asks the classifier where in each image of a split the crack is.

    `images_of` is the data set that is looked at, `dataset` the one that the classifier was trained on.
    """

    arch = Choice(models.CLASSIFIERS, "arch", default="")
    images_of = luigi.Parameter(default="", positional=False, description="a data set; '' = the one trained on")
    split = Choice(SPLITS, "split", default="train")
    axis_names = ("split",)

    def upstream(self) -> Mapping[str, Stage]:
        return {"dataset": self.target_dataset(), "classifier": self.sibling(Classifier, arch=self.arch)}

    def target_dataset(self) -> Dataset:
        return target_of(self, self.images_of)

    def photos(self) -> tuple[Photo, ...]:
        return self.target_dataset().some_photos(self.split)

    def make(self, draft: Draft) -> str:
        device = self.device(threads=1)
        model = self.sibling(Classifier, arch=self.arch).model().to(device)
        photos = {photo.id: photo for photo in self.photos()}
        localize = self.localizer(model, device)

        def work(name: str) -> None:
            self.device(threads=1)  # in the worker process too
            files.write_array(draft.path(f"{name}.npy"), localize(photos[name].image()))

        self.for_each(list(photos), lambda name: f"{name}.npy", draft, work)
        return f"{len(photos)} maps"

    @abc.abstractmethod
    def localizer(self, model: Resnet, device: torch.device) -> Localizer:
        """What makes the small map of an image; made once, used for all."""

    def small_map(self, name: str) -> NDArray[np.float32]:
        return files.read_array(self.entry.folder / f"{name}.npy")


class PatchMaps(LocalizingStage):
    def localizer(self, model: Resnet, device: torch.device) -> Localizer:
        from pipeline.classifier_to_patch_maps import patch_map

        return lambda image_rgb: patch_map(model, image_rgb, self.knobs, device=device)

    def map(self, name: str, shape_hw: tuple[int, int]) -> NDArray[np.float32]:
        """float32 H×W in [0, 1]."""
        from pipeline.classifier_to_patch_maps import patch_map_to_image

        return patch_map_to_image(self.small_map(name), shape_hw, self.knobs)
