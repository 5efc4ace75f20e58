"""`make bench`, first part: our trainings beside bare loops over the same networks."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

import numpy as np

import models
from pipeline.knobs import ClassifierKnobs, DemoPhotosKnobs, PatchesKnobs, SegmenterKnobs, TablesKnobs, TrainingKnobs
from pipeline.ops.types import ImageRGB, Mask
from tasks.core.settings import Experiment
from tasks.segmenter import chosen, options_of

if TYPE_CHECKING:
    import torch

    from models.networks.classifier import Classifier as Network
    from pipeline.learning.training import Epoch
    from pipeline.speed.training import Comparison

PHOTOS = 16  # few: they only have to be different sizes
TrainingT = TypeVar("TrainingT", bound=TrainingKnobs)


@dataclass(frozen=True)
class Bench:
    """Both loops take `steps` training steps in turn, `rounds` times."""

    experiment: Experiment
    device: torch.device
    rounds: int
    steps: int

    @cached_property
    def photos(self) -> tuple[list[ImageRGB], list[Mask]]:
        from pipeline.demo.photos import demo_photos

        wanted = self.experiment.resolve(DemoPhotosKnobs)
        wanted = dataclasses.replace(wanted, train_images=PHOTOS, val_images=0, test_images=1)
        photos = [photo for photo in demo_photos(wanted) if photo.split == "train"]
        return [photo.image_rgb for photo in photos], [photo.mask for photo in photos]

    def comparisons(self, segmenters: list[str]) -> Iterator[tuple[str, Comparison]]:
        """The patch classifier, then the segmenters: those of the settings where none are named."""
        tables = self.experiment.resolve(TablesKnobs)
        arch, patches = tables.classifiers[0], self.experiment.resolve(PatchesKnobs)
        knobs = self._short(self.experiment.resolve(ClassifierKnobs))
        yield _named(arch, knobs, patches.patch_px), self._classifier(arch, knobs, patches)
        for name in chosen(segmenters or tables.segmenters, "segmenters"):
            own = self._short(self.experiment.resolve(SegmenterKnobs).of(name))
            yield _named(name, own, own.crop_px), self._segmenter(name, own)

    def _short(self, knobs: TrainingT) -> TrainingT:
        """An epoch for each round and one to warm up."""
        samples = self.steps * knobs.batch_size
        return dataclasses.replace(knobs, epochs=self.rounds + 1, samples_per_epoch=samples)

    def _classifier(self, arch: str, knobs: ClassifierKnobs, patches: PatchesKnobs) -> Comparison:
        import torch

        from pipeline.dataset_to_patches import index_patches
        from pipeline.patches_to_classifier import cross_entropy, train_classifier
        from pipeline.speed.training import bare_speeds, compare

        def build() -> Network:
            return models.build_classifier(arch, head=knobs.head, weights="none", pixels=knobs.pixels)

        (images, masks), size = self.photos, patches.patch_px
        index = index_patches([(mask.shape, mask, None) for mask in masks], patches, eightfold=True)
        epochs = train_classifier(build(), images, index, knobs, patch_px=size, device=self.device, resume=None)
        batch = torch.rand(knobs.batch_size, 3, size, size, device=self.device)
        targets = torch.tensor(np.resize([0, 1], knobs.batch_size), device=self.device)
        bare = bare_speeds(build(), batch, targets, cross_entropy, knobs, steps=self.steps)
        return compare(_speeds(epochs), bare, self.rounds)

    def _segmenter(self, name: str, knobs: SegmenterKnobs) -> Comparison:
        import torch

        from pipeline.labels_to_segmenter import train_segmenter
        from pipeline.learning.losses import segmenter_loss
        from pipeline.speed.training import bare_speeds, compare

        options = options_of(name, knobs.options[name], self.experiment)
        sides = list(knobs.sides[name].get("weights", []))

        def build() -> torch.nn.Module:
            return models.build_segmenter(name, options, pixels=knobs.pixels)

        images, masks = self.photos
        labels = [mask.astype(np.uint8) * np.uint8(255) for mask in masks]
        if models.takes_edges(options):
            images = [np.dstack([image, label]) for image, label in zip(images, labels, strict=True)]
        epochs = train_segmenter(build(), images, labels, knobs, sides=sides, device=self.device, resume=None)
        size = (knobs.batch_size, images[0].shape[2], knobs.crop_px, knobs.crop_px)
        batch = torch.rand(*size, device=self.device)
        targets = (batch[:, :1] * 255).to(torch.uint8)
        bare = bare_speeds(build(), batch, targets, segmenter_loss(knobs, sides)(1), knobs, steps=self.steps)
        return compare(_speeds(epochs), bare, self.rounds)


def _named(name: str, knobs: TrainingKnobs, size_px: int) -> str:
    return f"{name}, {knobs.batch_size} × {size_px} px, {knobs.precision}"


def _speeds(epochs: Iterator[Epoch]) -> Iterator[float]:
    for epoch in epochs:
        yield epoch.log["samples_per_second"]
