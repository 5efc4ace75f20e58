"""Classifier: a ResNet that tells crack patches from others; the only thing that learns from yes/no labels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import luigi

import models
from tasks import files, settings
from tasks.base import SPLITS, one_of
from tasks.cache import Draft
from tasks.dataset import Dataset
from tasks.errors import SettingsError
from tasks.patches import Patches
from tasks.trained import TrainedStage

if TYPE_CHECKING:
    import torch

    from models.resnet import Classifier as Resnet
    from tasks.base import Stage

SCORES = "scores.csv"
_BATCH = 64  # patches per evaluation step; every patch is scored by itself


class Classifier(TrainedStage):
    arch = luigi.Parameter(default="", positional=False, description="|".join(models.CLASSIFIERS))
    axis_names = ("arch",)
    unit = "patches"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.arch = self.arch or self.first_classifier()
        one_of(self.arch, models.CLASSIFIERS, "arch")

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
        from pipeline.patches_to_classifier import train_classifier

        device = self.device(self.execution.threads)
        model = self._build(self._start_weights())
        images = [photo.image() for photo in self.sibling(Dataset).photos("train")]
        rows = self.sibling(Patches).rows("train")
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
        scores = self._evaluate(draft, model, device)
        return f"training loss {log[-1]['loss']:.3f}, patch F1 " + ", ".join(
            f"{row['split']} {row['f1']:.3f}" for row in scores
        )

    def _evaluate(self, draft: Draft, model: Resnet, device: torch.device) -> list[dict[str, Any]]:
        """F1, precision, recall, AUC and counts on the patches of every split that was not trained on."""
        import pandas as pd

        from pipeline.patches_to_classifier import patch_probabilities
        from pipeline.predictions_to_scores import score_patches

        scores = []
        for split in SPLITS[1:]:
            rows = self.sibling(Patches).rows(split)
            if len(rows) == 0:
                continue
            images = [photo.image() for photo in self.sibling(Dataset).photos(split)]
            probabilities = patch_probabilities(
                model, images, rows, patch_px=self._patch_px(), device=device, batch_size=_BATCH
            )
            scores.append({"split": split, "arch": self.arch, **score_patches(rows.label, probabilities)})
        files.write_table(draft.path(SCORES), pd.DataFrame(scores))
        return scores

    def _patch_px(self) -> int:
        return int(self.sibling(Patches).knobs.patch_px)

    def _has_weights_file(self) -> bool:
        return self.knobs.weights not in ("none", "imagenet")

    def _weights_path(self) -> Path:
        return settings.ROOT / Path(self.knobs.weights).expanduser()

    def _start_weights(self) -> Any:
        return files.read_weights(self._weights_path()) if self._has_weights_file() else self.knobs.weights

    def _build(self, weights: Any) -> Resnet:
        import torch

        torch.manual_seed(self.knobs.seed)
        return models.build_classifier(self.arch, head=self.knobs.head, weights=weights, pixels=self.knobs.pixels)

    def model(self) -> Resnet:
        """The trained classifier."""
        return self.load_into(self._build("none"))
