"""Segmenter: a network trained on full masks, CRF labels or pseudo labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

import models
from tasks.base import Choice, Experiment, Stage, one_of
from tasks.cache import Draft
from tasks.crf_labels import CrfLabels
from tasks.dataset import Dataset, Photo
from tasks.errors import SettingsError, StageError
from tasks.labels import LabelStage
from tasks.pseudo_labels import PseudoLabels
from tasks.trained import TrainedStage

LABELS = ("full", "crf", "pseudo")


def label_stage(stage: Experiment, labels: str, arch: str, split: str) -> LabelStage:
    """The stage that makes labels of that kind; none makes full masks."""
    kinds: dict[str, type[LabelStage]] = {"crf": CrfLabels, "pseudo": PseudoLabels}
    one_of(labels, kinds, "kind of made labels")
    return stage.sibling(kinds[labels], arch=arch, split=split)


def full_label(photo: Photo) -> NDArray[np.uint8]:
    """The mask as a target; only for photos that have one."""
    mask = photo.mask()
    if mask is None:
        raise StageError(f"{photo.image_path} has no mask")
    return mask.astype(np.uint8) * np.uint8(255)


class Segmenter(TrainedStage):
    """`arch` is the classifier behind the labels; full masks need none, and then it is ''."""

    segmenter = Choice(models.SEGMENTERS, "segmenter")
    labels = Choice(LABELS, "kind of labels")
    arch = Choice(models.CLASSIFIERS, "arch", default="")
    axis_names = ("segmenter", "labels")
    unit = "crops"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.labels == "full" and self.arch:
            raise SettingsError(f"full masks need no classifier; leave out arch = {self.arch!r}")

    def significant_knobs(self) -> dict[str, Any]:
        """Of the segmenters' own options only those of this one."""
        mine = self.knobs.options.get(self.segmenter, {})
        return {**super().significant_knobs(), "options": {self.segmenter: mine}}

    def upstream(self) -> Mapping[str, Stage]:
        dataset = {"dataset": self.sibling(Dataset)}
        if self.labels == "full":
            return dataset
        return {**dataset, "labels": label_stage(self, self.labels, self.arch, "train")}

    def make(self, draft: Draft) -> str:
        from pipeline.labels_to_segmenter import train_segmenter

        device = self.device(self.execution.threads)
        photos, target = self._examples()
        with (
            self.decoded(draft, "images", lambda index: photos[index].image(), len(photos)) as images,
            self.decoded(draft, "labels", lambda index: target(photos[index]), len(photos)) as targets,
        ):
            model = self._build()
            log = self.train(
                draft,
                model,
                lambda resume, progress: train_segmenter(
                    model, images, targets, self.knobs, device=device, resume=resume, progress=progress
                ),
            )
        return f"{len(photos)} images, training loss {log[-1]['loss']:.4f}"

    def _examples(self) -> tuple[list[Photo], Callable[[Photo], NDArray[np.uint8]]]:
        """The photos with a usable label, and what loads the label of one, uint8 0 … 255."""
        photos = self.sibling(Dataset).photos("train")
        if self.labels == "full":
            chosen, target = [photo for photo in photos if photo.mask_path is not None], full_label
        else:
            stage = label_stage(self, self.labels, self.arch, "train")
            kept = stage.kept()
            chosen, target = [photo for photo in photos if kept[photo.id]], lambda photo: stage.label(photo.id)
        if not chosen:
            raise StageError(
                f"no {self.labels} label of {self.dataset} is fit for training; "
                "look at them with Inspect, or lower min_crack_pixels"
            )
        return chosen, target

    def _build(self) -> Any:
        import torch

        torch.manual_seed(self.knobs.seed)
        options = self.knobs.options.get(self.segmenter, {})
        return models.build_segmenter(self.segmenter, pixels=self.knobs.pixels, **options)

    def model(self) -> Any:
        """The trained segmenter."""
        return self.load_into(self._build())
