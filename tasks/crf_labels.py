"""CrfLabels: the rival: the classifier's map refined by a dense CRF, as a binary label."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tasks.base import Stage
from tasks.dataset import Dataset, Photo
from tasks.labels import LabelStage, localization_stages


class CrfLabels(LabelStage):
    def upstream(self) -> Mapping[str, Stage]:
        if self.knobs.unary == "merged":
            return localization_stages(self)
        return {"dataset": self.sibling(Dataset), "cams": self.cams()}

    def label_of(self, photo: Photo) -> NDArray[np.uint8]:
        from pipeline.cams_to_crf_labels import crf_label

        image_rgb = photo.image()
        shape_hw = (image_rgb.shape[0], image_rgb.shape[1])
        patch_map = self.patch_maps().map(photo.id, shape_hw) if self.knobs.unary == "merged" else None
        return crf_label(image_rgb, self.cams().map(photo.id, shape_hw), patch_map, self.knobs)
