"""Segmenter: a network trained on full masks, CRF labels or pseudo labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import luigi
import numpy as np
from numpy.typing import NDArray

import models
from tasks.base import Experiment, Stage, one_of
from tasks.cache import Draft
from tasks.crf_labels import CrfLabels
from tasks.dataset import Dataset
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


class Segmenter(TrainedStage):
    """`arch` is the classifier behind the labels; full masks need none, and then it is ''."""

    segmenter = luigi.Parameter(description="|".join(models.SEGMENTERS))
    labels = luigi.Parameter(description="|".join(LABELS))
    arch = luigi.Parameter(default="", positional=False, description="|".join(models.CLASSIFIERS))
    axis_names = ("segmenter", "labels")
    unit = "crops"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        one_of(self.segmenter, models.SEGMENTERS, "segmenter")
        one_of(self.labels, LABELS, "kind of labels")
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
        model = self._build()
        images, targets = self._examples()
        log = self.train(
            draft,
            model,
            lambda resume, progress: train_segmenter(
                model, images, targets, self.knobs, device=device, resume=resume, progress=progress
            ),
        )
        return f"{len(images)} images, training loss {log[-1]['loss']:.4f}"

    def _examples(self) -> tuple[list[NDArray[np.uint8]], list[NDArray[np.uint8]]]:
        """Images and their targets, uint8 0 … 255; images without a usable label are left out."""
        photos = self.sibling(Dataset).photos("train")
        if self.labels == "full":
            masks = {photo.id: photo.mask() for photo in photos}
            targets = {name: mask.astype(np.uint8) * np.uint8(255) for name, mask in masks.items() if mask is not None}
        else:
            stage = label_stage(self, self.labels, self.arch, "train")
            targets = {name: stage.label(name) for name, kept in stage.kept().items() if kept}
        if not targets:
            raise StageError(
                f"no {self.labels} label of {self.dataset} is fit for training; "
                "look at them with Inspect, or lower min_crack_pixels"
            )
        chosen = [photo for photo in photos if photo.id in targets]
        return [photo.image() for photo in chosen], [targets[photo.id] for photo in chosen]

    def _build(self) -> Any:
        import torch

        torch.manual_seed(self.knobs.seed)
        options = self.knobs.options.get(self.segmenter, {})
        return models.build_segmenter(self.segmenter, pixels=self.knobs.pixels, **options)

    def model(self) -> Any:
        """The trained segmenter."""
        return self.load_into(self._build())
