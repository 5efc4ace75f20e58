"""Classifier: a network that tells crack patches from others; the only thing that learns from yes/no labels."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import models
from pipeline.knobs import ClassifierKnobs, TablesKnobs
from pipeline.layouts.on_disk import SPLITS
from tasks.core import files
from tasks.core.cache import Draft
from tasks.core.parameters import Choice
from tasks.core.pixel_file import Pixels
from tasks.core.published_weights import PUBLISHED
from tasks.core.settings import Experiment
from tasks.core.stage import AnyStage
from tasks.core.trained_stage import TrainedStage, start_weights
from tasks.core.workers import place_of
from tasks.dataset import Dataset
from tasks.intake.photo_index import PhotoPixels
from tasks.patches import Patches

if TYPE_CHECKING:
    import torch

    from models.networks.classifier import Classifier as Network

SCORES = "scores.csv"
SCORES_BY_IMAGE = "scores_by_image.csv"  # an image is as cracked as its most suspicious patch
_BATCH = 64  # patches per evaluation step; every patch is scored by itself
ARCH = Choice(models.CLASSIFIERS, "arch", default="")


def usual_arch(experiment: Experiment) -> str:
    """The classifier that is meant where none is named: the first of [Tables] classifiers, '' without any."""
    return next(iter(experiment.resolve(TablesKnobs).classifiers), "")


class Classifier(TrainedStage[ClassifierKnobs]):
    arch = ARCH
    axis_names = ("arch",)
    own_job = True
    unit = "patches"

    def settle(self) -> None:
        self.arch = self.arch or usual_arch(self.experiment)

    def upstream(self) -> Mapping[str, AnyStage]:
        return {"dataset": self.sibling(Dataset), "patches": self.sibling(Patches)}

    def fingerprint(self) -> str:
        """The content of a weights file counts, not its name."""
        path = self._weights_file()
        return files.sha256(path) if path else ""

    def _weights_file(self) -> Path | None:
        packaged = self.arch if self.arch in PUBLISHED and self.knobs.weights == "imagenet" else ""
        return start_weights(self.knobs.weights, "[Classifier] weights", packaged)

    def make(self, draft: Draft) -> str:
        from pipeline.patches_to_classifier import check_kinds, train_classifier

        device = place_of(self.execution).enter().torch_device()
        rows = self.sibling(Patches).rows("train")
        count = len(self.sibling(Dataset).photos("train"))
        check_kinds(rows.label, f"the training split of {self.dataset} ({count:,} images)")
        with self._images("train") as images:
            model = self._first_model()
            patch_px = self.sibling(Patches).side_px()
            train = partial(train_classifier, model, images, rows, self.knobs, patch_px=patch_px, device=device)
            last = self.train(draft, model, train)
        told = [f"training loss {last['loss']:.3f}"]
        for unit, scores in self._evaluate(draft, model, device).items():
            told.append(f"{unit} F1 " + ", ".join(f"{row['split']} {row['f1']:.3f}" for row in scores))
        return ", ".join(told)

    def _images(self, split: str) -> AbstractContextManager[Pixels]:
        dataset = self.sibling(Dataset)
        return self.decoded(dataset, f"images-{split}", PhotoPixels(), dataset.photos(split))

    def _first_model(self) -> Network:
        import torch

        from pipeline.patches_to_classifier import check_weights

        path = self._weights_file()
        weights = files.read_weights(path) if path else self.knobs.weights
        if not isinstance(weights, str):
            check_weights(weights, str(path))
        torch.manual_seed(self.knobs.seed)
        return models.build_classifier(self.arch, head=self.knobs.head, weights=weights, pixels=self.knobs.pixels)

    def _evaluate(self, draft: Draft, model: Network, device: torch.device) -> dict[str, list[files.Row]]:
        """F1, precision, recall, AUC and counts of every split that was not trained on, patch by patch; where the
        data set has labels of whole images only, also image by image."""
        from pipeline.patches_to_classifier import image_probabilities, patch_probabilities
        from pipeline.predictions_to_scores import score_patches

        by_patch: list[files.Row] = []
        by_image: list[files.Row] = []
        for split in SPLITS[1:]:
            rows = self.sibling(Patches).rows(split)
            if len(rows) == 0:
                continue
            with self._images(split) as images:
                patch_px = self.sibling(Patches).side_px()
                probabilities = patch_probabilities(
                    model, images, rows, patch_px=patch_px, device=device, batch_size=_BATCH
                )
            photos = self.sibling(Dataset).photos(split)
            by_patch.append({"split": split, "arch": self.arch, **score_patches(rows.label, probabilities)})
            if all(photo.mask_path is None for photo in photos):
                labels = np.array([photo.label for photo in photos])
                found = score_patches(labels, image_probabilities(rows, probabilities))
                by_image.append({"split": split, "arch": self.arch, **found})
        files.write_rows(draft.path(SCORES), by_patch)
        if by_image:
            files.write_rows(draft.path(SCORES_BY_IMAGE), by_image)
        return {"patch": by_patch, **({"image": by_image} if by_image else {})}

    def trained(self) -> TrainedClassifier:
        return TrainedClassifier(self.arch, self.knobs.head, self.knobs.pixels, self.checked_weights())


@dataclass(frozen=True)
class TrainedClassifier:
    """All that is needed to load it."""

    arch: str
    head: str
    pixels: str
    weights: Path

    def model(self) -> Network:
        """Ready to predict."""
        model = models.build_classifier(self.arch, head=self.head, weights="none", pixels=self.pixels)
        model.load_state_dict(files.read_weights(self.weights))
        return model.eval()
