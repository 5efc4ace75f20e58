"""Classifier: a ResNet that tells crack patches from others; the only thing that learns from yes/no labels."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import models
from tasks.core import files, settings
from tasks.core.cache import Draft
from tasks.core.errors import SettingsError
from tasks.core.stage import SPLITS, Choice
from tasks.core.trained_stage import TrainedStage
from tasks.dataset import Dataset, Photo
from tasks.patches import Patches

if TYPE_CHECKING:
    import torch

    from models.resnet import Classifier as Resnet
    from tasks.core.pixel_file import Pixels
    from tasks.core.stage import Stage

SCORES = "scores.csv"
SCORES_BY_IMAGE = "scores_by_image.csv"  # an image is as cracked as its most suspicious patch
_BATCH = 64  # patches per evaluation step; every patch is scored by itself


class Classifier(TrainedStage):
    arch = Choice(models.CLASSIFIERS, "arch", default="")
    axis_names = ("arch",)
    unit = "patches"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.arch = self.arch or self.first_classifier()

    def upstream(self) -> Mapping[str, Stage]:
        return {"dataset": self.sibling(Dataset), "patches": self.sibling(Patches)}

    def fingerprint(self) -> str:
        """The content of a weights file counts, not its name."""
        if not self._has_weights_file():
            return ""
        if not self._weights_path().is_file():
            raise SettingsError(
                f'[Classifier] weights: there is no file {self._weights_path()}; allowed: "none", "imagenet" or a path'
            )
        return files.sha256(self._weights_path())

    def make(self, draft: Draft) -> str:
        from pipeline.patches_to_classifier import check_kinds, train_classifier

        device = self.device(self.execution.threads)
        rows = self.sibling(Patches).rows("train")
        check_kinds(rows.label, f"the training split of {self.dataset} ({len(self._photos('train')):,} images)")
        with self._images(draft, "train") as images:
            model = self._build(self._start_weights())
            log = self.train(
                draft,
                model,
                lambda resume, progress: train_classifier(
                    model,
                    images,
                    rows,
                    self.knobs,
                    patch_px=self._patch_px(),
                    device=device,
                    resume=resume,
                    progress=progress,
                ),
            )
        told = [f"training loss {log[-1]['loss']:.3f}"]
        for unit, scores in self._evaluate(draft, model, device).items():
            told.append(f"{unit} F1 " + ", ".join(f"{row['split']} {row['f1']:.3f}" for row in scores))
        return ", ".join(told)

    def _photos(self, split: str) -> tuple[Photo, ...]:
        return self.sibling(Dataset).photos(split)

    def _images(self, draft: Draft, split: str) -> AbstractContextManager[Pixels]:
        photos = self._photos(split)
        return self.decoded(draft, split, lambda index: photos[index].image(), len(photos))

    def _evaluate(self, draft: Draft, model: Resnet, device: torch.device) -> dict[str, list[dict[str, Any]]]:
        """F1, precision, recall, AUC and counts of every split that was not trained on, patch by patch; where the
        data set has labels of whole images only, also image by image."""
        import pandas as pd

        from pipeline.patches_to_classifier import image_probabilities, patch_probabilities
        from pipeline.predictions_to_scores import score_patches

        by_patch, by_image = [], []
        for split in SPLITS[1:]:
            rows = self.sibling(Patches).rows(split)
            if len(rows) == 0:
                continue
            with self._images(draft, split) as images:
                probabilities = patch_probabilities(
                    model, images, rows, patch_px=self._patch_px(), device=device, batch_size=_BATCH
                )
            axes, photos = {"split": split, "arch": self.arch}, self._photos(split)
            by_patch.append({**axes, **score_patches(rows.label, probabilities)})
            if all(photo.mask_path is None for photo in photos):
                labels = np.array([photo.label for photo in photos])
                by_image.append({**axes, **score_patches(labels, image_probabilities(rows, probabilities))})
        files.write_table(draft.path(SCORES), pd.DataFrame(by_patch))
        if by_image:
            files.write_table(draft.path(SCORES_BY_IMAGE), pd.DataFrame(by_image))
        return {"patch": by_patch, **({"image": by_image} if by_image else {})}

    def _patch_px(self) -> int:
        return int(self.sibling(Patches).knobs.patch_px)

    def _has_weights_file(self) -> bool:
        return self.knobs.weights not in ("none", "imagenet")

    def _weights_path(self) -> Path:
        return settings.ROOT / Path(self.knobs.weights).expanduser()

    def _start_weights(self) -> Any:
        from pipeline.patches_to_classifier import check_weights

        if not self._has_weights_file():
            return self.knobs.weights
        weights = files.read_weights(self._weights_path())
        check_weights(weights, str(self._weights_path()))
        return weights

    def _build(self, weights: Any) -> Resnet:
        import torch

        torch.manual_seed(self.knobs.seed)
        return models.build_classifier(self.arch, head=self.knobs.head, weights=weights, pixels=self.knobs.pixels)

    def model(self) -> Resnet:
        """The trained classifier."""
        return self.load_into(self._build("none"))
