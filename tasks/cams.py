"""Cams: GradCAM++ of the crack class, one small map per image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tasks.patch_maps import Localizer, LocalizingStage

if TYPE_CHECKING:
    import torch

    from models.resnet import Classifier as Resnet


class Cams(LocalizingStage):
    def localizer(self, model: Resnet, device: torch.device) -> Localizer:
        from pipeline.classifier_to_cams import CamMaker

        return CamMaker(model, self.knobs, device=device)

    def map(self, name: str, shape_hw: tuple[int, int]) -> NDArray[np.float32]:
        """float32 H×W in [0, 1]."""
        from pipeline.classifier_to_cams import cam_to_image

        return cam_to_image(self.small_map(name), shape_hw)
