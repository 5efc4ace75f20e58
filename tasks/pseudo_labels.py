"""PseudoLabels: where the classifier sees a crack, times which pixels are dark, cleaned."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tasks.base import Stage
from tasks.dataset import Photo
from tasks.labels import LabelStage, localization_stages
from tasks.threshold_maps import ThresholdMaps


class PseudoLabels(LabelStage):
    def threshold_maps(self) -> ThresholdMaps:
        return self.sibling(ThresholdMaps, split=self.split)

    def upstream(self) -> Mapping[str, Stage]:
        return {**localization_stages(self), "threshold_maps": self.threshold_maps()}

    def label_of(self, photo: Photo) -> NDArray[np.uint8]:
        from pipeline.maps_to_pseudo_labels import pseudo_label

        dark = self.threshold_maps().map(photo.id)
        shape_hw = (dark.shape[0], dark.shape[1])
        patch_map, cam = self.patch_maps().map(photo.id, shape_hw), self.cams().map(photo.id, shape_hw)
        return pseudo_label(patch_map, cam, dark, self.knobs)
